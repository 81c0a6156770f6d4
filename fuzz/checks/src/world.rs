//! A driver without a network: it holds a machine to the contract of `wormhole_core::driver`, and gives it only what a
//! driver may give.

use std::collections::{BTreeMap, BTreeSet};
use std::mem;
use std::time::Duration;

use wormhole_core::driver::{Conn, Input, Instant, Machine, Op, Output, Target, Why};

use crate::script::Script;

/// The most outputs that may follow from what was handled at once. No input of a fuzzer is long enough for more.
const OUTPUTS: usize = 20_000;
/// Ticks in a row that may be asked for without time passing.
const IDLE_TICKS: usize = 4;

/// What the world must know of an event.
pub trait Told {
    /// Whether nothing more may be asked for after the last event but to close what is open.
    const QUIET_AT_LAST: bool;

    /// The connection that changes hands with this.
    fn gives_away(&self) -> Option<Conn> {
        None
    }

    /// Whether no event may follow.
    fn is_last(&self) -> bool;
}

/// A machine, and what it has asked of the outside.
#[derive(Clone, Debug)]
pub struct World<M: Machine> {
    /// The machine.
    pub machine: M,
    /// What it has told and nobody has looked at.
    pub events: Vec<M::Event>,
    /// What it has asked of its store.
    pub requests: Vec<M::Request>,
    /// What it has written, in order.
    pub said: Vec<(Conn, Vec<u8>)>,
    now: Instant,
    deadline: Option<Instant>,
    lines: BTreeMap<Conn, Line>,
    used: BTreeSet<Conn>,
    /// Closed since the machine was last polled, which may have asked something of them before it knew.
    gone: BTreeSet<Conn>,
    /// The listener that has ended last, of which the machine may not have heard yet.
    dying: Option<Conn>,
    /// Ended while nothing was asked of them, which a driver need not notice, nor the machine.
    unnoticed: BTreeSet<Conn>,
    is_over: bool,
    /// Whether each input is followed by polling.
    polls: bool,
    /// Something was handed in since it was polled.
    is_behind: bool,
}

/// What the world knows of one connection or listener.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Line {
    stage: Stage,
    /// It leads to a mailbox server.
    is_mailbox: bool,
    is_reading: bool,
    unsent: usize,
    is_closing: bool,
    /// That it was opened was on its way already when it was to be closed.
    is_late: bool,
}

impl Line {
    /// Whether it stands and nothing is under way on it.
    fn is_free(&self) -> bool {
        Self { is_late: false, ..self.clone() } == Self::OPEN
    }

