//! One wormhole against servers and peers that do not do their part.

use std::time::Duration;

use data_encoding::HEXLOWER;
use proptest::prelude::*;
use serde_json::{Value, json};
use wormhole_core::code::{Code, Nameplate};
use wormhole_core::crypto::{SessionKey, pake, secretbox};
use wormhole_core::defaults::{CLOSE_LIMIT, Limits};
use wormhole_core::driver::{Conn, Conns, Input, Instant, Machine, Op, Output, Why};
use wormhole_core::error::{Error, PeerFault, ServerFault};
use wormhole_core::untrusted::Text;
use wormhole_core::wire::peer::encode_pake;
use wormhole_core::wire::{AppId, Phase, Side};
use wormhole_core::wormhole::{Config, Event, Wormhole};

const APPID: &str = "example.com/app";
const CODE: &str = "4-armistice-baboon";
const PEER: &str = "peer";

#[test]
fn what_is_no_message_ends_the_session() {
    for frame in ["", "no JSON", "[1]", "{}", r#"{"type": 1}"#, r#"{"type": "claimed"}"#, "\u{1}"] {
        let mut alone = Alone::claiming();
        alone.hear_text(frame);
        assert_eq!(alone.result(), Err(ServerFault::Malformed.into()), "{frame}");
    }
}

#[test]
fn what_is_not_known_is_passed_over() {
    let mut alone = Alone::open();
    let before = alone.wormhole.clone();
    for frame in [
        json!({"type": "something new", "claimed": true}),
        json!({"type": "ack"}),
        json!({"type": "pong", "pong": 1}),
        json!({"type": "message", "side": 1, "phase": "0", "body": "00"}),
        json!({"type": "message", "side": PEER, "phase": null, "body": "00"}),
        json!({"type": "message", "side": PEER, "phase": "0", "body": "not hex"}),
    ] {
        alone.hear(&frame);
    }
    assert!(alone.said.is_empty());
    assert_eq!(alone.wormhole, before);
}

#[test]
fn answers_that_were_not_asked_for_end_the_session() {
    let early = [
        json!({"type": "released"}),
        json!({"type": "closed"}),
        json!({"type": "allocated", "nameplate": "5"}),
        json!({"type": "message", "side": PEER, "phase": "pake", "body": "00"}),
    ];
    for frame in early {
        let mut alone = Alone::claiming();
        alone.hear(&frame);
        assert_eq!(alone.result(), Err(ServerFault::OutOfTurn.into()), "{frame}");
    }
    let mut alone = Alone::open();
    alone.hear(&json!({"type": "claimed", "mailbox": "other"}));
    assert_eq!(alone.result(), Err(ServerFault::OutOfTurn.into()));
}

#[test]
fn errors_of_the_server_are_told_in_its_words() {
    for (said, error) in [
        ("crowded", Error::Crowded),
        ("reclaimed", ServerFault::Said(Text::from("reclaimed")).into()),
        ("must bind first", ServerFault::Said(Text::from("must bind first")).into()),
    ] {
        let mut alone = Alone::open();
        alone.hear(&json!({"type": "error", "error": said, "orig": {}}));
        assert_eq!(alone.said.back().unwrap()["mood"], "errory");
        assert_eq!(alone.result(), Err(error));
    }
}

#[test]
fn an_error_while_closing_ends_the_waiting() {
    let mut alone = Alone::open();
    alone.wormhole.close();
    alone.hear(&json!({"type": "error", "error": "only one close per connection"}));
    assert_eq!(alone.last(), Some(&Event::Closed(Err(Error::Lonely))));
}

#[test]
fn a_third_side_is_not_listened_to() {
    let mut alone = Alone::met();
    alone.hear(&json!({"type": "message", "side": "third", "phase": "version", "body": "00"}));
    alone.hear(&json!({"type": "message", "side": "third", "phase": "0", "body": "00"}));
    let key = alone.key();
    alone.hear_sealed(&key, "version", b"{}");
    assert!(alone.events.iter().any(|event| matches!(event, Event::Versions(_))));
}

#[test]
fn a_pake_that_cannot_be_used_ends_the_session_in_a_scare() {
    for (body, fault) in [
        (b"{}".to_vec(), PeerFault::MalformedPake),
        (b"nothing".to_vec(), PeerFault::MalformedPake),
        (encode_pake(&[0x53; 33]), PeerFault::BadPake),
    ] {
        let mut alone = Alone::open();
        alone.hear_message("pake", &body);
        assert_eq!(alone.said.back().unwrap()["mood"], "scary");
        assert_eq!(alone.result(), Err(fault.into()));
    }
}

