//! What can go wrong, by whose doing. Each map from an error to a mood, an exit code or advice is one exhaustive match.

use alloc::string::String;
use core::fmt;

use crate::defaults::WORK_BITS;
use crate::driver::Why;
use crate::untrusted::Text;

/// Words of ours. By another name than that of a reference, which could not be read from anywhere.
type Words = &'static str;

/// The calling application did something that cannot be.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Misuse {
    /// The code is not well formed; the fault says how.
    Code(CodeFault),
    /// A code was already chosen, by any of the three ways.
    CodeAlreadyChosen,
    /// Words were asked for or given before a nameplate.
    ChooseNameplateFirst,
    /// The nameplate was chosen before.
    NameplateAlreadyChosen,
    /// The words were chosen before.
    WordsAlreadyChosen,
    /// There is no key yet.
    NoKeyYet,
    /// The wormhole is closed, or closing.
    Closed,
    /// The queue of records that wait to be sent is full.
    QueueFull,
    /// One record, text or name is longer than the limit.
    TooLong {
        /// The most bytes allowed.
        limit_bytes: usize,
    },
    /// A file or directory cannot have this name anywhere: it is empty, `.` or `..`, or has a slash or NUL in it.
    Name,
    /// The address of a server or relay cannot be used; the text says why.
    Address(String),
    /// What should be JSON is not.
    NotJson,
    /// What should be the snapshot of a wormhole cannot be gone on with; the fault says why.
    Snapshot(SnapshotFault),
    /// A command came at a moment when it has no meaning; the text says which.
    OutOfTurn(#[cfg_attr(feature = "serde", serde(deserialize_with = "crate::saved::words"))] Words),
}

/// Why a code, or a part of it, is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum CodeFault {
    /// It contains a space.
    Space,
    /// The part before the first dash is not made of ASCII digits.
    Nameplate,
    /// The nameplate has more than 40 digits.
    NameplateTooLong,
    /// There is no dash.
    NoDash,
    /// There is nothing after the first dash, where words are wanted.
    NoWords,
    /// So many words cannot be made.
    WordCount,
}

/// Why there is no going on from a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum SnapshotFault {
    /// It was made by another version of this library.
    Version {
        /// The version that it has.
        found: u32,
        /// The version that is known here.
        known: u32,
    },
    /// It is for another application or another mailbox server.
    Config,
    /// It is damaged, or no snapshot.
    Malformed,
}

/// The mailbox server did not do its part.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum ServerFault {
    /// It could not be reached at the first attempt.
    Unreachable {
        /// Its URL.
        url: String,
        /// What happened.
        why: Why,
    },
    /// It answered with an error.
    Said(Text),
    /// It sent something that the protocol does not allow then.
    OutOfTurn,
    /// It sent something that is no message of the protocol.
    Malformed,
    /// It sent a message longer than [`crate::defaults::MESSAGE_LIMIT`].
    TooLong,
    /// It is connected, and did not answer in time.
    Silent,
    /// The connection to it was lost, and could not be made again in time.
    Gone,
    /// It did not take in time what tells the other side that all has come: it is complete here, and the other side
    /// may wait for it in vain.
    Untold,
    /// It asks for more work than [`crate::defaults::WORK_BITS`] before it serves.
    TooMuchWork {
        /// How much it asks for.
        bits: u32,
    },
    /// It asks for something before it serves that is not known here.
    UnknownPermission,
}

/// The other side did not do its part.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum PeerFault {
    /// Its `pake` message is no JSON object, or not hex.
    MalformedPake,
    /// Its `pake` element is of the wrong form, off the curve, not of prime order, the identity, or our own.
    BadPake,
    /// One of its messages is not what the protocol allows.
    Malformed(#[cfg_attr(feature = "serde", serde(deserialize_with = "crate::saved::words"))] Words),
    /// It ended the transfer with this text.
    Said(Text),
    /// It offered something that we do not know.
    UnknownOffer,
    /// It offers, and so do we; or both sides wait for an offer.
    SameRole,
    /// It sent more, or larger, messages than the limit allows.
    TooMuch,
    /// It did not do in time what was waited for.
    Silent(Awaited),
}

/// What of the other side was waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Awaited {
    /// Its first message.
    Coming,
    /// The proof that it knows the code.
    Key,
    /// What it offers, or its blob.
    Offer,
    /// Its answer to what we offer.
    Decision,
}