    const OPEN: Self = Self {
        stage: Stage::Open,
        is_mailbox: false,
        is_reading: false,
        unsent: 0,
        is_closing: false,
        is_late: false,
    };
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Stage {
    Dialling,
    Starting,
    Listening,
    /// A caller is awaited at this listener.
    Awaited(Conn),
    Open,
    Joined,
}

impl<M: Machine> World<M>
where
    M::Event: Told,
{
    /// The world of a new machine, or of one that has no connection.
    pub fn new(machine: M) -> Self {
        let mut world = Self {
            machine,
            events: Vec::new(),
            requests: Vec::new(),
            said: Vec::new(),
            now: Instant::START,
            deadline: None,
            lines: BTreeMap::new(),
            used: BTreeSet::new(),
            gone: BTreeSet::new(),
            dying: None,
            unnoticed: BTreeSet::new(),
            is_over: false,
            polls: true,
            is_behind: false,
        };
        world.poll();
        world
    }

    /// The machine, for a command, which may have outputs.
    pub const fn machine_mut(&mut self) -> &mut M {
        self.is_behind = true;
        &mut self.machine
    }

    /// The time.
    pub const fn now(&self) -> Instant {
        self.now
    }

    /// Whether the last event was told.
    pub const fn is_over(&self) -> bool {
        self.is_over
    }

    /// Whether polling waits until [`World::poll`] is called.
    pub const fn polls(&mut self, polls: bool) {
        self.polls = polls;
    }

    /// Whether the machine was polled after its last input.
    pub const fn is_polled(&self) -> bool {
        !self.is_behind
    }

    /// Polls until there is nothing more.
    pub fn poll(&mut self) {
        for left in (0..OUTPUTS).rev() {
            assert!(left > 0, "its outputs have no end");
            match self.machine.poll() {
                Output::Do(op) => self.start(op),
                Output::Tell(event) => self.told(event),
                Output::Wait(deadline) => {
                    assert!(deadline.is_none() || !self.is_quiet(), "it waits after its end");
                    self.deadline = deadline;
                    self.gone.clear();
                    self.is_behind = false;
                    return;
                }
            }
        }
    }

    /// Hands an input in, which must be one that a driver might hand in.
    pub fn handle(&mut self, input: Input<M::Reply>) {
        self.is_behind = true;
        self.machine.handle(input, self.now);
        if self.polls {
            self.poll();
        }
    }

    /// Lets time pass.
    pub fn pass(&mut self, time: Duration) {
        self.now = self.now.plus(time);
        self.tick();
    }

    /// Lets time pass until the machine wants to be called.
    pub fn pass_to_deadline(&mut self) {
        self.now = self.deadline.map_or(self.now, |at| at.max(self.now));
        self.tick();
    }

    /// A clock that was set back is not to be believed.
    pub fn tick_in_the_past(&mut self) {
        self.machine.handle(Input::Tick, Instant::START);
        self.poll();
    }

    /// Ticks until the deadline is in the future, which must be soon.
    fn tick(&mut self) {
        for _ in 0..IDLE_TICKS {
            self.machine.handle(Input::Tick, self.now);
            self.poll();
            if self.deadline.is_none_or(|at| at > self.now) {
                return;
            }
        }
        assert!(self.deadline.is_none_or(|at| at > self.now), "its deadline stands still");
    }

    /// A dial or an accept succeeds. The other end has one of three addresses.
    pub fn open(&mut self, conn: Conn) -> bool {
        let can_open = match self.lines.get(&conn).map(|line| &line.stage) {
            Some(Stage::Dialling) => true,
            Some(Stage::Awaited(at)) => self.lines.contains_key(at),
            Some(Stage::Starting | Stage::Listening | Stage::Open | Stage::Joined) | None => false,
        };
        let Some(line) = self.lines.get_mut(&conn).filter(|_| can_open) else { return false };
        line.stage = Stage::Open;
        // Where it was not polled, the close may wait to be asked for.
        line.is_late = line.is_closing || self.is_behind || !self.polls;
        let peer = Some(([192, 0, 2, host(conn)], 9).into());
        self.handle(Input::Opened { conn, peer });
        true
    }

    /// A listener is ready.
    pub fn listen(&mut self, conn: Conn) -> bool {
        let Some(line) = self.lines.get_mut(&conn).filter(|line| line.stage == Stage::Starting) else {
            return false;
        };
        line.stage = Stage::Listening;
        let at = vec![wormhole_core::driver::Address::new("192.0.2.7", 4001)];
        self.handle(Input::Listening { conn, at });
        true
    }

    /// Bytes come, if a read is under way and they are not empty.
    pub fn receive(&mut self, conn: Conn, bytes: &[u8]) -> bool {
        let may = |line: &&mut Line| line.is_reading && line.stage == Stage::Open && !bytes.is_empty();
        let Some(line) = self.lines.get_mut(&conn).filter(may) else { return false };
        line.is_reading = false;
        self.handle(Input::Received { conn, bytes: bytes.to_vec() });
        true
    }

    /// The oldest write is taken by the system.
    pub fn sent(&mut self, conn: Conn) -> bool {
        let Some(line) = self.lines.get_mut(&conn).filter(|line| line.unsent > 0) else { return false };
        line.unsent -= 1;
        self.handle(Input::Sent { conn });
        true
    }

    /// A connection or listener ends: as asked, if it was. With a listener, whoever is awaited there.
    pub fn close(&mut self, conn: Conn, why: Why) -> bool {
        let Some(line) = self.lines.remove(&conn) else { return false };
        if line.is_free() {
            self.unnoticed.insert(conn);
        }
        let is_listener = matches!(line.stage, Stage::Starting | Stage::Listening);
        let why = match line.stage {
            _ if line.is_closing => Why::Asked,
            Stage::Joined => Why::Joined { bytes: 7 },
            Stage::Dialling | Stage::Starting | Stage::Listening | Stage::Awaited(_) | Stage::Open => why,
        };
        if is_listener {
            self.dying = Some(conn);
        }
        self.end_awaited(conn, &why);
        self.gone.insert(conn);
        self.handle(Input::Closed { conn, why: why.clone() });
        // The machine may have asked for another caller before it knew.
        self.end_awaited(conn, &why);
        true
    }

    /// Ends whoever is awaited at a listener.
    fn end_awaited(&mut self, at: Conn, why: &Why) {
        let awaited = self.lines.iter().filter(|(_, line)| line.stage == Stage::Awaited(at));
        for conn in awaited.map(|(conn, _)| *conn).collect::<Vec<_>>() {
            self.close(conn, why.clone());
        }
    }

    /// The connections and listeners that have not ended.
    pub fn live(&self) -> Vec<Conn> {
        self.lines.keys().copied().collect()
    }

    /// Who gets the next caller of each listener, in the order of the listeners.
    pub fn awaited(&self) -> Vec<Conn> {
        let at = |(conn, line): (&Conn, &Line)| {
            if let Stage::Awaited(at) = line.stage { Some((at, *conn)) } else { None }
        };
        let awaited: BTreeMap<Conn, Conn> = self.lines.iter().filter_map(at).collect();
        awaited.into_values().collect()
    }

    /// Whether it stands and the machine has not asked for its end.
    pub fn is_served(&self, conn: Conn) -> bool {
        let stands = |line: &Line| matches!(line.stage, Stage::Open | Stage::Joined) && !line.is_closing;
        self.lines.get(&conn).is_some_and(stands)
    }

    /// How many of them stand, or are to stand.
    pub fn count_open(&self) -> usize {
        self.lines.values().filter(|line| matches!(line.stage, Stage::Open | Stage::Joined)).count()
    }

    /// Whether this connection leads to a mailbox server.
    pub fn is_mailbox(&self, conn: Conn) -> bool {
        self.lines.get(&conn).is_some_and(|line| line.is_mailbox)
    }

    /// Where a read is under way.
    pub fn reading(&self) -> Vec<Conn> {
        let reading = self.lines.iter().filter(|(_, line)| line.is_reading && line.stage == Stage::Open);
        reading.map(|(conn, _)| *conn).collect()
    }

    /// Something happens on one of the connections, as the script wants.
    pub fn happen(&mut self, script: &mut Script<'_>) {
        let live = self.live();
        let Some(conn) = script.pick(&live).copied() else { return };
        match script.below(6) {
            0 | 1 => {
                let _ = self.open(conn) || self.listen(conn) || self.sent(conn);
            }
            2 => {
                self.sent(conn);
            }
            3 => {
                let why = why(script);
                self.close(conn, why);
            }
            4 => {
                self.receive(conn, script.chunk());
            }
            _ => self.settle_closing(),
        }
    }

    /// Ends all that the machine has asked to end, and whoever is awaited at a listener that has ended.
    pub fn settle_closing(&mut self) {
        let is_lost = |line: &Line| matches!(line.stage, Stage::Awaited(at) if !self.lines.contains_key(&at));
        let lost = self.lines.iter().filter(|(_, line)| is_lost(line)).map(|(conn, _)| *conn);
        for conn in lost.collect::<Vec<_>>() {
            self.close(conn, Why::Asked);
        }
        let closing: Vec<Conn> =
            self.lines.iter().filter(|(_, line)| line.is_closing).map(|(conn, _)| *conn).collect();
        for conn in closing {
            self.close(conn, Why::Asked);
        }
    }

    /// Time passes, or stands still, or is said to go back.
    pub fn pass_some(&mut self, script: &mut Script<'_>) {
        match script.below(5) {
            0 => self.pass_to_deadline(),
            1 => self.pass(Duration::from_millis(script.number().into())),
            2 => self.pass(Duration::from_secs(script.number().into())),
            3 => self.tick_in_the_past(),
            // A computer that slept for a month, or the end of all clocks.
            _ => self.pass(Duration::from_hours(1 << script.below(48))),
        }
    }

    fn told(&mut self, event: M::Event) {
        assert!(!self.is_over, "it tells something after its last event");
        if let Some(conn) = event.gives_away() {
            let line = self.lines.remove(&conn);
            assert!(
                line.is_some_and(|line| line.is_free())
                    || self.gone.contains(&conn)
                    || self.unnoticed.remove(&conn),
                "what it gives away is not free: {conn:?}"
            );
        }
        self.is_over = event.is_last();
        self.events.push(event);
    }

    const fn is_quiet(&self) -> bool {
        self.is_over && M::Event::QUIET_AT_LAST
    }

    fn start(&mut self, op: Op<M::Request>) {
        assert!(
            !self.is_quiet() || matches!(op, Op::Close { .. } | Op::Dismiss { .. }),
            "it asks for something after its end"
        );
        match op {
            Op::Open { conn, target } => {
                self.begin(conn, Stage::Dialling);
                if let Some(line) = self.lines.get_mut(&conn) {
                    line.is_mailbox = matches!(target, Target::Mailbox(_));
                }
            }
            Op::Listen { conn, .. } => self.begin(conn, Stage::Starting),
            Op::Accept { at, conn } => {
                let listens = self.lines.get(&at).is_some_and(|line| line.stage == Stage::Listening);
                assert!(
                    listens || self.gone.contains(&at) || self.dying == Some(at),
                    "an accept without a listener"
                );
                self.begin(conn, Stage::Awaited(at));
            }
            Op::Read { conn } => {
                if let Some(line) = self.standing(conn) {
                    assert!(!line.is_reading, "two reads at once of {conn:?}");
                    line.is_reading = true;
                }
            }
            Op::Write { conn, bytes } => {
                if let Some(line) = self.standing(conn) {
                    line.unsent += 1;
                    self.said.push((conn, bytes));
                }
            }
            Op::Join { a, b, .. } => {
                assert!(a != b, "a join of one");
                for conn in [a, b] {
                    if let Some(line) = self.standing(conn) {
                        line.stage = Stage::Joined;
                    }
                }
            }
            Op::Close { conn } | Op::Dismiss { conn, code: _ } => {
                if let Some(line) = self.lines.get_mut(&conn) {
                    let again = mem::replace(&mut line.is_closing, true);
                    assert!(!again || mem::take(&mut line.is_late), "{conn:?} is closed twice");
                } else {
                    let is_gone =
                        self.gone.contains(&conn) || self.dying == Some(conn) || self.unnoticed.remove(&conn);
                    assert!(is_gone, "{conn:?} is closed and is none");
                }
            }
            Op::Store(request) => self.requests.push(request),
        }
    }

    fn begin(&mut self, conn: Conn, stage: Stage) {
        assert!(self.used.insert(conn), "the number {conn:?} was used before");
        self.lines.insert(conn, Line { stage, ..Line::OPEN });
    }

    /// A connection of which something may be asked; none where it has ended a moment ago.
    fn standing(&mut self, conn: Conn) -> Option<&mut Line> {
        let gone = self.gone.contains(&conn);
        let line = self.lines.get_mut(&conn);
        let stands = line.as_ref().is_some_and(|line| line.stage == Stage::Open && !line.is_closing);
        assert!(stands || gone, "{conn:?} does not stand: {line:?}");
        line
    }
}

/// The last part of the address from which a connection comes.
pub const fn host(conn: Conn) -> u8 {
    conn.0.to_le_bytes()[0] % 3 + 1
}

/// A reason for an end that nobody asked for.
pub fn why(script: &mut Script<'_>) -> Why {
    match script.below(8) {
        0 => Why::Ended,
        1 => Why::Reset,
        2 => Why::TimedOut,
        3 => Why::TooLong,
        4 => Why::NoSuchName,
        5 => Why::WebSocket(String::from_utf8_lossy(script.chunk()).into()),
        6 => Why::Other(String::from_utf8_lossy(script.chunk()).into()),
        _ => Why::Refused,
    }
}

/// Inputs that no driver would give, to a machine that must survive them all the same.
pub fn misdrive<M: Machine>(machine: &mut M, script: &mut Script<'_>) {
    let mut now = Instant::START;
    while !script.is_empty() {
        let conn = Conn(script.below(6) as u64);
        let input = match script.below(7) {
            0 | 1 => Input::Received { conn, bytes: script.chunk().to_vec() },
            2 => Input::Opened { conn, peer: None },
            3 => Input::Listening { conn, at: Vec::new() },
            4 => Input::Sent { conn },
            5 => Input::Closed { conn, why: why(script) },
            _ => Input::Tick,
        };
        now = now.plus(Duration::from_millis(u64::from(script.number()) << script.below(16)));
        machine.handle(input, now);
        let waits = (0..OUTPUTS).any(|_| matches!(machine.poll(), Output::Wait(_)));
        assert!(waits, "its outputs have no end");
    }
}
