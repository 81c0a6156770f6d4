//! How the program fails: the one place where errors become exit codes and advice.

use std::fmt;

use wormhole_core::error::{Awaited, CodeFault, Error, Misuse, PeerFault, ServerFault, TransitFault};
use wormhole_tokio::transfer;
use wormhole_tokio::transfer::error::Unsendable;

/// Why the program did not do what it was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// The wormhole or the transfer failed.
    Transfer(transfer::Error),
    /// What was given as a code is none.
    Code(CodeFault),
    /// The command line, or the environment, asks for something that cannot be.
    Usage(String),
    /// This computer does not do its part; the text says what, and why.
    Here(String),
    /// The input ended before a code was typed.
    NoCode,
    /// Ctrl-C, or a signal that asks to leave.
    Interrupted,
    /// The signal that asks to leave in earnest, `SIGTERM`.
    Terminated,
}

const FAILED: i32 = 1;
const USAGE: i32 = 2;
const WRONG_CODE: i32 = 3;
const REFUSED: i32 = 4;
const SERVER: i32 = 5;
const PEER_GONE: i32 = 6;
/// As a shell reports a program that `SIGINT` has ended.
const INTERRUPTED: i32 = 130;
/// As a shell reports a program that `SIGTERM` has ended.
const TERMINATED: i32 = 143;

impl Failure {
    /// What the shell sees.
    pub(crate) fn exit_code(&self) -> i32 {
        match self {
            Self::Transfer(error) => code_of_transfer(error),
            Self::Here(_) | Self::NoCode => FAILED,
            Self::Code(_) | Self::Usage(_) => USAGE,
            Self::Interrupted => INTERRUPTED,
            Self::Terminated => TERMINATED,
        }
    }

    /// What the user can do about it, as a sentence; empty where the error says it all.
    const fn advice(&self) -> &'static str {
        match self {
            Self::Transfer(error) => of_transfer(error),
            Self::Code(_) => "Type the code as the sender's screen shows it.",
            Self::Usage(_) => "See --help.",
            Self::NoCode => "Give the code as an argument, or type it when asked.",
            Self::Here(_) | Self::Interrupted | Self::Terminated => "",
        }
    }
}

fn code_of_transfer(error: &transfer::Error) -> i32 {
    match error {
        transfer::Error::Wormhole(error) => code_of_wormhole(error),
        // The offer was refused for it, before anything came.
        transfer::Error::Exists { .. } | transfer::Error::NoSpace { .. } | transfer::Error::BadName(_) => {
            REFUSED
        }
        transfer::Error::Disk { .. }
        | transfer::Error::Unsendable { .. }
        | transfer::Error::Changed { .. }
        | transfer::Error::BadArchive(_)
        | transfer::Error::NoThread => FAILED,
    }
}

fn code_of_wormhole(error: &Error) -> i32 {
    match error {
        Error::Misuse(Misuse::Code(_) | Misuse::Address(_) | Misuse::Name) => USAGE,
        Error::Misuse(_) | Error::Crowded | Error::TimedOut | Error::Failed(_) => FAILED,
        Error::WrongCode => WRONG_CODE,
        Error::Rejected | Error::VerifierRefused => REFUSED,
        Error::Server(_) | Error::Unwelcome(_) => SERVER,
        Error::Peer(fault) => code_of_peer(fault),
        Error::Transit(fault) => code_of_transit(fault),
        Error::Lonely => PEER_GONE,
        Error::Cancelled => INTERRUPTED,
    }
}

fn code_of_peer(fault: &PeerFault) -> i32 {
    match fault {
        PeerFault::Said(text) => code_of_words(&text.to_unicode()),
        PeerFault::Silent(_) => PEER_GONE,
        PeerFault::MalformedPake
        | PeerFault::BadPake
        | PeerFault::Malformed(_)
        | PeerFault::UnknownOffer
        | PeerFault::SameRole
        | PeerFault::TooMuch => FAILED,
    }
}

/// What the other side says when it ends a transfer is a sentence for people; these are the ones in use.
fn code_of_words(said: &str) -> i32 {
    match said {
        "transfer rejected"
        | "sender rejected verification check, abandoned transfer"
        | "receiver rejected verification check, abandoned transfer" => REFUSED,
        "transfer cancelled" => PEER_GONE,
        _ => FAILED,
    }
}

const fn code_of_transit(fault: &TransitFault) -> i32 {
    match fault {
        TransitFault::Lost { .. }
        | TransitFault::Stalled
        | TransitFault::Unacknowledged
        | TransitFault::Unconfirmed(_) => PEER_GONE,
        TransitFault::NoContact
        | TransitFault::TimedOut
        | TransitFault::BadRecord
        | TransitFault::RecordTooLong
        | TransitFault::TooMuch
        | TransitFault::Refused(_)
        | TransitFault::WrongHash
        | TransitFault::MalformedAck => FAILED,
    }
}

