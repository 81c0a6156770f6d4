//! Layers around raw connections: TLS and WebSocket between a machine that speaks messages and a runtime of bytes.

mod frames;
mod http;
mod join;
mod layer;
mod serving;
mod time;
mod tls;
mod url;
mod websocket;

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::fmt;
use std::future::Future;
use std::mem;

use wormhole_core::driver::{Conn, Input, Instant, Listen, Op, Target, Why};
use wormhole_core::rng::Seed;

use self::http::Serves;
use self::join::{Link, Metered};
use self::layer::{Layer, Now, Stage};
pub use self::serving::Serving;
use self::tls::Trust;
use self::url::Url;
use crate::driver::{Job, Runtime};
use crate::meter::Carried;
use crate::network::{Network, OnNetwork, Roots};

/// Numbers below are drawn from here, where no machine comes.
const BELOW: u64 = 1 << 63;

/// The most bytes of messages that have not come as a whole, or were not asked for, of all connections together.
const HELD: usize = 64 << 20;

/// A [`Runtime`] around a runtime of bytes. Targets and listeners of mailbox servers become WebSockets, with TLS
/// where the URL says `wss://`, and so do listeners of relays that ask for it; everything else passes through.
///
/// Keep-alive and HTTP are its business too: `/v1` is the WebSocket and `/` says what a mailbox server is.
pub struct Layered<R> {
    below: R,
    /// Whose certificates are trusted, instead of those that the system trusts.
    roots: Option<Roots>,
    trust: Option<Trust>,
    serving: Serving,
    /// By the number below.
    open: HashMap<Conn, Layer>,
    /// What a number above stands for, where it is one of ours.
    above: HashMap<Conn, Place>,
    listeners: HashMap<Conn, Listener>,
    /// The sides of joins that are not only raw, by their number below.
    links: HashMap<Conn, Link>,
    meters: HashMap<Conn, Metered>,
    carried: Carried,
    /// Which pair is looked at next.
    looks: BTreeSet<(Instant, Conn)>,
    /// Who is opening, and until when at most; the oldest first.
    opening: VecDeque<(Instant, Conn)>,
    /// Callers that are no WebSockets yet.
    callers: usize,
    /// Bytes of messages that were not told, of all connections.
    held: usize,
    next_below: u64,
    sweep_at: Instant,
    done: VecDeque<Input>,
}

#[derive(Clone, Copy)]
enum Place {
    /// This connection below.
    At(Conn),
    /// The next caller at this listener.
    Awaited(Conn),
}

/// A listener for WebSockets.
struct Listener {
    serves: Serves,
    /// Those above for whom a caller is wanted.
    waiting: VecDeque<Conn>,
    /// WebSockets for which nobody waited.
    ready: VecDeque<Conn>,
    /// An accept is under way below.
    accepting: bool,
}

impl<R: Runtime> Layered<R> {
    /// Layers around `below`.
    pub fn new(below: R) -> Self {
        Self::with(below, None)
    }

    /// Layers around `below` that trust the certificates of these, instead of those that the system trusts.
    pub fn with(below: R, roots: Option<Roots>) -> Self {
        Self {
            below,
            roots,
            trust: None,
            serving: Serving::default(),
            open: HashMap::new(),
            above: HashMap::new(),
            listeners: HashMap::new(),
            links: HashMap::new(),
            meters: HashMap::new(),
            carried: Carried::default(),
            looks: BTreeSet::new(),
            opening: VecDeque::new(),
            callers: 0,
            held: 0,
            next_below: BELOW,
            sweep_at: Instant::START,
            done: VecDeque::new(),
        }
    }

    /// Counts here what its own joins carry; those of raw connections are below.
    #[must_use]
    pub fn counting(self, carried: &Carried) -> Self {
        Self { carried: carried.clone(), ..self }
    }

    /// How callers are served from now on.
    pub fn serving_mut(&mut self) -> &mut Serving {
        &mut self.serving
    }
}

impl<R: OnNetwork> OnNetwork for Layered<R> {
    fn on_network(network: &Network) -> Self {
        Self::with(R::on_network(network), network.roots.clone())
    }
}

impl<R: Runtime> Runtime for Layered<R> {
    type Stream = R::Stream;

    fn seed(&mut self) -> Seed {
        self.below.seed()
    }

    fn now(&self) -> Instant {
        self.below.now()
    }

