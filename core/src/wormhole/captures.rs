//! The recorded conversations of the reference, with itself and with other implementations, said again by our machine.
//!
//! Our wormhole gets the side and the secret scalar of the recorded one, and reads the very frames that the recorded
//! server sent to it. It must say the same commands in the same order. What is random (ids, nonces) is not compared, but
//! what was sealed is opened. The application's part (`allocate`, records, `close`) is played where the recording has it.

extern crate std;

use alloc::collections::{BTreeMap, VecDeque};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use std::{fs, path::Path};

use data_encoding::HEXLOWER;
use serde_json::{Value, json};

use super::key::Scalar;
use super::{Config, Event, Wormhole};
use crate::code::{Code, Nameplate};
use crate::crypto::{SessionKey, pake, secretbox};
use crate::driver::{Conn, Conns, Input, Instant, Machine, Op, Output, Why};
use crate::error::Error;
use crate::rng::Rng;
use crate::untrusted::Text;
use crate::wire::{AppId, Phase, Side};

/// Codes that are not in the recording itself.
const CODES: [&str; 2] = ["7-armistice-baboon", "7-third-party"];

#[test]
fn every_recorded_side_of_the_reference_is_said_again() {
    let mut replayed = BTreeMap::new();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
    for file in fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        if !name.starts_with("capture_") && !name.starts_with("interop_") {
            continue;
        }
        let recording: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        for side in sides(&recording) {
            std::println!("{name}, side {side}");
            Replay::new(&recording, &side).run(&recording);
            *replayed.entry(name.clone()).or_insert(0) += 1;
        }
    }
    assert_eq!((replayed.len(), replayed.values().sum::<usize>()), (39, 54), "{replayed:?}");
}

#[test]
fn the_reference_has_the_same_verifier_and_derived_key() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/capture_phases.json");
    let recording: Value = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    for side in sides(&recording) {
        let mut replay = Replay::new(&recording, &side);
        replay.run(&recording);
        let found = replay.events.iter().find(|event| matches!(event, Event::Verifier(_)));
        let Some(Event::Verifier(verifier)) = found else { panic!("no verifier") };
        assert_eq!(verifier.to_string(), recording["verifier_a_hex"]);
        let derived = &recording["derive_key"];
        let key = replay.wormhole.derive_key(derived["purpose"].as_str().unwrap(), 16).unwrap();
        assert_eq!(HEXLOWER.encode(key.as_bytes()), derived["output_hex"]);
    }
}

/// The sides of the reference: those whose secrets are known, or where they do not matter.
fn sides(recording: &Value) -> Vec<String> {
    let secrets = recording["secrets_by_side"].as_object();
    let known: Vec<String> = secrets.into_iter().flat_map(|it| it.keys().cloned()).collect();
    if !known.is_empty() {
        return known;
    }
    let binds = frames(recording).filter(|it| it.message["type"] == "bind");
    binds.map(|it| text(&it.message, "side")).take(1).collect()
}

/// One frame of a recording.
struct Frame {
    conn: u64,
    to_server: bool,
    message: Value,
    raw: String,
    plaintext: Option<String>,
    cut: bool,
}

fn frames(recording: &Value) -> impl Iterator<Item = Frame> {
    recording["websocket"].as_array().into_iter().flatten().map(|event| {
        let raw = text(event, "raw_utf8");
        Frame {
            conn: event["conn"].as_u64().unwrap(),
            to_server: event["dir"] == "client->server",
            message: serde_json::from_str(&raw).unwrap_or_default(),
            raw,
            plaintext: event["plaintext_utf8"].as_str().map(String::from),
            cut: text(event, "tcp").contains("dropped"),
        }
    })
}

struct Replay {
    wormhole: Wormhole,
    side: String,
    code: Code,
    /// The key of the recorded session, where there was one.
    session: Option<SessionKey>,
    /// What our machine has said and the recording has not yet.
    said: VecDeque<Value>,
    events: Vec<Event>,
    /// The dial that waits, and the connection that is up.
    dialled: Option<Conn>,
    conn: Option<Conn>,
    typed: bool,
    now: Instant,
}

