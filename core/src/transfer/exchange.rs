//! The composite behind [`Sender`](super::Sender) and [`Receiver`](super::Receiver): the session, the race, and the
//! conversation of one role, wired together in one place.
//!
//! What the session and the race tell becomes a [`Heard`] for the conversation, whose [`Order`]s are carried out
//! here. How a transfer ends is decided here too, since it is the same for both roles.

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::convert::Infallible;
use core::fmt;
use core::mem;
use core::time::Duration;

use super::ending::{Ending, Patience, farewell, is_silent};
use super::{Config, Event, Offer};
use crate::defaults::{
    CANCEL_LIMIT, ERROR_LIMIT, LAST_WORDS_LIMIT, Limits, STORE_LIMIT, TRANSFER_TRANSIT_PURPOSE,
};
use crate::driver::{Conn, Conns, Input, Instant, Machine, Op, Output};
use crate::error::{Awaited, Error, Misuse, PeerFault, ServerFault};
use crate::rng::{Rng, Seed};
use crate::transit::{Race, Role, Settled, race};
use crate::untrusted::Text;
use crate::vigil::Vigil;
use crate::wire::hints::{DirectHint, TransitInfo};
use crate::wire::peer::{self, Extras, TransferMessage};
use crate::wormhole::{self, Wormhole};

/// Connections of the session have even numbers, those of the race odd ones.
const PARTS: u64 = 2;
const RACE: u64 = 1;

/// One role's part of the conversation: a machine that is stepped by value.
pub(crate) trait Conversation: Default {
    /// Who chooses the connection.
    const ROLE: Role;

    /// One input, and where it leads.
    fn step(self, heard: Heard, out: &mut Vec<Order>) -> Self;

    /// Whether content flows, so that the session is no longer needed.
    fn is_flowing(&self) -> bool;

    /// Whether the content shows nothing of what the peer has heard from us.
    fn is_unheard(&self) -> bool;

    /// What only the peer can do now. The session and the race have limits of their own, and our user has none.
    fn awaits(&self) -> Option<Awaited>;
}

/// What a conversation is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    /// The peer has our key, and its verifier is known.
    Key,
    /// Our user finds that the verifiers are the same, or not.
    Confirmed(bool),
    /// The peer says something, of which an error is not for here.
    Said(Said),
    /// This is where we can be reached.
    OurHints(TransitInfo),
    /// A connection was chosen.
    Settled(Settled),
    /// This is what we offer.
    Ours(Offer),
    /// Our user accepts what was offered.
    Accepted,
    /// It is over. Whatever is held has to be let go.
    Over,
}

/// What the peer says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Said {
    Transit(TransitInfo),
    Offer(peer::Offer),
    Answer(peer::Answer),
}

/// What a conversation wants done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// Say this to the peer.
    Say(TransferMessage),
    /// Find out where we can be reached, and listen there.
    Listen,
    /// Believe what the peer says about itself.
    Believe(TransitInfo),
    /// Begin to dial.
    Dial,
    /// Tell this to the application.
    Tell(Event),
    /// Let go of this connection, which nobody has taken.
    LetGo(Conn),
    /// It went well, once the server has what was said last, for which it has so long.
    Finish(Duration),
    /// It cannot go on; tell the peer why, in these words.
    Abandon(Error, &'static str),
    /// It cannot go on; tell the peer why, in the words of the error.
    Fail(Error),
}

/// The session, the race and a conversation.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Exchange<C> {
    session: Wormhole,
    /// From the key on, where content is to flow.
    race: Option<Race>,
    conversation: C,
    relays: Vec<DirectHint>,
    listen: bool,
    tor: bool,
    race_seed: Seed,
    ending: Ending,
    vigil: Vigil<Awaited>,
    limits: Limits,
    now: Instant,
    session_wait: Option<Instant>,
    race_wait: Option<Instant>,
    out: VecDeque<Output<Event>>,
}

impl<C: Conversation> Exchange<C> {
    pub(crate) fn new(config: Config, conversation: C, seed: Seed) -> Self {
        let mut rng = Rng::new(seed);
        let limits = *config.session.time_limits();
        let session = Wormhole::new(config.session, rng.bytes(), Conns::every(PARTS, 0));
        let mut exchange = Self {
            session,
            race: None,
            conversation,
            relays: config.relays,
            listen: config.listen,
            tor: config.tor,
            race_seed: rng.bytes(),
            ending: Ending::No,
            vigil: Vigil::default(),
            limits,
            now: Instant::START,
            session_wait: None,
            race_wait: None,
            out: VecDeque::new(),
        };
        exchange.drain();
        exchange
    }

