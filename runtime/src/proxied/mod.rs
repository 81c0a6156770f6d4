//! A proxy between a runtime of bytes and all that is dialled.

mod handshake;
mod proxy;

use std::collections::HashMap;
use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::time::Duration;

use wormhole_core::driver::{Address, Conn, Input, Instant, Op, Target, Terms, Why};
use wormhole_core::rng::Seed;

use self::handshake::{Handshake, Now};
pub use self::proxy::Proxy;
use crate::driver::{ABSENCE, Job, Runtime};
use crate::network::{Network, OnNetwork};

/// How long a proxy may take to connect us, from when on we are connected to it.
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(30);

/// A [`Runtime`] of bytes around another, which dials by way of a proxy where there is one. Whoever is above sees
/// connections to where it wanted to go; listening and accepting pass through.
///
/// ```
/// use wormhole_runtime::{InFlight, Proxied, Proxy, Sockets};
///
/// /// Everything that this runtime dials goes through a proxy on this computer.
/// fn through<S: Sockets>(sockets: S) -> Proxied<InFlight<S>> {
///     Proxied::new(InFlight::new(sockets), Some(Proxy::socks5("localhost", 9050)))
/// }
/// ```
pub struct Proxied<R> {
    below: R,
    proxy: Option<Proxy>,
    /// The connections that go by the proxy.
    ways: HashMap<Conn, Way>,
    done: VecDeque<Input>,
}

/// One connection by way of the proxy.
struct Way {
    stage: Stage,
    /// Writes of ours that are not yet taken: nobody above is to hear of them.
    own_writes: usize,
}

enum Stage {
    /// The proxy is dialled.
    Dialling(Address),
    Shaking {
        handshake: Box<Handshake>,
        until: Instant,
    },
    /// It is being closed, for this reason.
    Failed(Why),
    /// The one above is at the other end; this has come from there and was not asked for yet.
    Through {
        rest: Vec<u8>,
    },
}

impl<R: Runtime> Proxied<R> {
    /// `below`, with this proxy or none.
    pub fn new(below: R, proxy: Option<Proxy>) -> Self {
        Self { below, proxy, ways: HashMap::new(), done: VecDeque::new() }
    }
}

impl<R: OnNetwork> OnNetwork for Proxied<R> {
    fn on_network(network: &Network) -> Self {
        Self::new(R::on_network(network), network.proxy.clone())
    }
}

impl<R: Runtime> Runtime for Proxied<R> {
    type Stream = R::Stream;

    fn seed(&mut self) -> Seed {
        self.below.seed()
    }

    fn now(&self) -> Instant {
        self.below.now()
    }

    fn start(&mut self, op: Op) {
        match (op, &self.proxy) {
            (Op::Open { conn, target: Target::Peer(to) | Target::Relay(to) }, Some(proxy)) => {
                let target = Target::Peer(proxy.address.clone());
                self.ways.insert(conn, Way { stage: Stage::Dialling(to), own_writes: 0 });
                self.below.start(Op::Open { conn, target });
            }
            (Op::Read { conn }, Some(_)) => self.read(conn),
            (Op::Join { a, b, terms }, Some(_)) => self.join(a, b, terms),
            (op, _) => self.below.start(op),
        }
    }

    // Everything lives in `self`: dropping this future loses nothing.
    async fn next(&mut self, deadline: Option<Instant>) -> Option<Input> {
        if self.proxy.is_none() {
            return self.below.next(deadline).await;
        }
        loop {
            if let Some(input) = self.done.pop_front() {
                return Some(input);
            }
            self.keep_time();
            let at = deadline.into_iter().chain(self.deadline()).min();
            match self.below.next(at).await {
                Some(input) => self.take_in(input),
                None if deadline.is_some_and(|at| at <= self.below.now()) => return None,
                None => {}
            }
        }
    }

    fn take(&mut self, conn: Conn) -> Option<Self::Stream> {
        // What came along with the proxy's last word cannot be put back: a connection changes hands after it was read.
        let is_given = self.ways.get(&conn).is_none_or(|way| match &way.stage {
            Stage::Through { rest } => rest.is_empty(),
            Stage::Dialling(_) | Stage::Shaking { .. } | Stage::Failed(_) => false,
        });
        if !is_given {
            return None;
        }
        self.ways.remove(&conn);
        self.below.take(conn)
    }

    fn beside(&mut self, job: impl Future<Output = ()> + Send + 'static) -> Job {
        self.below.beside(job)
    }
}

impl<R: Runtime> Proxied<R> {
    /// What has come along with the proxy's last word is told first.
    fn read(&mut self, conn: Conn) {
        match self.rest(conn) {
            Some(bytes) => self.done.push_back(Input::Received { conn, bytes }),
            None => self.below.start(Op::Read { conn }),
        }
    }

    fn join(&mut self, a: Conn, b: Conn, terms: Terms) {
        for (from, to) in [(a, b), (b, a)] {
            if let Some(bytes) = self.rest(from) {
                self.below.start(Op::Write { conn: to, bytes });
            }
        }
        self.below.start(Op::Join { a, b, terms });
    }