impl Replay {
    fn new(recording: &Value, side: &str) -> Self {
        let secrets = &recording["secrets_by_side"][side];
        let appid = frames(recording)
            .find(|it| it.message["type"] == "bind" && it.message["side"] == side)
            .map(|it| text(&it.message, "appid"))
            .unwrap();
        let mut scalar = HEXLOWER.decode(text(secrets, "spake2_scalar_le_hex").as_bytes()).unwrap();
        scalar.resize(64, 0);
        let scalar: [u8; 64] = scalar.try_into().unwrap();
        let versions = frames(recording)
            .filter(|it| it.to_server && it.message["phase"] == "version")
            .filter(|it| side_of(recording, it.conn).as_deref() == Some(side))
            .find_map(|it| it.plaintext)
            .map_or_else(
                || json!({}),
                |plain| serde_json::from_str::<Value>(&plain).unwrap()["app_versions"].clone(),
            );
        let session = secrets["session_key_hex"]
            .as_str()
            .map(|hex| SessionKey::from_bytes(HEXLOWER.decode(hex.as_bytes()).unwrap().try_into().unwrap()));
        let config = Config::new(&appid).unwrap().app_versions(&versions.to_string()).unwrap();
        let mut wormhole = Wormhole::assemble(
            config,
            Side::parse(side).unwrap(),
            Scalar::new(scalar),
            Rng::new([3; 32]),
            Conns::all(),
        );
        let code = code(recording, secrets, &appid, &scalar);
        let first = frames(recording)
            .filter(|it| side_of(recording, it.conn).as_deref() == Some(side))
            .find(|it| it.to_server && it.message.is_object() && it.message["type"] != "bind");
        if first.is_some_and(|it| it.message["type"] == "claim") {
            wormhole.set_code(code.clone()).unwrap();
        }
        Self {
            wormhole,
            side: side.into(),
            code,
            session,
            said: VecDeque::new(),
            events: Vec::new(),
            dialled: None,
            conn: None,
            typed: false,
            now: Instant::START,
        }
    }

    fn run(&mut self, recording: &Value) {
        let mut on = None;
        let mut records = BTreeMap::new();
        let mut result = Err(Error::Lonely);
        for frame in arriving(recording, &self.side) {
            if frame.cut {
                self.cut();
                continue;
            }
            if on != Some(frame.conn) {
                self.connect();
                on = Some(frame.conn);
            }
            if frame.to_server {
                if text(&frame.message, "phase").starts_with("dilate-") {
                    continue;
                }
                if frame.message["type"] == "close" {
                    result = result_of(&text(&frame.message, "mood"));
                }
                self.expect(&frame);
            } else {
                if frame.message["type"] == "message" && result == Err(Error::Lonely) {
                    self.note_record(&frame, &mut records);
                }
                match (frame.message["error"].as_str(), frame.message["welcome"]["error"].as_str()) {
                    (Some(_), _) => result = Err(Error::Crowded),
                    (None, Some(why)) => result = Err(Error::Unwelcome(Text::from(why))),
                    (None, None) => {}
                }
                self.read(frame.raw.as_bytes());
            }
        }
        self.pump();
        // What we do more than the reference: a mailbox that is named after the end is closed, too.
        if self.said.pop_front_if(|it| it["type"] == "close").is_some() {
            self.read(json!({"type": "closed"}).to_string().as_bytes());
        }
        self.pump();
        assert!(self.said.is_empty(), "said too much: {:?}", self.said);
        assert_eq!(self.events.last(), Some(&Event::Closed(result)));
        let told = self.events.iter().filter(|event| matches!(event, Event::Record(_)));
        assert!(told.eq(&records.into_values().map(Event::Record).collect::<Vec<_>>()));
    }

    /// A record of the peer, which must be told in its order.
    fn note_record(&self, frame: &Frame, records: &mut BTreeMap<u64, Vec<u8>>) {
        let side = Side::parse(&text(&frame.message, "side")).unwrap();
        let phase = Phase::parse(&text(&frame.message, "phase")).unwrap();
        if let Some(number) = phase.as_number().filter(|_| side.as_str() != self.side) {
            records.insert(number, self.open(&frame.message, &side));
        }
    }

