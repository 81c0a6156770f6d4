//! A mailbox server and the other side behind it, who say what a script wants: what the protocol has, in any order,
//! and what it has not.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use wormhole_core::code::Code;
use wormhole_core::crypto::{SessionKey, pake, secretbox};
use wormhole_core::driver::{Conn, Machine};
use wormhole_core::wire::peer::{decode_pake, encode_pake};
use wormhole_core::wire::{AppId, Phase, Side};

use crate::script::Script;
use crate::world::{Told, World};

/// The code that both sides know.
pub const CODE: &str = "4-purple-sausages";
/// The side of the other side.
const SIDE: &str = "0123456789";
/// What its key follows from.
const SCALAR: [u8; 64] = [9; 64];

/// What the server and the other side know.
#[derive(Clone, Debug)]
pub struct Peer {
    /// The side of the machine.
    side: String,
    key: SessionKey,
    pake: [u8; pake::MESSAGE],
    /// What the machine has added.
    own: Vec<(String, String)>,
    /// How much of what it said was looked at.
    heard: usize,
    /// Frames that were said.
    said: Vec<Vec<u8>>,
    /// The records that reached the machine, as the first of their number had them.
    records: BTreeMap<u64, Vec<u8>>,
}

/// How far a session has come when the script takes over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Met {
    /// The server was not reached.
    Never,
    /// The server was.
    Server,
    /// The other side has proved that it knows the code.
    Peer,
}

impl Met {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Never, Self::Server, Self::Peer];
}

