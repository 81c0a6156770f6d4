//! What happens, for programs: an object of JSON in each line of standard output, as `docs/json.md` describes.
//!
//! Names and texts of the other side stand here as they came: JSON escapes what could steer a terminal, and who shows it has
//! to escape it again.

use std::io::{self, BufRead, Read, Write};
use std::net::IpAddr;
use std::path::Path as Place;

use serde::{Deserialize, Serialize};
use wormhole_core::code::Code;
use wormhole_core::transit::Path;
use wormhole_core::untrusted::Text;
use wormhole_core::uri::Uri;
use wormhole_core::wormhole::Event as Session;
use wormhole_tokio::transfer::{Event, Offer, OurOffer, Progress};

use crate::failure::Failure;
use crate::mode::mode;

/// The version of the schema. A program may rely on everything but the order in which new events and keys come to it.
const SCHEMA: u32 = 1;

/// One line.
#[derive(Debug, Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub(crate) enum Line<'a> {
    Hello {
        schema: u32,
        version: &'a str,
        command: &'a str,
    },
    Welcome {
        motd: Option<String>,
    },
    Link {
        up: bool,
        #[serde(skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    Code {
        code: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        uri: Option<String>,
    },
    CodeConsumed,
    Peer,
    Key,
    Verifier {
        verifier: String,
    },
    Offer(OfferLine<'a>),
    Answered,
    Path {
        via: &'static str,
        address: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        family: Option<&'static str>,
        inbound: bool,
    },
    Progress {
        done: u64,
        total: u64,
    },
    Sent,
    Stored {
        path: String,
    },
    Question {
        kind: Kind,
        text: &'a str,
    },
    InvalidAnswer {
        message: String,
    },
    Output {
        text: String,
    },
    Check {
        name: &'a str,
        ok: Option<bool>,
        message: &'a str,
        #[serde(skip_serializing_if = "str::is_empty")]
        advice: &'a str,
    },
    Result,
    Error {
        kind: &'static str,
        message: String,
        exit_code: i32,
    },
}

/// What is offered, by whichever side.
#[derive(Debug, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub(crate) enum OfferLine<'a> {
    Text { text: String },
    File { name: String, size: u64 },
    Directory { name: String, archive_size: u64, size: u64, files: u64 },
    Several { names: Vec<String>, archive_size: u64, size: u64, files: u64 },
    Stream { name: String },
    Unknown { reason: &'a str },
}

/// What a question is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Kind {
    /// A code: answered by the code or link.
    Code,
    /// A text to send.
    Text,
    /// Whether what is offered may come.
    Accept,
    /// What to do about what exists at the place of what is offered: `overwrite`, `rename`, `no`, or another place.
    Conflict,
    /// Another place for what is offered.
    Place,
    /// Whether both sides see the same verifier.
    Verifier,
    /// Whether the mailbox server of a link may be used.
    Server,
    /// Something else, which the text says.
    Other,
}

/// Tells a line, where programs listen.
pub(crate) fn tell(line: &Line<'_>) -> io::Result<()> {
    if !mode().json {
        return Ok(());
    }
    let mut bytes = serde_json::to_vec(line)?;
    bytes.push(b'\n');
    let mut output = io::stdout().lock();
    output.write_all(&bytes)?;
    output.flush()
}

/// Tells a line. That nobody reads it is no reason to stop.
pub(crate) fn say(line: &Line<'_>) {
    let _ = tell(line);
}

pub(crate) fn hello(command: &str) {
    say(&Line::Hello { schema: SCHEMA, version: env!("CARGO_PKG_VERSION"), command });
}

/// The code, and the link in which it stands.
pub(crate) fn code(code: &Code, link: Option<&Uri>) {
    say(&Line::Code { code: code.as_str(), uri: link.map(ToString::to_string) });
}

/// What happens on either side.
pub(crate) fn event(event: &Event) {
    if !mode().json {
        return;
    }
    match event {
        Event::Session(event) => session(event),
        // Whether a text could be told decides whether it is taken.
        Event::Offered(Offer::Text(_)) => {}
        Event::Offered(offer) => say(&Line::Offer(theirs(offer))),
        Event::Answered => say(&Line::Answered),
        Event::Connected(path) => say(&by(path)),
        Event::Sent => say(&Line::Sent),
        Event::Stored(paths) => paths.iter().for_each(|path| say(&Line::Stored { path: text_of(path) })),
        // The code comes with its link, and the end with what the program makes of it.
        Event::OurHints(_) | Event::TheirHints(_) | Event::Spooling | Event::Complete | Event::Closed(_) => {}
    }
}

fn session(event: &Session) {
    match event {
        Session::LinkUp => say(&Line::Link { up: true, reason: None }),
        Session::LinkDown { why } => say(&Line::Link { up: false, reason: Some(why.to_string()) }),
        Session::Welcome(welcome) => {
            say(&Line::Welcome { motd: welcome.motd.as_ref().map(|motd| motd.to_unicode()) });
        }
        Session::PeerHeard => say(&Line::Peer),
        Session::UnverifiedKey => say(&Line::Key),
        Session::Verifier(verifier) => say(&Line::Verifier { verifier: verifier.to_string() }),
        Session::CodeConsumed => say(&Line::CodeConsumed),
        Session::Nameplates(_)
        | Session::WordsWanted
        | Session::Code(_)
        | Session::Versions(_)
        | Session::Record(_)
        | Session::Closed(_) => {}
    }
}