    /// The recorded side says this: ours must have said it, or says it when its application does its part.
    fn expect(&mut self, frame: &Frame) {
        self.pump();
        let kind = text(&frame.message, "type");
        if self.said.is_empty() {
            self.play(&kind, frame);
            self.pump();
        }
        // What we do more than the reference: a nameplate that is held is claimed again on a new link.
        if kind == "open" && self.said.front().is_some_and(|it| it["type"] == "claim") {
            self.said.pop_front();
            let answer = json!({"type": "claimed", "mailbox": frame.message["mailbox"]});
            self.read(answer.to_string().as_bytes());
        }
        let ours = self.said.pop_front().unwrap_or_else(|| panic!("we do not say {}", frame.raw));
        for key in ["type", "appid", "side", "nameplate", "mailbox", "phase", "mood"] {
            assert_eq!(ours[key], frame.message[key], "{ours} instead of {}", frame.raw);
        }
        if kind == "add" {
            self.compare_bodies(&ours, frame);
        }
    }

    /// The application's part.
    fn play(&mut self, kind: &str, frame: &Frame) {
        let phase = text(&frame.message, "phase");
        match kind {
            "allocate" => self.wormhole.allocate_code(2).unwrap(),
            "list" if self.typed => self.wormhole.refresh_nameplates().unwrap(),
            "list" => {
                self.typed = true;
                self.wormhole.input_code().unwrap();
            }
            "claim" => {
                let nameplate = Nameplate::parse(&text(&frame.message, "nameplate")).unwrap();
                self.wormhole.choose_nameplate(nameplate).unwrap();
            }
            "add" if phase == "pake" => {
                let (_, words) = self.code.as_str().split_once('-').unwrap();
                self.wormhole.choose_words(words).unwrap();
            }
            "add" => {
                let record = self.open(&frame.message, &Side::parse(&self.side).unwrap());
                self.wormhole.send(&record).unwrap();
            }
            "close" | "release" => self.wormhole.close(),
            other => panic!("nobody plays {other}"),
        }
    }

    fn compare_bodies(&self, ours: &Value, frame: &Frame) {
        let side = Side::parse(&self.side).unwrap();
        if ours["phase"] == "pake" {
            let [ours, theirs] =
                [ours, &frame.message].map(|it| HEXLOWER.decode(text(it, "body").as_bytes()).unwrap());
            let [ours, theirs] = [ours, theirs].map(|it| serde_json::from_slice::<Value>(&it).unwrap());
            assert_eq!(ours["pake_v1"], theirs["pake_v1"]);
            return;
        }
        let [ours, theirs] = [ours, &frame.message].map(|it| self.open(it, &side));
        if let Some(plain) = &frame.plaintext {
            assert_eq!(plain.as_bytes(), theirs);
        }
        if frame.message["phase"] == "version" {
            let [ours, theirs] = [ours, theirs].map(|it| serde_json::from_slice::<Value>(&it).unwrap());
            assert_eq!(ours["app_versions"], theirs["app_versions"]);
        } else {
            assert_eq!(ours, theirs);
        }
    }

    fn open(&self, message: &Value, side: &Side) -> Vec<u8> {
        let phase = Phase::parse(&text(message, "phase")).unwrap();
        let body = HEXLOWER.decode(text(message, "body").as_bytes()).unwrap();
        secretbox::open(&self.session.as_ref().unwrap().phase_key(side, &phase), &body).unwrap()
    }

    fn read(&mut self, bytes: &[u8]) {
        self.pump();
        let Some(conn) = self.conn else { return };
        if text(&serde_json::from_slice(bytes).unwrap(), "type") == "allocated" {
            self.choose_words_as_recorded();
        }
        self.wormhole.handle(Input::Received { conn, bytes: bytes.into() }, self.now);
        self.pump();
    }

