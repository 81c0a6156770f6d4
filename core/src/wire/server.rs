//! What a client and the mailbox server say to each other: one JSON object a WebSocket message.

use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use data_encoding::{HEXLOWER, HEXLOWER_PERMISSIVE};
use serde::Serialize;
use serde_json::value::RawValue;

use super::json::{self, Json};
use super::{AppId, MailboxId, Malformed, Phase, RawJson, Side};
use crate::code::Nameplate;
use crate::crypto::hashcash::is_resource;
use crate::defaults::PROGRAM;
use crate::error::Mood;
use crate::untrusted::Text;

/// The most nameplates of one answer that are taken.
pub const NAMEPLATES: usize = 10_000;

/// A command to the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ToServer {
    /// The work that the server has asked for, done: before `bind`.
    SubmitPermissions {
        /// A stamp of hashcash.
        stamp: String,
    },
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
            Self::SubmitPermissions { stamp } => Command {
                method: Some("hashcash"),
                stamp: Some(stamp),
                ..Command::new("submit-permissions", id)
            },
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
    method: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stamp: Option<&'a str>,
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
            b"welcome" => {
                let at = field(message, "server_tx").and_then(Json::float);
                let server_time = at.and_then(|at| Duration::try_from_secs_f64(at).ok());
                let welcome = Welcome::decode(field(message, "welcome"));
                Some(Self::Welcome(Welcome { server_time, ..welcome }))
            }
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
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Welcome {
    /// To be shown to the user once.
    pub motd: Option<Text>,
    /// To be shown to the user, who is not welcome.
    pub error: Option<Text>,
    /// The version of the reference client that the server's operator recommends.
    pub current_cli_version: Option<Text>,
    /// The version of [`PROGRAM`] that the server's operator recommends.
    pub current_version: Option<Text>,
    /// What has to be done before the server serves; nothing, where it serves everybody.
    pub demand: Option<Demand>,
    /// What the server's clock said, since the beginning of 1970, where it tells.
    pub server_time: Option<Duration>,
}

/// What a server asks for before it serves (`docs/server-protocol.md`, "Permission").
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Demand {
    /// Work.
    Hashcash {
        /// How much: each bit more doubles it.
        bits: u32,
        /// What the stamp is for.
        resource: String,
    },
    /// Something that we do not know, or cannot read.
    Other,
}

impl Demand {
    /// Of the ways that a server names, the easiest that we can go; `None` where it serves us as we are.
    fn decode(required: Json<'_>) -> Option<Self> {
        let [none, hashcash] = required.fields(["none", "hashcash"])?;
        // A client in use cannot read it where this key is missing, so that `null` says no.
        if none.is_some_and(|none| none.as_str() != "null") {
            return None;
        }
        Some(hashcash.and_then(Self::hashcash).unwrap_or(Self::Other))
    }

    fn hashcash(asked: Json<'_>) -> Option<Self> {
        let [bits, resource] = asked.fields(["bits", "resource"])?;
        let bits = u32::try_from(bits?.number()?).ok()?;
        let resource = resource?.string().filter(|resource| is_resource(resource))?;
        Some(Self::Hashcash { bits, resource })
    }
}

