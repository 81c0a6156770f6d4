//! The two servers, each on a thread of its own: as many connections as it has belong to one loop.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::runtime::Builder;
use tokio::sync::mpsc;
use tokio::time::timeout;
use wormhole_core::driver::{Address, Listen, Machine, Why};
use wormhole_runtime::{Carried, InFlight, Layered, Runtime, Serving as Service};
use wormhole_server::counters::{MailboxCounts, RelayCounts};
use wormhole_server::mailbox::{self, Mailbox};
use wormhole_server::relay::{self, Relay};
use wormhole_server::usage::{Current, Ledger, Manner, Part};
use wormhole_server::{Drain, Event, Server, Stamp, Stored};

use super::arrival::Arrival;
use super::bound::Bound;
use super::bounds::Guarding;
use super::config::{Config, Words};
use super::health::Health;
use super::net::{For, Net};
use super::store::Kept;
use super::usage_log::UsageLog;

/// How long connections may take to end once they are told to.
const END_LIMIT: Duration = Duration::from_secs(5);
/// What WebSocket calls the restart of a service, in a close frame.
const SERVICE_RESTART: u16 = 1012;
/// Orders under way to one server.
const ORDERS: usize = 16;

/// What a server is told while it serves.
#[derive(Clone, Debug)]
pub(crate) enum Order {
    /// Take nobody in any more, and end when everybody has left or the time is over.
    Drain(Duration),
    /// Tell clients this from now on, and let these in.
    Change(Words, Guarding),
}

/// How a server ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// As it was told to.
    Drained,
    Failed(Why),
}

/// A server on its thread.
#[derive(Debug)]
pub(crate) struct Serving {
    pub(crate) orders: mpsc::Sender<Order>,
}

/// What all servers of the program have in common.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) arrival: Arc<Arrival>,
    pub(crate) health: Arc<Health>,
}

/// Where it is written down what a server tells.
struct Books {
    health: Arc<Health>,
    ledger: Option<Ledger>,
    log: Option<UsageLog>,
}

impl Books {
    fn note(&mut self, event: Event) {
        self.health.note(&event);
        let Event::Used(usage) = event else { return };
        if let Some(log) = &mut self.log {
            log.note(&usage);
        }
        if let Some(ledger) = &self.ledger {
            ledger.note(usage);
        }
    }
}

