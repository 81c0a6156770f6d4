//! What the two sides say to each other: the plaintexts of the mailbox's messages, and of the last record.

use alloc::string::String;
use alloc::vec::Vec;

use data_encoding::{HEXLOWER, HEXLOWER_PERMISSIVE};
use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::hints::{TransitInfo, object};
use super::json::{self, Json};
use super::{Malformed, RawJson};
use crate::untrusted::{Name, Text};

/// The body of the phase `pake`.
pub fn encode_pake(message: &[u8; 33]) -> Vec<u8> {
    json::encode(&object([("pake_v1", HEXLOWER.encode(message).into())]))
}

/// The message in the body of the phase `pake`. It is not checked further.
pub fn decode_pake(body: &[u8]) -> Result<Vec<u8>, PakeBody> {
    let body = Json::parse(body).ok_or(PakeBody::Malformed)?;
    let [message] = body.fields(["pake_v1"]).ok_or(PakeBody::Malformed)?;
    let message = message.ok_or(PakeBody::Missing)?.bytes().ok_or(PakeBody::Malformed)?;
    HEXLOWER_PERMISSIVE.decode(&message).map_err(|_| PakeBody::Malformed)
}

/// Why the body of the phase `pake` has no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PakeBody {
    /// It is a JSON object, but without a message of a kind that we know.
    Missing,
    /// It is no JSON object, or the message is not hex.
    Malformed,
}

/// The plaintext of the phase `version`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Versions {
    /// What the application has to say about itself: any JSON value.
    pub app_versions: RawJson,
}

impl Versions {
    /// Reads the plaintext. Where the application says nothing, it says `{}`.
    pub fn decode(plain: &[u8]) -> Result<Self, Malformed> {
        let [app_versions] =
            Json::parse(plain).and_then(|it| it.fields(["app_versions"])).ok_or(Malformed)?;
        let app_versions = RawJson::parse(app_versions.map_or("{}", Json::as_str))?;
        Ok(Self { app_versions })
    }

    /// The plaintext.
    pub fn encode(&self) -> Vec<u8> {
        #[derive(Serialize)]
        struct Plain<'a> {
            app_versions: &'a RawValue,
        }
        json::encode(&Plain { app_versions: self.app_versions.as_raw() })
    }
}

/// A message of file transfer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TransferMessage {
    /// Where the other side can be reached for the content.
    Transit(TransitInfo),
    /// What there is to receive.
    Offer(Offer),
    /// What the receiver says to the offer.
    Answer(Answer),
    /// The transfer is over, and why.
    Error(Text),
}

impl TransferMessage {
    /// Reads a plaintext that may hold several messages, and gives them in the order in which they count: `error`,
    /// `transit`, then `offer` or `answer`. None where no key is known.
    pub fn decode(plain: &[u8]) -> Result<Vec<Self>, Malformed> {
        let plain = Json::parse(plain).ok_or(Malformed)?;
        let fields = plain.fields(["error", "transit", "offer", "answer"]).ok_or(Malformed)?;
        let [error, transit, offer, answer] = fields;
        let mut messages = Vec::new();
        messages.extend(error.map(said).map(Self::Error));
        if let Some(transit) = transit {
            messages.push(Self::Transit(TransitInfo::decode(transit).ok_or(Malformed)?));
        }
        if let Some(offer) = offer {
            messages.push(Self::Offer(Offer::decode(offer).ok_or(Malformed)?));
        }
        if let Some(answer) = answer {
            messages.push(Self::Answer(Answer::decode(answer).ok_or(Malformed)?));
        }
        Ok(messages)
    }

    /// The plaintext.
    pub fn encode(&self) -> Vec<u8> {
        json::encode(&match self {
            Self::Transit(info) => object([("transit", info.encode())]),
            Self::Offer(offer) => object([("offer", offer.encode())]),
            Self::Answer(answer) => object([("answer", answer.encode())]),
            Self::Error(text) => object([("error", text.to_unicode().into())]),
        })
    }
}

/// What a sender has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Offer {
    /// A text, all of it.
    Text(Text),
    /// A file.
    File {
        /// Its name, not to be believed.
        name: Name,
        /// Bytes that will follow.
        size: u64,
    },
    /// A directory.
    Directory {
        /// Its name, not to be believed.
        name: Name,
        /// How it is packed: `zipfile/deflated`, or what else begins with `zipfile`.
        mode: String,
        /// Bytes that will follow.
        zip_size: u64,
        /// Bytes of all files when unpacked.
        bytes: u64,
        /// Number of files.
        files: u64,
    },
    /// Something that we do not know.
    Unknown,
}