/// A world in which the session of a machine that has [`CODE`] has come so far.
pub fn meet<M>(machine: M, appid: &str, met: Met) -> (World<M>, Peer)
where
    M: Machine + Clone,
    M::Event: Told + Clone,
    M::Request: Clone,
{
    let start = World::new(machine);
    let mut world = start.clone();
    let conn = Conn(0);
    world.open(conn);
    frame(&mut world, conn, &json!({"type": "welcome", "welcome": {}}));
    let linked = world.clone();
    frame(&mut world, conn, &json!({"type": "claimed", "mailbox": "mb"}));
    let mut peer = Peer::of(&world, appid);
    match met {
        Met::Never => (start, peer),
        Met::Server => (linked, peer),
        Met::Peer => {
            peer.own.clear();
            let pake = peer.message("pake", &encode_pake(&peer.pake));
            frame(&mut world, conn, &pake);
            let version = peer.sealed("version", br#"{"app_versions": {}}"#);
            frame(&mut world, conn, &version);
            world.events.clear();
            (world, peer)
        }
    }
}

fn frame<M: Machine>(world: &mut World<M>, conn: Conn, message: &Value) -> bool
where
    M::Event: Told,
{
    world.receive(conn, message.to_string().as_bytes())
}

impl Peer {
    /// Reads the machine's side and its part of the key exchange.
    fn of<M: Machine>(world: &World<M>, appid: &str) -> Self {
        let said: Vec<Value> =
            world.said.iter().filter_map(|(_, bytes)| serde_json::from_slice(bytes).ok()).collect();
        let text = |key: &str, kind: &str| {
            let message = said.iter().find(|message| message["type"] == kind)?;
            message[key].as_str().map(str::to_owned)
        };
        let theirs = text("body", "add").and_then(|body| decode_pake(&unhex(&body)).ok());
        let (Ok(code), Some(appid), Some(theirs)) = (Code::parse(CODE), AppId::parse(appid), theirs) else {
            unreachable!("the machine has the code and was heard: {said:?}");
        };
        let Ok(key) = pake::finish(&code, &appid, &SCALAR, &theirs) else { unreachable!("it is sound") };
        let side = text("side", "bind").unwrap_or_default();
        let pake = pake::start(&code, &appid, &SCALAR);
        let (own, said, records) = (Vec::new(), Vec::new(), BTreeMap::new());
        Self { side, key, pake, own, heard: 0, said, records }
    }

    /// The key that it has with the machine.
    pub const fn key(&self) -> &SessionKey {
        &self.key
    }

    /// The records that the machine may tell, from the first on.
    pub fn records(&self) -> impl Iterator<Item = &Vec<u8>> {
        (0..).map_while(|number| self.records.get(&number))
    }

    /// The server says something on the connection that reads, if any does.
    pub fn say<M: Machine>(&mut self, world: &mut World<M>, script: &mut Script<'_>, plains: &[&str])
    where
        M::Event: Told,
    {
        let Some(conn) = world.reading().into_iter().find(|conn| world.is_mailbox(*conn)) else { return };
        self.listen(world);
        let mut record = None;
        let message = match script.below(20) {
            0 => json!({"type": "welcome", "welcome": {"motd": text(script)}}),
            1 => json!({"type": "welcome", "welcome": {"error": text(script)}}),
            2 => json!({"type": "ack"}),
            3 => json!({"type": "nameplates", "nameplates": [{"id": "4"}, {"id": text(script)}]}),
            4 => json!({"type": "allocated", "nameplate": "4"}),
            5 => json!({"type": "claimed", "mailbox": "mb"}),
            6 => json!({"type": "claimed", "mailbox": text(script)}),
            7 => json!({"type": "released"}),
            8 | 9 => self.echo(script),
            10 => self.message("pake", &encode_pake(&self.pake)),
            11 => self.sealed("version", &[br#"{"app_versions":"#, script.chunk(), b"}"].concat()),
            12 | 13 => {
                let number =
                    script.below(4) as u64 + self.records.len() as u64 - self.records.len().min(2) as u64;
                let plain = script.pick(plains).map_or_else(|| script.chunk(), |plain| plain.as_bytes());
                record = Some((number, plain.to_vec()));
                self.sealed(&number.to_string(), plain)
            }
            14 => self.message(&text(script), script.chunk()),
            15 => json!({"type": "closed"}),
            16 => json!({"type": "error", "error": text(script)}),
            18 => welcome_with_work(script),
            _ => return self.say_anything(world, conn, script),
        };
        let bytes = message.to_string().into_bytes();
        if world.receive(conn, &bytes)
            && let Some((number, plain)) = record
        {
            self.records.entry(number).or_insert(plain);
        }
        self.said.push(bytes);
    }

    /// Something said before once more, or no message at all.
    fn say_anything<M: Machine>(&self, world: &mut World<M>, conn: Conn, script: &mut Script<'_>)
    where
        M::Event: Told,
    {
        let again = script.byte().checked_sub(1).and_then(|index| self.said.get(usize::from(index)));
        world.receive(conn, again.map_or_else(|| script.chunk(), Vec::as_slice));
    }

    /// Looks at what the machine has added.
    fn listen<M: Machine>(&mut self, world: &World<M>) {
        for (_, bytes) in world.said.get(self.heard..).unwrap_or_default() {
            let message: Value = serde_json::from_slice(bytes).unwrap_or_default();
            let text = |key: &str| message.get(key).and_then(Value::as_str);
            if let (Some(phase), Some(body)) = (text("phase"), text("body")) {
                self.own.push((phase.to_owned(), body.to_owned()));
            }
        }
        self.heard = world.said.len();
    }

    /// What the machine added comes back, as a server does with everything.
    fn echo(&self, script: &mut Script<'_>) -> Value {
        let (phase, body) = script.pick(&self.own).cloned().unwrap_or_default();
        json!({"type": "message", "side": self.side, "phase": phase, "body": body})
    }

    /// A message of the other side as the server passes it on.
    pub fn sealed(&self, phase: &str, plain: &[u8]) -> Value {
        let (Some(side), Some(number)) = (Side::parse(SIDE), Phase::parse(phase)) else { return Value::Null };
        let key = self.key.phase_key(&side, &number);
        self.message(phase, &secretbox::seal(&key, &[5; secretbox::NONCE], plain))
    }

    fn message(&self, phase: &str, body: &[u8]) -> Value {
        let body: String = body.iter().map(|byte| format!("{byte:02x}")).collect();
        json!({"type": "message", "side": SIDE, "phase": phase, "body": body})
    }
}

/// Work that is done at once, or never.
fn welcome_with_work(script: &mut Script<'_>) -> Value {
    let bits = script.pick(&[0, 4, 10, 200]);
    let hashcash = json!({"bits": bits, "resource": text(script)});
    json!({"type": "welcome", "welcome": {"permission-required": {"none": {}, "hashcash": hashcash}}})
}

fn text(script: &mut Script<'_>) -> String {
    String::from_utf8_lossy(script.chunk()).into_owned()
}

fn unhex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> =
        text.chars().filter_map(|char| char.to_digit(16)).map(|digit| digit as u8).collect();
    digits.chunks_exact(2).map(|pair| pair.iter().fold(0, |byte, digit| byte << 4 | digit)).collect()
}
