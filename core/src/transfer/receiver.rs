//! The side that is offered something: answer `transit` with `transit`, hear the offer, ask our user, settle on a
//! connection.
//!
//! Order duties (`docs/file-transfer-protocol.md`, "Sequences"):
//! `transit` goes out only in answer to the peer's, and before our
//! answer to the offer. A `go` is no consent: a connection that is chosen before our user has decided is held until
//! then.

use alloc::string::String;
use alloc::vec::Vec;
use core::convert::Infallible;

use super::exchange::{Conversation, Exchange, Heard, Order, Said};
use super::{Config, Event};
use crate::code::{Code, Nameplate};
use crate::defaults::STORE_LIMIT;
use crate::driver::{Input, Instant, Machine, Output};
use crate::error::{Awaited, Error, Misuse, PeerFault};
use crate::rng::Seed;
use crate::transit::{Role, Settled};
use crate::wire::hints::TransitInfo;
use crate::wire::peer::{Answer, Offer, TransferMessage};
use crate::wormhole;
use crate::wormhole::Transition;

/// Messages of the peer that are kept while our user compares verifiers.
const HELD: usize = 16;

/// Receives a text, a file or a directory.
///
/// It is a [`Machine`]; the commands never wait.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receiver(Exchange<State>);

impl Receiver {
    /// Connects to the mailbox server with the first poll.
    pub fn new(config: Config, seed: Seed) -> Result<Self, Misuse> {
        let state = State::Meeting { verify: config.verify };
        Ok(Self(Exchange::new(config, state, seed)))
    }

    /// From now on the transitions of the session's machines are kept for [`transition`](Self::transition).
    pub fn trace(&mut self) {
        self.0.session_mut().trace();
    }

    /// The oldest transition that was kept and not taken.
    pub fn transition(&mut self) -> Option<Transition> {
        self.0.session_mut().transition()
    }

    /// Has the server choose a nameplate, and chooses so many words.
    pub fn allocate_code(&mut self, words: usize) -> Result<(), Misuse> {
        self.0.command(|session| session.allocate_code(words))
    }

    /// Takes a code that our user was told.
    pub fn set_code(&mut self, code: Code) -> Result<(), Misuse> {
        self.0.command(|session| session.set_code(code))
    }

    /// Begins to take a code bit by bit, with completion.
    pub fn input_code(&mut self) -> Result<(), Misuse> {
        self.0.command(wormhole::Wormhole::input_code)
    }

    /// Asks again for the nameplates in use.
    pub fn refresh_nameplates(&mut self) -> Result<(), Misuse> {
        self.0.command(wormhole::Wormhole::refresh_nameplates)
    }

    /// What the nameplate may become.
    pub fn complete_nameplate(&self, typed: &str) -> Result<Vec<String>, Misuse> {
        self.0.session().complete_nameplate(typed)
    }

    /// Commits to a nameplate: it is claimed at once.
    pub fn choose_nameplate(&mut self, nameplate: Nameplate) -> Result<(), Misuse> {
        self.0.command(|session| session.choose_nameplate(nameplate))
    }

    /// What the words may become.
    pub fn complete_words(&self, typed: &str) -> Result<Vec<String>, Misuse> {
        self.0.session().complete_words(typed)
    }

    /// Completes the code.
    pub fn choose_words(&mut self, words: &str) -> Result<(), Misuse> {
        self.0.command(|session| session.choose_words(words))
    }

    /// Our user has compared the verifiers. Nothing is shown or answered before.
    pub fn confirm_verifier(&mut self, same: bool) -> Result<(), Misuse> {
        match self.0.conversation() {
            State::Comparing { .. } => {
                self.0.hear(Heard::Confirmed(same));
                Ok(())
            }
            State::Meeting { .. }
            | State::Waiting { .. }
            | State::Offered { .. }
            | State::Accepted { .. }
            | State::Racing { .. }
            | State::Flowing { .. } => Err(Misuse::OutOfTurn("no verifier waits to be compared")),
            // The other side may have ended it while our user looked.
            State::Over => Err(Misuse::Closed),
        }
    }

