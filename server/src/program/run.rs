//! One run of the program: sockets, servers, signals, and the end.

use std::io;
use std::process::ExitCode;
use std::sync::Arc;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::runtime::Builder;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use crate::arrival::Arrival;
use crate::bound::{self, Bound, Passed, Paths};
use crate::config::Config;
use crate::place::Place;
use crate::serve::{self, Ended, Order, Serving};

/// Which servers are to run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Parts {
    pub(crate) mailbox: bool,
    pub(crate) relay: bool,
}

/// Runs the program to its end.
pub(crate) fn run(config: &Config, parts: Parts) -> ExitCode {
    raise_file_limit();
    match serve(config, parts) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("wormhole-server: {error}");
            ExitCode::FAILURE
        }
    }
}

fn serve(config: &Config, parts: Parts) -> io::Result<ExitCode> {
    let mut paths = Paths::default();
    let mut passed = Passed::take()?;
    let arrival = Arc::new(Arrival::new(config.trusted.clone(), None));
    let mut open = |name: &str, places: &[Place]| open(name, places, &mut passed, &mut paths);
    let mailbox = if parts.mailbox { open("mailbox", &config.mailbox)? } else { Vec::new() };
    let relay = if parts.relay { open("relay", &config.relay)? } else { Vec::new() };
    let (ends, mut ended) = mpsc::channel(2);
    let mut servers = Vec::new();
    if parts.mailbox {
        servers.push(serve::mailbox(config, mailbox, &arrival, ends.clone())?);
    }
    if parts.relay {
        servers.push(serve::relay(relay, &arrival, ends)?);
    }
    let runtime = Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(attend(config, &servers, &mut ended))
}

/// Opens the sockets of one setting, and says where they can be reached.
fn open(name: &str, places: &[Place], passed: &mut Passed, paths: &mut Paths) -> io::Result<Vec<Bound>> {
    let mut all = Vec::new();
    for place in places {
        let bound = bound::bind(place, passed, paths)
            .map_err(|error| io::Error::new(error.kind(), format!("--{name} {place}: {error}")))?;
        for bound in bound {
            println!("{name} {}", bound.address()?);
            all.push(bound);
        }
    }
    Ok(all)
}

/// Waits for signals and for the ends of the servers.
async fn attend(
    config: &Config,
    servers: &[Serving],
    ended: &mut mpsc::Receiver<(&'static str, Ended)>,
) -> io::Result<ExitCode> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    println!("ready");
    let mut draining = false;
    let mut left = servers.len();
    let mut code = ExitCode::SUCCESS;
    while left > 0 {
        tokio::select! {
            _ = async { tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} } } => {
                if draining {
                    return Ok(code);
                }
                draining = true;
                for server in servers {
                    let _ = server.orders.send(Order::Drain(config.drain_limit)).await;
                }
            }
            Some((name, how)) = ended.recv() => {
                left -= 1;
                if let Ended::Failed(why) = how {
                    tracing::error!(server = name, %why, "a server has failed");
                    code = ExitCode::FAILURE;
                }
            }
        }
    }
    Ok(code)
}

/// As many descriptors as the system allows us without asking anybody.
fn raise_file_limit() {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current != maximum && setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).is_err() {
        tracing::warn!("the limit of open files could not be raised");
    }
}
