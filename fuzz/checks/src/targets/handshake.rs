//! The handshake of transit on one connection, in both roles: dialled, called, and by way of a relay.

use wormhole_core::crypto::TransitKey;
use wormhole_core::driver::{Conn, Conns};
use wormhole_core::transit::race::Event;
use wormhole_core::transit::{Race, Role};
use wormhole_core::wire::hints::TransitInfo;
use wormhole_core::wire::peer::TransferMessage;

use crate::script::{Script, pieces};
use crate::world::World;

/// The role and the way, where the stream is cut, how much of the right stream comes first, and what comes then.
pub fn run(data: &[u8]) {
    let mut script = Script::new(data);
    let kind = script.byte();
    let cuts = script.chunk();
    let right = right(kind);
    let count = usize::from(script.number()).min(right.len());
    let stream = [right.get(..count).unwrap_or_default(), script.rest()].concat();
    let whole = shake(kind, &stream, &[]);
    assert_eq!(whole, shake(kind, &stream, cuts), "it matters where it is cut");
    assert_eq!(whole.is_some(), stream.starts_with(&right), "another line is as good");
    assert!(whole.is_none_or(|rest| stream.ends_with(&rest)));
}

/// What follows the handshake, if it is complete.
fn shake(kind: u8, stream: &[u8], cuts: &[u8]) -> Option<Vec<u8>> {
    let role = if kind & 1 == 0 { Role::Sender } else { Role::Receiver };
    let is_caller = (kind >> 1) % 3 == 1;
    let mut race = Race::new(role, Vec::new(), is_caller, [1; 32], Conns::all());
    race.set_key(&key());
    if !is_caller {
        race.add_hints(&hints(kind));
        race.start();
    }
    let mut world = World::new(race);
    world.pass_to_deadline();
    world.listen(Conn(0));
    let conn = Conn(is_caller.into());
    world.open(conn);
    let mut rest = None;
    for piece in pieces(stream, cuts) {
        while world.sent(conn) {}
        if let Some(read) = settled(&world) {
            rest.get_or_insert_with(|| read.to_vec()).extend_from_slice(piece);
        } else {
            world.receive(conn, piece);
        }
        while world.sent(conn) {}
        rest = rest.or_else(|| settled(&world).map(<[u8]>::to_vec));
    }
    rest
}

fn settled(world: &World<Race>) -> Option<&[u8]> {
    world.events.iter().find_map(|event| match event {
        Event::Settled(settled) => Some(settled.read.as_slice()),
        Event::Hints(_) | Event::Failed(_) => None,
    })
}

/// What the other side says, and the relay before it.
fn right(kind: u8) -> Vec<u8> {
    let [sender, receiver] = lines(&key());
    let peer = if kind & 1 == 0 { receiver } else { [sender.as_slice(), b"go\n"].concat() };
    if (kind >> 1) % 3 == 2 { [b"ok\n".as_slice(), &peer].concat() } else { peer }
}

/// What each role says.
pub(crate) fn lines(key: &TransitKey) -> [Vec<u8>; 2] {
    let hex = |id: [u8; 32]| id.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    [
        format!("transit sender {} ready\n\n", hex(key.sender_id())).into_bytes(),
        format!("transit receiver {} ready\n\n", hex(key.receiver_id())).into_bytes(),
    ]
}

fn hints(kind: u8) -> TransitInfo {
    let direct = r#"{"type": "direct-tcp-v1", "hostname": "192.0.2.3", "port": 7}"#;
    let relay = format!(r#"{{"type": "relay-v1", "hints": [{direct}]}}"#);
    let hint = if (kind >> 1) % 3 == 2 { relay.as_str() } else { direct };
    read_hints(format!(r#"{{"transit": {{"hints-v1": [{hint}]}}}}"#).as_bytes())
}

/// The hints of a message of the other side.
pub(crate) fn read_hints(message: &[u8]) -> TransitInfo {
    let messages = TransferMessage::decode(message).unwrap_or_default();
    let info = messages.into_iter().find_map(|message| match message {
        TransferMessage::Transit(info) => Some(info),
        TransferMessage::Offer(_) | TransferMessage::Answer(_) | TransferMessage::Error(_) => None,
    });
    info.unwrap_or_default()
}

fn key() -> TransitKey {
    TransitKey::from_bytes([3; 32])
}
