//! `wormhole doctor`: what works from here, one line each, with advice where something does not.

use std::io::{self, Write};
use std::net::UdpSocket;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio::time::timeout;
use wormhole_core::driver::{Address, Conn, Input, Listen, Op, Target};
use wormhole_core::rng::Rng;
use wormhole_core::wire::hints::DirectHint;
use wormhole_core::wormhole::Event as Session;
use wormhole_runtime::Runtime as _;
use wormhole_tokio::transfer::{Config, Event, Receiver};
use wormhole_tokio::{Network, Welcome};

use crate::arguments::Common;
use crate::failure::Failure;
use crate::interrupts::Interrupts;
use crate::json::{self, Line};
use crate::mode::mode;
use crate::sides::{self, or_interrupted};

/// How long each server has.
const LIMIT: Duration = Duration::from_secs(10);
/// How far clocks may differ: as much as no certificate and no stamp cares for.
const CLOCK: Duration = Duration::from_secs(120);

/// `wormhole doctor`.
pub(crate) async fn run(common: &Common, interrupts: &mut Interrupts) -> Result<(), Failure> {
    or_interrupted(interrupts, all(common)).await?
}

async fn all(common: &Common) -> Result<(), Failure> {
    let config = sides::config(common, common.appid(), false).await?;
    let mailbox = mailbox(common, &config).await;
    let mut findings = vec![mailbox.finding];
    findings.extend(relays(&config).await?);
    findings.extend([ipv6(), addresses(&config).await, clock(mailbox.clocks)]);
    for finding in &findings {
        finding.tell()?;
    }
    match findings.iter().filter(|finding| finding.is_well == Some(false)).count() {
        0 => Ok(()),
        1 => Err(Failure::Here("one check has failed".to_owned())),
        several => Err(Failure::Here(format!("{several} checks have failed"))),
    }
}

/// What a check has found.
struct Finding {
    name: &'static str,
    /// `None` where it is neither good nor bad.
    is_well: Option<bool>,
    message: String,
    advice: &'static str,
}

impl Finding {
    fn well(name: &'static str, message: String) -> Self {
        Self { name, is_well: Some(true), message, advice: "" }
    }

    fn bad(name: &'static str, message: String, advice: &'static str) -> Self {
        Self { name, is_well: Some(false), message, advice }
    }

    fn neutral(name: &'static str, message: String, advice: &'static str) -> Self {
        Self { name, is_well: None, message, advice }
    }

    fn tell(&self) -> Result<(), Failure> {
        let Self { name, is_well, message, advice } = self;
        let told = if mode().json {
            json::tell(&Line::Check { name, ok: *is_well, message, advice })
        } else {
            let sign = match is_well {
                Some(true) => "ok  ",
                Some(false) => "FAIL",
                None => "--  ",
            };
            let advice = if advice.is_empty() { String::new() } else { format!(" {advice}") };
            let mut output = io::stdout().lock();
            writeln!(output, "{sign} {name}: {message}.{advice}").and_then(|()| output.flush())
        };
        told.map_err(|error| Failure::Here(format!("standard output cannot be written: {error}")))
    }
}

/// What the mailbox server is like.
struct Mailbox {
    finding: Finding,
    /// Its clock and ours at the same moment, as far as can be told.
    clocks: Option<(Duration, Duration)>,
}

const MAILBOX: &str = "mailbox server";

async fn mailbox(common: &Common, config: &Config) -> Mailbox {
    let url = common.mailbox();
    let bad = |why: String, advice| Mailbox { finding: Finding::bad(MAILBOX, why, advice), clocks: None };
    match timeout(LIMIT, greeted(config)).await {
        Ok(Ok((welcome, dial, answer))) => {
            let clocks = welcome.server_time.map(|theirs| (theirs, unix_time()));
            let said = welcome.motd.map(|motd| format!("; it says: {}", motd.short())).unwrap_or_default();
            let speed = format!(
                "{url}, there after {} ms, answers in {} ms{said}",
                dial.as_millis(),
                answer.as_millis()
            );
            Mailbox { finding: Finding::well(MAILBOX, speed), clocks }
        }
        Ok(Err(failure)) => bad(failure.to_string().trim_end_matches('.').to_owned(), ""),
        Err(_) => bad(
            format!("{url}: no answer within {} s", LIMIT.as_secs()),
            "Look at your network, or choose another server with --relay-url; both sides need the same.",
        ),
    }
}

