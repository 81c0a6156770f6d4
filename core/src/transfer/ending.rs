//! How a transfer ends: the verdict, the last words to the peer, and how long they may take.

use alloc::string::ToString;
use core::time::Duration;

use crate::driver::Instant;
use crate::error::{Error, PeerFault, TransitFault};
use crate::untrusted::Text;

/// How a transfer ends, if it does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// It goes on.
    No,
    /// The session has ended and the content goes on without it.
    Adrift,
    /// The verdict stands; what we said last is on its way to the server, until `said`. Where the connection was
    /// lost, the peer may have failed and its own words be on their way: they are waited for until `heard`.
    Parting { verdict: Result<(), Error>, said: Patience, heard: Patience, gone: Patience },
    /// The session is closing, until `gone`.
    Closing { verdict: Result<(), Error>, gone: Patience },
    /// The session has ended, too; what is still to be asked for comes before the last event.
    Last { verdict: Result<(), Error> },
    /// The application has been told.
    Over,
}

/// Until when an ending may take its time. The clock is read with the next input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Patience {
    /// No limit of ours.
    Any,
    /// So long from the next input on.
    For(Duration),
    /// Until then.
    Until(Instant),
}

impl Patience {
    /// None: it is at an end.
    pub(super) const NONE: Self = Self::Until(Instant::START);

    /// The time is now; tells whether it is at an end.
    pub(super) fn pass(&mut self, now: Instant) -> bool {
        match *self {
            Self::Any => false,
            Self::For(limit) => {
                *self = Self::Until(now.plus(limit));
                false
            }
            Self::Until(until) => until <= now,
        }
    }

    /// When to look again, if it is not at an end.
    pub(super) fn until(self, now: Instant) -> Option<Instant> {
        match self {
            Self::Any => None,
            Self::For(_) => Some(now),
            Self::Until(until) => (until > now).then_some(until),
        }
    }
}

/// Whether all we know is that the connection is gone, so that the peer's own words would say more.
pub(super) const fn is_silent(verdict: &Result<(), Error>) -> bool {
    matches!(verdict, Err(Error::Transit(TransitFault::Lost { .. } | TransitFault::Unconfirmed(_))))
}

/// What the peer is told about the end, as its user will read it.
pub(super) fn farewell(error: &Error) -> Text {
    match error {
        Error::Rejected => Text::from("transfer rejected"),
        Error::Cancelled => Text::from("transfer cancelled"),
        Error::Peer(PeerFault::UnknownOffer) => Text::from("unknown offer type"),
        Error::Misuse(_)
        | Error::Server(_)
        | Error::Peer(_)
        | Error::Transit(_)
        | Error::WrongCode
        | Error::Crowded
        | Error::Lonely
        | Error::TimedOut
        | Error::Unwelcome(_)
        | Error::VerifierRefused
        | Error::Failed(_) => Text::from(error.to_string().as_str()),
    }
}