/// The connection for the content failed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum TransitFault {
    /// Nothing could be dialled, and nobody called.
    NoContact,
    /// No connection was made in time.
    TimedOut,
    /// A record did not open, or was out of order.
    BadRecord,
    /// A record is longer than the limit.
    RecordTooLong,
    /// The connection ended before everything had come.
    Lost {
        /// Bytes of content that had come, or gone.
        got: u64,
        /// Bytes of content that were promised; the largest number where nobody has said.
        want: u64,
    },
    /// The connection stands, but for long nothing has moved on it.
    Stalled,
    /// All was sent, and the other side has for long not said that it has it.
    Unacknowledged,
    /// More content came than was promised.
    TooMuch,
    /// The connection ended, or failed, before the other side confirmed; the text is the system's.
    Unconfirmed(String),
    /// The other side answered something else than `ok`.
    Refused(Text),
    /// The other side has another hash than we.
    WrongHash,
    /// The acknowledgement is no message of the protocol.
    MalformedAck,
}

/// How a wormhole or a transfer failed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Error {
    /// The application's doing.
    Misuse(Misuse),
    /// The mailbox server's doing.
    Server(ServerFault),
    /// The other side's doing.
    Peer(PeerFault),
    /// The content's connection.
    Transit(TransitFault),
    /// The two codes differ, or somebody guessed at it.
    WrongCode,
    /// Two others met under this code first.
    Crowded,
    /// Closed before the other side was heard.
    Lonely,
    /// The server does not want us, and says why.
    Unwelcome(Text),
    /// Our own user ended it.
    Cancelled,
    /// What was waited for did not come in the time that our own application allows. Nothing is lost by it.
    TimedOut,
    /// Our own user refused the offer.
    Rejected,
    /// Our own user said that the verifiers differ.
    VerifierRefused,
    /// Our own side cannot go on, and this is why: a full disk, a file that changed. The peer is told the same text.
    Failed(String),
}

/// How a wormhole ended, as told to the server (`docs/server-protocol.md`, "Commands").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Mood {
    /// The other side was heard and is authentic.
    Happy,
    /// Closed before that.
    Lonely,
    /// Something of the other side did not decrypt.
    Scary,
    /// An error of the server, or of ours.
    Errory,
    /// The server asked us to leave.
    Unwelcome,
}

impl Mood {
    /// The word on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Happy => "happy",
            Self::Lonely => "lonely",
            Self::Scary => "scary",
            Self::Errory => "errory",
            Self::Unwelcome => "unwelcome",
        }
    }
}

impl Error {
    /// The mood in which a wormhole closes with this error, where the channel itself was not yet `Happy`.
    pub const fn mood(&self) -> Mood {
        match self {
            Self::WrongCode => Mood::Scary,
            Self::Lonely | Self::Cancelled | Self::TimedOut | Self::Failed(_) => Mood::Lonely,
            Self::Unwelcome(_) => Mood::Unwelcome,
            Self::Misuse(_) | Self::Server(_) | Self::Crowded => Mood::Errory,
            Self::Peer(fault) => match fault {
                PeerFault::MalformedPake | PeerFault::BadPake => Mood::Scary,
                PeerFault::Silent(Awaited::Coming | Awaited::Key) => Mood::Lonely,
                PeerFault::Malformed(_)
                | PeerFault::Said(_)
                | PeerFault::UnknownOffer
                | PeerFault::SameRole
                | PeerFault::TooMuch
                | PeerFault::Silent(Awaited::Offer | Awaited::Decision) => Mood::Happy,
            },
            Self::Transit(_) | Self::Rejected | Self::VerifierRefused => Mood::Happy,
        }
    }
}

impl fmt::Display for CodeFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Space => "a code contains no spaces: write dashes between the words",
            Self::Nameplate => "a code begins with a number and a dash, as in 7-crossover-clockwork",
            Self::NameplateTooLong => "the number at the beginning of a code has at most 40 digits",
            Self::NoDash => "a code has a dash after its number, as in 7-crossover-clockwork",
            Self::NoWords => "a code has words after its number, as in 7-crossover-clockwork",
            Self::WordCount => "a code has at least one word and at most 64",
        })
    }
}

