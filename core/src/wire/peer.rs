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
use crate::transit::Role;
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
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
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

/// What a side can do beyond the file transfer that everybody knows. It is said in `app_versions`, under one key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Extras {
    /// Files and directories keep their modes and times.
    pub attributes: bool,
    /// Several files and directories in one offer.
    pub several: bool,
    /// Content of unknown length.
    pub stream: bool,
}

impl Extras {
    /// Everything that this version can do.
    pub const ALL: Self = Self { attributes: true, several: true, stream: true };

    /// What a side says of itself; nothing is said where the key is missing.
    pub fn declared_in(app_versions: &RawJson) -> Option<Self> {
        let [extras] = Json::parse(app_versions.as_str().as_bytes())?.fields(["transfer-extras"])?;
        let names = ["attributes", "several", "stream"];
        let [attributes, several, stream] = extras?.fields(names).unwrap_or_default();
        let has = |version: Option<Json<'_>>| version.and_then(Json::number).is_some_and(|it| it >= 1);
        Some(Self { attributes: has(attributes), several: has(several), stream: has(stream) })
    }

    /// What both sides can do.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self {
            attributes: self.attributes && other.attributes,
            several: self.several && other.several,
            stream: self.stream && other.stream,
        }
    }

    /// Which side of a transfer it says to be.
    pub fn role_in(app_versions: &RawJson) -> Option<Role> {
        let [extras] = Json::parse(app_versions.as_str().as_bytes())?.fields(["transfer-extras"])?;
        let [role] = extras?.fields(["role"])?;
        match role?.string()?.as_str() {
            "sender" => Some(Role::Sender),
            "receiver" => Some(Role::Receiver),
            _ => None,
        }
    }

    /// These `app_versions` with everything that this version can do, and who we are. What is no object stays as it is.
    pub fn all_added_to(app_versions: &str, role: Role) -> String {
        const ALL: &str = r#"{"transfer-extras":{"attributes":1,"several":1,"stream":1,"role":"#;
        let role = match role {
            Role::Sender => r#""sender"}"#,
            Role::Receiver => r#""receiver"}"#,
        };
        let Some(rest) = app_versions.trim_start().strip_prefix('{') else { return app_versions.into() };
        let comma = if rest.trim_start().starts_with('}') { "" } else { "," };
        [ALL, role, comma, rest].concat()
    }
}

/// What a file keeps where both sides can do [`Extras::attributes`]. A stranger says it, so each is bounded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Attributes {
    /// The nine bits of its permissions.
    mode: Option<u32>,
    /// When it was written last: seconds since 1970, and nanoseconds.
    modified: Option<(u64, u32)>,
}

impl Attributes {
    /// What is in bounds of this: of the mode the lowest nine bits, none of which is no mode, and times until the year
    /// 9999.
    pub fn new(mode: Option<u64>, modified: Option<(u64, u64)>) -> Self {
        let mode = mode.and_then(|mode| u32::try_from(mode & 0o777).ok()).filter(|mode| *mode != 0);
        let modified = modified.filter(|(seconds, nanos)| *seconds <= LAST_SECOND && *nanos < 1_000_000_000);
        let modified = modified.and_then(|(seconds, nanos)| Some((seconds, u32::try_from(nanos).ok()?)));
        Self { mode, modified }
    }

    /// The nine bits of its permissions.
    pub const fn mode(&self) -> Option<u32> {
        self.mode
    }

    /// When it was written last: seconds since 1970, and nanoseconds.
    pub const fn modified(&self) -> Option<(u64, u32)> {
        self.modified
    }

    fn decode(attributes: Json<'_>) -> Option<Self> {
        let [mode, seconds, nanos] = attributes.fields(["mode", "seconds", "nanoseconds"])?;
        let number = |json: Option<Json<'_>>| json.and_then(Json::number);
        Some(Self::new(number(mode), number(seconds).zip(number(nanos).or(Some(0)))))
    }

