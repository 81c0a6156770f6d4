//! The side that offers: say where we are, offer, wait for the answer, settle on a connection.
//!
//! Order duties (`docs/file-transfer-protocol.md`, "Sequences"):
//! `transit` goes out before the offer, and with a text goes none. The
//! peer may have said `go` to nothing yet: a connection that comes before the answer is held until it.

use alloc::vec::Vec;
use core::convert::Infallible;
use core::time::Duration;

use super::exchange::{Conversation, Exchange, Heard, Order, Said};
use super::{Config, Event, Offer};
use crate::code::Code;
use crate::driver::{Input, Instant, Machine, Output};
use crate::error::{Awaited, Error, Misuse, PeerFault, TransitFault};
use crate::rng::Seed;
use crate::transit::{Role, Settled};
use crate::wire::hints::TransitInfo;
use crate::wire::peer::{Answer, TransferMessage};
use crate::wormhole::Transition;

/// Sends a text, a file or a directory.
///
/// It is a [`Machine`]; the commands never wait.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sender(Exchange<State>);

impl Sender {
    /// Connects to the mailbox server with the first poll. Refuses an offer that is too long to be sent.
    pub fn new(config: Config, offer: Offer, seed: Seed) -> Result<Self, Misuse> {
        offer.check()?;
        Ok(Self::meeting(config, Some(offer), seed))
    }

    /// As [`Sender::new`], where what is offered depends on what the peer can do: it waits for [`Sender::offer`].
    pub fn undecided(config: Config, seed: Seed) -> Self {
        Self::meeting(config, None, seed)
    }

    fn meeting(config: Config, offer: Option<Offer>, seed: Seed) -> Self {
        let state = State::Meeting { offer, verify: config.verify };
        Self(Exchange::new(config, state, seed))
    }

    /// What an [undecided](Sender::undecided) sender offers, as soon as it can be said what the peer can do. A sender that
    /// has offered, or is over, passes over it.
    pub fn offer(&mut self, offer: Offer) -> Result<(), Misuse> {
        offer.check()?;
        self.0.hear(Heard::Ours(offer));
        Ok(())
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

    /// Takes a code that both users know.
    pub fn set_code(&mut self, code: Code) -> Result<(), Misuse> {
        self.0.command(|session| session.set_code(code))
    }

    /// Our user has compared the verifiers. Nothing is offered before.
    pub fn confirm_verifier(&mut self, same: bool) -> Result<(), Misuse> {
        match self.0.conversation() {
            State::Deciding { same: false, .. } => {
                self.0.hear(Heard::Confirmed(same));
                Ok(())
            }
            State::Meeting { .. }
            | State::Deciding { same: true, .. }
            | State::Preparing { .. }
            | State::Offered { .. }
            | State::TextOffered
            | State::Racing
            | State::Flowing => Err(Misuse::OutOfTurn("no verifier waits to be compared")),
            // The other side may have ended it while our user looked.
            State::Over => Err(Misuse::Closed),
        }
    }

    /// How the content ended. `Ok` means that the peer confirmed it, and has a meaning only after
    /// [`Event::Settled`]; an error is told to the peer.
    pub fn finish(&mut self, outcome: Result<(), Error>) {
        self.0.finish(outcome);
    }

    /// Our user ends it.
    pub fn cancel(&mut self) {
        self.finish(Err(Error::Cancelled));
    }
}

impl Machine for Sender {
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
    Meeting { offer: Option<Offer>, verify: bool },
    /// Our user compares the verifiers, or has found them to be the `same`; or what is offered is not known yet. Some
    /// peers say at once where they are.
    Deciding { offer: Option<Offer>, same: bool, early: Option<TransitInfo> },
    /// The listener is being set up.
    Preparing { offer: Offer },
    /// The offer waits for its answer. The peer may be connected already; see [`Settled`] for what is not noticed.
    Offered { settled: Option<Settled> },
    /// The text waits for its answer.
    TextOffered,
    /// The offer is accepted; there is no connection yet.
    Racing,
    /// Content flows.
    Flowing,
    /// It has ended.
    #[default]
    Over,
}

impl Conversation for State {
    const ROLE: Role = Role::Sender;

