//! The recorded bytes of transit connections: our race says what was said and understands what was heard, and so do
//! our records. Where the recording has only the hash of a piece, what we say is hashed.

use serde_json::Value;
use sha2::{Digest, Sha256, Sha512};
use wormhole_core::crypto::{SessionKey, TransitKey};
use wormhole_core::defaults::TRANSFER_TRANSIT_PURPOSE;
use wormhole_core::driver::{Address, Conn, Conns, Input, Instant, Machine, Op, Output};
use wormhole_core::transit::race::Event;
use wormhole_core::transit::{Opener, Race, RecordKeys, Reference, Role, Settled};
use wormhole_core::wire::hints::{DirectHint, Hint, Priority, TransitInfo};
use wormhole_core::wire::peer::Ack;

use super::recorded::{hex, vectors};

const WITH_STREAMS: [&str; 17] = [
    "capture_file_direct",
    "capture_file_relay",
    "capture_file_empty",
    "capture_directory",
    "interop_py_to_rs_direct",
    "interop_py_to_rs_file",
    "interop_py_to_rs_empty",
    "interop_py_to_rs_dir",
    "interop_rs_to_py_direct",
    "interop_rs_to_py_file",
    "interop_rs_to_py_empty",
    "interop_py_to_ww_file",
    "interop_py_to_ww_direct",
    "interop_py_to_ww_dir",
    "interop_ww_to_py_direct",
    "interop_ww_to_py_file",
    "interop_ww_to_py_dir",
];

#[test]
fn our_race_plays_every_recorded_connection() {
    for name in WITH_STREAMS {
        let recording = vectors(&format!("{name}.json"));
        let key = transit_key(&recording);
        let streams = recording.get("transit").or_else(|| recording.get("transit_of_python_side")).unwrap();
        for in_bytes in [false, true] {
            let mut settled = 0;
            for stream in streams.as_array().unwrap() {
                let mut player = Player::new(&key, stream);
                player.play(stream["events"].as_array().unwrap(), in_bytes);
                settled += usize::from(player.settled.is_some());
                player.check(name);
            }
            // One recording is of both sides, and one has a connection that was not chosen.
            assert_eq!(settled, if name.starts_with("capture") { 2 } else { 1 }, "{name}");
        }
    }
}

#[test]
fn what_the_reference_hangs_up_on_ends_with_us() {
    let vectors = vectors("transit_records.json");
    let key = TransitKey::from_bytes(hex(&vectors["transit_key_hex"]).try_into().unwrap());
    for row in vectors["handshake_rejections"].as_array().unwrap() {
        let role = if row["name"].as_str().unwrap().starts_with("sender") { "sender" } else { "receiver" };
        let mut player = Player::new(&key, &serde_json::json!({"role": role, "description": "<-h:1"}));
        player.hear(&hex(&row["inbound_hex"]), false);
        assert_eq!(player.is_closed, row["closed"].as_bool().unwrap(), "{}", row["name"]);
        assert_eq!(player.settled, None);
    }
}

/// One connection of a race, with the recording as the other end.
struct Player {
    race: Race,
    conn: Conn,
    role: Role,
    said: Vec<u8>,
    settled: Option<Settled>,
    is_closed: bool,
    wants: bool,
    /// What was recorded as said, and heard, after the handshake.
    content_said: Vec<u8>,
    content_heard: Vec<u8>,
    /// Something was recorded only as a hash, so that the content is not all there.
    is_whole: bool,
}

impl Player {
    /// Opens the connection in the way of the recording.
    fn new(key: &TransitKey, stream: &Value) -> Self {
        let role = if stream["role"] == "sender" { Role::Sender } else { Role::Receiver };
        let way = stream["description"].as_str().unwrap();
        let hint = |host: &str| DirectHint { address: Address::new(host, 1), priority: Priority::default() };
        let relays = if way.starts_with("->relay") { vec![hint("relay")] } else { vec![] };
        let is_caller = way.starts_with("<-");
        let mut race = Race::new(role, relays, is_caller, [0; 32], Conns::all());
        race.set_key(key);
        let hints = if way.starts_with("->tcp") { vec![Hint::Direct(hint("peer"))] } else { vec![] };
        race.add_hints(&TransitInfo { abilities: Vec::new(), hints });
        let conn = Conn(u64::from(is_caller));
        if is_caller {
            race.handle(Input::Listening { conn: Conn(0), at: Vec::new() }, Instant::START);
        } else {
            race.start();
            race.handle(Input::Tick, Instant::START);
        }
        race.handle(Input::Opened { conn, peer: None }, Instant::START);
        let mut player = Self {
            race,
            conn,
            role,
            said: Vec::new(),
            settled: None,
            is_closed: false,
            wants: false,
            content_said: Vec::new(),
            content_heard: Vec::new(),
            is_whole: true,
        };
        player.drain();
        player
    }

    fn play(&mut self, events: &[Value], in_bytes: bool) {
        for event in events {
            let bytes = event.get("hex").map(hex);
            match event["event"].as_str().unwrap() {
                "out" if self.said.is_empty() && self.settled.is_some() => self.keep(event, bytes, true),
                "out" => self.compare(&bytes.expect("handshakes are recorded whole")),
                "in" if self.settled.is_some() => self.keep(event, bytes, false),
                "in" => match bytes {
                    Some(bytes) => self.hear(&bytes, in_bytes),
                    None => {
                        // The beginning of a long piece is there: the last of the handshake, then a record.
                        self.hear(&hex(&event["first_64_hex"])[..3], in_bytes);
                        self.is_whole = false;
                    }
                },
                "lost" => {}
                other => panic!("unknown event {other}"),
            }
        }
    }