    fn encode(&self) -> Value {
        let mode = self.mode.map(|mode| ("mode", mode.into()));
        let seconds = self.modified.map(|(seconds, _)| ("seconds", seconds.into()));
        let nanos = self.modified.map(|(_, nanos)| ("nanoseconds", nanos.into()));
        Value::Object(
            [mode, seconds, nanos].into_iter().flatten().map(|(key, it)| (String::from(key), it)).collect(),
        )
    }
}

/// The last second of the year 9999.
const LAST_SECOND: u64 = 253_402_300_799;

/// The most files and directories that one offer names.
pub const ITEM_LIMIT: usize = 10_000;

/// One of several that are offered together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// Its name, not to be believed.
    pub name: Name,
    /// Whether it is a directory, and else a file.
    pub is_directory: bool,
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
    /// `transit`, then `offer` or `answer`. None where no key is known. An `error` counts whatever stands beside it.
    pub fn decode(plain: &[u8]) -> Result<Vec<Self>, Malformed> {
        let plain = Json::parse(plain).ok_or(Malformed)?;
        let fields = plain.fields(["error", "transit", "offer", "answer"]).ok_or(Malformed)?;
        let [error, transit, offer, answer] = fields;
        let error = error.map(said).map(Self::Error);
        match Self::decode_others(transit, offer, answer) {
            Some(others) => Ok(error.into_iter().chain(others).collect()),
            None => error.map(|error| Vec::from([error])).ok_or(Malformed),
        }
    }

    /// The messages but for the error, if each can be read.
    fn decode_others(
        transit: Option<Json<'_>>,
        offer: Option<Json<'_>>,
        answer: Option<Json<'_>>,
    ) -> Option<Vec<Self>> {
        let mut messages = Vec::new();
        if let Some(transit) = transit {
            messages.push(Self::Transit(TransitInfo::decode(transit)?));
        }
        if let Some(offer) = offer {
            messages.push(Self::Offer(Offer::decode(offer)?));
        }
        if let Some(answer) = answer {
            messages.push(Self::Answer(Answer::decode(answer)?));
        }
        Some(messages)
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
        /// What it keeps; only where both sides can do [`Extras::attributes`].
        attributes: Option<Attributes>,
    },
    /// A file whose length nobody knows yet; only where both sides can do [`Extras::stream`].
    Stream {
        /// Its name, not to be believed.
        name: Name,
    },
    /// Several files and directories; only where both sides can do [`Extras::several`].
    Several {
        /// What there will be.
        items: Vec<Item>,
        /// Bytes that will follow.
        zip_size: u64,
        /// Bytes of all files when unpacked.
        bytes: u64,
        /// Number of files.
        files: u64,
    },
    /// A directory.
    Directory {
        /// Its name, not to be believed.
        name: Name,
        /// How it is packed: `zipfile/deflated`, or what else begins with `zipfile`. Not to be shown.
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
        let fields = offer.fields(["message", "file", "directory", "several", "stream"])?;
        let [message, file, directory, several, stream] = fields;
        if let Some(message) = message {
            return Some(Self::Text(Text::from_wire(message.bytes()?)));
        }
        if let Some(file) = file {
            let [name, size, attributes] = file.fields(["filename", "filesize", "attributes"])?;
            let name = Name::from_wire(name?.bytes()?);
            let attributes = attributes.and_then(Attributes::decode);
            return Some(Self::File { name, size: size?.number()?, attributes });
        }
        match (directory, several, stream) {
            (Some(directory), _, _) => Self::decode_directory(directory),
            (None, Some(several), _) => Self::decode_several(several),
            (None, None, Some(stream)) => {
                let [name] = stream.fields(["filename"])?;
                Some(Self::Stream { name: Name::from_wire(name?.bytes()?) })
            }
            (None, None, None) => Some(Self::Unknown),
        }
    }

    fn decode_several(several: Json<'_>) -> Option<Self> {
        let fields = several.fields(["items", "zipsize", "numbytes", "numfiles"])?;
        let [listed, zip_size, bytes, files] = fields;
        let mut items = Vec::new();
        let mut is_sound = true;
        listed?.each(|item| match Item::decode(item) {
            Some(item) if items.len() < ITEM_LIMIT => items.push(item),
            Some(_) | None => is_sound = false,
        })?;
        is_sound.then_some(Self::Several {
            items,
            zip_size: zip_size?.number()?,
            bytes: bytes?.number()?,
            files: files?.number()?,
        })
    }

    fn decode_directory(directory: Json<'_>) -> Option<Self> {
        let fields = directory.fields(["dirname", "mode", "zipsize", "numbytes", "numfiles"])?;
        let [name, mode, zip_size, bytes, files] = fields;
        Some(Self::Directory {
            name: Name::from_wire(name?.bytes()?),
            mode: Text::from_wire(mode?.bytes()?).to_unicode(),
            zip_size: zip_size?.number()?,
            bytes: bytes?.number()?,
            files: files?.number()?,
        })
    }

    fn encode(&self) -> Value {
        match self {
            Self::Text(text) => object([("message", text.to_unicode().into())]),
            Self::File { name, size, attributes } => {
                let named = ("filename", name.to_unicode().into());
                let sized = ("filesize", (*size).into());
                let file = match attributes {
                    Some(attributes) => object([named, sized, ("attributes", attributes.encode())]),
                    None => object([named, sized]),
                };
                object([("file", file)])
            }
            Self::Stream { name } => object([("stream", object([("filename", name.to_unicode().into())]))]),
            Self::Several { items, zip_size, bytes, files } => {
                let several = object([
                    ("items", items.iter().map(Item::encode).collect::<Vec<_>>().into()),
                    ("zipsize", (*zip_size).into()),
                    ("numbytes", (*bytes).into()),
                    ("numfiles", (*files).into()),
                ]);
                object([("several", several)])
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

impl Item {
    fn decode(item: Json<'_>) -> Option<Self> {
        let [file, directory] = item.fields(["filename", "dirname"])?;
        let name = Name::from_wire(file.or(directory)?.bytes()?);
        Some(Self { name, is_directory: file.is_none() })
    }

    fn encode(&self) -> Value {
        object([(if self.is_directory { "dirname" } else { "filename" }, self.name.to_unicode().into())])
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

#[cfg(test)]
mod tests {
    use alloc::format;
    use alloc::vec;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_body_without_a_key_is_told_from_one_that_cannot_be_read() {
        for (body, expected) in [
            (r#"{}"#, PakeBody::Missing),
            (r#"{"pake_v2": "53"}"#, PakeBody::Missing),
            (r#"{"pake_v1": 53}"#, PakeBody::Malformed),
            (r#"{"pake_v1": null}"#, PakeBody::Malformed),
            (r#"{"pake_v1": "5"}"#, PakeBody::Malformed),
            (r#"{"pake_v1": "zz"}"#, PakeBody::Malformed),
            (r#"["pake_v1"]"#, PakeBody::Malformed),
            ("", PakeBody::Malformed),
        ] {
            assert_eq!(decode_pake(body.as_bytes()), Err(expected), "{body}");
        }
        assert_eq!(decode_pake(br#"{"pake_v1": "53aB", "x": "\ud800"}"#), Ok(vec![0x53, 0xab]));
    }

    #[test]
    fn versions_are_any_value_and_empty_where_missing() {
        for (plain, expected) in [
            (r#"{}"#, "{}"),
            (r#"{"app_versions": {"a": [1.0]}, "can-dilate": ["ged"]}"#, r#"{"a": [1.0]}"#),
            (r#"{"app_versions": null}"#, "null"),
            (r#"{"app_versions": "\ud800"}"#, r#""\ud800""#),
        ] {
            let versions = Versions::decode(plain.as_bytes()).unwrap();
            assert_eq!(versions.app_versions.as_str(), expected);
            assert_eq!(Versions::decode(&versions.encode()), Ok(versions));
        }
        for plain in ["", "[]", "1", "{"] {
            assert_eq!(Versions::decode(plain.as_bytes()), Err(Malformed));
        }
    }

    #[test]
    fn extras_are_what_both_sides_have_said() {
        let of = |json: &str| Extras::declared_in(&RawJson::parse(json).unwrap());
        assert_eq!(of("{}"), None);
        assert_eq!(of("null"), None);
        assert_eq!(of(r#"{"transfer-extras": null}"#), Some(Extras::default()));
        assert_eq!(of(r#"{"transfer-extras": {"several": 0, "stream": "1"}}"#), Some(Extras::default()));
        let theirs = of(r#"{"transfer-extras": {"several": 2, "banana": {}}}"#).unwrap();
        assert_eq!(Extras::ALL.and(theirs), Extras { several: true, ..Extras::default() });
        for told in ["{}", r#" { } "#, r#"{"abilities": ["x"], "n": 1}"#] {
            for role in [Role::Sender, Role::Receiver] {
                let all = Extras::all_added_to(told, role);
                assert_eq!(of(&all), Some(Extras::ALL), "{all}");
                assert_eq!(Extras::role_in(&RawJson::parse(&all).unwrap()), Some(role), "{all}");
            }
            assert_eq!(Extras::role_in(&RawJson::parse(told).unwrap()), None);
        }
        assert_eq!(Extras::all_added_to("[1]", Role::Sender), "[1]");
    }

    #[test]
    fn what_a_file_keeps_is_bounded() {
        let offer = |kept: &str| {
            let plain = format!(
                r#"{{"offer": {{"file": {{"filename": "a", "filesize": 1, "attributes": {kept}}}}}}}"#
            );
            let said = TransferMessage::decode(plain.as_bytes()).unwrap().remove(0);
            let TransferMessage::Offer(Offer::File { attributes, .. }) = said else { panic!("{said:?}") };
            attributes
        };
        let kept = offer(r#"{"mode": 4095, "seconds": 1700000000, "nanoseconds": 5}"#).unwrap();
        assert_eq!((kept.mode(), kept.modified()), (Some(0o777), Some((1_700_000_000, 5))));
        for hostile in [
            r#"{"mode": 0, "seconds": 253402300800}"#,
            r#"{"mode": 3584, "seconds": 18446744073709551615}"#,
            r#"{"mode": -1, "seconds": 1, "nanoseconds": 1000000000}"#,
            r#"{"mode": "511", "seconds": -1}"#,
            "{}",
        ] {
            assert_eq!(offer(hostile), Some(Attributes::default()), "{hostile}");
        }
        assert_eq!(offer("5"), None);
    }

    #[test]
    fn several_and_streams_are_read_as_they_are_written_and_their_number_is_bounded() {
        let item = |name: &str, is_directory| Item { name: Name::from(name), is_directory };
        let several = |items| Offer::Several { items, zip_size: 3, bytes: 2, files: 1 };
        for offer in [
            several(vec![item("a", false), item("d", true)]),
            several(vec![]),
            Offer::Stream { name: Name::from("s") },
        ] {
            let message = TransferMessage::Offer(offer);
            assert_eq!(TransferMessage::decode(&message.encode()), Ok(vec![message]));
        }
        let many = |count| TransferMessage::Offer(several(vec![item("a", false); count]));
        assert!(TransferMessage::decode(&many(ITEM_LIMIT).encode()).is_ok());
        assert_eq!(TransferMessage::decode(&many(ITEM_LIMIT + 1).encode()), Err(Malformed));
        for plain in [r#"{"offer": {"several": {}}}"#, r#"{"offer": {"stream": {}}}"#] {
            assert_eq!(TransferMessage::decode(plain.as_bytes()), Err(Malformed));
        }
    }

    #[test]
    fn several_keys_are_read_in_the_order_in_which_they_count() {
        let plain = r#"{"answer": {"file_ack": "ok"}, "banana": 1, "offer": {"message": "m"}, "transit": {}, "error": "e"}"#;
        assert_eq!(
            TransferMessage::decode(plain.as_bytes()).unwrap(),
            [
                TransferMessage::Error(Text::from("e")),
                TransferMessage::Transit(TransitInfo::default()),
                TransferMessage::Offer(Offer::Text(Text::from("m"))),
                TransferMessage::Answer(Answer::File(Ok(()))),
            ]
        );
        assert_eq!(TransferMessage::decode(br#"{"banana": 1}"#), Ok(vec![]));
    }

    #[test]
    fn an_error_counts_whatever_stands_beside_it() {
        let error = [TransferMessage::Error(Text::from("e"))];
        for odd in [r#""offer": null"#, r#""transit": 1"#, r#""answer": "ok""#, r#""offer": {"file": {}}"#] {
            let plain = format!(r#"{{{odd}, "error": "e"}}"#);
            assert_eq!(TransferMessage::decode(plain.as_bytes()).unwrap(), error, "{plain}");
        }
    }

    #[test]
    fn names_and_texts_may_hold_lone_surrogates() {
        let plain = br#"{"offer": {"file": {"filename": "caf\udce9", "filesize": 5}}}"#;
        let name = Name::from_wire(b"caf\xed\xb3\xa9".to_vec());
        let offer = TransferMessage::Offer(Offer::File { name, size: 5, attributes: None });
        assert_eq!(TransferMessage::decode(plain).unwrap(), core::slice::from_ref(&offer));
        // We write what others can read.
        let expected = "{\"offer\":{\"file\":{\"filename\":\"caf\u{fffd}\",\"filesize\":5}}}";
        assert_eq!(offer.encode(), expected.as_bytes());
        for key in ["dirname", "mode"] {
            let mut names = [("dirname", "d"), ("mode", "zipfile")];
            names.iter_mut().filter(|(name, _)| *name == key).for_each(|(_, value)| *value = r"\ud800");
            let [(_, name), (_, mode)] = names;
            let plain = format!(
                r#"{{"offer": {{"directory": {{"dirname": "{name}", "mode": "{mode}", "zipsize": 1, "numbytes": 1, "numfiles": 1}}}}}}"#
            );
            assert!(TransferMessage::decode(plain.as_bytes()).is_ok(), "{plain}");
        }
        for key in [
            r#"{"error": "\udcff"}"#,
            r#"{"offer": {"message": "\udcff"}}"#,
            r#"{"answer": {"file_ack": "\udcff"}}"#,
        ] {
            assert_eq!(TransferMessage::decode(key.as_bytes()).unwrap().len(), 1);
        }
    }

    #[test]
    fn what_is_no_message_of_file_transfer_is_malformed() {
        for plain in [
            "not json",
            "[1]",
            r#"{"transit": 1}"#,
            r#"{"offer": null}"#,
            r#"{"offer": {"message": 1}}"#,
            r#"{"offer": {"file": {"filename": "a"}}}"#,
            r#"{"offer": {"file": {"filename": 1, "filesize": 1}}}"#,
            r#"{"offer": {"file": {"filename": "a", "filesize": -1}}}"#,
            r#"{"offer": {"file": {"filename": "a", "filesize": 18446744073709551616}}}"#,
            r#"{"offer": {"directory": {"dirname": "d"}}}"#,
            r#"{"answer": "ok"}"#,
        ] {
            assert_eq!(TransferMessage::decode(plain.as_bytes()), Err(Malformed), "{plain}");
        }
    }

    #[test]
    fn what_is_not_known_is_told_apart() {
        let decode = |plain: &str| TransferMessage::decode(plain.as_bytes()).unwrap();
        assert_eq!(decode(r#"{"offer": {"banana": {}}}"#), [TransferMessage::Offer(Offer::Unknown)]);
        assert_eq!(decode(r#"{"answer": {}}"#), [TransferMessage::Answer(Answer::Unknown)]);
        let no = Err(Text::from("no"));
        assert_eq!(decode(r#"{"answer": {"file_ack": "no"}}"#), [TransferMessage::Answer(Answer::File(no))]);
        let odd = Err(Text::from("[1]"));
        assert_eq!(
            decode(r#"{"answer": {"message_ack": [1]}}"#),
            [TransferMessage::Answer(Answer::Text(odd))]
        );
        assert_eq!(decode(r#"{"error": {"a": 1}}"#), [TransferMessage::Error(Text::from(r#"{"a": 1}"#))]);
    }

    #[test]
    fn an_acknowledgement_is_ok_or_says_what_is_not() {
        let hash = "ab".repeat(32);
        let decode = |plain: &str| Ack::decode(plain.as_bytes());
        assert_eq!(decode(r#"{"ack": "ok"}"#), Ok(Ack { ok: Ok(()), sha256: None }));
        let upper = format!(r#"{{"ack": "ok", "sha256": "{}"}}"#, hash.to_uppercase());
        assert_eq!(decode(&upper), Ok(Ack { ok: Ok(()), sha256: Some([0xab; 32]) }));
        let no = Ack { ok: Err(Text::from("full")), sha256: None };
        assert_eq!(decode(r#"{"ack": "full"}"#), Ok(no));
        for plain in [
            "",
            "[]",
            "{}",
            r#"{"sha256": "ab"}"#,
            r#"{"ack": "ok", "sha256": "abab"}"#,
            r#"{"ack": "ok", "sha256": 1}"#,
            r#"{"ack": "ok", "sha256": null}"#,
            &format!(r#"{{"ack": "ok", "sha256": "{hash}ab"}}"#),
        ] {
            assert_eq!(decode(plain), Err(Malformed), "{plain}");
        }
    }

    proptest! {
        #[test]
        fn messages_are_read_as_they_were_written(text: String, sizes: [u64; 3], hash: [u8; 32], kind in 0..7) {
            let [zip_size, bytes, files] = sizes;
            let message = match kind {
                0 => TransferMessage::Offer(Offer::Text(Text::from(text.as_str()))),
                1 => TransferMessage::Offer(Offer::File { name: Name::from(text.as_str()), size: bytes, attributes: None }),
                2 => {
                    let (name, mode) = (Name::from(text.as_str()), text);
                    TransferMessage::Offer(Offer::Directory { name, mode, zip_size, bytes, files })
                }
                3 => TransferMessage::Error(Text::from(text.as_str())),
                4 => TransferMessage::Answer(Answer::File(Ok(()))),
                5 => TransferMessage::Answer(Answer::Text(Ok(()))),
                _ => TransferMessage::Answer(Answer::File(if text == "ok" { Ok(()) } else { Err(Text::from(text.as_str())) })),
            };
            prop_assert_eq!(TransferMessage::decode(&message.encode()), Ok(vec![message]));
            let ack = Ack { ok: Ok(()), sha256: (kind > 2).then_some(hash) };
            prop_assert_eq!(Ack::decode(&ack.encode()), Ok(ack));
        }

        #[test]
        fn a_pake_body_is_read_as_it_was_written(bytes: [u8; 32]) {
            let mut message = [0x53; 33];
            message[1..].copy_from_slice(&bytes);
            prop_assert_eq!(decode_pake(&encode_pake(&message)), Ok(message.to_vec()));
        }

        #[test]
        fn any_plaintext_is_read_or_refused(bytes: Vec<u8>) {
            let _ = (TransferMessage::decode(&bytes), Versions::decode(&bytes), Ack::decode(&bytes), decode_pake(&bytes));
        }
    }
}