    /// Our user wants what was offered. A text is received with that.
    pub fn accept(&mut self) -> Result<(), Misuse> {
        self.decides()?;
        self.0.hear(Heard::Accepted);
        Ok(())
    }

    /// What was offered is not wanted, or cannot be taken: `error` says why, and is the result.
    /// [`Error::Rejected`] is said in the words that every program knows.
    pub fn refuse(&mut self, error: Error) -> Result<(), Misuse> {
        self.decides()?;
        self.0.finish(Err(error));
        Ok(())
    }

    /// How the content ended. `Ok` means that it is stored and that the acknowledgement has left, and has a meaning
    /// only after [`Event::Settled`]; an error is told to the peer.
    pub fn finish(&mut self, outcome: Result<(), Error>) {
        self.0.finish(outcome);
    }

    /// Our user ends it.
    pub fn cancel(&mut self) {
        self.finish(Err(Error::Cancelled));
    }

    /// Whether an offer waits for a decision.
    fn decides(&self) -> Result<(), Misuse> {
        match self.0.conversation() {
            State::Offered { .. } => Ok(()),
            State::Meeting { .. }
            | State::Comparing { .. }
            | State::Waiting { .. }
            | State::Accepted { .. }
            | State::Racing { .. }
            | State::Flowing { .. } => Err(Misuse::OutOfTurn("no offer waits for a decision")),
            State::Over => Err(Misuse::Closed),
        }
    }
}

impl Machine for Receiver {
    type Event = Event;
    type Request = Infallible;
    type Reply = Infallible;

    fn handle(&mut self, input: Input, now: Instant) {
        self.0.handle(input, now);
    }

    fn poll(&mut self) -> Output<Event> {
        self.0.poll()
    }
}

/// How far the conversation has come.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
enum State {
    /// There is no key yet.
    Meeting { verify: bool },
    /// Our user compares the verifiers; what the peer says meanwhile waits.
    Comparing { held: Vec<Said> },
    /// Nothing is offered yet.
    Waiting { way: Way },
    /// Our user decides.
    Offered { kind: Kind, way: Way },
    /// Our user has accepted, and the peer has still to be told where we are.
    Accepted { kind: Kind, way: Way },
    /// The peer is told that we accept; there is no connection yet.
    Racing { kind: Kind },
    /// Content flows.
    Flowing { kind: Kind },
    /// It has ended.
    #[default]
    Over,
}

/// What is offered, as far as it matters to how the transfer ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// It is in the offer.
    Text,
    /// An empty file: nothing comes that would show that the peer has heard our answer.
    Empty,
    /// It begins to come once the peer has heard our answer.
    Content,
}

/// How far we are towards a connection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
enum Way {
    /// The peer has not said where it is.
    #[default]
    Unknown,
    /// We are finding out where we can be reached.
    Preparing,
    /// The peer was told where.
    Told,
    /// The peer has connected already, and chosen; see [`crate::transit::Settled`] for what is not noticed.
    Settled(Settled),
}

impl Conversation for State {
    const ROLE: Role = Role::Receiver;

    fn step(self, heard: Heard, out: &mut Vec<Order>) -> Self {
        match self {
            Self::Meeting { verify } => match heard {
                Heard::Key if verify => Self::Comparing { held: Vec::new() },
                Heard::Key => Self::Waiting { way: Way::Unknown },
                Heard::Over => Self::Over,
                Heard::Confirmed(_)
                | Heard::Said(_)
                | Heard::OurHints(_)
                | Heard::Settled(_)
                | Heard::Accepted
                | Heard::Ours(_) => Self::Meeting { verify },
            },
            Self::Comparing { held } => comparing(held, heard, out),
            Self::Waiting { way } => waiting(way, heard, out),
            Self::Offered { kind, way } => offered(kind, way, heard, out),
            Self::Accepted { kind, way } => accepted(kind, way, heard, out),
            Self::Racing { kind } => racing(kind, heard, out),
            Self::Flowing { kind } => match heard {
                Heard::Said(Said::Offer(_)) => fail(SECOND_OFFER.into(), out),
                Heard::Over => Self::Over,
                Heard::Said(Said::Transit(_) | Said::Answer(_))
                | Heard::Key
                | Heard::Confirmed(_)
                | Heard::OurHints(_)
                | Heard::Settled(_)
                | Heard::Accepted
                | Heard::Ours(_) => Self::Flowing { kind },
            },
            Self::Over => match heard {
                Heard::Settled(settled) => let_go(Way::Settled(settled), out),
                Heard::Key
                | Heard::Confirmed(_)
                | Heard::Said(_)
                | Heard::OurHints(_)
                | Heard::Accepted
                | Heard::Ours(_)
                | Heard::Over => Self::Over,
            },
        }
    }