impl Welcome {
    fn decode(welcome: Option<Json<'_>>) -> Self {
        let names = ["motd", "error", "current_cli_version", "current_versions", "permission-required"];
        let fields = welcome.and_then(|it| it.fields(names));
        let [motd, error, current_cli_version, versions, required] = fields.unwrap_or_default();
        let current_version = versions.and_then(|it| field(it, PROGRAM)).and_then(text);
        let [motd, error, current_cli_version] =
            [motd, error, current_cli_version].map(|it| it.and_then(text));
        let demand = required.and_then(Demand::decode);
        Self { motd, error, current_cli_version, current_version, demand, server_time: None }
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

/// A message of the mailbox; `docs/server-protocol.md` has those ignored that are not made of strings.
fn stored(message: Json<'_>) -> Option<FromServer> {
    let [side, phase, body] = message.fields(["side", "phase", "body"])?;
    let side = Side::parse(&side?.string()?)?;
    let phase = Phase::parse(&phase?.string()?)?;
    let body = HEXLOWER_PERMISSIVE.decode(&body?.bytes()?).ok()?;
    Some(FromServer::Message { side, phase, body })
}

#[cfg(test)]
mod tests {
    use alloc::format;
    use alloc::string::ToString;
    use alloc::vec;

    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn commands_have_the_keys_of_the_protocol_and_no_others() {
        let nameplate = || Nameplate::parse("4").unwrap();
        let mailbox = || MailboxId::parse("mb").unwrap();
        for (command, expected) in [
            (
                ToServer::Bind {
                    appid: AppId::parse("app").unwrap(),
                    side: Side::parse("aa").unwrap(),
                    client_version: ("ours".into(), "1".into()),
                },
                json!({"type": "bind", "appid": "app", "side": "aa", "client_version": ["ours", "1"]}),
            ),
            (ToServer::List, json!({"type": "list"})),
            (ToServer::Allocate, json!({"type": "allocate"})),
            (ToServer::Claim(nameplate()), json!({"type": "claim", "nameplate": "4"})),
            (ToServer::Release(Some(nameplate())), json!({"type": "release", "nameplate": "4"})),
            (ToServer::Release(None), json!({"type": "release"})),
            (ToServer::Open(mailbox()), json!({"type": "open", "mailbox": "mb"})),
            (
                ToServer::Add { phase: Phase::number(0), body: vec![0, 0xab] },
                json!({"type": "add", "phase": "0", "body": "00ab"}),
            ),
            (
                ToServer::Close { mailbox: Some(mailbox()), mood: Some(Mood::Happy) },
                json!({"type": "close", "mailbox": "mb", "mood": "happy"}),
            ),
            (ToServer::Close { mailbox: None, mood: None }, json!({"type": "close"})),
            (ToServer::Ping(RawJson::parse("[1.0]").unwrap()), json!({"type": "ping", "ping": [1.0]})),
        ] {
            let mut expected = expected;
            expected["id"] = "12ab".into();
            assert_eq!(serde_json::from_slice::<Value>(&command.encode("12ab")).unwrap(), expected);
        }
    }

    #[test]
    fn every_message_of_the_protocol_is_read() {
        for (message, expected) in [
            (r#"{"type": "ack", "id": null, "server_tx": 1.5}"#, FromServer::Ack),
            (
                r#"{"type": "allocated", "nameplate": "4"}"#,
                FromServer::Allocated(Nameplate::parse("4").unwrap()),
            ),
            (r#"{"type": "claimed", "mailbox": "mb"}"#, FromServer::Claimed(MailboxId::parse("mb").unwrap())),
            (r#"{"type": "released"}"#, FromServer::Released),
            (r#"{"type": "closed"}"#, FromServer::Closed),
            (r#"{"type": "pong", "pong": [1]}"#, FromServer::Pong),
            (
                r#"{"type": "error", "error": "crowded", "orig": {}}"#,
                FromServer::Error(Text::from("crowded")),
            ),
            (r#"{"type": "something", "new": 1}"#, FromServer::Unknown),
            (
                r#"{"type": "message", "side": "s", "phase": "pake", "body": "00aB", "id": "1", "server_rx": 1}"#,
                FromServer::Message {
                    side: Side::parse("s").unwrap(),
                    phase: Phase::pake(),
                    body: vec![0, 0xab],
                },
            ),
        ] {
            assert_eq!(FromServer::decode(message.as_bytes()), Ok(expected), "{message}");
        }
    }

    #[test]
    fn a_welcome_may_hold_anything() {
        let welcome = |text: &str| FromServer::decode(format!(r#"{{"type": "welcome"{text}}}"#).as_bytes());
        let full = r#", "welcome": {"motd": "hi\ud800", "error": "no", "current_cli_version": "1", "x": 1,
            "current_versions": {"wormhole-cli": "2", "another": "3"}}"#;
        let expected = Welcome {
            motd: Some(Text::from_wire(b"hi\xed\xa0\x80".to_vec())),
            error: Some(Text::from("no")),
            current_cli_version: Some(Text::from("1")),
            current_version: Some(Text::from("2")),
            demand: None,
            server_time: None,
        };
        assert_eq!(welcome(full), Ok(FromServer::Welcome(expected)));
        for text in
            [r#", "welcome": {}"#, "", r#", "welcome": null"#, r#", "welcome": {"motd": null, "error": 1}"#]
        {
            assert_eq!(welcome(text), Ok(FromServer::Welcome(Welcome::default())));
        }
    }

    #[test]
    fn nameplates_that_nobody_could_claim_are_left_out() {
        let list = r#"{"type": "nameplates", "nameplates": [{"id": "4"}, {"id": "x"}, {"id": 5}, {}, 1, {"id": "12", "x": 1}]}"#;
        let expected = ["4", "12"].map(|id| Nameplate::parse(id).unwrap()).to_vec();
        assert_eq!(FromServer::decode(list.as_bytes()), Ok(FromServer::Nameplates(expected)));
        let many = format!(
            r#"{{"type": "nameplates", "nameplates": [{}1]}}"#,
            r#"{"id": "1"},"#.repeat(NAMEPLATES + 5)
        );
        let Ok(FromServer::Nameplates(found)) = FromServer::decode(many.as_bytes()) else {
            panic!("nameplates")
        };
        assert_eq!(found.len(), NAMEPLATES);
    }

    #[test]
    fn a_message_that_is_not_made_of_strings_is_passed_over() {
        for rest in [
            r#""side": 1, "phase": "0", "body": """#,
            r#""side": "s", "phase": 0, "body": """#,
            r#""side": "s", "phase": "0", "body": null"#,
            r#""side": "s", "phase": "0""#,
            r#""side": "s", "phase": "0", "body": "0""#,
            r#""side": "s", "phase": "0", "body": "zz""#,
            r#""side": "\ud800", "phase": "0", "body": """#,
            &format!(r#""side": "s", "phase": "{}", "body": """#, "9".repeat(257)),
        ] {
            let message = format!(r#"{{"type": "message", {rest}}}"#);
            assert_eq!(FromServer::decode(message.as_bytes()), Ok(FromServer::Unknown), "{rest}");
        }
    }

    #[test]
    fn a_welcome_says_what_is_to_be_done_first() {
        let demand = |required: &str| {
            let text = format!(r#"{{"type":"welcome","welcome":{{"permission-required":{required}}}}}"#);
            let FromServer::Welcome(welcome) = FromServer::decode(text.as_bytes()).unwrap() else {
                panic!("{text}")
            };
            welcome.demand
        };
        let work = Demand::Hashcash { bits: 20, resource: "abc=".into() };
        let hashcash = r#""hashcash":{"bits":20,"resource":"abc="}"#;
        assert_eq!(demand(&format!(r#"{{"none":null,{hashcash}}}"#)), Some(work.clone()));
        assert_eq!(demand(&format!("{{{hashcash}}}")), Some(work));
        for nothing in [r#"{"none":{}}"#, &format!(r#"{{"none":{{}},{hashcash}}}"#), "null", "5", "[]"] {
            assert_eq!(demand(nothing), None, "{nothing}");
        }
        for other in [
            "{}",
            r#"{"none":null}"#,
            r#"{"coin":{}}"#,
            r#"{"hashcash":null}"#,
            r#"{"hashcash":{"bits":20}}"#,
            r#"{"hashcash":{"bits":-1,"resource":"a"}}"#,
            r#"{"hashcash":{"bits":20,"resource":"a:b"}}"#,
        ] {
            assert_eq!(demand(other), Some(Demand::Other), "{other}");
        }
    }

    #[test]
    fn what_is_no_message_is_malformed() {
        for message in [
            "",
            "nonsense",
            "[]",
            "{}",
            r#"{"type": 1}"#,
            r#"{"type": null}"#,
            r#"{"type": "allocated"}"#,
            r#"{"type": "allocated", "nameplate": 4}"#,
            r#"{"type": "allocated", "nameplate": "four"}"#,
            r#"{"type": "claimed", "mailbox": 1}"#,
            r#"{"type": "nameplates"}"#,
            r#"{"type": "error"}"#,
        ] {
            assert_eq!(FromServer::decode(message.as_bytes()), Err(Malformed), "{message}");
        }
    }

    proptest! {
        #[test]
        fn added_bytes_come_back_in_the_echo(side in ".{0,20}", phase in ".{0,20}", body: Vec<u8>) {
            let (side, phase) = (Side::parse(&side).unwrap(), Phase::parse(&phase).unwrap());
            let add = ToServer::Add { phase: phase.clone(), body: body.clone() }.encode("1");
            let mut echo: Value = serde_json::from_slice(&add).unwrap();
            echo["type"] = "message".into();
            echo["side"] = side.as_str().into();
            let decoded = FromServer::decode(echo.to_string().as_bytes());
            prop_assert_eq!(decoded, Ok(FromServer::Message { side, phase, body }));
        }

        #[test]
        fn any_bytes_are_a_message_or_malformed(bytes: Vec<u8>) {
            let _ = FromServer::decode(&bytes);
        }
    }
}