#[test]
fn a_message_that_does_not_open_is_a_wrong_code_even_after_good_ones() {
    let mut alone = Alone::met();
    let key = alone.key();
    alone.hear_sealed(&key, "version", b"{}");
    alone.hear_sealed(&key, "0", b"good");
    alone.hear_message("later", b"forged");
    alone.hear_sealed(&key, "1", b"after");
    assert_eq!(alone.said.back().unwrap()["mood"], "scary");
    assert_eq!(alone.result(), Err(Error::WrongCode));
    assert!(!alone.events.contains(&Event::Record(b"after".to_vec())));
}

#[test]
fn a_version_that_is_no_object_is_told_as_the_peers_fault() {
    let mut alone = Alone::met();
    let key = alone.key();
    alone.hear_sealed(&key, "version", b"[]");
    assert_eq!(alone.said.back().unwrap()["mood"], "happy");
    assert_eq!(alone.result(), Err(PeerFault::Malformed("a version message").into()));
}

#[test]
fn a_flood_before_the_key_is_refused() {
    let mut alone = Alone::open();
    for number in 0..100 {
        alone.hear_message(&number.to_string(), b"x");
    }
    assert_eq!(alone.result(), Err(PeerFault::TooMuch.into()));
}

#[test]
fn a_record_far_ahead_is_refused() {
    let mut alone = Alone::met();
    let key = alone.key();
    alone.hear_sealed(&key, "version", b"{}");
    alone.hear_sealed(&key, "1000000", b"x");
    assert_eq!(alone.result(), Err(PeerFault::TooMuch.into()));
}

#[test]
fn phases_that_are_nearly_numbers_are_passed_over() {
    let mut alone = Alone::met();
    let key = alone.key();
    for phase in ["version", "01", "-1", "+1", " 0", "", "18446744073709551616", "1e0"] {
        alone.hear_sealed(&key, phase, b"{}");
    }
    assert!(!alone.events.iter().any(|event| matches!(event, Event::Record(_) | Event::Closed(_))));
    alone.hear_sealed(&key, "0", b"first");
    assert_eq!(alone.last(), Some(&Event::Record(b"first".to_vec())));
    alone.hear_sealed(&key, "18446744073709551615", b"x");
    assert_eq!(alone.result(), Err(PeerFault::TooMuch.into()));
}

#[test]
fn echoes_of_what_we_never_said_leave_no_trace() {
    let mut alone = Alone::met();
    let before = alone.wormhole.clone();
    let side = alone.side.clone();
    for number in 0..5000 {
        let phase = number.to_string();
        alone.hear(&json!({"type": "message", "side": side, "phase": phase, "body": "not even hex"}));
        alone.hear(&json!({"type": "message", "side": side, "phase": phase, "body": ""}));
    }
    assert_eq!(alone.wormhole, before);
}

#[test]
fn a_peer_that_invents_phases_is_refused() {
    let mut alone = Alone::met();
    let key = alone.key();
    for number in 0..2000 {
        alone.hear_sealed(&key, &format!("later-{number}"), b"x");
    }
    assert_eq!(alone.result(), Err(PeerFault::TooMuch.into()));
}

#[test]
fn a_storm_of_losses_adds_nothing_but_the_same_words_again() {
    let mut alone = Alone::open();
    for _ in 0..1000 {
        alone.said.clear();
        alone.cut();
        alone.pump();
        alone.now = alone.now.plus(Duration::from_secs(3));
        alone.wormhole.handle(Input::Tick, alone.now);
        alone.pump();
        alone.hear(&json!({"type": "claimed", "mailbox": "mb"}));
        let types: Vec<&str> = alone.said.iter().map(|said| said["type"].as_str().unwrap()).collect();
        assert_eq!(types, ["bind", "claim", "open", "add"]);
    }
}

#[test]
fn what_an_earlier_connection_still_brings_concerns_nobody() {
    let mut alone = Alone::open();
    let old = alone.conn.unwrap();
    alone.cut();
    let before = alone.wormhole.clone();
    alone.wormhole.handle(Input::Received { conn: old, bytes: b"no JSON".to_vec() }, alone.now);
    alone.wormhole.handle(Input::Closed { conn: old, why: Why::Reset }, alone.now);
    alone.wormhole.handle(Input::Sent { conn: old }, alone.now);
    alone.wormhole.handle(Input::Tick, Instant::START);
    assert_eq!(alone.wormhole, before);
}

