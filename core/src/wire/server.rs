//! What a client and the mailbox server say to each other: one JSON object a WebSocket message.

use alloc::string::String;
use alloc::vec::Vec;

use data_encoding::{HEXLOWER, HEXLOWER_PERMISSIVE};
use serde::Serialize;
use serde_json::value::RawValue;

use super::json::{self, Json};
use super::{AppId, MailboxId, Malformed, Phase, RawJson, Side};
use crate::code::Nameplate;
use crate::error::Mood;
use crate::untrusted::Text;

/// The most nameplates of one answer that are taken.
pub const NAMEPLATES: usize = 10_000;

/// A command to the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ToServer {
    /// Who we are: the first command of each connection.
    Bind {
        /// The application.
        appid: AppId,
        /// Our side.
        side: Side,
        /// Name and version of the program.
        client_version: (String, String),
    },
    /// Which nameplates are in use?
    List,
    /// A free nameplate is wanted.
    Allocate,
    /// The mailbox behind this nameplate is wanted.
    Claim(Nameplate),
    /// The nameplate has done its work.
    Release(Option<Nameplate>),
    /// Every message of this mailbox is wanted.
    Open(MailboxId),
    /// A message for the mailbox.
    Add {
        /// Which one it is.
        phase: Phase,
        /// Its bytes.
        body: Vec<u8>,
    },
    /// The mailbox is no longer needed.
    Close {
        /// The mailbox, to be named where it was not opened on this connection.
        mailbox: Option<MailboxId>,
        /// How it went.
        mood: Option<Mood>,
    },
    /// Are you there?
    Ping(RawJson),
}

impl ToServer {
    /// The JSON text, with an id that comes back in the acknowledgement.
    pub fn encode(&self, id: &str) -> Vec<u8> {
        let command = match self {
            Self::Bind { appid, side, client_version: (program, version) } => Command {
                appid: Some(appid.as_str()),
                side: Some(side.as_str()),
                client_version: Some([program, version]),
                ..Command::new("bind", id)
            },
            Self::List => Command::new("list", id),
            Self::Allocate => Command::new("allocate", id),
            Self::Claim(nameplate) => {
                Command { nameplate: Some(nameplate.as_str()), ..Command::new("claim", id) }
            }
            Self::Release(nameplate) => Command {
                nameplate: nameplate.as_ref().map(Nameplate::as_str),
                ..Command::new("release", id)
            },
            Self::Open(mailbox) => Command { mailbox: Some(mailbox.as_str()), ..Command::new("open", id) },
            Self::Add { phase, body } => Command {
                phase: Some(phase.as_str()),
                body: Some(HEXLOWER.encode(body)),
                ..Command::new("add", id)
            },
            Self::Close { mailbox, mood } => Command {
                mailbox: mailbox.as_ref().map(MailboxId::as_str),
                mood: mood.map(Mood::as_str),
                ..Command::new("close", id)
            },
            Self::Ping(value) => Command { ping: Some(value.as_raw()), ..Command::new("ping", id) },
        };
        json::encode(&command)
    }
}

/// A command as JSON has it: only the keys that are there.
#[derive(Default, Serialize)]
struct Command<'a> {
    r#type: &'a str,
    id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    appid: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    side: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_version: Option<[&'a str; 2]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    nameplate: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mailbox: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    phase: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mood: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ping: Option<&'a RawValue>,
}

impl<'a> Command<'a> {
    fn new(r#type: &'a str, id: &'a str) -> Self {
        Self { r#type, id, ..Self::default() }
    }
}

/// What the server says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FromServer {
    /// The first message of each connection.
    Welcome(Welcome),
    /// A command has arrived.
    Ack,
    /// The nameplates in use.
    Nameplates(Vec<Nameplate>),
    /// A nameplate that was free.
    Allocated(Nameplate),
    /// The mailbox behind the nameplate.
    Claimed(MailboxId),
    /// The nameplate is released.
    Released,
    /// A message of the mailbox, ours included.
    Message {
        /// Who added it.
        side: Side,
        /// Which one it is.
        phase: Phase,
        /// Its bytes.
        body: Vec<u8>,
    },
    /// The mailbox is closed.
    Closed,
    /// The answer to a ping.
    Pong,
    /// A command was refused.
    Error(Text),
    /// Nothing that we know, and a message of the mailbox that is not made of strings: to be passed over.
    Unknown,
}

impl FromServer {
    /// Reads one message. What is no JSON object with a `type`, and a known type without what belongs to it, is
    /// malformed; but see [`FromServer::Unknown`].
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let message = Json::parse(bytes).ok_or(Malformed)?;
        let [kind] = message.fields(["type"]).ok_or(Malformed)?;
        let kind = kind.and_then(Json::bytes).ok_or(Malformed)?;
        let decoded = match kind.as_slice() {
            b"welcome" => Some(Self::Welcome(Welcome::decode(field(message, "welcome")))),
            b"ack" => Some(Self::Ack),
            b"nameplates" => field(message, "nameplates").and_then(nameplates).map(Self::Nameplates),
            b"allocated" => field(message, "nameplate").and_then(nameplate).map(Self::Allocated),
            b"claimed" => {
                let mailbox = field(message, "mailbox").and_then(Json::string);
                mailbox.and_then(|id| MailboxId::parse(&id)).map(Self::Claimed)
            }
            b"released" => Some(Self::Released),
            b"message" => Some(stored(message).unwrap_or(Self::Unknown)),
            b"closed" => Some(Self::Closed),
            b"pong" => Some(Self::Pong),
            b"error" => field(message, "error").and_then(text).map(Self::Error),
            _ => Some(Self::Unknown),
        };
        decoded.ok_or(Malformed)
    }
}

/// What the server tells every client at first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Welcome {
    /// To be shown to the user once.
    pub motd: Option<Text>,
    /// To be shown to the user, who is not welcome.
    pub error: Option<Text>,
    /// The version of the reference client that the server's operator recommends.
    pub current_cli_version: Option<Text>,
}

impl Welcome {
    fn decode(welcome: Option<Json<'_>>) -> Self {
        let fields = welcome.and_then(|it| it.fields(["motd", "error", "current_cli_version"]));
        let [motd, error, current_cli_version] = fields.unwrap_or_default().map(|it| it.and_then(text));
        Self { motd, error, current_cli_version }
    }
}

fn field<'a>(message: Json<'a>, name: &str) -> Option<Json<'a>> {
    let [value] = message.fields([name])?;
    value
}

fn text(value: Json<'_>) -> Option<Text> {
    value.bytes().map(Text::from_wire)
}

fn nameplate(value: Json<'_>) -> Option<Nameplate> {
    Nameplate::parse(&value.string()?).ok()
}

/// The nameplates of a list. What is none is left out: nobody could claim it.
fn nameplates(list: Json<'_>) -> Option<Vec<Nameplate>> {
    let mut found = Vec::new();
    list.each(|item| {
        if found.len() < NAMEPLATES {
            found.extend(field(item, "id").and_then(nameplate));
        }
    })?;
    Some(found)
}

/// A message of the mailbox; `rendezvous.md` section 3 has those ignored that are not made of strings.
fn stored(message: Json<'_>) -> Option<FromServer> {
    let [side, phase, body] = message.fields(["side", "phase", "body"])?;
    let side = Side::parse(&side?.string()?)?;
    let phase = Phase::parse(&phase?.string()?)?;
    let body = HEXLOWER_PERMISSIVE.decode(&body?.bytes()?).ok()?;
    Some(FromServer::Message { side, phase, body })
}
