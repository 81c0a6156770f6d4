//! One run of the program: sockets, servers, signals, and the end.

use std::io;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use sd_notify::NotifyState;
use tokio::runtime::Builder;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval};
use wormhole_runtime::Carried;

use super::arrival::Arrival;
use super::bound::{self, Bound, Passed, Paths};
use super::config::Config;
use super::log;
use super::metrics::Metrics;
use super::monitor::{self, State};
use super::place::Place;
use super::serve::{self, Ended, Order, Serving, Shared};
use super::settings::Fault;
use super::tls::Certificate;

/// How often the files of the certificate are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Which servers are to run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Parts {
    pub(crate) mailbox: bool,
    pub(crate) relay: bool,
}

/// Reads the configuration once more.
pub(crate) type Reload<'r> = &'r dyn Fn() -> Result<Config, Fault>;

/// Runs the program to its end.
pub(crate) fn run(config: &Config, parts: Parts, reload: Reload<'_>) -> ExitCode {
    log::begin(config.log_level, config.log_format);
    raise_file_limit();
    match serve(config, parts, reload) {
        Ok(code) => code,
        Err(error) => {
            tracing::error!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn serve(config: &Config, parts: Parts, reload: Reload<'_>) -> io::Result<ExitCode> {
    let mut paths = Paths::default();
    let mut passed = Passed::take()?;
    let mut certificate = config.tls.clone().map(Certificate::new);
    let tls = certificate.as_mut().map(Certificate::read).transpose().map_err(io::Error::other)?;
    let arrival = Arc::new(Arrival::new(config.trusted.clone(), config.serving.opening_limit, tls));
    let mut open = |name: &str, places: &[Place]| open(name, places, &mut passed, &mut paths);
    let mailbox = if parts.mailbox { open("mailbox", &config.mailbox)? } else { Vec::new() };
    let relay = if parts.relay { open("relay", &config.relay)? } else { Vec::new() };
    let relay_websocket =
        if parts.relay { open("relay-websocket", &config.relay_websocket)? } else { Vec::new() };
    let monitor = open("monitor", &config.monitor)?;
    if parts.mailbox && mailbox.is_empty() || parts.relay && relay.is_empty() && relay_websocket.is_empty() {
        return Err(io::Error::other("there is no place where clients could come in"));
    }
    for name in passed.left() {
        tracing::warn!(name, "systemd has passed a socket that no setting asks for");
    }

    let (ends, ended) = mpsc::channel(2);
    let mut servers = Vec::new();
    let shared = Shared { arrival, health: Arc::default() };
    let (arrival, health) = (Arc::clone(&shared.arrival), Arc::clone(&shared.health));
    let mut metrics = Metrics {
        arrival: Arc::clone(&arrival),
        health,
        mailbox: None,
        relay: None,
        carried: Carried::default(),
    };
    if parts.mailbox {
        let (serving, counts) = serve::mailbox(config, mailbox, &shared, ends.clone())?;
        servers.push(serving);
        metrics.mailbox = Some(counts);
    }
    if parts.relay {
        let (serving, counts, carried) = serve::relay(config, relay, relay_websocket, &shared, ends)?;
        servers.push(serving);
        (metrics.relay, metrics.carried) = (Some(counts), carried);
    }
    let state = Arc::new(State { metrics, ..State::default() });
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let attendant = Attendant { config, reload, arrival, certificate, servers, state };
    runtime.block_on(async {
        monitor::serve(monitor, &attendant.state)?;
        attendant.attend(ended).await
    })
}

/// Opens the sockets of one setting, and says where they can be reached.
fn open(name: &str, places: &[Place], passed: &mut Passed, paths: &mut Paths) -> io::Result<Vec<Bound>> {
    let mut all = Vec::new();
    for place in places {
        let bound = bound::bind(place, passed, paths)
            .map_err(|error| io::Error::new(error.kind(), format!("--{name} {place}: {error}")))?;
        for bound in bound {
            println!("{name} {}", bound.place()?);
            all.push(bound);
        }
    }
    Ok(all)
}

/// Looks after the servers while they serve.
struct Attendant<'r> {
    config: &'r Config,
    reload: Reload<'r>,
    arrival: Arc<Arrival>,
    certificate: Option<Certificate>,
    servers: Vec<Serving>,
    state: Arc<State>,
}

impl Attendant<'_> {
    /// Waits for signals and for the ends of the servers.
    async fn attend(mut self, mut ended: mpsc::Receiver<(&'static str, Ended)>) -> io::Result<ExitCode> {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut hang_up = signal(SignalKind::hangup())?;
        let mut look = interval(LOOK_EVERY);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        self.note_attack(self.config.guarding.attack);
        println!("ready");
        notify(&[NotifyState::Ready]);
        tracing::info!(version = env!("CARGO_PKG_VERSION"), "serving");
        let mut left = self.servers.len();
        let mut code = ExitCode::SUCCESS;
        while left > 0 {
            tokio::select! {
                Some(()) = terminate.recv() => if self.drain().await { return Ok(code) },
                Some(()) = interrupt.recv() => if self.drain().await { return Ok(code) },
                Some(()) = hang_up.recv() => self.reload().await,
                _ = look.tick() => if let Some(certificate) = &mut self.certificate {
                    certificate.renew(&self.arrival, false);
                },
                Some((name, how)) = ended.recv() => {
                    left -= 1;
                    match how {
                        Ended::Drained => tracing::info!(server = name, "has ended"),
                        Ended::Failed(why) => {
                            tracing::error!(server = name, %why, "has failed");
                            code = ExitCode::FAILURE;
                            self.drain().await;
                        }
                    }
                }
            }
        }
        Ok(code)
    }

    /// Begins to end; says whether that had begun before.
    async fn drain(&mut self) -> bool {
        if self.state.draining.swap(true, Ordering::Relaxed) {
            return true;
        }
        tracing::info!(limit = ?self.config.drain_limit, "nobody is let in any more; sessions may end by themselves");
        notify(&[NotifyState::Stopping]);
        self.tell(&Order::Drain(self.config.drain_limit)).await;
        false
    }

    /// Reads again what may change while the program serves.
    async fn reload(&mut self) {
        if let Some(certificate) = &mut self.certificate {
            certificate.renew(&self.arrival, true);
        }
        if self.state.draining.load(Ordering::Relaxed) {
            // Nobody new comes who could be told anything.
            return;
        }
        match (self.reload)() {
            Ok(config) => {
                self.note_attack(config.guarding.attack);
                self.tell(&Order::Change(config.words, config.guarding)).await;
                tracing::info!(
                    "the configuration was read again; what clients are told, and who is let in, is in force"
                );
            }
            Err(fault) => tracing::warn!(%fault, "the new configuration cannot be used; the old one stays"),
        }
    }

    /// Says whether attack mode is on, where that has changed.
    fn note_attack(&self, attack: bool) {
        if self.state.metrics.health.attack.swap(attack, Ordering::Relaxed) != attack {
            tracing::warn!("attack mode is {}", if attack { "on" } else { "off" });
        }
    }

    async fn tell(&self, order: &Order) {
        for server in &self.servers {
            // One that has ended needs to be told nothing.
            let _ = server.orders.send(order.clone()).await;
        }
    }
}

/// Tells systemd, where that is who started us.
fn notify(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(%error, "systemd could not be told how we are");
    }
}

/// As many descriptors as the system allows us without asking anybody.
fn raise_file_limit() {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current != maximum && setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).is_err() {
        tracing::warn!("the limit of open files could not be raised");
    }
}
