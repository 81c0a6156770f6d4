//! Full cycles of two clients, with and without ten thousand idle ones.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use crate::client::{Client, field};
use crate::servers::{Kind, Process, cpu};
use crate::{Outcome, median};

/// Cycles at a time.
const AT_ONCE: usize = 16;
const ROUNDS: usize = 3;
const ROUND: Duration = Duration::from_secs(4);
/// Idle clients, and of the reference fewer, since they take long.
const IDLE: u64 = 10_000;
const THEIR_IDLE: u64 = 1_000;
/// No cycle takes longer, unless something was lost.
const LOST: Duration = Duration::from_secs(20);

/// What a round came to.
struct Figures {
    per_second: f64,
    /// Milliseconds of the server's CPU in each cycle.
    cpu: f64,
    /// And of ours.
    client: f64,
    p99: f64,
}

/// Cycles a second of both makes.
pub(crate) fn cycles() -> Outcome<()> {
    println!("full cycles of two clients, {AT_ONCE} at a time");
    let makes =
        [("ours", Process::start(Kind::OurMailbox)?), ("reference", Process::start(Kind::TheirMailbox)?)];
    let mut medians = Vec::new();
    let mut rounds: [Vec<Figures>; 2] = Default::default();
    for _ in 0..ROUNDS {
        for ((_, process), rounds) in makes.iter().zip(&mut rounds) {
            if let Some(process) = process {
                rounds.push(round(process, ROUND)?);
            }
        }
    }
    for ((name, process), rounds) in makes.iter().zip(&rounds) {
        let Some(process) = process else { continue };
        let of = |what: fn(&Figures) -> f64| median(rounds.iter().map(what).collect());
        let (rate, cpu) = (of(|it| it.per_second), of(|it| it.cpu));
        println!(
            "  {name:<10} {rate:7.0} a second, p99 {:6.1} ms, {cpu:6.3} ms of CPU each ({:.0} a CPU-second; \
             {:.3} ms of the clients), {:.1} MB",
            of(|it| it.p99),
            1000.0 / cpu,
            of(|it| it.client),
            process.memory()? / 1e6
        );
        medians.push((rate, cpu));
    }
    if let [(ours, our_cpu), (theirs, their_cpu)] = medians[..] {
        println!("  ratio      {:7.1} in rate, {:.1} in CPU", ours / theirs, their_cpu / our_cpu);
    }
    Ok(())
}

/// What idle clients cost, and what they cost others.
pub(crate) fn idle() -> Outcome<()> {
    println!("idle clients, connected, bound and with an open mailbox");
    for (name, kind, count) in
        [("ours", Kind::OurMailbox, IDLE), ("reference", Kind::TheirMailbox, THEIR_IDLE)]
    {
        let Some(process) = Process::start(kind)? else { continue };
        let base = process.memory()?;
        let executor = executor()?;
        let idle = executor.block_on(hold(process.address(), count))?;
        let each = (process.memory()? - base) / count as f64;
        let with = rounds(&process)?;
        let after = (process.memory()? - base) / count as f64;
        drop(idle);
        drop(executor);
        let without = rounds(&Process::start(kind)?.ok_or("it does not start again")?)?;
        println!(
            "  {name:<10} base {:.1} MB, {:.2} kB each ({:.2} after cycles) of {count}; cycles {:.0} a second, \
             without them {:.0}: {:.2}, by CPU {:.2}",
            base / 1e6,
            each / 1e3,
            after / 1e3,
            with.0,
            without.0,
            with.0 / without.0,
            without.1 / with.1
        );
    }
    Ok(())
}

/// The rate and the CPU of the middle round.
fn rounds(process: &Process) -> Outcome<(f64, f64)> {
    let rounds = (0..ROUNDS).map(|_| round(process, ROUND)).collect::<Outcome<Vec<_>>>()?;
    let of = |what: fn(&Figures) -> f64| median(rounds.iter().map(what).collect());
    Ok((of(|it| it.per_second), of(|it| it.cpu)))
}

/// Cycles for so long, of which none may be lost.
pub(crate) fn soak(seconds: u64) -> Outcome<()> {
    let process = Process::start(Kind::OurMailbox)?.ok_or("ours is always there")?;
    println!("soak for {seconds} s");
    let first = process.memory()?;
    let figures = round(&process, Duration::from_secs(seconds))?;
    println!(
        "  {:.0} a second, p99 {:.1} ms, nothing lost; {:.1} MB at first, {:.1} at last",
        figures.per_second,
        figures.p99,
        first / 1e6,
        process.memory()? / 1e6
    );
    Ok(())
}

