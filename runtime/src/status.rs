//! How a wormhole stands, for whoever wants to show it.

use wormhole_core::driver::Why;
use wormhole_core::error::{Error, Mood};
use wormhole_core::transit::Path;
use wormhole_core::wire::hints::Hint;
use wormhole_core::wormhole::Event;

/// How a wormhole stands: what the events so far have come to.
///
/// ```
/// use wormhole_core::wormhole::Event;
/// use wormhole_runtime::{KeyStatus, LinkStatus, Status};
///
/// let mut status = Status::default();
/// assert_eq!(status.link, LinkStatus::Connecting);
/// for event in [Event::LinkUp, Event::PeerHeard, Event::UnverifiedKey] {
///     status.note(&event);
/// }
/// assert_eq!(status.link, LinkStatus::Up);
/// assert_eq!(status.key, KeyStatus::Unverified);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Status {
    /// The connection to the mailbox server.
    pub link: LinkStatus,
    /// The code.
    pub code: CodeStatus,
    /// The key that both sides have.
    pub key: KeyStatus,
    /// Whether anything of the other side has come.
    pub peer_heard: bool,
    /// Where the other side was told that we can be reached, in a transfer.
    #[cfg_attr(feature = "serde", serde(skip))]
    pub our_hints: Vec<Hint>,
    /// Where the other side says that it can be reached, in a transfer.
    #[cfg_attr(feature = "serde", serde(skip))]
    pub their_hints: Vec<Hint>,
    /// Which way content goes, where some does and it is known.
    #[cfg_attr(feature = "serde", serde(skip))]
    pub path: Option<Path>,
    /// In which mood it was closed, as the server was told.
    pub mood: Option<Mood>,
    /// How it ended.
    pub end: Option<Result<(), Error>>,
}

/// How the connection to the mailbox server stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum LinkStatus {
    /// It is made for the first time.
    #[default]
    Connecting,
    /// The server can hear us.
    Up,
    /// It was lost, and is made again.
    Down(Why),
    /// It is over.
    Closed,
}

/// How the code stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum CodeStatus {
    /// There is none.
    #[default]
    None,
    /// It is known.
    Known,
    /// Its number was given back: it cannot be used again.
    Consumed,
}

/// How the key stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum KeyStatus {
    /// There is none.
    #[default]
    None,
    /// There is one, and nobody has proved to have the same.
    Unverified,
    /// The other side has the same.
    Confirmed,
}

impl Status {
    /// Takes down what this event changes.
    pub fn note(&mut self, event: &Event) {
        match event {
            Event::LinkUp => self.link = LinkStatus::Up,
            Event::LinkDown { why } => self.link = LinkStatus::Down(why.clone()),
            Event::Code(_) => self.code = CodeStatus::Known,
            Event::CodeConsumed => self.code = CodeStatus::Consumed,
            Event::PeerHeard => self.peer_heard = true,
            Event::UnverifiedKey => self.key = KeyStatus::Unverified,
            Event::Verifier(_) => self.key = KeyStatus::Confirmed,
            Event::Closed(end) => {
                self.link = LinkStatus::Closed;
                self.end = Some(end.clone());
                // Also one that was never claimed is of no more use.
                if self.code == CodeStatus::Known {
                    self.code = CodeStatus::Consumed;
                }
            }
            Event::Welcome(_)
            | Event::Nameplates(_)
            | Event::WordsWanted
            | Event::Versions(_)
            | Event::Record(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use wormhole_core::code::Code;

    use super::*;

    #[test]
    fn a_status_is_what_the_events_have_come_to() {
        let mut status = Status::default();
        for event in [
            Event::LinkUp,
            Event::Code(Code::parse("4-purple-sausages").unwrap()),
            Event::PeerHeard,
            Event::UnverifiedKey,
            Event::LinkDown { why: Why::Reset },
        ] {
            status.note(&event);
        }
        let wanted = Status {
            link: LinkStatus::Down(Why::Reset),
            code: CodeStatus::Known,
            key: KeyStatus::Unverified,
            peer_heard: true,
            ..Status::default()
        };
        assert_eq!(status, wanted);
        status.note(&Event::Closed(Err(Error::WrongCode)));
        assert_eq!((status.link, status.code), (LinkStatus::Closed, CodeStatus::Consumed));
        assert_eq!(status.end, Some(Err(Error::WrongCode)));
    }
}
