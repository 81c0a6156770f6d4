//! What a transfer tells its application.

use std::path::PathBuf;

use wormhole_core::transit::Path;
use wormhole_core::wire::hints::Hint;
use wormhole_core::wire::peer::Offer;
use wormhole_core::wormhole;
use wormhole_runtime::Status;

use crate::error::Error;

/// What a transfer tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// What the session tells: the code, the verifier, that the server was lost, and so on. Where verifiers are to be
    /// compared, [`Verifier`](wormhole::Event::Verifier) asks for `confirm_verifier`.
    Session(wormhole::Event),
    /// Receiver: this is offered, and waits for `accept` or `refuse`.
    Offered(Offer),
    /// Sender: the other side has to know beforehand how long it is, so all of it is read first.
    Spooling,
    /// Sender: the other side accepts.
    Answered,
    /// Where the other side is told that we can be reached.
    OurHints(Vec<Hint>),
    /// Where the other side says that it can be reached.
    TheirHints(Vec<Hint>),
    /// Content flows, this way.
    Connected(Path),
    /// Sender: all content has been sent; the other side has yet to say that it has it.
    Sent,
    /// Receiver: the content is complete and has its name, or several have theirs.
    Stored(Vec<PathBuf>),
    /// Receiver: the content is complete, in memory or written to where our user said.
    Complete,
    /// The end, and how it came to it.
    Closed(Result<(), Error>),
}

impl Event {
    /// Takes down what this event changes.
    pub(crate) fn note(&self, status: &mut Status) {
        match self {
            Self::Session(event) => status.note(event),
            Self::Connected(path) => status.path = Some(path.clone()),
            Self::Closed(end) => {
                let end = end.clone().map_err(|error| error.for_the_machine());
                status.note(&wormhole::Event::Closed(end));
            }
            Self::OurHints(hints) => status.our_hints.clone_from(hints),
            Self::TheirHints(hints) => status.their_hints.clone_from(hints),
            Self::Offered(_)
            | Self::Spooling
            | Self::Answered
            | Self::Sent
            | Self::Stored(_)
            | Self::Complete => {}
        }
    }
}