    /// A command to the session, which no longer has a meaning once the end is near.
    pub(crate) fn command<T>(
        &mut self,
        command: impl FnOnce(&mut Wormhole) -> Result<T, Misuse>,
    ) -> Result<T, Misuse> {
        match self.ending {
            Ending::No => {}
            Ending::Adrift
            | Ending::Parting { .. }
            | Ending::Closing { .. }
            | Ending::Last { .. }
            | Ending::Over => return Err(Misuse::Closed),
        }
        let answer = command(&mut self.session);
        self.drain();
        answer
    }

    /// The session, for questions.
    pub(crate) const fn session(&self) -> &Wormhole {
        &self.session
    }

    /// The session, to trace it.
    pub(crate) const fn session_mut(&mut self) -> &mut Wormhole {
        &mut self.session
    }

    /// The conversation, for questions.
    pub(crate) const fn conversation(&self) -> &C {
        &self.conversation
    }

    /// Something for the conversation, and all that follows from it.
    pub(crate) fn hear(&mut self, heard: Heard) {
        self.step(heard);
        self.drain();
    }

    /// The content is through, or cannot go on, or our user has had enough.
    pub(crate) fn finish(&mut self, outcome: Result<(), Error>) {
        match outcome {
            Ok(()) if self.conversation.is_unheard() => self.end(Ok(()), None, STORE_LIMIT),
            // What the peer confirmed needs no further word.
            Ok(()) if self.conversation.is_flowing() => self.end(Ok(()), None, Duration::ZERO),
            // Nothing has flowed, so nothing has gone well: that is decided elsewhere.
            Ok(()) => {}
            Err(error) => self.fail(error),
        }
        self.drain();
    }

    fn step(&mut self, heard: Heard) {
        let mut orders = Vec::new();
        self.conversation = mem::take(&mut self.conversation).step(heard, &mut orders);
        for order in orders {
            self.carry_out(order);
        }
    }

    fn carry_out(&mut self, order: Order) {
        match order {
            Order::Say(message) => self.say(&message),
            Order::Listen => self.listen(),
            Order::Believe(theirs) => {
                self.tell(Event::TheirHints(theirs.clone()));
                if let Some(race) = &mut self.race {
                    race.add_hints(&theirs);
                }
            }
            Order::Dial => {
                if let Some(race) = &mut self.race {
                    race.start();
                }
            }
            Order::Tell(event) => self.tell(event),
            Order::LetGo(conn) => self.out.push_back(Output::Do(Op::Close { conn })),
            Order::Finish(limit) => self.end(Ok(()), None, limit),
            Order::Abandon(error, words) => self.abandon(error, Text::from(words)),
            Order::Fail(error) => self.fail(error),
        }
    }

    fn say(&mut self, message: &TransferMessage) {
        match self.session.send(&message.encode()) {
            // A session that takes no more is about to tell why.
            Ok(()) | Err(Misuse::Closed) => {}
            Err(misuse) => self.end(Err(misuse.into()), None, Duration::ZERO),
        }
    }

    fn listen(&mut self) {
        match self.session.transit_key(TRANSFER_TRANSIT_PURPOSE) {
            Ok(key) => {
                let conns = Conns::every(PARTS, RACE);
                let mut race = Race::new(C::ROLE, self.relays.clone(), self.listen, self.race_seed, conns);
                race.set_limit(self.limits.transit);
                if self.tor {
                    race.go_through_tor();
                }
                race.set_key(&key);
                self.race = Some(race);
            }
            Err(misuse) => self.end(Err(misuse.into()), None, Duration::ZERO),
        }
    }

    /// Carries what the parts have to say to where it belongs, until they have no more.
    fn drain(&mut self) {
        loop {
            match self.session.poll() {
                Output::Do(op) => {
                    self.out.push_back(Output::Do(op));
                    continue;
                }
                Output::Tell(event) => {
                    self.session_told(event);
                    continue;
                }
                Output::Wait(until) => self.session_wait = until,
            }
            match self.race.as_mut().map_or(Output::Wait(None), Race::poll) {
                Output::Do(op) => self.out.push_back(Output::Do(op)),
                Output::Tell(event) => self.race_told(event),
                Output::Wait(until) => {
                    self.race_wait = until;
                    break;
                }
            }
        }
        let awaited = self.conversation.awaits().filter(|_| self.ending == Ending::No);
        self.vigil.set(awaited.map(|awaited| {
            let limit = if awaited == Awaited::Offer { self.limits.offer } else { self.limits.decision };
            (awaited, limit)
        }));
        if let Ending::Last { verdict } = &self.ending {
            self.out.push_back(Output::Tell(Event::Closed(verdict.clone())));
            self.ending = Ending::Over;
        }
    }