fn theirs(offer: &Offer) -> OfferLine<'_> {
    match offer {
        Offer::Text(text) => OfferLine::Text { text: text.to_unicode() },
        Offer::File { name, size, .. } => OfferLine::File { name: name.to_unicode(), size: *size },
        Offer::Stream { name } => OfferLine::Stream { name: name.to_unicode() },
        Offer::Several { items, zip_size, bytes, files } => OfferLine::Several {
            names: items.iter().map(|item| item.name.to_unicode()).collect(),
            archive_size: *zip_size,
            size: *bytes,
            files: *files,
        },
        Offer::Directory { name, zip_size, bytes, files, .. } => OfferLine::Directory {
            name: name.to_unicode(),
            archive_size: *zip_size,
            size: *bytes,
            files: *files,
        },
        Offer::Unknown => OfferLine::Unknown { reason: "this program does not know such offers" },
    }
}

/// The other side's text.
pub(crate) fn text(text: &Text) -> io::Result<()> {
    tell(&Line::Offer(OfferLine::Text { text: text.to_unicode() }))
}

/// What we offer.
pub(crate) fn ours(offer: &OurOffer) {
    say(&Line::Offer(match offer {
        OurOffer::Text(text) => OfferLine::Text { text: text.clone() },
        OurOffer::File { name, size, .. } => OfferLine::File { name: name.clone(), size: *size },
        OurOffer::Stream { name } => OfferLine::Stream { name: name.clone() },
        OurOffer::Several { items, zip_size, bytes, files } => OfferLine::Several {
            names: items.iter().map(|(name, _)| name.clone()).collect(),
            archive_size: *zip_size,
            size: *bytes,
            files: *files,
        },
        OurOffer::Directory { name, zip_size, bytes, files } => {
            OfferLine::Directory { name: name.clone(), archive_size: *zip_size, size: *bytes, files: *files }
        }
    }));
}

fn by(path: &Path) -> Line<'static> {
    let (via, at, inbound) = match path {
        Path::Direct { peer, inbound } => ("direct", peer, *inbound),
        Path::Relay { relay } => ("relay", relay, false),
    };
    Line::Path { via, address: at.to_string(), family: family(&at.host), inbound }
}

/// The kind of address, unless it is a name. What stands behind a percent sign says by which of our interfaces.
fn family(host: &str) -> Option<&'static str> {
    let number = host.split_once('%').map_or(host, |(number, _)| number);
    number.parse::<IpAddr>().ok().map(|address| if address.is_ipv6() { "ipv6" } else { "ipv4" })
}

fn text_of(path: &Place) -> String {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned()).to_string_lossy().into_owned()
}

/// How far the content is.
pub(crate) fn progress(progress: &Progress) {
    say(&Line::Progress { done: progress.done(), total: progress.total() });
}

/// The last line: how it ended.
pub(crate) fn end(outcome: &Result<(), Failure>) {
    match outcome {
        Ok(()) => say(&Line::Result),
        Err(failure) => {
            let exit_code = failure.exit_code();
            say(&Line::Error { kind: kind(exit_code), message: failure.to_string(), exit_code });
        }
    }
}

/// A command line that cannot be is an error like others.
pub(crate) fn usage(message: &str) {
    say(&Line::Error { kind: kind(2), message: message.trim().to_owned(), exit_code: 2 });
}

const fn kind(exit_code: i32) -> &'static str {
    match exit_code {
        2 => "usage",
        3 => "wrong-code",
        4 => "refused",
        5 => "server",
        6 => "peer-gone",
        130 | 143 => "interrupted",
        _ => "failed",
    }
}

/// An answer to a question: a line of standard input.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Answered {
    answer: Said,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Said {
    Yes(bool),
    Text(String),
}

/// Asks a program, and waits for its answer; `None` where its input has ended. Blocks.
pub(crate) fn ask(kind: Kind, text: &str, limit_bytes: u64) -> Option<String> {
    // A question that cannot be told is still answered by who knows that it comes.
    say(&Line::Question { kind, text });
    loop {
        let mut bytes = Vec::new();
        if io::stdin().lock().take(limit_bytes).read_until(b'\n', &mut bytes).ok()? == 0 {
            return None;
        }
        match serde_json::from_slice(&bytes) {
            Ok(Answered { answer: Said::Yes(yes) }) => {
                return Some(if yes { "yes" } else { "no" }.to_owned());
            }
            Ok(Answered { answer: Said::Text(text) }) => return Some(text),
            Err(_) => say(&Line::InvalidAnswer {
                message: r#"an answer is a line like {"answer": "yes"} or {"answer": true}"#.to_owned(),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kind_of_an_address_is_told_and_that_of_a_name_is_not() {
        let hosts = ["192.0.2.1", "2001:db8::1", "fe80::1%eth0", "relay.example"];
        assert_eq!(hosts.map(family), [Some("ipv4"), Some("ipv6"), Some("ipv6"), None]);
    }
}