fn executor() -> Outcome<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_current_thread().enable_all().build()?)
}

fn round(process: &Process, length: Duration) -> Outcome<Figures> {
    let (at, before, begun) = (process.address(), process.cpu()?, Instant::now());
    let ours = cpu("self")?;
    let mut taken = executor()?.block_on(async {
        let mut workers = JoinSet::new();
        let number = Arc::new(AtomicU64::new(0));
        for _ in 0..AT_ONCE {
            let number = Arc::clone(&number);
            workers.spawn(async move {
                let mut taken = Vec::new();
                while begun.elapsed() < length {
                    let from = Instant::now();
                    let number = number.fetch_add(1, Ordering::Relaxed);
                    timeout(LOST, cycle(at, number)).await.map_err(|_| "a cycle was lost")??;
                    taken.push(from.elapsed());
                }
                Outcome::Ok(taken)
            });
        }
        let mut all = Vec::new();
        while let Some(taken) = workers.join_next().await {
            all.extend(taken??);
        }
        Outcome::Ok(all)
    })?;
    let (elapsed, count) = (begun.elapsed().as_secs_f64(), taken.len() as f64);
    taken.sort();
    let p99 = taken.get(taken.len() * 99 / 100).copied().unwrap_or_default();
    Ok(Figures {
        per_second: count / elapsed,
        cpu: (process.cpu()? - before) * 1000.0 / count,
        client: (cpu("self")? - ours) * 1000.0 / count,
        p99: p99.as_secs_f64() * 1000.0,
    })
}

/// Two clients meet, say three messages each, and go. No side comes twice: the reference gives up what a side holds anywhere
/// when it closes one mailbox, and drops whoever else uses it.
async fn cycle(at: SocketAddr, number: u64) -> Outcome<()> {
    let [side_a, side_b] = ["aa", "bb"].map(|end| format!("{number:08x}{end}"));
    let bind = |side: &str| {
        format!(r#"{{"type":"bind","id":"1","appid":"example.com/load/{}","side":"{side}"}}"#, number % 64)
    };
    let mut a = Client::connect(at).await?;
    a.say(&bind(&side_a));
    a.say(r#"{"type":"allocate","id":"2"}"#);
    let allocated = a.until("allocated", |_| true).await?;
    let nameplate = field(&allocated, "nameplate").ok_or("no nameplate")?;
    let mut b = Client::connect(at).await?;
    b.say(&bind(&side_b));
    for client in [&mut a, &mut b] {
        client.say(&format!(r#"{{"type":"claim","id":"3","nameplate":"{nameplate}"}}"#));
        let claimed = client.until("claimed", |_| true).await?;
        let mailbox = field(&claimed, "mailbox").ok_or("no mailbox")?;
        client.say(&format!(r#"{{"type":"open","id":"4","mailbox":"{mailbox}"}}"#));
    }
    for phase in ["pake", "version", "0"] {
        for client in [&mut a, &mut b] {
            let body = "7b2270616b655f7631223a2022353337363962653239363235303336".repeat(3);
            client.say(&format!(r#"{{"type":"add","id":"5","phase":"{phase}","body":"{body}"}}"#));
            if phase == "version" {
                client.say(r#"{"type":"release","id":"6"}"#);
            }
        }
        // One writes before the other waits.
        let theirs = |side: String| {
            move |text: &str| field(text, "side") == Some(&*side) && field(text, "phase") == Some(phase)
        };
        let (there, back) = tokio::join!(
            a.until("message", theirs(side_b.clone())),
            b.until("message", theirs(side_a.clone()))
        );
        there?;
        back?;
    }
    for client in [&mut a, &mut b] {
        client.say(r#"{"type":"close","id":"7","mood":"happy"}"#);
        client.until("closed", |_| true).await?;
    }
    Ok(())
}

/// So many idle clients.
async fn hold(at: SocketAddr, count: u64) -> Outcome<Vec<Client>> {
    let mut idle = Vec::new();
    for number in 0..count {
        let mut client = Client::connect(at).await?;
        client.say(&format!(
            r#"{{"type":"bind","id":"1","appid":"example.com/idle","side":"side{number:06}"}}"#
        ));
        client.say(&format!(r#"{{"type":"open","id":"2","mailbox":"mailbox{number:06}"}}"#));
        // What is answered to it comes after the mailbox is open.
        client.say(r#"{"type":"ping","id":"3","ping":1}"#);
        client.until("pong", |_| true).await?;
        client.rest();
        idle.push(client);
    }
    Ok(idle)
}
