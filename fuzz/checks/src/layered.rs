//! One connection through the layers of a runtime, fed with a stream that is cut where it is wanted.

use wormhole_core::driver::{Address, Conn, Input, Listen, Op, Target, Why};
use wormhole_runtime::{Layered, Roots, Runtime};

use crate::below::{Below, joined, told};
use crate::script::pieces;

/// The numbers above: the listener's and the connection's.
const LISTENER: Conn = Conn(0);
const ABOVE: Conn = Conn(1);

/// Who is fed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// A client that has asked for a WebSocket.
    Client,
    /// A client that has asked for a WebSocket over TLS, and trusts nobody.
    Tls,
    /// A mailbox server that has a caller.
    Server,
    /// A relay that has a caller, who may cut its stream into messages as it likes.
    Relay,
}

impl End {
    /// The one that a byte of an input means.
    pub const fn of(byte: u8) -> Self {
        match byte & 3 {
            0 => Self::Server,
            2 => Self::Relay,
            _ => Self::Client,
        }
    }
}

/// What came of a stream.
#[derive(Debug, PartialEq, Eq)]
pub struct Outcome {
    /// What was told above.
    pub told: Vec<Input>,
    /// What was answered below; of a client, who masks at random, only how long it is.
    pub answered: Result<Vec<u8>, usize>,
    /// Whether the end of the connection was asked for.
    pub closes: bool,
}

/// Feeds the stream to one end, behind what `head` makes of the request of a client. The other end closes after it.
pub fn feed(end: End, head: impl FnOnce(&[u8]) -> Vec<u8>, stream: &[u8], cuts: &[u8]) -> Outcome {
    let below = Below::default();
    let mut layer = Layered::with(below.clone(), Some(Roots::from_der([])));
    match end {
        End::Tls => layer.start(Op::Open { conn: ABOVE, target: Target::Mailbox("wss://h/v1".into()) }),
        End::Client => layer.start(Op::Open { conn: ABOVE, target: Target::Mailbox("ws://h/v1".into()) }),
        End::Server => serve(&mut layer, Listen::Mailbox(Address::new("h", 1))),
        End::Relay => serve(&mut layer, Listen::RelayWebSocket(Address::new("h", 1))),
    }
    let Some(conn) = below.begun() else { unreachable!("it dials or accepts at once") };
    below.happen(Input::Opened { conn, peer: Some(([192, 0, 2, 1], 9).into()) });
    let mut seen = Vec::new();
    let mut writes = go_on(&mut layer, &below, conn, 0, &mut seen);
    let request = below.writes(conn).concat();
    let whole = [head(&request).as_slice(), stream].concat();
    for (done, piece) in pieces(&whole, cuts).into_iter().enumerate() {
        let reads = below.reads(conn);
        assert!((done..=done + 1).contains(&reads), "two reads at once");
        if reads == done || below.closes(conn) {
            break;
        }
        below.happen(Input::Received { conn, bytes: piece.to_vec() });
        writes = go_on(&mut layer, &below, conn, writes, &mut seen);
    }
    let closes = below.closes(conn);
    below.happen(Input::Closed { conn, why: if closes { Why::Asked } else { Why::Ended } });
    go_on(&mut layer, &below, conn, writes, &mut seen);
    let said = below.writes(conn).concat();
    let answered = said.get(request.len()..).unwrap_or_default().to_vec();
    let is_client = matches!(end, End::Client | End::Tls);
    let answered = if is_client { Err(answered.len()) } else { Ok(answered) };
    // What a relay is told is a stream.
    let told = if end == End::Relay { in_one_piece(&seen) } else { seen };
    Outcome { told, answered, closes }
}

fn serve(layer: &mut Layered<Below>, on: Listen) {
    layer.start(Op::Listen { conn: LISTENER, on });
    layer.start(Op::Accept { at: LISTENER, conn: ABOVE });
}

fn in_one_piece(told: &[Input]) -> Vec<Input> {
    let (bytes, mut others) = joined(told);
    let last = others.len().saturating_sub(1);
    others.insert(last, Input::Received { conn: ABOVE, bytes });
    others
}

/// Takes all writes, reads whatever message is there, and goes on until nothing more follows. Answers how many writes
/// were taken so far.
fn go_on(
    layer: &mut Layered<Below>,
    below: &Below,
    conn: Conn,
    mut taken: usize,
    seen: &mut Vec<Input>,
) -> usize {
    loop {
        let new = told(layer);
        let writes = below.count_writes(conn);
        if new.is_empty() && writes == taken {
            return taken;
        }
        for _ in taken..writes {
            below.happen(Input::Sent { conn });
        }
        taken = writes;
        let reads = |input: &&Input| matches!(input, Input::Opened { .. } | Input::Received { .. });
        for _ in new.iter().filter(reads) {
            layer.start(Op::Read { conn: ABOVE });
        }
        seen.extend(new);
    }
}