    fn session_told(&mut self, event: wormhole::Event) {
        use wormhole::Event as Told;
        match event {
            Told::Record(record) => {
                self.session.taken(record.len());
                self.peer_said(&record);
            }
            Told::Closed(result) => self.session_closed(result),
            Told::Verifier(verifier) => {
                self.tell(Event::Session(Told::Verifier(verifier)));
                self.step(Heard::Key);
            }
            Told::Versions(theirs) => {
                let is_our_role = Extras::role_in(&theirs.app_versions) == Some(C::ROLE);
                self.tell(Event::Session(Told::Versions(theirs)));
                // Two receivers would wait for each other's offer.
                if is_our_role {
                    self.fail(PeerFault::SameRole.into());
                }
            }
            Told::LinkUp
            | Told::LinkDown { .. }
            | Told::Welcome(_)
            | Told::Nameplates(_)
            | Told::WordsWanted
            | Told::Code(_)
            | Told::PeerHeard
            | Told::UnverifiedKey
            | Told::CodeConsumed => self.tell(Event::Session(event)),
        }
    }

    fn race_told(&mut self, event: race::Event) {
        match event {
            race::Event::Hints(ours) => {
                self.tell(Event::OurHints(ours.clone()));
                self.step(Heard::OurHints(ours));
            }
            race::Event::Settled(settled) => self.step(Heard::Settled(settled)),
            race::Event::Failed(fault) => self.fail(fault.into()),
        }
    }

    fn peer_said(&mut self, record: &[u8]) {
        let Ok(messages) = TransferMessage::decode(record) else {
            return self.fail(PeerFault::Malformed("a message").into());
        };
        for message in messages {
            match message {
                TransferMessage::Error(text) => self.peer_failed(text),
                TransferMessage::Transit(theirs) => self.step(Heard::Said(Said::Transit(theirs))),
                TransferMessage::Offer(offer) => self.step(Heard::Said(Said::Offer(offer))),
                TransferMessage::Answer(answer) => self.step(Heard::Said(Said::Answer(answer))),
            }
        }
    }

    fn peer_failed(&mut self, text: Text) {
        let failed = Err(PeerFault::Said(text).into());
        match &mut self.ending {
            Ending::Parting { verdict, .. } if is_silent(verdict) => {
                *verdict = failed;
                self.close_session();
            }
            Ending::No
            | Ending::Adrift
            | Ending::Parting { .. }
            | Ending::Closing { .. }
            | Ending::Last { .. }
            | Ending::Over => self.end(failed, None, Duration::ZERO),
        }
    }

    /// Our side cannot go on: the peer learns why.
    fn fail(&mut self, error: Error) {
        let words = farewell(&error);
        self.abandon(error, words);
    }

    fn abandon(&mut self, error: Error, words: Text) {
        let limit = if error == Error::Cancelled { CANCEL_LIMIT / 2 } else { ERROR_LIMIT };
        self.end(Err(error), Some(words), limit);
    }

    /// The verdict. Only the first counts. The peer is told `words` if it can be, and `limit` is how long the server
    /// may take to have all that we said.
    fn end(&mut self, verdict: Result<(), Error>, words: Option<Text>, limit: Duration) {
        match self.ending {
            Ending::No => {}
            Ending::Adrift => {
                let is_told = limit.is_zero() || self.session.all_stored();
                self.ending = Ending::Last { verdict: unless_untold(verdict, is_told) };
                return;
            }
            Ending::Parting { verdict: Ok(()), .. } if verdict == Err(Error::Cancelled) => {
                let gone = Patience::For(CANCEL_LIMIT);
                self.ending = Ending::Parting { verdict, said: gone, heard: Patience::NONE, gone };
                return self.close_session();
            }
            Ending::Parting { .. } | Ending::Closing { .. } | Ending::Last { .. } | Ending::Over => return,
        }
        let is_cancelled = verdict == Err(Error::Cancelled);
        let gone = if is_cancelled { Patience::For(CANCEL_LIMIT) } else { Patience::Any };
        let heard = if is_silent(&verdict) { Patience::For(LAST_WORDS_LIMIT) } else { Patience::NONE };
        self.ending = Ending::Parting { verdict, said: Patience::For(limit), heard, gone };
        self.let_go();
        let can_tell = self.session.is_confirmed();
        if let Some(text) = words.filter(|_| can_tell) {
            // A session that takes no more has nobody to tell it to.
            self.session.send(&TransferMessage::Error(text).encode()).ok();
        }
        let is_done = heard == Patience::NONE && (!can_tell || self.session.all_stored());
        if is_done || limit.is_zero() || (is_cancelled && !self.session.is_linked()) {
            self.close_session();
        }
    }

    /// Nothing is dialled, heard or held any longer.
    fn let_go(&mut self) {
        if let Some(race) = &mut self.race {
            race.stop();
        }
        self.step(Heard::Over);
    }

    fn close_session(&mut self) {
        let Ending::Parting { verdict, gone, .. } = mem::replace(&mut self.ending, Ending::Over) else {
            return;
        };
        match &verdict {
            Ok(()) => self.session.close(),
            Err(error) => self.session.fail(error.clone()),
        }
        self.ending = Ending::Closing { verdict, gone };
    }

