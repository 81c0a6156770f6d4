//! What a proxy answers, SOCKS5 or HTTP.

use wormhole_core::driver::{Address, Conn, Input, Op, Target, Why};
use wormhole_runtime::{Proxied, Proxy, Runtime};

use crate::below::{Below, joined, told};
use crate::script::{Script, pieces};

const CONN: Conn = Conn(3);

/// Which proxy, where the stream is cut, and the stream.
pub fn run(data: &[u8]) {
    let mut script = Script::new(data);
    let kind = script.byte();
    let host = ["example.com", "192.0.2.1", "2001:db8::1"].get(usize::from(kind >> 2) % 3);
    let cuts = script.chunk();
    let stream = script.rest();
    let to = Address::new(*host.unwrap_or(&""), 4001);
    let whole = answered(kind, &to, stream, &[]);
    assert_eq!(whole, answered(kind, &to, stream, cuts), "it matters where it is cut");
}

/// What is told above, with the bytes put together, and what is said to the proxy.
fn answered(kind: u8, to: &Address, stream: &[u8], cuts: &[u8]) -> (Vec<u8>, Vec<Input>, Vec<u8>) {
    let proxy = if kind & 1 == 0 { Proxy::socks5("p", 1) } else { Proxy::http("p", 1) };
    let proxy = if kind & 2 == 0 { Ok(proxy) } else { proxy.login("user", "word") };
    let below = Below::default();
    let mut proxied = Proxied::new(below.clone(), proxy.ok());
    proxied.start(Op::Open { conn: CONN, target: Target::Peer(to.clone()) });
    below.happen(Input::Opened { conn: CONN, peer: None });
    let mut seen = told(&mut proxied);
    for (done, piece) in pieces(stream, cuts).into_iter().enumerate() {
        read(&mut proxied, &mut seen, &below, done);
        if below.closes(CONN) {
            break;
        }
        assert_eq!(below.reads(CONN), done + 1, "one read at a time, and always one");
        below.happen(Input::Received { conn: CONN, bytes: piece.to_vec() });
        seen.extend(told(&mut proxied));
    }
    if !seen.is_empty() && !below.closes(CONN) {
        let reads = below.reads(CONN);
        read(&mut proxied, &mut seen, &below, reads);
    }
    let why = if below.closes(CONN) { Why::Asked } else { Why::Ended };
    below.happen(Input::Closed { conn: CONN, why });
    seen.extend(told(&mut proxied));
    let (bytes, others) = joined(&seen);
    // What is said to a proxy that fails makes no difference.
    let is_open = matches!(others.first(), Some(Input::Opened { .. }));
    let said = if is_open { below.writes(CONN).concat() } else { Vec::new() };
    (bytes, others, said)
}

/// Once the connection stands it is read, also what has come along with the proxy's last word.
fn read(proxied: &mut Proxied<Below>, seen: &mut Vec<Input>, below: &Below, reads: usize) {
    while !seen.is_empty() && below.reads(CONN) == reads {
        proxied.start(Op::Read { conn: CONN });
        seen.extend(told(proxied));
    }
}