/// The server's welcome, how long it took, and how long an answer takes then.
async fn greeted(config: &Config) -> Result<(Welcome, Duration, Duration), Failure> {
    let began = Instant::now();
    let mut receiver = Receiver::new(config.clone())?;
    receiver.input_code()?;
    let mut welcomed = None;
    loop {
        let event = receiver.next_event().await;
        if let Event::Closed(outcome) = event {
            outcome?;
            return Err(Failure::Here("the session ended".to_owned()));
        }
        if let Event::Session(Session::Welcome(welcome)) = event {
            welcomed = Some((welcome, Instant::now()));
        // The list of nameplates is asked for with the first words, and answered at once.
        } else if let (Event::Session(Session::Nameplates(_)), Some((welcome, at))) = (event, &welcomed) {
            return Ok((welcome.clone(), at.duration_since(began), at.elapsed()));
        }
    }
}

const RELAY: &str = "transit relay";

async fn relays(config: &Config) -> Result<Vec<Finding>, Failure> {
    let relays: Vec<DirectHint> = config.transit_relays()?;
    if relays.is_empty() {
        let advice = "Without one, two computers behind different routers may not find to each other.";
        return Ok(vec![Finding::neutral(RELAY, "none is configured".to_owned(), advice)]);
    }
    let mut findings = Vec::new();
    for DirectHint { address, .. } in relays {
        findings.push(relay(address, config.network()).await);
    }
    Ok(findings)
}

/// Meets itself at the relay, as two sides do.
async fn relay(address: Address, network: &Network) -> Finding {
    let began = Instant::now();
    let advice = "Look at your network, or choose another relay with --transit-helper.";
    match timeout(LIMIT, joined(&address, network)).await {
        Ok(Ok(())) => Finding::well(
            RELAY,
            format!("tcp:{address}, joins two sides after {} ms", began.elapsed().as_millis()),
        ),
        Ok(Err(why)) => Finding::bad(RELAY, format!("tcp:{address}: {why}"), advice),
        Err(_) => {
            Finding::bad(RELAY, format!("tcp:{address}: no answer within {} s", LIMIT.as_secs()), advice)
        }
    }
}