    fn start(&mut self, op: Op) {
        match op {
            Op::Open { conn, target: Target::Mailbox(url) } => self.dial(conn, &url),
            Op::Listen { conn, on: on @ Listen::Mailbox(_) } => self.listen(conn, on, Serves::Mailbox),
            Op::Listen { conn, on: on @ Listen::RelayWebSocket(_) } => self.listen(conn, on, Serves::Relay),
            Op::Accept { at, conn } if self.listeners.contains_key(&at) => self.accept(at, conn),
            Op::Read { conn } => match self.above.get(&conn) {
                None => self.below.start(Op::Read { conn }),
                Some(Place::At(below)) => self.read(*below),
                Some(Place::Awaited(_)) => {}
            },
            Op::Write { conn, bytes } => match self.above.get(&conn) {
                None => self.below.start(Op::Write { conn, bytes }),
                Some(Place::At(below)) => self.write(*below, bytes),
                Some(Place::Awaited(_)) => {}
            },
            Op::Close { conn } => self.close(conn, self.serving.goodbye),
            Op::Dismiss { conn, code } => self.close(conn, code),
            Op::Join { a, b, terms } => self.join(a, b, terms),
            Op::Open { .. } | Op::Listen { .. } | Op::Accept { .. } | Op::Store(_) => {
                self.below.start(op);
            }
        }
    }

    // Everything lives in `self`: dropping this future loses nothing.
    async fn next(&mut self, deadline: Option<Instant>) -> Option<Input> {
        loop {
            if let Some(input) = self.done.pop_front() {
                return Some(input);
            }
            self.keep_time(self.below.now());
            if !self.done.is_empty() {
                continue;
            }
            let at = deadline.into_iter().chain(self.deadline()).min();
            match self.below.next(at).await {
                Some(input) => self.take_in(input),
                None if deadline.is_some_and(|at| at <= self.below.now()) => return None,
                None => {}
            }
        }
    }

    fn take(&mut self, conn: Conn) -> Option<Self::Stream> {
        if self.above.contains_key(&conn) { None } else { self.below.take(conn) }
    }

    fn beside(&mut self, job: impl Future<Output = ()> + Send + 'static) -> Job {
        self.below.beside(job)
    }
}

/// What is asked from above.
impl<R: Runtime> Layered<R> {
    fn dial(&mut self, conn: Conn, url: &str) {
        let url = match Url::parse(url) {
            Ok(url) => url,
            Err(why) => return self.done.push_back(Input::Closed { conn, why }),
        };
        let target = Target::Peer(url.address.clone());
        let below = self.draw();
        let mut layer = Layer::new(Stage::Dialling(Box::new(url)), self.below.now());
        layer.above = Some(conn);
        self.open.insert(below, layer);
        self.above.insert(conn, Place::At(below));
        self.below.start(Op::Open { conn: below, target });
    }

    fn listen(&mut self, conn: Conn, on: Listen, serves: Serves) {
        let listener =
            Listener { serves, waiting: VecDeque::new(), ready: VecDeque::new(), accepting: false };
        self.listeners.insert(conn, listener);
        self.below.start(Op::Listen { conn, on });
    }

    fn accept(&mut self, at: Conn, conn: Conn) {
        if let Some(listener) = self.listeners.get_mut(&at) {
            listener.waiting.push_back(conn);
            self.above.insert(conn, Place::Awaited(at));
            self.serve(at);
        }
    }

    fn read(&mut self, below: Conn) {
        if let Some(layer) = self.open.get_mut(&below) {
            layer.wanted = true;
            self.go_on(below);
        }
    }

    fn write(&mut self, below: Conn, bytes: Vec<u8>) {
        let Some(layer) = self.open.get_mut(&below) else { return };
        if layer.down {
            return self.drop_writes(below, 1);
        }
        let mut out = Vec::new();
        layer.say(bytes, &mut out);
        self.send(below, out, true);
    }

    fn close(&mut self, conn: Conn, code: u16) {
        match self.above.get(&conn).copied() {
            Some(Place::At(below)) => self.say_goodbye(below, code),
            Some(Place::Awaited(at)) => {
                self.above.remove(&conn);
                if let Some(listener) = self.listeners.get_mut(&at) {
                    listener.waiting.retain(|waiting| *waiting != conn);
                }
                self.done.push_back(Input::Closed { conn, why: Why::Asked });
            }
            None => self.below.start(Op::Close { conn }),
        }
    }
}

