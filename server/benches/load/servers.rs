//! Servers as processes, and what they cost.

use std::env;
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use wormhole_core::driver::{Address, Why};
use wormhole_server::{Server, mailbox, relay};

use crate::{Outcome, yardstick};

/// Which server, and whose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    OurMailbox,
    OurRelay,
    TheirMailbox,
    TheirRelay,
    /// The least that a relay for one pair can do: a loop of `splice` calls.
    Splice,
    /// The same with a buffer.
    Copy,
    /// The least that a relay for many pairs can do: a loop over `epoll`.
    Bare,
}

/// A server that runs until this is dropped.
pub(crate) struct Process {
    child: Child,
    /// Where it listens: TCP, and for relays WebSocket.
    pub(crate) at: Vec<SocketAddr>,
}

impl Process {
    /// Starts it; `None` where the reference's are not installed.
    pub(crate) fn start(kind: Kind) -> Outcome<Option<Self>> {
        let free = || TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
        let command = match kind {
            Kind::TheirMailbox | Kind::TheirRelay => {
                let twist = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../target/peers/bin/twist");
                if !twist.exists() {
                    println!("  (the reference is not installed in target/peers: only ours is measured)");
                    return Ok(None);
                }
                let (first, second) = (free()?, free()?);
                let port = format!("--port=tcp:{}:interface=127.0.0.1", first.port());
                let mut command = Command::new(twist);
                if kind == Kind::TheirMailbox {
                    command.args(["wormhole-mailbox", &port, "--channel-db=:memory:", "--usage-db=:memory:"]);
                } else {
                    let web = format!("--websocket=tcp:{}:interface=127.0.0.1", second.port());
                    command.args(["transitrelay", &port, &web]);
                }
                let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
                let process = Self { child, at: vec![first, second] };
                process.wait_until_it_listens()?;
                return Ok(Some(process));
            }
            Kind::OurMailbox => Self::our_own("mailbox")?,
            Kind::OurRelay => Self::our_own("relay")?,
            Kind::Splice => Self::our_own("splice")?,
            Kind::Copy => Self::our_own("copy")?,
            Kind::Bare => Self::our_own("bare")?,
        };
        let mut child = { command }.stdout(Stdio::piped()).spawn()?;
        let said = child.stdout.take().ok_or("no output")?;
        let mut at = Vec::new();
        for line in BufReader::new(said).lines() {
            let line = line?;
            if line == "ready" {
                break;
            }
            let place = line.rsplit(' ').next().unwrap_or("");
            at.push(place.trim_start_matches("tcp:").parse()?);
        }
        Ok(Some(Self { child, at }))
    }

    fn our_own(what: &str) -> Outcome<Command> {
        const ANY: &str = "127.0.0.1:0";
        let mut command = match (env::var_os("WORMHOLE_LOAD_SERVER"), what) {
            (Some(program), "mailbox" | "relay") => unlimited(Command::new(program)),
            (Some(_) | None, _) => Command::new(env::current_exe()?),
        };
        match (env::var_os("WORMHOLE_LOAD_SERVER"), what) {
            (Some(_), "mailbox") if env::var_os("WORMHOLE_SERVER_CHANNEL_DB").is_some() => {
                command.args([what, "--mailbox", ANY])
            }
            (Some(_), "mailbox") => command.args([what, "--mailbox", ANY, "--channel-db", ":memory:"]),
            (Some(_), "relay") => command.args([what, "--relay", ANY, "--relay-websocket", ANY]),
            (Some(_) | None, _) => command.args(["serve", what]),
        };
        Ok(command)
    }

    fn wait_until_it_listens(&self) -> Outcome<()> {
        for _ in 0..300 {
            if self.at.iter().take(1).all(|at| TcpStream::connect(at).is_ok()) {
                return Ok(());
            }
            // A program that takes seconds to start says nothing that could be waited for.
            std::thread::park_timeout(std::time::Duration::from_millis(100));
        }
        Err("the reference's server does not start".into())
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.at.first().copied().unwrap_or_else(|| SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))
    }

    /// Seconds of CPU that it has used, its own and the system's for it.
    pub(crate) fn cpu(&self) -> Outcome<f64> {
        cpu(&self.child.id().to_string())
    }

    /// Bytes of memory that it holds.
    pub(crate) fn memory(&self) -> Outcome<f64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no memory")?;
        Ok(line.trim().trim_end_matches(" kB").parse::<f64>()? * 1024.0)
    }
}

/// Seconds of CPU of a process, `self` for our own.
pub(crate) fn cpu(id: &str) -> Outcome<f64> {
    let stat = fs::read_to_string(format!("/proc/{id}/stat"))?;
    let fields = stat.rsplit(") ").next().unwrap_or("");
    let ticks: f64 = fields.split(' ').skip(11).take(2).filter_map(|it| it.parse::<f64>().ok()).sum();
    Ok(ticks / 100.0)
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// As many descriptors as the system allows.
pub(crate) fn raise_limit() {
    let limit = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
}

/// What a process of ours is started for: says where it listens, and serves until it is killed.
pub(crate) fn serve(what: &str) -> Outcome<()> {
    raise_limit();
    match what {
        "splice" => return yardstick::stream(yardstick::by_splice),
        "copy" => return yardstick::stream(yardstick::by_copy),
        "bare" => return yardstick::pairs(),
        _ => {}
    }
    let executor = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    executor.block_on(async {
        let listen = || Address::new("127.0.0.1", 0);
        let failed = |why: Why| format!("{why}");
        if what == "mailbox" {
            let mut server = Server::mailbox(mailbox::Options::new(listen(), 0.0), wormhole_tokio::runtime());
            say(&server.listening().await.map_err(failed)?);
            server.run().await;
        } else {
            let options = relay::Options::new(listen()).web_socket(listen());
            let mut server = Server::relay(options, wormhole_tokio::runtime());
            say(&server.listening().await.map_err(failed)?);
            server.run().await;
        }
        Ok(())
    })
}

fn say(at: &[Address]) {
    for at in at {
        println!("{at}");
    }
    println!("ready");
}

/// Without the limits by address: the whole load comes from one.
fn unlimited(mut command: Command) -> Command {
    for of in ["CONNECTIONS", "CONNECTS", "ALLOCATES", "CLAIMS", "JOINS", "LISTS"] {
        command.env(format!("WORMHOLE_SERVER_ADDRESS_{of}"), "0");
    }
    command.env("WORMHOLE_SERVER_RELAY_ADDRESS_CONNECTIONS", "0");
    command
}