const NEW_CODE: &str = "Try again with a new code.";

const fn of_transfer(error: &transfer::Error) -> &'static str {
    match error {
        transfer::Error::Wormhole(error) => of_wormhole(error),
        transfer::Error::Disk { .. } => "See to it, then try again with a new code.",
        transfer::Error::Unsendable { why, .. } => of_unsendable(why),
        transfer::Error::Changed { .. } => "",
        transfer::Error::Exists { .. } => "Move it away, or name another place with -o.",
        transfer::Error::NoSpace { .. } => "Make room, or name a place on another disk with -o.",
        transfer::Error::BadName(_) => "Choose a name yourself with -o.",
        transfer::Error::BadArchive(_) => {
            "Nothing was kept. Ask the sender what they use, or for a single file."
        }
        transfer::Error::NoThread => "Close other programs, then try again with a new code.",
    }
}

const fn of_unsendable(why: &Unsendable) -> &'static str {
    match why {
        Unsendable::NotFound => "Look at how the name is written.",
        Unsendable::BrokenLink
        | Unsendable::Fifo
        | Unsendable::Socket
        | Unsendable::Device
        | Unsendable::NameTooLong => "Take it away or rename it, or send another directory.",
        Unsendable::Unreadable(_) => "Allow reading it, or send another directory.",
        Unsendable::TooLarge | Unsendable::TooMany => "Send it in parts.",
        Unsendable::SameName => "Rename one of them, or send the directory above them.",
        Unsendable::NoName | Unsendable::NameClash | Unsendable::UnknownSize => "",
    }
}

const fn of_wormhole(error: &Error) -> &'static str {
    match error {
        Error::Misuse(fault) => of_misuse(fault),
        Error::Server(fault) => of_server(fault),
        Error::Peer(fault) => of_peer(fault),
        Error::Transit(fault) => of_transit(fault),
        Error::WrongCode => {
            "Nothing was revealed. Try again with a new code, and compare each letter; small and capital ones differ."
        }
        Error::Crowded => {
            "Try again with a new code, told to one person only. If it goes on, somebody may be attacking you."
        }
        Error::Lonely | Error::Cancelled | Error::TimedOut | Error::Rejected | Error::Failed(_) => "",
        Error::Unwelcome(_) => "Choose another server with --relay-url, or a newer version of this program.",
        Error::VerifierRefused => {
            "Somebody may be between you and the other side. Try again with a new code, told in another way."
        }
    }
}

const fn of_misuse(fault: &Misuse) -> &'static str {
    match fault {
        Misuse::Code(_) => "Type the code as the sender's screen shows it.",
        Misuse::Address(_) => "See --help.",
        Misuse::TooLong { .. } => "Send it as a file.",
        Misuse::Name => "Give it a name with --name.",
        Misuse::CodeAlreadyChosen
        | Misuse::ChooseNameplateFirst
        | Misuse::NameplateAlreadyChosen
        | Misuse::WordsAlreadyChosen
        | Misuse::NoKeyYet
        | Misuse::Closed
        | Misuse::QueueFull
        | Misuse::NotJson
        | Misuse::Snapshot(_)
        | Misuse::OutOfTurn(_) => "This is a fault of the program: please report it.",
    }
}

const fn of_server(fault: &ServerFault) -> &'static str {
    match fault {
        ServerFault::Unreachable { .. } => {
            "Look at your network, or choose another server with --relay-url; both sides need the same."
        }
        ServerFault::Said(_) => NEW_CODE,
        ServerFault::Gone => "Look at your network, then try again with a new code.",
        ServerFault::Untold => "Tell them that you have it.",
        ServerFault::OutOfTurn
        | ServerFault::Malformed
        | ServerFault::TooLong
        | ServerFault::Silent
        | ServerFault::TooMuchWork { .. }
        | ServerFault::UnknownPermission => {
            "Choose another server with --relay-url; both sides need the same."
        }
    }
}

const fn of_peer(fault: &PeerFault) -> &'static str {
    match fault {
        PeerFault::MalformedPake | PeerFault::BadPake => {
            "The other side's program is broken, or somebody is attacking you. Try again with a new code."
        }
        PeerFault::Malformed(_) | PeerFault::TooMuch => {
            "The other side's program does not do as this one; ask them which it is."
        }
        PeerFault::Said(_) => "",
        PeerFault::UnknownOffer => "Use a newer version of this program.",
        PeerFault::Silent(Awaited::Coming) => "Agree on a moment, then try again with a new code.",
        PeerFault::Silent(Awaited::Key | Awaited::Offer | Awaited::Decision) => {
            "Ask whether their program still runs, then try again with a new code."
        }
        PeerFault::SameRole => "One side types `wormhole send`, the other `wormhole receive`.",
    }
}