impl fmt::Display for Misuse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(fault) => fault.fmt(f),
            Self::CodeAlreadyChosen => f.write_str("a wormhole has one code, and it was already chosen"),
            Self::ChooseNameplateFirst => f.write_str("choose the nameplate before the words"),
            Self::NameplateAlreadyChosen => f.write_str("the nameplate was already chosen"),
            Self::WordsAlreadyChosen => f.write_str("the words were already chosen"),
            Self::NoKeyYet => f.write_str("there is no key before the other side was heard"),
            Self::Closed => f.write_str("the wormhole is closed"),
            Self::QueueFull => f.write_str("too many records wait to be sent"),
            Self::TooLong { limit_bytes } => write!(f, "at most {limit_bytes} bytes are possible"),
            Self::Name => {
                f.write_str("a name is one part of a path, without a slash, and not empty or made of dots")
            }
            Self::Address(text) => write!(f, "not a usable address: {text}"),
            Self::NotJson => f.write_str("that is not JSON"),
            Self::Snapshot(fault) => fault.fmt(f),
            Self::OutOfTurn(what) => write!(f, "not possible now: {what}"),
        }
    }
}

impl fmt::Display for SnapshotFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Version { found, known } => {
                write!(f, "the snapshot has version {found}, and only version {known} is known")
            }
            Self::Config => f.write_str("the snapshot is for another application or another mailbox server"),
            Self::Malformed => f.write_str("the snapshot cannot be read"),
        }
    }
}

impl fmt::Display for ServerFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable { url, why } => write!(f, "the mailbox server {url} cannot be reached: {why}"),
            Self::Said(text) => write!(f, "the mailbox server answered: {}", text.short()),
            Self::OutOfTurn => f.write_str("the mailbox server answered something that was not asked"),
            Self::Malformed => f.write_str("the mailbox server sent something that is no message"),
            Self::TooLong => f.write_str("the mailbox server sent a message that is too long to be taken"),
            Self::Silent => f.write_str("the mailbox server is there but does not answer"),
            Self::Gone => f.write_str("the connection to the mailbox server was lost and is not coming back"),
            Self::Untold => f.write_str(
                "all has come, but the mailbox server did not take the answer, and the other side may not know",
            ),
            Self::TooMuchWork { bits } => write!(
                f,
                "the mailbox server asks for {bits} bits of work before it serves, and more than {WORK_BITS} are not done"
            ),
            Self::UnknownPermission => {
                f.write_str("the mailbox server asks for a permission that this program cannot get")
            }
        }
    }
}

impl fmt::Display for PeerFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MalformedPake | Self::BadPake => {
                f.write_str("the other side sent a key that cannot be used")
            }
            Self::Malformed(what) => write!(f, "the other side sent {what} that cannot be read"),
            Self::Said(text) => write!(f, "the other side ended the transfer: {}", text.short()),
            Self::UnknownOffer => {
                f.write_str("the other side offers something that this version does not know")
            }
            Self::SameRole => f.write_str("both sides want the same role: one must send and one receive"),
            Self::TooMuch => f.write_str("the other side sent more than is allowed"),
            Self::Silent(awaited) => awaited.fmt(f),
        }
    }
}

impl fmt::Display for Awaited {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Coming => "nobody came with this code in the time that was allowed",
            Self::Key => "the other side came and fell silent before it proved that it knows the code",
            Self::Offer => "the other side knows the code but has sent nothing for long",
            Self::Decision => "the other side has not answered the offer for long",
        })
    }
}

impl fmt::Display for TransitFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoContact => {
                f.write_str("no connection to the other side could be made, direct or by relay")
            }
            Self::TimedOut => f.write_str("no connection to the other side was made in time"),
            Self::BadRecord => f.write_str("what came does not decrypt: the connection was tampered with"),
            Self::RecordTooLong => f.write_str("the other side sent a record that is too long"),
            // Nobody had said how much there would be.
            Self::Lost { got, want: u64::MAX } => write!(f, "the connection was lost after {got} bytes"),
            Self::Lost { got, want } => {
                write!(f, "the connection was lost after {got} of {want} bytes")
            }
            Self::Stalled => f.write_str("the other side has stopped: for long nothing has moved"),
            Self::Unacknowledged => {
                f.write_str("everything was sent, but the other side has not said for long that it has it")
            }
            Self::TooMuch => f.write_str("the other side sent more than it had announced"),
            Self::Unconfirmed(text) => {
                let text = Text::from(text.as_str());
                write!(f, "the connection ended before the other side confirmed: {}", text.short())
            }
            Self::Refused(text) => write!(f, "the other side did not confirm: {}", text.short()),
            Self::WrongHash => f.write_str("the other side received something else than was sent"),
            Self::MalformedAck => f.write_str("the confirmation of the other side cannot be read"),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Misuse(fault) => fault.fmt(f),
            Self::Server(fault) => fault.fmt(f),
            Self::Peer(fault) => fault.fmt(f),
            Self::Transit(fault) => fault.fmt(f),
            Self::WrongCode => {
                f.write_str("the codes differ: one side mistyped it, or somebody guessed at it")
            }
            Self::Crowded => f.write_str("two others have met under this code already"),
            Self::Lonely => f.write_str("closed before the other side was there"),
            Self::Unwelcome(text) => write!(f, "the mailbox server does not accept us: {}", text.short()),
            Self::Cancelled => f.write_str("cancelled"),
            Self::TimedOut => f.write_str("it did not happen in the time that was allowed"),
            Self::Rejected => f.write_str("transfer rejected"),
            Self::VerifierRefused => f.write_str("the verifiers differ: nothing was transferred"),
            Self::Failed(text) => f.write_str(text),
        }
    }
}