    fn is_flowing(&self) -> bool {
        matches!(self, Self::Flowing { .. })
    }

    fn is_unheard(&self) -> bool {
        matches!(self, Self::Flowing { kind: Kind::Empty })
    }

    fn awaits(&self) -> Option<Awaited> {
        match self {
            Self::Waiting { .. } => Some(Awaited::Offer),
            Self::Meeting { .. }
            | Self::Comparing { .. }
            | Self::Offered { .. }
            | Self::Accepted { .. }
            | Self::Racing { .. }
            | Self::Flowing { .. }
            | Self::Over => None,
        }
    }
}

fn comparing(mut held: Vec<Said>, heard: Heard, out: &mut Vec<Order>) -> State {
    match heard {
        Heard::Confirmed(true) => held
            .into_iter()
            .fold(State::Waiting { way: Way::Unknown }, |state, said| state.step(Heard::Said(said), out)),
        Heard::Confirmed(false) => {
            let words = "receiver rejected verification check, abandoned transfer";
            out.push(Order::Abandon(Error::VerifierRefused, words));
            State::Over
        }
        Heard::Said(_) if held.len() >= HELD => fail(PeerFault::TooMuch.into(), out),
        Heard::Said(said) => {
            held.push(said);
            State::Comparing { held }
        }
        Heard::Over => State::Over,
        Heard::Key | Heard::OurHints(_) | Heard::Settled(_) | Heard::Accepted | Heard::Ours(_) => {
            State::Comparing { held }
        }
    }
}

fn waiting(way: Way, heard: Heard, out: &mut Vec<Order>) -> State {
    match heard {
        Heard::Said(Said::Offer(offer)) => weigh(offer, way, out),
        Heard::Said(Said::Transit(theirs)) => {
            let way = way.prepare(out);
            out.push(Order::Believe(theirs));
            State::Waiting { way }
        }
        Heard::OurHints(ours) => State::Waiting { way: way.tell(ours, out) },
        Heard::Settled(settled) => State::Waiting { way: Way::Settled(settled) },
        Heard::Over => let_go(way, out),
        // As the reference, we pass over what only a receiver says.
        Heard::Said(Said::Answer(_))
        | Heard::Key
        | Heard::Confirmed(_)
        | Heard::Accepted
        | Heard::Ours(_) => State::Waiting { way },
    }
}

/// Whether we can take such a thing at all.
fn weigh(offer: Offer, way: Way, out: &mut Vec<Order>) -> State {
    let kind = match &offer {
        Offer::Text(_) => Kind::Text,
        Offer::File { size: 0, .. } => Kind::Empty,
        Offer::File { .. } | Offer::Stream { .. } | Offer::Several { .. } => Kind::Content,
        Offer::Directory { mode, .. } if mode.starts_with("zipfile") => Kind::Content,
        Offer::Directory { .. } => {
            let_go(way, out);
            out.push(Order::Abandon(PeerFault::UnknownOffer.into(), "unknown mode"));
            return State::Over;
        }
        Offer::Unknown => {
            let_go(way, out);
            out.push(Order::Abandon(PeerFault::UnknownOffer.into(), "unknown offer type"));
            return State::Over;
        }
    };
    out.push(Order::Tell(Event::Offered(offer)));
    State::Offered { kind, way }
}