const fn of_transit(fault: &TransitFault) -> &'static str {
    match fault {
        TransitFault::NoContact | TransitFault::TimedOut => {
            "Give both sides a relay that both can reach, with --transit-helper."
        }
        TransitFault::BadRecord | TransitFault::RecordTooLong | TransitFault::TooMuch => {
            "Nothing was kept. Try again with a new code."
        }
        TransitFault::Lost { .. } | TransitFault::Stalled => {
            "Try again with a new code; nothing incomplete was kept."
        }
        TransitFault::Unconfirmed(_) | TransitFault::Unacknowledged => {
            "Ask the other side whether it has everything, or try again."
        }
        TransitFault::Refused(_) | TransitFault::WrongHash | TransitFault::MalformedAck => NEW_CODE,
    }
}

impl Failure {
    /// What happened, without advice.
    pub(crate) fn what(&self) -> String {
        match self {
            Self::Transfer(error) => error.to_string(),
            Self::Code(fault) => fault.to_string(),
            Self::Usage(what) | Self::Here(what) => what.clone(),
            Self::NoCode => "the input ended before a code was typed".to_owned(),
            Self::Interrupted => "interrupted".to_owned(),
            Self::Terminated => "terminated".to_owned(),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = self.what();
        // What others say may already end as a sentence.
        f.write_str(what.trim_end_matches('.'))?;
        match self.advice() {
            "" => f.write_str("."),
            advice => write!(f, ". {advice}"),
        }
    }
}

impl From<transfer::Error> for Failure {
    fn from(error: transfer::Error) -> Self {
        match error {
            transfer::Error::Wormhole(Error::Cancelled) => Self::Interrupted,
            transfer::Error::Wormhole(Error::Misuse(Misuse::Code(fault))) => Self::Code(fault),
            transfer::Error::Wormhole(_)
            | transfer::Error::Disk { .. }
            | transfer::Error::Unsendable { .. }
            | transfer::Error::Changed { .. }
            | transfer::Error::Exists { .. }
            | transfer::Error::NoSpace { .. }
            | transfer::Error::BadName(_)
            | transfer::Error::BadArchive(_)
            | transfer::Error::NoThread => Self::Transfer(error),
        }
    }
}

impl From<Misuse> for Failure {
    fn from(fault: Misuse) -> Self {
        transfer::Error::from(fault).into()
    }
}

impl From<CodeFault> for Failure {
    fn from(fault: CodeFault) -> Self {
        Self::Code(fault)
    }
}

#[cfg(test)]
mod tests {
    use wormhole_core::driver::Why;
    use wormhole_core::untrusted::Text;

    use super::*;

    #[test]
    fn an_error_says_what_happened_and_what_to_do() {
        let error = Error::Server(ServerFault::Unreachable { url: "ws://h:1/v1".into(), why: Why::Refused });
        assert_eq!(
            failure(error).to_string(),
            "the mailbox server ws://h:1/v1 cannot be reached: connection refused: nobody listens there. Look at \
             your network, or choose another server with --relay-url; both sides need the same."
        );
    }

    #[test]
    fn what_the_peer_says_stands_alone() {
        let error = Error::Peer(PeerFault::Said(Text::from("transfer rejected")));
        assert_eq!(failure(error).to_string(), "the other side ended the transfer: transfer rejected.");
        let error = Error::Peer(PeerFault::Said(Text::from("Not now.")));
        assert_eq!(failure(error).to_string(), "the other side ended the transfer: Not now.");
    }

    #[test]
    fn exit_codes_tell_what_a_script_must_tell_apart() {
        let said = |text: &str| Error::Peer(PeerFault::Said(Text::from(text)));
        for (error, code) in [
            (Error::Failed("disk full".into()), 1),
            (Error::Misuse(Misuse::Code(CodeFault::NoDash)), 2),
            (Error::WrongCode, 3),
            (Error::Rejected, 4),
            (Error::VerifierRefused, 4),
            (said("transfer rejected"), 4),
            (said("out of paper"), 1),
            (Error::Server(ServerFault::Gone), 5),
            (Error::Unwelcome(Text::from("closed")), 5),
            (Error::Peer(PeerFault::Silent(Awaited::Key)), 6),
            (said("transfer cancelled"), 6),
            (Error::Transit(TransitFault::Stalled), 6),
            (Error::Cancelled, 130),
        ] {
            assert_eq!(failure(error.clone()).exit_code(), code, "{error:?}");
        }
        assert_eq!(Failure::Usage(String::new()).exit_code(), 2);
        assert_eq!(Failure::Terminated.exit_code(), 143);
    }

    #[test]
    fn the_help_names_each_exit_code() {
        for code in [0, FAILED, USAGE, WRONG_CODE, REFUSED, SERVER, PEER_GONE, INTERRUPTED, TERMINATED] {
            let mut words = crate::help::WORMHOLE.split_whitespace();
            assert!(words.any(|word| word == code.to_string()), "{code}");
        }
    }

    fn failure(error: Error) -> Failure {
        transfer::Error::Wormhole(error).into()
    }
}
