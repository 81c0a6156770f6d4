//! What a client of the relay begins with.

use wormhole_core::driver::Conn;

use super::relay_server::{call, line, world};
use crate::script::{Script, pieces};

/// The first caller waits, the second says the stream.
const WAITING: Conn = Conn(2);
const CALLING: Conn = Conn(4);

/// Whether somebody waits, where the stream is cut, and the stream.
pub fn run(data: &[u8]) {
    let mut script = Script::new(data);
    let kind = script.byte();
    let cuts = script.chunk();
    let stream = script.rest();
    let whole = heard(kind, stream, &[]);
    assert_eq!(whole, heard(kind, stream, cuts), "it matters where it is cut");
}

/// What the caller hears, and what the one that waits does, with what a join would bring it.
fn heard(kind: u8, stream: &[u8], cuts: &[u8]) -> [Vec<u8>; 2] {
    let mut world = world();
    assert_eq!([call(&mut world, 0), call(&mut world, 0)], [Some(WAITING), Some(CALLING)]);
    if kind & 0x80 == 0 {
        world.receive(WAITING, &line(kind));
    }
    let mut joined = Vec::new();
    for piece in pieces(stream, cuts) {
        let is_paired = world.said.iter().any(|(conn, said)| *conn == WAITING && said.starts_with(b"ok\n"));
        if !world.receive(CALLING, piece) && is_paired {
            joined.extend_from_slice(piece);
        }
    }
    let hears =
        |of: Conn| world.said.iter().filter(move |(conn, _)| *conn == of).map(|(_, said)| said.as_slice());
    let ours = hears(CALLING).collect::<Vec<_>>().concat();
    let theirs = hears(WAITING).chain([joined.as_slice()]).collect::<Vec<_>>().concat();
    [ours, theirs]
}