fn offered(kind: Kind, way: Way, heard: Heard, out: &mut Vec<Order>) -> State {
    match heard {
        Heard::Accepted => match kind {
            Kind::Text => {
                let_go(way, out);
                out.push(Order::Say(TransferMessage::Answer(Answer::Text(Ok(())))));
                out.push(Order::Finish(STORE_LIMIT));
                State::Over
            }
            // A sender that has not said where it is can still call us, or meet us at a relay.
            Kind::Empty | Kind::Content => answer(kind, way.prepare(out), out),
        },
        Heard::Said(Said::Transit(theirs)) => {
            let way = way.prepare(out);
            out.push(Order::Believe(theirs));
            State::Offered { kind, way }
        }
        Heard::OurHints(ours) => State::Offered { kind, way: way.tell(ours, out) },
        Heard::Settled(settled) => State::Offered { kind, way: Way::Settled(settled) },
        Heard::Said(Said::Offer(_)) => {
            let_go(way, out);
            fail(SECOND_OFFER.into(), out)
        }
        Heard::Over => let_go(way, out),
        Heard::Said(Said::Answer(_)) | Heard::Key | Heard::Confirmed(_) | Heard::Ours(_) => {
            State::Offered { kind, way }
        }
    }
}

fn accepted(kind: Kind, way: Way, heard: Heard, out: &mut Vec<Order>) -> State {
    match heard {
        Heard::OurHints(ours) => answer(kind, way.tell(ours, out), out),
        Heard::Settled(settled) => answer(kind, Way::Settled(settled), out),
        Heard::Said(Said::Transit(theirs)) => {
            out.push(Order::Believe(theirs));
            State::Accepted { kind, way }
        }
        Heard::Said(Said::Offer(_)) => {
            let_go(way, out);
            fail(SECOND_OFFER.into(), out)
        }
        Heard::Over => let_go(way, out),
        Heard::Said(Said::Answer(_))
        | Heard::Key
        | Heard::Confirmed(_)
        | Heard::Accepted
        | Heard::Ours(_) => State::Accepted { kind, way },
    }
}

/// Says yes, if the peer knows where we are.
fn answer(kind: Kind, way: Way, out: &mut Vec<Order>) -> State {
    let yes = Order::Say(TransferMessage::Answer(Answer::File(Ok(()))));
    match way {
        Way::Unknown | Way::Preparing => State::Accepted { kind, way },
        Way::Told => {
            out.push(yes);
            out.push(Order::Dial);
            State::Racing { kind }
        }
        Way::Settled(settled) => {
            out.push(yes);
            out.push(Order::Tell(Event::Settled(settled)));
            State::Flowing { kind }
        }
    }
}

fn racing(kind: Kind, heard: Heard, out: &mut Vec<Order>) -> State {
    match heard {
        Heard::Settled(settled) => {
            out.push(Order::Tell(Event::Settled(settled)));
            State::Flowing { kind }
        }
        Heard::Said(Said::Transit(theirs)) => {
            out.push(Order::Believe(theirs));
            State::Racing { kind }
        }
        Heard::Said(Said::Offer(_)) => fail(SECOND_OFFER.into(), out),
        Heard::Over => State::Over,
        Heard::Said(Said::Answer(_))
        | Heard::Key
        | Heard::Confirmed(_)
        | Heard::OurHints(_)
        | Heard::Accepted
        | Heard::Ours(_) => State::Racing { kind },
    }
}

impl Way {
    /// Begins to listen, unless we have.
    fn prepare(self, out: &mut Vec<Order>) -> Self {
        match self {
            Self::Unknown => {
                out.push(Order::Listen);
                Self::Preparing
            }
            Self::Preparing | Self::Told | Self::Settled(_) => self,
        }
    }

    /// Tells the peer where we can be reached.
    fn tell(self, ours: TransitInfo, out: &mut Vec<Order>) -> Self {
        out.push(Order::Say(TransferMessage::Transit(ours)));
        match self {
            Self::Unknown | Self::Preparing | Self::Told => Self::Told,
            Self::Settled(settled) => Self::Settled(settled),
        }
    }
}

const SECOND_OFFER: PeerFault = PeerFault::Malformed("a second offer");

fn fail(error: Error, out: &mut Vec<Order>) -> State {
    out.push(Order::Fail(error));
    State::Over
}