impl Offer {
    fn decode(offer: Json<'_>) -> Option<Self> {
        let [message, file, directory] = offer.fields(["message", "file", "directory"])?;
        if let Some(message) = message {
            return Some(Self::Text(Text::from_wire(message.bytes()?)));
        }
        if let Some(file) = file {
            let [name, size] = file.fields(["filename", "filesize"])?;
            return Some(Self::File { name: Name::from_wire(name?.bytes()?), size: size?.number()? });
        }
        directory.map_or(Some(Self::Unknown), Self::decode_directory)
    }

    fn decode_directory(directory: Json<'_>) -> Option<Self> {
        let fields = directory.fields(["dirname", "mode", "zipsize", "numbytes", "numfiles"])?;
        let [name, mode, zip_size, bytes, files] = fields;
        Some(Self::Directory {
            name: Name::from_wire(name?.bytes()?),
            mode: mode?.string()?,
            zip_size: zip_size?.number()?,
            bytes: bytes?.number()?,
            files: files?.number()?,
        })
    }

    fn encode(&self) -> Value {
        match self {
            Self::Text(text) => object([("message", text.to_unicode().into())]),
            Self::File { name, size } => {
                let file = object([("filename", name.to_unicode().into()), ("filesize", (*size).into())]);
                object([("file", file)])
            }
            Self::Directory { name, mode, zip_size, bytes, files } => {
                let directory = object([
                    ("mode", mode.as_str().into()),
                    ("dirname", name.to_unicode().into()),
                    ("zipsize", (*zip_size).into()),
                    ("numbytes", (*bytes).into()),
                    ("numfiles", (*files).into()),
                ]);
                object([("directory", directory)])
            }
            Self::Unknown => object([]),
        }
    }
}

/// What a receiver says to an offer: yes, or whatever else it said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// To a text.
    Text(Result<(), Text>),
    /// To a file or a directory.
    File(Result<(), Text>),
    /// Something that we do not know.
    Unknown,
}

impl Answer {
    fn decode(answer: Json<'_>) -> Option<Self> {
        let [text, file] = answer.fields(["message_ack", "file_ack"])?;
        Some(match (text, file) {
            (Some(text), _) => Self::Text(confirmed(text)),
            (None, Some(file)) => Self::File(confirmed(file)),
            (None, None) => Self::Unknown,
        })
    }

    fn encode(&self) -> Value {
        match self {
            Self::Text(answer) => object([("message_ack", confirmation(answer))]),
            Self::File(answer) => object([("file_ack", confirmation(answer))]),
            Self::Unknown => object([]),
        }
    }
}

/// The plaintext of the only record that a receiver sends: the content is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ack {
    /// Whether all is well, or what else the receiver said.
    pub ok: Result<(), Text>,
    /// The hash of all content that it received.
    pub sha256: Option<[u8; 32]>,
}

impl Ack {
    /// Reads the plaintext. A hash that cannot be read makes it malformed: it would differ from any.
    pub fn decode(plain: &[u8]) -> Result<Self, Malformed> {
        let fields = Json::parse(plain).and_then(|plain| plain.fields(["ack", "sha256"]));
        let [ok, sha256] = fields.ok_or(Malformed)?;
        let ok = confirmed(ok.ok_or(Malformed)?);
        let sha256 = match sha256 {
            Some(hash) => Some(read_hash(hash).ok_or(Malformed)?),
            None => None,
        };
        Ok(Self { ok, sha256 })
    }

    /// The plaintext.
    pub fn encode(&self) -> Vec<u8> {
        let ok = ("ack", confirmation(&self.ok));
        json::encode(&match &self.sha256 {
            Some(hash) => object([ok, ("sha256", HEXLOWER.encode(hash).into())]),
            None => object([ok]),
        })
    }
}

fn read_hash(hash: Json<'_>) -> Option<[u8; 32]> {
    let bytes = HEXLOWER_PERMISSIVE.decode(&hash.bytes()?).ok()?;
    bytes.try_into().ok()
}

fn confirmed(value: Json<'_>) -> Result<(), Text> {
    let text = said(value);
    if text == Text::from("ok") { Ok(()) } else { Err(text) }
}

fn confirmation(answer: &Result<(), Text>) -> Value {
    match answer {
        Ok(()) => "ok".into(),
        Err(text) => text.to_unicode().into(),
    }
}

/// A text for a person. What is no string is shown as the JSON that it is.
fn said(value: Json<'_>) -> Text {
    value.bytes().map_or_else(|| Text::from(value.as_str()), Text::from_wire)
}