/// What a server tells when it has ended.
pub(crate) type Ends = mpsc::Sender<(&'static str, Ended)>;

type Runs = Layered<InFlight<Net>>;

/// Begins to serve mailboxes.
pub(crate) fn mailbox(
    config: &Config,
    bound: Vec<Bound>,
    shared: &Shared,
    ends: Ends,
) -> io::Result<(Serving, Arc<MailboxCounts>)> {
    let started = now();
    let bound = BTreeMap::from([(For::Mailbox, bound)]);
    let mut net = net(bound, shared, config.serving.clone(), &Carried::default());
    let options = mailbox::Options {
        motd: config.words.motd.clone(),
        error: config.words.signal_error.clone(),
        advertise_version: config.words.advertise_version.clone(),
        allow_list: !config.disallow_list,
        prune_every: config.prune_interval,
        bounds: config.bounds.clone(),
        guard: config.guarding.mailbox(net.seed()),
        ..mailbox::Options::new(elsewhere(), started.seconds())
    };
    let limits = config.store.clone();
    let store = Kept::open(&config.channel_db, config.channel_db_synchronous, net.seed(), started, limits)
        .map_err(|error| io::Error::other(format!("--channel-db: {error}")))?;
    let machine = Mailbox::new(options);
    let counts = machine.counts();
    let timed = Arc::clone(&counts);
    let shown = Arc::clone(&counts);
    let look = move || (now(), Current { connected: shown.connections.now(), ..Current::default() });
    let ledger = ledger("usage-db", config.usage_db.as_deref(), Part::Mailbox, config.usage, look)?;
    let mut books = Books { health: Arc::clone(&shared.health), ledger, log: None };
    let serving = spawn("mailbox", ends, move |orders| async move {
        let mut server = Server::new(machine, Stored::new(net, store).timed(timed))
            .telling(move |event| books.note(event));
        serve(
            &mut server,
            orders,
            |server, words, guarding| {
                let guard = guarding.mailbox(server.runtime_mut().seed());
                let mailbox = server.machine_mut();
                mailbox.say(words.motd, words.signal_error, words.advertise_version);
                mailbox.guard(guard);
            },
            |stored| leave(stored.runtime_mut()),
        )
        .await
    })?;
    Ok((serving, counts))
}

/// Begins to serve as a relay.
pub(crate) fn relay(
    config: &Config,
    plain: Vec<Bound>,
    websocket: Vec<Bound>,
    shared: &Shared,
    ends: Ends,
) -> io::Result<(Serving, Arc<RelayCounts>, Carried)> {
    let mut listen = Vec::new();
    if !plain.is_empty() {
        listen.push(Listen::Relay(elsewhere()));
    }
    if !websocket.is_empty() {
        listen.push(Listen::RelayWebSocket(elsewhere()));
    }
    let options = relay::Options {
        listen,
        terms: config.relay_terms,
        waiters: config.relay_waiters,
        addresses: config.guarding.relay(),
        line_time: config.relay_line_timeout,
        wait_time: config.relay_wait_timeout,
        started: now().seconds(),
    };
    let bound = BTreeMap::from([(For::Relay, plain), (For::RelayWebSocket, websocket)]);
    let carried = Carried::default();
    let net = net(bound, shared, config.serving.clone(), &carried);
    let machine = Relay::new(options);
    let counts = machine.counts();
    let shown = Arc::clone(&counts);
    let carrying = carried.clone();
    let look = move || {
        let (connected, waiting) = (shown.paired.now(), shown.tokens.now());
        (now(), Current { connected, waiting, incomplete_bytes: carrying.bytes() })
    };
    let ledger = ledger("relay-usage-db", config.relay_usage_db.as_deref(), Part::Relay, config.usage, look)?;
    let log = config.relay_usage_log.as_deref().map(|path| UsageLog::open(path, config.usage.blur));
    let log = log.transpose().map_err(|error| io::Error::other(format!("--relay-usage-log: {error}")))?;
    let mut books = Books { health: Arc::clone(&shared.health), ledger, log };
    let serving = spawn("relay", ends, move |orders| async move {
        let mut server = Server::new(machine, net).telling(move |event| books.note(event));
        let change = |server: &mut Server<Relay, _>, _, guarding: Guarding| {
            server.machine_mut().limit(guarding.relay());
        };
        serve(&mut server, orders, change, leave).await
    })?;
    Ok((serving, counts, carried))
}

/// Opens a usage database, if one is asked for.
fn ledger(
    setting: &str,
    path: Option<&Path>,
    part: Part,
    manner: Manner,
    look: impl Fn() -> (Stamp, Current) + Send + 'static,
) -> io::Result<Option<Ledger>> {
    let open = |path| Ledger::open(path, part, manner, look);
    path.map(open).transpose().map_err(|error| io::Error::other(format!("--{setting}: {error}")))
}

/// The time of day.
#[expect(clippy::disallowed_methods, reason = "this is where the time of the machines comes from")]
pub(crate) fn now() -> Stamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Stamp::at(since.as_secs_f64())
}

/// The sockets are bound already, so that the address in the options is never looked at.
fn elsewhere() -> Address {
    Address::new("", 0)
}

fn net(bound: BTreeMap<For, Vec<Bound>>, shared: &Shared, service: Service, carried: &Carried) -> Runs {
    let sockets = Net::new(bound, Arc::clone(&shared.arrival));
    let mut net = Layered::new(InFlight::new(sockets).counting(carried)).counting(carried);
    *net.serving_mut() = service;
    net
}

/// Who is sent away from now on hears that it may come again.
fn leave(net: &mut Runs) {
    net.serving_mut().goodbye = SERVICE_RESTART;
}

/// Runs a server on a thread of its own until it ends.
fn spawn<F: Future<Output = Ended>>(
    name: &'static str,
    ends: Ends,
    serve: impl FnOnce(mpsc::Receiver<Order>) -> F + Send + 'static,
) -> io::Result<Serving> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let (orders, receiver) = mpsc::channel(ORDERS);
    thread::Builder::new().name(name.into()).spawn(move || {
        let ended = runtime.block_on(serve(receiver));
        // Nobody is interested any more where the program ends anyway.
        let _ = ends.blocking_send((name, ended));
    })?;
    Ok(Serving { orders })
}

/// Serves, and does what it is told meanwhile.
async fn serve<M, R>(
    server: &mut Server<M, R>,
    mut orders: mpsc::Receiver<Order>,
    mut change: impl FnMut(&mut Server<M, R>, Words, Guarding),
    leave: impl FnOnce(&mut R),
) -> Ended
where
    M: Machine<Event = Event> + Drain,
    R: Runtime<M::Request, M::Reply>,
{
    loop {
        tokio::select! {
            why = server.run() => return Ended::Failed(why),
            order = orders.recv() => match order {
                Some(Order::Change(words, guarding)) => change(server, words, guarding),
                Some(Order::Drain(limit)) => {
                    let _ = timeout(limit, server.drain()).await;
                    leave(server.runtime_mut());
                    let _ = timeout(END_LIMIT, server.end()).await;
                    return Ended::Drained;
                }
                None => return Ended::Drained,
            },
        }
    }
}