#[test]
fn a_message_that_is_too_long_would_come_again_so_it_ends_the_wormhole() {
    let mut alone = Alone::open();
    let conn = alone.conn.take().unwrap();
    alone.wormhole.handle(Input::Closed { conn, why: Why::TooLong }, alone.now);
    alone.wormhole.handle(Input::Tick, alone.now);
    assert_eq!(alone.result(), Err(ServerFault::TooLong.into()));
}

#[test]
fn the_session_key_can_be_used_before_the_peer_has_confirmed_it() {
    let alone = Alone::met();
    let derived = alone.wormhole.derive_key("purpose", 32).unwrap();
    assert_eq!(derived, alone.key().derive("purpose", 32).unwrap());
}

/// What may happen to a wormhole, in any order.
#[derive(Clone, Debug)]
enum Happening {
    Hear(usize),
    /// A message of the peer, sealed as it should be, whose text is the name of its phase.
    HearSealed(usize),
    Cut,
    Refuse,
    /// From the next connection on, the server asks for this.
    Ask(usize),
    Tick(u64),
    Command(usize),
    Take,
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn whatever_happens_a_close_is_over_within_the_limit(
        is_met: bool,
        happenings in prop::collection::vec(happening(), 0..60),
    ) {
        let mut alone = if is_met { Alone::met() } else { Alone::new() };
        for happening in happenings {
            alone.suffer(&happening);
        }
        let is_record = |event: &Event| matches!(event, Event::Record(_));
        for (number, record) in alone.events.iter().filter(|event| is_record(event)).enumerate() {
            prop_assert_eq!(record, &Event::Record(number.to_string().into_bytes()));
        }
        alone.wormhole.close();
        alone.pump();
        let before = alone.now;
        while !matches!(alone.last(), Some(Event::Closed(_))) {
            let Output::Wait(Some(until)) = alone.wormhole.poll() else { panic!("it waits for nothing") };
            alone.now = alone.now.max(until);
            alone.wormhole.handle(Input::Tick, alone.now);
            alone.pump();
        }
        prop_assert!(alone.now.saturating_since(before) <= CLOSE_LIMIT);
        prop_assert_eq!(alone.wormhole.poll(), Output::Wait(None));
    }
}

fn happening() -> impl Strategy<Value = Happening> {
    prop_oneof![
        8 => (0..FRAMES).prop_map(Happening::Hear),
        8 => (0..PHASES.len()).prop_map(Happening::HearSealed),
        1 => Just(Happening::Cut),
        1 => (0..WELCOMES).prop_map(Happening::Ask),
        1 => Just(Happening::Refuse),
        2 => (0..5000_u64).prop_map(Happening::Tick),
        3 => (0..8_usize).prop_map(Happening::Command),
        1 => Just(Happening::Take),
    ]
}

const WELCOMES: usize = 4;
const FRAMES: usize = 15;
const PHASES: [&str; 14] = [
    "version",
    "0",
    "1",
    "2",
    "3",
    "4000",
    "18446744073709551615",
    "18446744073709551616",
    "01",
    "-1",
    "+1",
    "",
    "dilate-0",
    "later",
];

fn frame(index: usize) -> Value {
    let pake = pake::start(&code(), &appid(), &[2; 64]);
    let message = |phase: &str, body: &[u8]| json!({"type": "message", "side": PEER, "phase": phase, "body": HEXLOWER.encode(body)});
    match index {
        0 => json!({"type": "welcome", "welcome": {}}),
        1 => json!({"type": "welcome", "welcome": {"error": "no"}}),
        2 => json!({"type": "allocated", "nameplate": "4"}),
        3 => json!({"type": "claimed", "mailbox": "mb"}),
        4 => json!({"type": "claimed", "mailbox": "other"}),
        5 => json!({"type": "released"}),
        6 => json!({"type": "closed"}),
        7 => json!({"type": "error", "error": "crowded"}),
        8 => json!({"type": "nameplates", "nameplates": [{"id": "4"}, {"id": 5}, {}]}),
        9 => message("pake", &encode_pake(&pake)),
        10 => message("pake", b"{}"),
        11 => message("version", b"forged"),
        12 => message("0", b"forged"),
        13 => json!({"type": "message", "side": "third", "phase": "0", "body": "00"}),
        _ => json!({"type": "ack"}),
    }
}