    /// What was said at this moment is what we say; the side at a relay is drawn at random.
    fn compare(&mut self, recorded: &[u8]) {
        let said: Vec<u8> = self.said.drain(..recorded.len().min(self.said.len())).collect();
        if recorded.starts_with(b"please relay ") {
            assert_eq!((&said[..87], said.len()), (&recorded[..87], recorded.len()));
        } else {
            assert_eq!(said, recorded);
        }
    }

    fn hear(&mut self, bytes: &[u8], in_bytes: bool) {
        let step = if in_bytes { 1 } else { bytes.len().max(1) };
        for piece in bytes.chunks(step) {
            if self.settled.is_some() {
                self.content_heard.extend(piece);
            } else if !self.is_closed {
                assert!(self.wants, "it reads whenever something is to come");
                self.wants = false;
                let input = Input::Received { conn: self.conn, bytes: piece.to_vec() };
                self.race.handle(input, Instant::START);
                self.drain();
            }
        }
    }

    fn keep(&mut self, event: &Value, bytes: Option<Vec<u8>>, is_ours: bool) {
        match bytes {
            Some(bytes) if is_ours => self.content_said.extend(bytes),
            Some(bytes) => self.content_heard.extend(bytes),
            None => {
                assert!(event["sha256"].is_string());
                self.is_whole = false;
            }
        }
    }

    fn drain(&mut self) {
        loop {
            match self.race.poll() {
                Output::Do(Op::Write { conn, bytes }) if conn == self.conn => {
                    self.said.extend(bytes);
                    self.race.handle(Input::Sent { conn }, Instant::START);
                }
                Output::Do(Op::Read { conn }) if conn == self.conn => self.wants = true,
                Output::Do(Op::Close { conn }) if conn == self.conn => self.is_closed = true,
                Output::Do(_) => {}
                Output::Tell(Event::Settled(settled)) => self.settled = Some(settled),
                Output::Tell(Event::Hints(_) | Event::Failed(_)) => {}
                Output::Wait(_) => return,
            }
        }
    }

    /// The records are ours to seal and to open, and the acknowledgement is one.
    fn check(mut self, name: &str) {
        assert_eq!(self.said, b"", "{name}: said more than was recorded");
        let Some(settled) = self.settled.take() else { return };
        let mut heard = settled.read.clone();
        heard.extend(&self.content_heard);
        let RecordKeys { send, receive } = &settled.keys;
        let swapped = RecordKeys { send: receive.clone(), receive: send.clone() };
        let said = std::mem::take(&mut self.content_said);
        let (content, ack) = match self.role {
            Role::Sender => ((&swapped, said), (&settled.keys, heard)),
            Role::Receiver => ((&settled.keys, heard), (&swapped, said)),
        };
        let ack = open_all(ack.0, &ack.1);
        assert_eq!(ack.len(), 1, "{name}: one record comes back");
        let ack = Ack::decode(&ack[0]).unwrap();
        assert_eq!(ack.ok, Ok(()), "{name}");
        if self.is_whole {
            let content = open_all(content.0, &content.1).concat();
            assert_eq!(ack.sha256.unwrap(), Sha256::digest(&content).as_slice(), "{name}");
        }
    }
}

/// The contents of records; sealed again they are the same bytes.
fn open_all(keys: &RecordKeys, wire: &[u8]) -> Vec<Vec<u8>> {
    let mut opener = keys.opener(Reference);
    let mirrored = RecordKeys { send: keys.receive.clone(), receive: keys.send.clone() };
    let mut sealer = mirrored.sealer(Reference);
    let (mut rest, mut contents) = (wire, Vec::new());
    while let Some((head, more)) = rest.split_first_chunk::<4>() {
        let (body, more) = more.split_at(Opener::<Reference>::frame_len(*head).unwrap());
        let content = opener.open(&mut body.to_vec()).unwrap().to_vec();
        assert_eq!(sealer.seal_copy(&content).unwrap(), [head.as_slice(), body].concat());
        contents.push(content);
        rest = more;
    }
    contents
}

fn transit_key(recording: &Value) -> TransitKey {
    let secrets = recording["secrets_by_side"].as_object().unwrap();
    let session = hex(&secrets.values().next().unwrap()["session_key_hex"]);
    SessionKey::from_bytes(session.try_into().unwrap()).transit_key(TRANSFER_TRANSIT_PURPOSE)
}

#[test]
fn records_of_a_long_file_are_the_recorded_ones() {
    let recording = vectors("capture_file_relay.json");
    let content: Vec<u8> =
        (0..).flat_map(|block| Sha512::digest(format!("filedata:{block}"))).take(40_000).collect();
    let keys = transit_key(&recording);
    let keys = RecordKeys { send: keys.sender_record_key(), receive: keys.receiver_record_key() };
    let mut sealer = keys.sealer(Reference);
    let sender = recording["transit"].as_array().unwrap().iter().find(|stream| stream["role"] == "sender");
    let events = sender.unwrap()["events"].as_array().unwrap().iter();
    let hashes: Vec<Vec<u8>> = events.filter_map(|event| event.get("sha256")).map(hex).collect();
    let records = content.chunks(16_384).map(|piece| sealer.seal_copy(piece).unwrap());
    // The reference writes the length of a record and the rest of it separately.
    let ours: Vec<Vec<u8>> = records.map(|record| Sha256::digest(&record[4..]).to_vec()).collect();
    assert_eq!(ours, hashes);
}