/// Nobody has taken the connection, so it is ours to close.
fn let_go(way: Way, out: &mut Vec<Order>) -> State {
    match way {
        Way::Settled(settled) => out.push(Order::LetGo(settled.conn)),
        Way::Unknown | Way::Preparing | Way::Told => {}
    }
    State::Over
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::super::exchange::sample;
    use super::*;
    use crate::table::Table;
    use crate::untrusted::{Name, Text};

    #[test]
    fn a_command_out_of_turn_is_refused() {
        let mut receiver = Receiver::new(Config::new().unwrap(), [0; 32]).unwrap();
        assert!(receiver.accept().is_err());
        assert!(receiver.refuse(Error::Rejected).is_err());
        assert!(receiver.confirm_verifier(true).is_err());
        assert!(receiver.complete_words("a").is_err());
        receiver.cancel();
        assert_eq!(receiver.input_code(), Err(Misuse::Closed));
    }

    #[test]
    fn what_came_while_verifiers_were_compared_counts_afterwards() {
        let held = vec![Said::Transit(TransitInfo::default()), Said::Offer(text()), Said::Offer(text())];
        let mut out = Vec::new();
        let state = State::Comparing { held }.step(Heard::Confirmed(true), &mut out);
        let second = Order::Fail(SECOND_OFFER.into());
        let believe = Order::Believe(TransitInfo::default());
        assert_eq!(state, State::Over);
        assert_eq!(out, [Order::Listen, believe, Order::Tell(Event::Offered(text())), second]);
    }

    #[test]
    fn the_table_in_the_tree_is_current() {
        let settled = || Way::Settled(sample::settled());
        let content = |way| State::Offered { kind: Kind::Content, way };
        let states = [
            ("Meeting", State::Meeting { verify: false }),
            ("Meeting, to be verified", State::Meeting { verify: true }),
            ("Comparing", State::Comparing { held: Vec::new() }),
            ("Waiting", State::Waiting { way: Way::Unknown }),
            ("Waiting, preparing", State::Waiting { way: Way::Preparing }),
            ("Waiting, told", State::Waiting { way: Way::Told }),
            ("Waiting, connected", State::Waiting { way: settled() }),
            ("Offered a text", State::Offered { kind: Kind::Text, way: Way::Unknown }),
            ("Offered", content(Way::Unknown)),
            ("Offered, preparing", content(Way::Preparing)),
            ("Offered, told", content(Way::Told)),
            ("Offered, connected", content(settled())),
            ("Accepted, preparing", State::Accepted { kind: Kind::Content, way: Way::Preparing }),
            ("Racing", State::Racing { kind: Kind::Content }),
            ("Flowing", State::Flowing { kind: Kind::Content }),
            ("Over", State::Over),
        ];
        let offer = |offer| Heard::Said(Said::Offer(offer));
        let inputs = [
            ("key", Heard::Key),
            ("verifiers are the same", Heard::Confirmed(true)),
            ("verifiers differ", Heard::Confirmed(false)),
            ("`transit`", Heard::Said(Said::Transit(TransitInfo::default()))),
            ("our hints", Heard::OurHints(TransitInfo::default())),
            ("a text", offer(text())),
            ("a file", offer(Offer::File { name: Name::from("f"), size: 1, attributes: None })),
            ("a zipped directory", offer(directory("zipfile/deflated"))),
            ("another directory", offer(directory("tarball"))),
            ("an unknown offer", offer(Offer::Unknown)),
            ("`answer`", Heard::Said(Said::Answer(Answer::Unknown))),
            ("accepted", Heard::Accepted),
            ("settled", Heard::Settled(sample::settled())),
            ("over", Heard::Over),
        ];
        Table {
            name: "transfer-receiver",
            source: "transfer/receiver.rs",
            about: "",
            states: states.to_vec(),
            inputs: inputs.to_vec(),
        }
        .check_named(State::step);
    }

    fn text() -> Offer {
        Offer::Text(Text::from("t"))
    }

    fn directory(mode: &str) -> Offer {
        Offer::Directory { name: Name::from("d"), mode: mode.into(), zip_size: 1, bytes: 1, files: 1 }
    }
}