fn welcome(index: usize) -> Value {
    let work = |bits: u32| json!({"permission-required": {"hashcash": {"bits": bits, "resource": "r"}}});
    match index {
        0 => json!({}),
        1 => work(3),
        2 => work(30),
        _ => json!({"permission-required": {"none": null}}),
    }
}

/// A wormhole whose server is the test.
pub(crate) struct Alone {
    pub(crate) wormhole: Wormhole,
    said: std::collections::VecDeque<Value>,
    events: Vec<Event>,
    conn: Option<Conn>,
    /// Refuses dials.
    pub(crate) refuses: bool,
    /// What it says on each connection.
    pub(crate) welcome: Value,
    now: Instant,
    side: String,
    pake: Vec<u8>,
}

impl Alone {
    fn new() -> Self {
        Self::with(Limits::default())
    }

    pub(crate) fn with(limits: Limits) -> Self {
        Self::made(limits, json!({}))
    }

    pub(crate) fn welcomed(welcome: Value) -> Self {
        Self::made(Limits::default(), welcome)
    }

    fn made(limits: Limits, welcome: Value) -> Self {
        let config = Config::new(APPID).unwrap().mailbox("ws://example.com/v1").limits(limits);
        let mut alone = Self {
            wormhole: Wormhole::new(config, [1; 32], Conns::all()),
            said: [].into(),
            events: Vec::new(),
            conn: None,
            refuses: false,
            welcome,
            now: Instant::START,
            side: String::new(),
            pake: Vec::new(),
        };
        alone.pump();
        alone
    }

    pub(crate) fn claiming() -> Self {
        let mut alone = Self::new();
        alone.wormhole.set_code(code()).unwrap();
        alone.pump();
        alone
    }

    pub(crate) fn open() -> Self {
        let mut alone = Self::claiming();
        alone.hear(&json!({"type": "claimed", "mailbox": "mb"}));
        alone.said.clear();
        alone
    }

    /// The peer's `pake` has come.
    pub(crate) fn met() -> Self {
        let mut alone = Self::open();
        alone.hear_message("pake", &encode_pake(&pake::start(&code(), &appid(), &[2; 64])));
        alone
    }

    /// The session key, as the peer of [`met`](Self::met) has it.
    pub(crate) fn key(&self) -> SessionKey {
        pake::finish(&code(), &appid(), &[2; 64], &self.pake).unwrap()
    }

    pub(crate) fn hear_sealed(&mut self, key: &SessionKey, phase: &str, plain: &[u8]) {
        let phase_key = key.phase_key(&Side::parse(PEER).unwrap(), &Phase::parse(phase).unwrap());
        self.hear_message(phase, &secretbox::seal(&phase_key, &[0; 24], plain));
    }

    pub(crate) fn hear_message(&mut self, phase: &str, body: &[u8]) {
        self.hear(&json!({"type": "message", "side": PEER, "phase": phase, "body": HEXLOWER.encode(body)}));
    }

    pub(crate) fn hear(&mut self, frame: &Value) {
        self.hear_text(&frame.to_string());
    }

    fn hear_text(&mut self, frame: &str) {
        self.pump();
        if let Some(conn) = self.conn {
            self.wormhole.handle(Input::Received { conn, bytes: frame.into() }, self.now);
        }
        self.pump();
    }

    /// Lets so much time pass, in which everything happens that wants to.
    pub(crate) fn pass(&mut self, time: Duration) {
        let end = self.now.plus(time);
        loop {
            self.pump();
            match self.wormhole.poll() {
                Output::Wait(Some(until)) if until <= end => {
                    self.now = self.now.max(until);
                    self.wormhole.handle(Input::Tick, self.now);
                }
                Output::Do(_) | Output::Tell(_) | Output::Wait(_) => break,
            }
        }
        self.now = end;
    }

    pub(crate) fn cut(&mut self) {
        if let Some(conn) = self.conn.take() {
            self.wormhole.handle(Input::Closed { conn, why: Why::Reset }, self.now);
        }
    }

    /// What it has said since the last time.
    pub(crate) fn heard_by_the_server(&mut self) -> Vec<Value> {
        self.pump();
        self.said.drain(..).collect()
    }