async fn joined(address: &Address, network: &Network) -> Result<(), String> {
    let mut runtime = wormhole_tokio::runtime_on(network);
    let mut rng = Rng::new(runtime.seed());
    let token = hex(&rng.bytes::<32>());
    let (one, two) = (Conn(1), Conn(2));
    for conn in [one, two] {
        runtime.start(Op::Open { conn, target: Target::Relay(address.clone()) });
    }
    let mut heard = [Vec::new(), Vec::new()];
    loop {
        let Some(input) = runtime.next(None).await else { continue };
        match input {
            Input::Opened { conn, .. } => {
                let side = hex(&rng.bytes::<8>());
                let bytes = format!("please relay {token} for side {side}\n").into_bytes();
                runtime.start(Op::Write { conn, bytes });
                runtime.start(Op::Read { conn });
            }
            Input::Received { conn, bytes } => {
                let [first, second] = &mut heard;
                (if conn == one { first } else { second }).extend(bytes);
                if heard.iter().all(|heard| heard.starts_with(b"ok\n")) {
                    return Ok(());
                }
                if heard.iter().any(|heard| !b"ok\n".starts_with(heard.get(..3).unwrap_or(heard))) {
                    return Err("what answers is no transit relay".to_owned());
                }
                runtime.start(Op::Read { conn });
            }
            Input::Closed { why, .. } => return Err(why.to_string()),
            Input::Listening { .. } | Input::Sent { .. } | Input::Tick | Input::Stored(_) => {}
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    data_encoding::HEXLOWER.encode(bytes)
}

/// Whether packets would find a way by IPv6. None is sent: an address of the documentation's only chooses a route.
fn ipv6() -> Finding {
    let routed = UdpSocket::bind("[::]:0").and_then(|socket| socket.connect("[2001:db8::1]:9"));
    match routed {
        Ok(()) => Finding::well("IPv6", "there is a way to it".to_owned()),
        Err(_) => Finding::neutral(
            "IPv6",
            "there is no way to it".to_owned(),
            "Nothing is wrong; with it, two computers at home more often find to each other directly.",
        ),
    }
}

/// At which addresses the other side would be told to look for us.
async fn addresses(config: &Config) -> Finding {
    const NAME: &str = "our addresses";
    if !config.listens() {
        return Finding::neutral(NAME, "none is told, as you wish (--no-listen)".to_owned(), "");
    }
    let mut runtime = wormhole_tokio::runtime();
    runtime.start(Op::Listen { conn: Conn(1), on: Listen::Transit });
    let listening = async {
        loop {
            match runtime.next(None).await {
                Some(Input::Listening { at, .. }) => return Ok(at),
                Some(Input::Closed { why, .. }) => return Err(why.to_string()),
                Some(
                    Input::Opened { .. }
                    | Input::Received { .. }
                    | Input::Sent { .. }
                    | Input::Tick
                    | Input::Stored(_),
                )
                | None => {}
            }
        }
    };
    match timeout(LIMIT, listening).await {
        Ok(Ok(at)) if !at.is_empty() => {
            let at: Vec<String> = at.into_iter().map(|address| address.host).collect();
            Finding::well(NAME, at.join(", "))
        }
        Ok(Err(why)) => Finding::bad(NAME, why, "Without a port to listen on, transfers need the relay."),
        Ok(Ok(_)) | Err(_) => Finding::bad(
            NAME,
            "none".to_owned(),
            "This computer seems to have no network; look at its settings.",
        ),
    }
}

fn clock(clocks: Option<(Duration, Duration)>) -> Finding {
    const NAME: &str = "clock";
    let Some((theirs, ours)) = clocks else {
        return Finding::neutral(NAME, "there is no server to compare it with".to_owned(), "");
    };
    let (ahead, apart) = (ours > theirs, ours.abs_diff(theirs));
    if apart <= CLOCK {
        return Finding::well(NAME, format!("{:.1} s from the server's", apart.as_secs_f64()));
    }
    let message = format!("{} {} the server's", long(apart), if ahead { "ahead of" } else { "behind" });
    Finding::bad(
        NAME,
        message,
        "Set it, or let the network set it: certificates and stamps are refused otherwise.",
    )
}

fn long(time: Duration) -> String {
    match time.as_secs() {
        seconds @ 0..7200 => format!("{} min", seconds / 60),
        seconds @ 7200..172_800 => format!("{} h", seconds / 3600),
        seconds => format!("{} days", seconds / 86_400),
    }
}

fn unix_time() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_is_judged_by_how_far_it_is_off() {
        let at = |theirs, ours| {
            let finding = clock(Some((Duration::from_secs(theirs), Duration::from_secs(ours))));
            (finding.is_well, finding.message)
        };
        assert_eq!(at(1000, 1100), (Some(true), "100.0 s from the server's".to_owned()));
        assert_eq!(at(1000, 1600), (Some(false), "10 min ahead of the server's".to_owned()));
        assert_eq!(at(100_000, 60_000), (Some(false), "11 h behind the server's".to_owned()));
        assert_eq!(at(1_000_000, 0), (Some(false), "11 days behind the server's".to_owned()));
        assert_eq!(clock(None).is_well, None);
    }
}
