//! What the statistics count, and how it ended: events that a server tells, and no client waits for.

use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use crate::stamp::Stamp;

#[cfg(feature = "sqlite")]
mod ledger;

#[cfg(feature = "sqlite")]
pub(crate) use ledger::prepare;
#[cfg(feature = "sqlite")]
pub use ledger::{Current, Ledger, Manner, Part, blurred};

/// One thing that has ended, or begun.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Usage {
    /// A client has said who it is.
    Client {
        /// Its application.
        app: String,
        /// Its side.
        side: String,
        /// When.
        at: Stamp,
        /// The name of its program.
        implementation: Option<String>,
        /// The version of its program.
        version: Option<String>,
    },
    /// A nameplate is free again.
    Nameplate {
        /// Its application.
        app: String,
        /// Its life.
        span: Span,
        /// How it ended.
        result: Outcome,
    },
    /// A mailbox is gone.
    Mailbox {
        /// Its application.
        app: String,
        /// Whether it was made with a nameplate.
        for_nameplate: bool,
        /// Its life.
        span: Span,
        /// How it ended.
        result: Outcome,
    },
    /// A client of a relay is gone, or two that were partners.
    Transit {
        /// Its time, from when the first came.
        span: Span,
        /// The bytes that were carried, both ways.
        bytes: u64,
        /// How it ended.
        mood: Mood,
    },
}

/// How long something was used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// When the first side came.
    pub started: Stamp,
    /// How long that waited for the second, if one came.
    pub waiting: Option<Duration>,
    /// How long it was there.
    pub total: Duration,
}

impl Span {
    /// From the moments at which sides came, to the end.
    pub(crate) fn of(came: impl Iterator<Item = Stamp>, end: Stamp) -> Self {
        let mut came: Vec<Stamp> = came.collect();
        came.sort_unstable();
        let started = came.first().copied().unwrap_or(end);
        Self {
            started,
            waiting: came.get(1).map(|second| second.saturating_since(started)),
            total: end.saturating_since(started),
        }
    }
}

/// How the use of a relay ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mood {
    /// Two partners met.
    Happy,
    /// Nobody came for it.
    Lonely,
    /// Its partner met another connection of the same side.
    Redundant,
    /// It spoke before its partner was there.
    Impatient,
    /// It said no good line.
    Errory,
    /// It left before it had said anything, or took too long or too many bytes for it.
    Empty,
}

impl Mood {
    /// The word for it in the usage database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Happy => "happy",
            Self::Lonely => "lonely",
            Self::Redundant => "redundant",
            Self::Impatient => "impatient",
            Self::Errory => "errory",
            Self::Empty => "empty",
        }
    }
}

/// How the use of a nameplate or mailbox ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// Two sides came, and neither complained.
    Happy,
    /// Nobody else came.
    Lonely,
    /// A side met an error.
    Errory,
    /// A side met a wrong key: a wrong code, or an attack.
    Scary,
    /// It was given up, and expired.
    Pruney,
    /// More than two sides wanted it.
    Crowded,
}

impl Outcome {
    /// The word for it in the usage database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Happy => "happy",
            Self::Lonely => "lonely",
            Self::Errory => "errory",
            Self::Scary => "scary",
            Self::Pruney => "pruney",
            Self::Crowded => "crowded",
        }
    }

    /// What a client's word for its mood makes of it; words that are not known count for nothing.
    pub(crate) fn of_mood(mood: &str) -> Option<Self> {
        match mood {
            "lonely" => Some(Self::Lonely),
            "errory" => Some(Self::Errory),
            "scary" => Some(Self::Scary),
            _ => None,
        }
    }
}