    fn rest(&mut self, conn: Conn) -> Option<Vec<u8>> {
        let Some(Way { stage: Stage::Through { rest }, .. }) = self.ways.get_mut(&conn) else { return None };
        (!rest.is_empty()).then(|| std::mem::take(rest))
    }

    fn take_in(&mut self, input: Input) {
        match input {
            Input::Opened { conn, .. } if self.ways.contains_key(&conn) => self.dialled(conn),
            Input::Received { conn, bytes } if self.ways.contains_key(&conn) => self.received(conn, bytes),
            Input::Sent { conn } => match self.ways.get_mut(&conn) {
                Some(way) if way.own_writes > 0 => way.own_writes -= 1,
                Some(_) | None => self.done.push_back(input),
            },
            Input::Closed { conn, why } => {
                let why = match self.ways.remove(&conn).map(|way| way.stage) {
                    Some(Stage::Failed(why)) => why,
                    Some(Stage::Dialling(_)) if why != Why::Asked => Why::Proxy(why.to_string()),
                    Some(Stage::Shaking { .. }) if why == Why::Ended => {
                        Why::Proxy("it closed instead of answering".into())
                    }
                    Some(Stage::Dialling(_) | Stage::Shaking { .. } | Stage::Through { .. }) | None => why,
                };
                self.done.push_back(Input::Closed { conn, why });
            }
            Input::Opened { .. }
            | Input::Listening { .. }
            | Input::Received { .. }
            | Input::Stored(_)
            | Input::Tick => self.done.push_back(input),
        }
    }

    fn dialled(&mut self, conn: Conn) {
        let (Some(way), Some(proxy)) = (self.ways.get_mut(&conn), &self.proxy) else { return };
        let Stage::Dialling(to) = &way.stage else { return };
        let (handshake, bytes) = match proxy.alone(|| self.below.seed()) {
            Some(proxy) => Handshake::begin(&proxy, to.clone()),
            None => Handshake::begin(proxy, to.clone()),
        };
        let until = self.below.now().plus(HANDSHAKE_LIMIT);
        way.stage = Stage::Shaking { handshake: Box::new(handshake), until };
        self.say(conn, bytes);
    }

    fn received(&mut self, conn: Conn, bytes: Vec<u8>) {
        let Some(way) = self.ways.get_mut(&conn) else { return };
        match &mut way.stage {
            Stage::Shaking { handshake, .. } => match handshake.take_in(&bytes) {
                Ok(Now::Say(bytes)) => self.say(conn, bytes),
                Ok(Now::Done { say, rest }) => {
                    way.stage = Stage::Through { rest };
                    if !say.is_empty() {
                        way.own_writes += 1;
                        self.below.start(Op::Write { conn, bytes: say });
                    }
                    // The address at the other end is known to the proxy alone.
                    self.done.push_back(Input::Opened { conn, peer: None });
                }
                Err(why) => self.fail(conn, why),
            },
            Stage::Through { .. } => self.done.push_back(Input::Received { conn, bytes }),
            Stage::Dialling(_) | Stage::Failed(_) => {}
        }
    }

    /// Says this to the proxy, and waits for its answer.
    fn say(&mut self, conn: Conn, bytes: Vec<u8>) {
        if let Some(way) = self.ways.get_mut(&conn)
            && !bytes.is_empty()
        {
            way.own_writes += 1;
            self.below.start(Op::Write { conn, bytes });
        }
        self.below.start(Op::Read { conn });
    }

    fn fail(&mut self, conn: Conn, why: Why) {
        if let Some(way) = self.ways.get_mut(&conn) {
            way.stage = Stage::Failed(why);
            self.below.start(Op::Close { conn });
        }
    }

    /// Gives up those that have taken too long.
    fn keep_time(&mut self) {
        let now = self.below.now();
        let mut late = Vec::new();
        for (conn, way) in &mut self.ways {
            if let Stage::Shaking { until, .. } = &mut way.stage
                && *until <= now
            {
                if now > until.plus(ABSENCE) {
                    // Nobody ran us, so that no answer could come.
                    *until = now.plus(HANDSHAKE_LIMIT);
                } else {
                    late.push(*conn);
                }
            }
        }
        for conn in late {
            self.fail(conn, Why::Proxy("it does not answer".into()));
        }
    }

    fn deadline(&self) -> Option<Instant> {
        self.ways.values().filter_map(Way::until).min()
    }
}

impl Way {
    const fn until(&self) -> Option<Instant> {
        match self.stage {
            Stage::Shaking { until, .. } => Some(until),
            Stage::Dialling(_) | Stage::Failed(_) | Stage::Through { .. } => None,
        }
    }
}

impl<R: Runtime + Default> Default for Proxied<R> {
    fn default() -> Self {
        Self::new(R::default(), None)
    }
}

impl<R> fmt::Debug for Proxied<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proxied")
            .field("proxy", &self.proxy)
            .field("ways", &self.ways.len())
            .finish_non_exhaustive()
    }
}