/// What comes from below.
impl<R: Runtime> Layered<R> {
    fn take_in(&mut self, input: Input) {
        match input {
            Input::Opened { conn, peer } if conn.0 >= BELOW => {
                let Some(layer) = self.open.get_mut(&conn) else { return };
                layer.peer = peer;
                self.opened(conn);
            }
            Input::Received { conn, bytes } if conn.0 >= BELOW => self.received(conn, bytes),
            Input::Sent { conn } if conn.0 >= BELOW => {
                let Some(layer) = self.open.get_mut(&conn) else { return };
                if layer.sent()
                    && let Some(above) = layer.above
                {
                    self.tell_sent(conn, above);
                }
                self.go_on(conn);
            }
            Input::Closed { conn, why } if conn.0 >= BELOW => self.closed(conn, why),
            Input::Closed { conn, why } if self.listeners.contains_key(&conn) => self.stopped(conn, why),
            Input::Received { conn, bytes } if self.links.contains_key(&conn) => self.pass_on(conn, bytes),
            Input::Sent { conn } if self.links.contains_key(&conn) => self.has_left(conn),
            Input::Closed { conn, why: _ } if self.links.contains_key(&conn) => self.tell_left(conn),
            Input::Opened { .. }
            | Input::Listening { .. }
            | Input::Received { .. }
            | Input::Sent { .. }
            | Input::Closed { .. }
            | Input::Stored(_)
            | Input::Tick => self.done.push_back(input),
        }
    }

    /// A dial has succeeded, or a caller has come.
    fn opened(&mut self, below: Conn) {
        self.opens(below);
        let Some(layer) = self.open.get_mut(&below) else { return };
        if let Some(at) = layer.at {
            layer.counted = true;
            self.callers += 1;
            if let Some(listener) = self.listeners.get_mut(&at) {
                listener.accepting = false;
            }
            self.serve(at);
            self.make_room();
        }
        let Some(layer) = self.open.get_mut(&below) else { return };
        let mut out = Vec::new();
        let trust = || match &mut self.trust {
            Some(trust) => Ok(trust.clone()),
            none => Ok(none.insert(Trust::new(self.roots.clone())?).clone()),
        };
        match layer.dialled(trust, &mut out) {
            Ok(()) => {
                self.send(below, out, false);
                self.go_on(below);
            }
            Err(why) => self.end(below, why),
        }
    }

    fn received(&mut self, below: Conn, bytes: Vec<u8>) {
        let Some(layer) = self.open.get_mut(&below) else { return };
        let mut out = Vec::new();
        let now = layer.take_in(bytes, &self.serving, &mut out);
        self.after(below, now, out);
    }

    /// Tells the messages that are there and wanted, and reads on where there are none.
    fn go_on(&mut self, below: Conn) {
        let Some(layer) = self.open.get_mut(&below) else { return };
        let mut out = Vec::new();
        let now = layer.next(&mut out);
        if now != Now::Same || !out.is_empty() {
            return self.after(below, now, out);
        }
        if layer.wants_bytes() {
            layer.reading = true;
            self.below.start(Op::Read { conn: below });
        }
        self.weigh(below);
    }

    /// Counts what a connection holds. Where all hold too much, whoever holds the most must go.
    fn weigh(&mut self, below: Conn) {
        let Some(layer) = self.open.get_mut(&below) else { return };
        let holds = layer.holds();
        self.held = self.held.saturating_sub(layer.held).saturating_add(holds);
        layer.held = holds;
        while self.held > HELD
            && let Some((&largest, layer)) = self.open.iter_mut().max_by_key(|(_, layer)| layer.held)
        {
            let mut out = Vec::new();
            layer.refuse(&mut out);
            self.send(largest, out, false);
            self.end(largest, Why::TooLong);
        }
    }

    fn after(&mut self, below: Conn, now: Now, out: Vec<u8>) {
        self.send(below, out, false);
        match now {
            Now::Same => {}
            Now::Open => self.stands(below),
            Now::Message(bytes) => {
                if self.links.contains_key(&below) {
                    self.pass_on(below, bytes);
                } else if let Some(conn) = self.open.get(&below).and_then(|layer| layer.above) {
                    self.done.push_back(Input::Received { conn, bytes });
                }
            }
            Now::Over(why) => return self.end(below, why),
        }
        self.go_on(below);
    }

    /// A WebSocket stands: who asked for it is told, or who waits for a caller.
    fn stands(&mut self, below: Conn) {
        self.uncount(below);
        let Some(layer) = self.open.get_mut(&below) else { return };
        layer.pinged = self.below.now();
        match (layer.at, layer.above) {
            (Some(at), None) => {
                if let Some(listener) = self.listeners.get_mut(&at) {
                    listener.ready.push_back(below);
                }
                self.serve(at);
            }
            (_, Some(conn)) => self.done.push_back(Input::Opened { conn, peer: layer.peer }),
            (None, None) => {}
        }
    }