    fn suffer(&mut self, happening: &Happening) {
        match happening {
            Happening::Hear(index) => self.hear(&frame(*index)),
            Happening::HearSealed(index) if self.pake.is_empty() => self.hear_message(PHASES[*index], b""),
            Happening::HearSealed(index) => {
                let phase = PHASES[*index];
                let plain = if phase == "version" { "{}" } else { phase };
                self.hear_sealed(&self.key(), phase, plain.as_bytes());
            }
            Happening::Cut => self.cut(),
            Happening::Ask(index) => self.welcome = welcome(*index),
            Happening::Refuse => {
                self.cut();
                self.pump();
                if let Output::Wait(Some(until)) = self.wormhole.poll() {
                    self.now = self.now.max(until);
                    self.refuses = true;
                    self.wormhole.handle(Input::Tick, self.now);
                    self.pump();
                    self.refuses = false;
                }
            }
            Happening::Tick(milliseconds) => {
                self.now = self.now.plus(Duration::from_millis(*milliseconds));
                self.wormhole.handle(Input::Tick, self.now);
            }
            Happening::Command(index) => self.command(*index),
            Happening::Take => self.wormhole.taken(3),
        }
        self.pump();
    }

    /// A command may be refused, which changes nothing.
    fn command(&mut self, index: usize) {
        let wormhole = &mut self.wormhole;
        let before = wormhole.clone();
        let refused = match index {
            0 => wormhole.allocate_code(2),
            1 => wormhole.set_code(code()),
            2 => wormhole.input_code(),
            3 => wormhole.choose_nameplate(Nameplate::parse("4").unwrap()),
            4 => wormhole.choose_words("armistice-baboon"),
            5 => wormhole.refresh_nameplates(),
            6 => wormhole.send(b"abc"),
            _ => {
                wormhole.fail(Error::Cancelled);
                return;
            }
        };
        assert!(refused.is_ok() || self.wormhole == before);
    }

    pub(crate) fn pump(&mut self) {
        loop {
            let output = self.wormhole.poll();
            let is_closed = matches!(self.last(), Some(Event::Closed(_)));
            assert!(!is_closed || matches!(output, Output::Wait(_)), "nothing follows the end: {output:?}");
            match output {
                Output::Do(Op::Open { conn, .. }) if self.refuses => {
                    self.wormhole.handle(Input::Closed { conn, why: Why::Refused }, self.now);
                }
                Output::Do(Op::Open { conn, .. }) => {
                    self.conn = Some(conn);
                    self.wormhole.handle(Input::Opened { conn, peer: None }, self.now);
                    let bytes = json!({"type": "welcome", "welcome": self.welcome}).to_string().into_bytes();
                    self.wormhole.handle(Input::Received { conn, bytes }, self.now);
                }
                Output::Do(Op::Write { bytes, .. }) => self.note(serde_json::from_slice(&bytes).unwrap()),
                Output::Do(Op::Close { conn }) if self.conn == Some(conn) => {
                    self.conn = None;
                    self.wormhole.handle(Input::Closed { conn, why: Why::Asked }, self.now);
                }
                Output::Do(_) => {}
                Output::Tell(event) => self.events.push(event),
                Output::Wait(_) => return,
            }
        }
    }

    fn note(&mut self, said: Value) {
        if said["type"] == "bind" {
            self.side = said["side"].as_str().unwrap().into();
        }
        if said["phase"] == "pake" {
            let body = HEXLOWER.decode(said["body"].as_str().unwrap().as_bytes()).unwrap();
            let body: Value = serde_json::from_slice(&body).unwrap();
            self.pake = HEXLOWER.decode(body["pake_v1"].as_str().unwrap().as_bytes()).unwrap();
        }
        self.said.push_back(said);
    }

    pub(crate) fn last(&self) -> Option<&Event> {
        self.events.last()
    }

    /// The result, once the server has answered everything.
    pub(crate) fn result(&mut self) -> Result<(), Error> {
        self.hear(&json!({"type": "released"}));
        self.hear(&json!({"type": "closed"}));
        let Some(Event::Closed(result)) = self.last() else { panic!("not closed: {:?}", self.last()) };
        result.clone()
    }
}

pub(crate) fn code() -> Code {
    Code::parse(CODE).unwrap()
}

fn appid() -> AppId {
    AppId::parse(APPID).unwrap()
}