    /// The session has ended, by our doing or not.
    fn session_closed(&mut self, result: Result<(), Error>) {
        match mem::replace(&mut self.ending, Ending::Over) {
            // The content needs no session, and `finish` will say how it went.
            Ending::No if self.conversation.is_flowing() => self.ending = Ending::Adrift,
            Ending::No => {
                self.ending = Ending::Last { verdict: result };
                self.let_go();
            }
            Ending::Parting { verdict, .. } => {
                self.ending = Ending::Last { verdict: unless_untold(verdict, self.session.all_stored()) };
            }
            Ending::Closing { verdict, .. } => self.ending = Ending::Last { verdict },
            // A session tells of its end once.
            other @ (Ending::Adrift | Ending::Last { .. } | Ending::Over) => self.ending = other,
        }
    }

    /// Everything here that depends on the time.
    fn pass_time(&mut self) {
        let now = self.now;
        if let Some(awaited) = self.vigil.pass(now) {
            let is_linked = self.session.is_linked();
            self.fail(if is_linked { PeerFault::Silent(awaited).into() } else { ServerFault::Gone.into() });
        }
        match &mut self.ending {
            Ending::No | Ending::Adrift | Ending::Last { .. } | Ending::Over => {}
            Ending::Parting { verdict, said, heard, gone } => {
                gone.pass(now);
                let (is_heard, is_late) = (heard.pass(now), said.pass(now));
                let is_told = self.session.all_stored();
                if is_late {
                    *verdict = unless_untold(verdict.clone(), is_told);
                }
                if is_late || (is_heard && is_told) {
                    self.close_session();
                }
            }
            Ending::Closing { gone, .. } => {
                if gone.pass(now) {
                    self.session.give_up();
                }
            }
        }
    }

    fn tell(&mut self, event: Event) {
        if self.ending != Ending::Over {
            self.out.push_back(Output::Tell(event));
        }
    }

    fn deadline(&self) -> Option<Instant> {
        let own = match self.ending {
            Ending::Last { .. } | Ending::Over => return None,
            Ending::No | Ending::Adrift => self.vigil.deadline(self.now),
            Ending::Parting { said, heard, gone, .. } => {
                [said, heard, gone].iter().filter_map(|patience| patience.until(self.now)).min()
            }
            Ending::Closing { gone, .. } => gone.until(self.now),
        };
        [self.session_wait, self.race_wait, own].into_iter().flatten().min()
    }
}

/// The verdict where no more can be said: a success that the peer may not know of has to be told to our user.
fn unless_untold(verdict: Result<(), Error>, is_told: bool) -> Result<(), Error> {
    if is_told { verdict } else { verdict.and_then(|()| Err(ServerFault::Untold.into())) }
}

impl<C: Conversation> Machine for Exchange<C> {
    type Event = Event;
    type Request = Infallible;
    type Reply = Infallible;

    fn handle(&mut self, input: Input, now: Instant) {
        self.now = self.now.max(now);
        // Time passes for both parts, whichever it is that has an input.
        let (session, race) = match &input {
            Input::Opened { conn, .. }
            | Input::Listening { conn, .. }
            | Input::Received { conn, .. }
            | Input::Sent { conn }
            | Input::Closed { conn, .. }
                if conn.0 % PARTS == RACE =>
            {
                (Input::Tick, input)
            }
            Input::Opened { .. }
            | Input::Listening { .. }
            | Input::Received { .. }
            | Input::Sent { .. }
            | Input::Closed { .. }
            | Input::Tick => (input, Input::Tick),
            Input::Stored(never) => match *never {},
        };
        self.session.handle(session, self.now);
        if let Some(part) = &mut self.race {
            part.handle(race, self.now);
        }
        self.drain();
        self.pass_time();
        self.drain();
    }

    fn poll(&mut self) -> Output<Event> {
        self.out.pop_front().unwrap_or_else(|| Output::Wait(self.deadline()))
    }
}

impl<C: fmt::Debug> fmt::Debug for Exchange<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exchange")
            .field("conversation", &self.conversation)
            .field("ending", &self.ending)
            .field("session", &self.session)
            .field("race", &self.race)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
pub(super) mod sample {
    use alloc::vec::Vec;

    use crate::crypto::Key;
    use crate::driver::{Address, Conn};
    use crate::transit::{Path, RecordKeys, Settled};

    /// A connection that was settled on.
    pub(in crate::transfer) fn settled() -> Settled {
        let key = || Key::from_bytes([0; 32]);
        Settled {
            conn: Conn(1),
            path: Path::Relay { relay: Address::new("relay", 1) },
            keys: RecordKeys { send: key(), receive: key() },
            read: Vec::new(),
        }
    }
}