    /// Gives WebSockets to those who wait, and accepts as long as somebody does.
    fn serve(&mut self, at: Conn) {
        let Some(listener) = self.listeners.get_mut(&at) else { return };
        while let Some(conn) = listener.waiting.front().copied()
            && let Some(below) = listener.ready.pop_front()
        {
            if let Some(layer) = self.open.get_mut(&below).filter(|layer| layer.role().is_some()) {
                layer.above = Some(conn);
                listener.waiting.pop_front();
                self.above.insert(conn, Place::At(below));
                self.done.push_back(Input::Opened { conn, peer: layer.peer });
            }
        }
        if listener.waiting.is_empty() || listener.accepting {
            return;
        }
        listener.accepting = true;
        let serves = listener.serves;
        let below = self.draw();
        self.open.insert(below, Layer::caller(at, serves, self.below.now()));
        self.below.start(Op::Accept { at, conn: below });
    }

    fn say_goodbye(&mut self, below: Conn, code: u16) {
        if let Some(layer) = self.open.get_mut(&below) {
            let mut out = Vec::new();
            layer.goodbye(code, &mut out);
            self.send(below, out, false);
            self.end(below, Why::Asked);
        }
    }

    /// Ends a connection from our side: what was written may still leave.
    fn end(&mut self, below: Conn, why: Why) {
        let Some(layer) = self.open.get_mut(&below) else { return };
        if layer.down {
            return self.forget(below, why);
        }
        let mut out = Vec::new();
        layer.over(why, &mut out);
        self.held = self.held.saturating_sub(mem::take(&mut layer.held));
        self.send(below, out, false);
        self.below.start(Op::Close { conn: below });
    }

    /// A connection below has ended.
    fn closed(&mut self, below: Conn, why: Why) {
        let Some(layer) = self.open.get_mut(&below) else { return };
        if let Some(listener) = layer.at.and_then(|at| self.listeners.get_mut(&at))
            && !layer.counted
            && layer.is_opening()
        {
            listener.accepting = false;
        }
        match layer.ended(why) {
            Some(why) => self.forget(below, why),
            None => {
                let writes = layer.drop_writes();
                self.drop_writes(below, writes);
            }
        }
    }

    /// A listener has ended, and with it whoever nobody has accepted.
    fn stopped(&mut self, at: Conn, why: Why) {
        for conn in self.listeners.remove(&at).into_iter().flat_map(|listener| listener.waiting) {
            self.above.remove(&conn);
            self.done.push_back(Input::Closed { conn, why: why.clone() });
        }
        let left = self.open.iter().filter(|(_, layer)| layer.at == Some(at) && layer.above.is_none());
        for below in left.map(|(below, _)| *below).collect::<Vec<_>>() {
            self.end(below, Why::Asked);
        }
        self.done.push_back(Input::Closed { conn: at, why });
    }
}

/// What the parts above are made of.
impl<R: Runtime> Layered<R> {
    fn uncount(&mut self, below: Conn) {
        if let Some(layer) = self.open.get_mut(&below).filter(|layer| layer.counted) {
            layer.counted = false;
            self.callers -= 1;
        }
    }

    fn send(&mut self, below: Conn, bytes: Vec<u8>, for_above: bool) {
        if bytes.is_empty() {
            return;
        }
        if let Some(layer) = self.open.get_mut(&below) {
            layer.writing(for_above);
            self.below.start(Op::Write { conn: below, bytes });
        }
    }

    /// Writes to a connection that has ended, before all that came from it is read: nobody shall wait for them
    /// instead of reading.
    fn drop_writes(&mut self, below: Conn, count: usize) {
        if let Some(conn) = self.open.get(&below).and_then(|layer| layer.above) {
            for _ in 0..count {
                self.tell_sent(below, conn);
            }
        }
    }

    /// A write has left.
    fn tell_sent(&mut self, below: Conn, conn: Conn) {
        if self.links.contains_key(&below) {
            self.has_left(below);
        } else {
            self.done.push_back(Input::Sent { conn });
        }
    }

    /// One of a joined pair has ended.
    fn tell_left(&mut self, below: Conn) {
        if let Some((conn, why)) = self.left(below) {
            self.done.push_back(Input::Closed { conn, why });
        }
    }

    fn forget(&mut self, below: Conn, why: Why) {
        self.uncount(below);
        let Some(layer) = self.open.remove(&below) else { return };
        self.held = self.held.saturating_sub(layer.held);
        if let Some(conn) = layer.above {
            self.above.remove(&conn);
            match self.left(below) {
                Some((conn, why)) => self.done.push_back(Input::Closed { conn, why }),
                None => self.done.push_back(Input::Closed { conn, why }),
            }
        }
    }

    fn draw(&mut self) -> Conn {
        let conn = Conn(self.next_below);
        self.next_below = self.next_below.wrapping_add(1) | BELOW;
        conn
    }
}

impl<R: Runtime + Default> Default for Layered<R> {
    fn default() -> Self {
        Self::new(R::default())
    }
}

impl<R> fmt::Debug for Layered<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Layered").field("open", &self.open.len()).finish_non_exhaustive()
    }
}