impl core::error::Error for CodeFault {}
impl core::error::Error for SnapshotFault {}

impl core::error::Error for Misuse {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Code(fault) => Some(fault),
            Self::Snapshot(fault) => Some(fault),
            Self::CodeAlreadyChosen
            | Self::ChooseNameplateFirst
            | Self::NameplateAlreadyChosen
            | Self::WordsAlreadyChosen
            | Self::NoKeyYet
            | Self::Closed
            | Self::QueueFull
            | Self::TooLong { .. }
            | Self::Name
            | Self::Address(_)
            | Self::NotJson
            | Self::OutOfTurn(_) => None,
        }
    }
}
impl core::error::Error for ServerFault {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Unreachable { why, .. } => Some(why),
            Self::Said(_)
            | Self::OutOfTurn
            | Self::Malformed
            | Self::TooLong
            | Self::Silent
            | Self::Gone
            | Self::Untold
            | Self::TooMuchWork { .. }
            | Self::UnknownPermission => None,
        }
    }
}
impl core::error::Error for PeerFault {}
impl core::error::Error for TransitFault {}

impl core::error::Error for Error {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Misuse(fault) => Some(fault),
            Self::Server(fault) => Some(fault),
            Self::Peer(fault) => Some(fault),
            Self::Transit(fault) => Some(fault),
            Self::WrongCode
            | Self::Crowded
            | Self::Lonely
            | Self::Unwelcome(_)
            | Self::Cancelled
            | Self::TimedOut
            | Self::Rejected
            | Self::VerifierRefused
            | Self::Failed(_) => None,
        }
    }
}

impl From<CodeFault> for Misuse {
    fn from(fault: CodeFault) -> Self {
        Self::Code(fault)
    }
}
impl From<Misuse> for Error {
    fn from(fault: Misuse) -> Self {
        Self::Misuse(fault)
    }
}
impl From<ServerFault> for Error {
    fn from(fault: ServerFault) -> Self {
        Self::Server(fault)
    }
}
impl From<PeerFault> for Error {
    fn from(fault: PeerFault) -> Self {
        Self::Peer(fault)
    }
}
impl From<TransitFault> for Error {
    fn from(fault: TransitFault) -> Self {
        Self::Transit(fault)
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;

    #[test]
    fn an_error_is_one_harmless_line_whatever_the_others_said() {
        let raw = || String::from("first\nsecond \x1b[31m");
        let text = || Text::from(raw().as_str());
        for error in [
            Error::Unwelcome(text()),
            ServerFault::Said(text()).into(),
            PeerFault::Said(text()).into(),
            TransitFault::Refused(text()).into(),
            TransitFault::Unconfirmed(raw()).into(),
            ServerFault::Unreachable { url: "url".into(), why: Why::WebSocket(raw()) }.into(),
            ServerFault::Unreachable { url: "url".into(), why: Why::Tls(raw()) }.into(),
            ServerFault::Unreachable { url: "url".into(), why: Why::Proxy(raw()) }.into(),
            ServerFault::Unreachable { url: "url".into(), why: Why::Other(raw()) }.into(),
        ] {
            let shown = error.to_string();
            assert!(shown.ends_with("first second \\x1b[31m"), "{shown}");
        }
    }

    #[test]
    fn what_lies_behind_an_error_is_its_source() {
        use core::error::Error as _;

        let why = Why::Tls("the server's certificate has expired".into());
        let error = Error::from(ServerFault::Unreachable { url: "url".into(), why: why.clone() });
        let fault = error.source().unwrap();
        assert_eq!(fault.source().unwrap().downcast_ref(), Some(&why));
        let error = Error::from(Misuse::Code(CodeFault::NoDash));
        assert_eq!(error.source().unwrap().source().unwrap().downcast_ref(), Some(&CodeFault::NoDash));
    }
}