    /// Allocated words are random: looks for a generator that draws the recorded ones.
    fn choose_words_as_recorded(&mut self) {
        let generators = (0..u32::MAX).map(|number| {
            let mut seed = [0; 32];
            seed[..4].copy_from_slice(&number.to_le_bytes());
            Rng::new(seed)
        });
        let nameplate = self.code.nameplate();
        let drawn = |rng: &Rng| Code::generate(&nameplate, 2, &mut rng.clone()).unwrap();
        self.wormhole.rng = generators.into_iter().find(|rng| drawn(rng) == self.code).unwrap();
    }

    fn connect(&mut self) {
        self.pump();
        while self.dialled.is_none() {
            let Output::Wait(Some(until)) = self.wormhole.poll() else { panic!("no dial and no wait") };
            self.now = until;
            self.wormhole.handle(Input::Tick, self.now);
            self.pump();
        }
        self.conn = self.dialled.take();
        self.wormhole.handle(Input::Opened { conn: self.conn.unwrap(), peer: None }, self.now);
        // The reference speaks without having heard the welcome, which counts when it comes in the recording.
        self.read(br#"{"type": "welcome", "welcome": {}}"#);
    }

    fn cut(&mut self) {
        self.pump();
        let conn = self.conn.take().unwrap();
        self.wormhole.handle(Input::Closed { conn, why: Why::Reset }, self.now);
    }

    fn pump(&mut self) {
        loop {
            match self.wormhole.poll() {
                Output::Do(Op::Open { conn, .. }) => self.dialled = Some(conn),
                Output::Do(Op::Write { bytes, .. }) => {
                    self.said.push_back(serde_json::from_slice(&bytes).unwrap());
                }
                Output::Do(Op::Close { conn }) => {
                    self.wormhole.handle(Input::Closed { conn, why: Why::Asked }, self.now);
                }
                Output::Do(_) => {}
                Output::Tell(event) => self.events.push(event),
                Output::Wait(_) => return,
            }
        }
    }
}

/// The code with which the recorded side said its `pake`.
fn code(recording: &Value, secrets: &Value, appid: &str, scalar: &[u8; 64]) -> Code {
    let appid = AppId::parse(appid).unwrap();
    let recorded = ["code", "receiver_code"].map(|key| text(recording, key));
    let candidates = recorded.iter().map(String::as_str).chain(CODES).filter(|code| !code.is_empty());
    let candidates: Vec<_> = candidates.map(|code| Code::parse(code).unwrap()).collect();
    match secrets["pake_message_hex"].as_str() {
        Some(message) => {
            let says = |code: &&Code| HEXLOWER.encode(&pake::start(code, &appid, scalar)) == message;
            candidates.iter().find(says).unwrap().clone()
        }
        // It never came to a key: only the nameplate counts.
        None => {
            let claim = frames(recording).find(|it| it.message["type"] == "claim").unwrap();
            Code::parse(&format!("{}-any", text(&claim.message, "nameplate"))).unwrap()
        }
    }
}

/// What the recorded side said and read. A connection that was cut lost what the server said after the last command: it
/// was on its way.
fn arriving(recording: &Value, side: &str) -> Vec<Frame> {
    let mut frames: Vec<_> =
        frames(recording).filter(|it| side_of(recording, it.conn).as_deref() == Some(side)).collect();
    let cuts: Vec<_> = frames.iter().filter(|it| it.cut).map(|it| it.conn).collect();
    for conn in cuts {
        let last = frames.iter().rposition(|it| it.conn == conn && it.to_server).unwrap();
        let mut index = 0;
        frames.retain(|it| {
            index += 1;
            it.conn != conn || it.cut || index <= last + 1
        });
    }
    frames.retain(|it| it.cut || it.message.is_object());
    frames
}

/// Whose connection it is.
fn side_of(recording: &Value, conn: u64) -> Option<String> {
    let mut binds = frames(recording).filter(|it| it.conn == conn && it.message["type"] == "bind");
    binds.next().map(|it| text(&it.message, "side"))
}

fn result_of(mood: &str) -> Result<(), Error> {
    match mood {
        "happy" => Ok(()),
        "lonely" => Err(Error::Lonely),
        "scary" => Err(Error::WrongCode),
        other => panic!("no recording closes {other}"),
    }
}

fn text(value: &Value, key: &str) -> String {
    value[key].as_str().unwrap_or_default().into()
}