    fn step(self, heard: Heard, out: &mut Vec<Order>) -> Self {
        match self {
            Self::Meeting { offer, verify } => match heard {
                Heard::Key => decide(offer, !verify, None, out),
                Heard::Ours(ours) => Self::Meeting { offer: offer.or(Some(ours)), verify },
                Heard::Over => Self::Over,
                Heard::Confirmed(_)
                | Heard::Said(_)
                | Heard::OurHints(_)
                | Heard::Settled(_)
                | Heard::Accepted => Self::Meeting { offer, verify },
            },
            Self::Deciding { offer, same, early } => deciding(offer, same, early, heard, out),
            Self::Preparing { offer } => preparing(offer, heard, out),
            Self::Offered { settled } => offered(settled, heard, out),
            Self::TextOffered => text_offered(heard, out),
            Self::Racing => racing(heard, out),
            Self::Flowing => flowing(heard, out),
            Self::Over => match heard {
                Heard::Settled(settled) => let_go(Some(settled), out),
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
        *self == Self::Flowing
    }

    fn is_unheard(&self) -> bool {
        // The peer's confirmation came after all that we said.
        false
    }

    fn awaits(&self) -> Option<Awaited> {
        match self {
            Self::Offered { .. } | Self::TextOffered => Some(Awaited::Decision),
            Self::Meeting { .. }
            | Self::Deciding { .. }
            | Self::Preparing { .. }
            | Self::Racing
            | Self::Flowing
            | Self::Over => None,
        }
    }
}

fn deciding(
    offer: Option<Offer>,
    same: bool,
    early: Option<TransitInfo>,
    heard: Heard,
    out: &mut Vec<Order>,
) -> State {
    match heard {
        Heard::Confirmed(true) => decide(offer, true, early, out),
        Heard::Confirmed(false) => {
            // The words of `docs/file-transfer-protocol.md`, "Messages".
            let words = "sender rejected verification check, abandoned transfer";
            out.push(Order::Abandon(Error::VerifierRefused, words));
            State::Over
        }
        Heard::Ours(ours) => decide(offer.or(Some(ours)), same, early, out),
        Heard::Said(Said::Transit(theirs)) => {
            State::Deciding { offer, same, early: Some(early.unwrap_or(theirs)) }
        }
        Heard::Said(Said::Offer(_)) => fail(PeerFault::SameRole.into(), out),
        Heard::Said(Said::Answer(_)) => fail(UNASKED.into(), out),
        Heard::Over => State::Over,
        Heard::Key | Heard::OurHints(_) | Heard::Settled(_) | Heard::Accepted => {
            State::Deciding { offer, same, early }
        }
    }
}

/// Begins, once the peer is the right one and it is known what is offered.
fn decide(offer: Option<Offer>, same: bool, early: Option<TransitInfo>, out: &mut Vec<Order>) -> State {
    match offer {
        Some(offer) if same => begin(offer, early, out),
        offer => State::Deciding { offer, same, early },
    }
}

/// The peer is the right one: a text can go out at once, all else once we know where we can be reached.
fn begin(offer: Offer, early: Option<TransitInfo>, out: &mut Vec<Order>) -> State {
    match offer {
        Offer::Text(_) => {
            out.push(Order::Say(TransferMessage::Offer(offer.to_wire())));
            State::TextOffered
        }
        Offer::File { .. } | Offer::Stream { .. } | Offer::Several { .. } | Offer::Directory { .. } => {
            out.push(Order::Listen);
            out.extend(early.map(Order::Believe));
            State::Preparing { offer }
        }
    }
}

fn preparing(offer: Offer, heard: Heard, out: &mut Vec<Order>) -> State {
    match heard {
        Heard::OurHints(ours) => {
            out.push(Order::Say(TransferMessage::Transit(ours)));
            out.push(Order::Say(TransferMessage::Offer(offer.to_wire())));
            State::Offered { settled: None }
        }
        Heard::Said(Said::Transit(theirs)) => {
            out.push(Order::Believe(theirs));
            State::Preparing { offer }
        }
        Heard::Said(Said::Offer(_)) => fail(PeerFault::SameRole.into(), out),
        Heard::Said(Said::Answer(_)) => fail(UNASKED.into(), out),
        // Nobody was told yet where to call us, and we have not dialled.
        Heard::Settled(settled) => {
            let_go(Some(settled), out);
            fail(TransitFault::NoContact.into(), out)
        }
        Heard::Over => State::Over,
        Heard::Key | Heard::Confirmed(_) | Heard::Accepted | Heard::Ours(_) => State::Preparing { offer },
    }
}

fn offered(settled: Option<Settled>, heard: Heard, out: &mut Vec<Order>) -> State {
    match heard {
        Heard::Said(Said::Answer(Answer::File(Ok(())))) => {
            out.push(Order::Tell(Event::Answered));
            match settled {
                Some(settled) => flow(settled, out),
                None => {
                    out.push(Order::Dial);
                    State::Racing
                }
            }
        }
        Heard::Said(Said::Answer(answer)) => {
            let_go(settled, out);
            fail(refusal(answer), out)
        }
        Heard::Said(Said::Transit(theirs)) => {
            out.push(Order::Believe(theirs));
            State::Offered { settled }
        }
        Heard::Said(Said::Offer(_)) => {
            let_go(settled, out);
            fail(PeerFault::SameRole.into(), out)
        }
        Heard::Settled(settled) => State::Offered { settled: Some(settled) },
        Heard::Over => let_go(settled, out),
        Heard::Key | Heard::Confirmed(_) | Heard::OurHints(_) | Heard::Accepted | Heard::Ours(_) => {
            State::Offered { settled }
        }
    }
}

fn text_offered(heard: Heard, out: &mut Vec<Order>) -> State {
    match heard {
        Heard::Said(Said::Answer(Answer::Text(Ok(())))) => {
            out.push(Order::Tell(Event::Answered));
            // Who answers has heard all that we said.
            out.push(Order::Finish(Duration::ZERO));
            State::Over
        }
        Heard::Said(Said::Answer(answer)) => fail(refusal(answer), out),
        Heard::Said(Said::Offer(_)) => fail(PeerFault::SameRole.into(), out),
        // Some receivers say where they are before they know that there is only a text.
        Heard::Said(Said::Transit(_)) => State::TextOffered,
        Heard::Over => State::Over,
        Heard::Key
        | Heard::Confirmed(_)
        | Heard::OurHints(_)
        | Heard::Settled(_)
        | Heard::Accepted
        | Heard::Ours(_) => State::TextOffered,
    }
}

fn racing(heard: Heard, out: &mut Vec<Order>) -> State {
    match heard {
        Heard::Settled(settled) => flow(settled, out),
        Heard::Said(Said::Transit(theirs)) => {
            out.push(Order::Believe(theirs));
            State::Racing
        }
        Heard::Said(Said::Offer(_)) => fail(PeerFault::SameRole.into(), out),
        Heard::Over => State::Over,
        // The first answer counts.
        Heard::Said(Said::Answer(_))
        | Heard::Key
        | Heard::Confirmed(_)
        | Heard::OurHints(_)
        | Heard::Accepted
        | Heard::Ours(_) => State::Racing,
    }
}

fn flowing(heard: Heard, out: &mut Vec<Order>) -> State {
    match heard {
        Heard::Said(Said::Offer(_)) => fail(PeerFault::SameRole.into(), out),
        Heard::Over => State::Over,
        Heard::Said(Said::Transit(_) | Said::Answer(_))
        | Heard::Key
        | Heard::Confirmed(_)
        | Heard::OurHints(_)
        | Heard::Settled(_)
        | Heard::Accepted
        | Heard::Ours(_) => State::Flowing,
    }
}

fn flow(settled: Settled, out: &mut Vec<Order>) -> State {
    out.push(Order::Tell(Event::Settled(settled)));
    State::Flowing
}

fn fail(error: Error, out: &mut Vec<Order>) -> State {
    out.push(Order::Fail(error));
    State::Over
}

/// Nobody has taken the connection, so it is ours to close.
fn let_go(settled: Option<Settled>, out: &mut Vec<Order>) -> State {
    out.extend(settled.map(|settled| Order::LetGo(settled.conn)));
    State::Over
}

/// An answer to an offer that was not made.
const UNASKED: PeerFault = PeerFault::Malformed("an answer");

/// What an answer other than yes means.
fn refusal(answer: Answer) -> Error {
    match answer {
        Answer::Text(Err(said)) | Answer::File(Err(said)) => TransitFault::Refused(said).into(),
        // To a text as if it were a file, or the other way round.
        Answer::Text(Ok(())) | Answer::File(Ok(())) | Answer::Unknown => {
            PeerFault::Malformed("an answer").into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::exchange::sample;
    use super::*;
    use crate::table::Table;
    use crate::untrusted::Text;
    use crate::wire::peer;

    #[test]
    fn an_offer_that_no_server_takes_is_refused_at_once() {
        let config = Config::new().unwrap();
        let text = |length| Offer::Text("a".repeat(length));
        assert!(Sender::new(config.clone(), text(1 << 20), [0; 32]).is_ok());
        let refused = Sender::new(config, text(2 << 20), [0; 32]).err();
        assert_eq!(refused, Some(Misuse::TooLong { limit_bytes: crate::wormhole::RECORD_BYTES }));
    }

    #[test]
    fn a_command_out_of_turn_is_refused() {
        let mut sender = Sender::new(Config::new().unwrap(), file(), [0; 32]).unwrap();
        assert!(sender.confirm_verifier(true).is_err());
        sender.cancel();
        assert_eq!(sender.allocate_code(2), Err(Misuse::Closed));
    }

    #[test]
    fn the_table_in_the_tree_is_current() {
        let settled = || Some(sample::settled());
        let states = [
            ("Meeting", State::Meeting { offer: Some(file()), verify: false }),
            ("Meeting, undecided", State::Meeting { offer: None, verify: false }),
            ("Meeting, to be verified", State::Meeting { offer: Some(file()), verify: true }),
            ("Meeting, with a text", State::Meeting { offer: Some(Offer::Text("t".into())), verify: false }),
            ("Deciding", State::Deciding { offer: Some(file()), same: false, early: None }),
            (
                "Deciding, hints came",
                State::Deciding { offer: Some(file()), same: false, early: Some(TransitInfo::default()) },
            ),
            ("Deciding, undecided", State::Deciding { offer: None, same: false, early: None }),
            ("Deciding, compared", State::Deciding { offer: None, same: true, early: None }),
            ("Preparing", State::Preparing { offer: file() }),
            ("Offered", State::Offered { settled: None }),
            ("Offered, connected", State::Offered { settled: settled() }),
            ("TextOffered", State::TextOffered),
            ("Racing", State::Racing),
            ("Flowing", State::Flowing),
            ("Over", State::Over),
        ];
        let answer = |answer| Heard::Said(Said::Answer(answer));
        let inputs = [
            ("key", Heard::Key),
            ("verifiers are the same", Heard::Confirmed(true)),
            ("verifiers differ", Heard::Confirmed(false)),
            ("our hints", Heard::OurHints(TransitInfo::default())),
            ("`transit`", Heard::Said(Said::Transit(TransitInfo::default()))),
            ("`offer`", Heard::Said(Said::Offer(peer::Offer::Unknown))),
            ("yes to a file", answer(Answer::File(Ok(())))),
            ("yes to a text", answer(Answer::Text(Ok(())))),
            ("another answer", answer(Answer::File(Err(Text::from("no"))))),
            ("settled", Heard::Settled(sample::settled())),
            ("our offer", Heard::Ours(file())),
            ("accepted", Heard::Accepted),
            ("over", Heard::Over),
        ];
        Table {
            name: "transfer-sender",
            source: "transfer/sender.rs",
            about: "",
            states: states.to_vec(),
            inputs: inputs.to_vec(),
        }
        .check_named(State::step);
    }

    fn file() -> Offer {
        Offer::File { name: "f".into(), size: 1, attributes: None }
    }
}
