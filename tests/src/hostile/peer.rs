//! A peer that knows the code and speaks the protocol as far as it serves its ends.

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use wormhole_core::crypto::TransitKey;
use wormhole_core::defaults::{TRANSFER_APPID, TRANSFER_TRANSIT_PURPOSE};
use wormhole_core::transit::{RecordKeys, Reference};
use wormhole_tokio::{Config, Wormhole};

use crate::{fail, ok};

/// The session of the peer; what it says in it is its own affair.
pub struct Foe {
    wormhole: Wormhole,
    key: TransitKey,
    listener: TcpListener,
}

/// A connection for content, after the handshake.
pub struct Stream {
    /// For whatever bytes.
    pub socket: TcpStream,
    keys: RecordKeys,
    sealed: u128,
}

impl Foe {
    /// Meets whoever has this code.
    pub async fn meet(mailbox: &str, code: &str) -> Self {
        let config = Config::new(TRANSFER_APPID).mailbox(mailbox);
        let mut wormhole = ok(Wormhole::new(config), "a peer");
        ok(wormhole.set_code(code).await, "the code");
        ok(wormhole.verifier().await, "the key");
        let key = ok(wormhole.derive_key(TRANSFER_TRANSIT_PURPOSE, 32), "the transit key");
        let Ok(key) = key.as_bytes().try_into() else { fail("the key has another length") };
        let listener = ok(TcpListener::bind("127.0.0.1:0").await, "a port");
        Self { wormhole, key: TransitKey::from_bytes(key), listener }
    }

    /// Says this, whatever it is. A side that has left does not hear it.
    pub async fn say(&mut self, message: impl AsRef<[u8]>) {
        let _ = self.wormhole.send(message.as_ref()).await;
    }

    /// The next message; nothing once there will be none.
    pub async fn hear(&mut self) -> Option<Value> {
        serde_json::from_slice(&self.wormhole.receive().await.ok()?).ok()
    }

    /// Says where it can be reached, which is true.
    pub async fn say_where(&mut self) {
        let port = ok(self.listener.local_addr(), "a port").port();
        self.say(transit([direct("127.0.0.1", port)]).to_string()).await;
    }

    /// Waits for the other side, which receives, and chooses its connection.
    pub async fn send_to(&self) -> Stream {
        let ours = format!("transit sender {} ready\n\ngo\n", hex(&self.key.sender_id()));
        let theirs = format!("transit receiver {} ready\n\n", hex(&self.key.receiver_id()));
        let (send, receive) = (self.key.sender_record_key(), self.key.receiver_record_key());
        self.connected(&ours, &theirs, RecordKeys { send, receive }).await
    }

    /// Waits for the other side, which sends, and lets it choose the connection.
    pub async fn receive_from(&self) -> Stream {
        let ours = format!("transit receiver {} ready\n\n", hex(&self.key.receiver_id()));
        let theirs = format!("transit sender {} ready\n\ngo\n", hex(&self.key.sender_id()));
        let (send, receive) = (self.key.receiver_record_key(), self.key.sender_record_key());
        self.connected(&ours, &theirs, RecordKeys { send, receive }).await
    }

    async fn connected(&self, ours: &str, theirs: &str, keys: RecordKeys) -> Stream {
        let (mut socket, _) = ok(self.listener.accept().await, "a caller");
        ok(socket.write_all(ours.as_bytes()).await, "the handshake");
        let mut heard = vec![0; theirs.len()];
        ok(socket.read_exact(&mut heard).await, "the handshake");
        if heard != theirs.as_bytes() {
            fail(format_args!("{:?} instead of {theirs:?}", String::from_utf8_lossy(&heard)));
        }
        Stream { socket, keys, sealed: 0 }
    }
}

impl Stream {
    /// The next record with this content.
    pub fn sealed(&mut self, content: &[u8]) -> Vec<u8> {
        self.sealed += 1;
        self.numbered(self.sealed - 1, content)
    }

    /// The record of this number.
    pub fn numbered(&self, number: u128, content: &[u8]) -> Vec<u8> {
        let mut sealer =
            wormhole_core::transit::Sealer::starting_at(Reference, self.keys.send.clone(), number);
        ok(sealer.seal_copy(content), "a record")
    }

    /// Sends these bytes. A side that has left does not hear them.
    pub async fn write(&mut self, bytes: &[u8]) {
        let _ = self.socket.write_all(bytes).await;
    }

    /// Waits until the other side has left.
    pub async fn until_left(&mut self) {
        let mut buffer = [0; 4096];
        while let Ok(1..) = self.socket.read(&mut buffer).await {}
    }
}

/// The message that says where somebody is.
fn transit(hints: impl IntoIterator<Item = Value>) -> Value {
    let hints: Vec<Value> = hints.into_iter().collect();
    json!({"transit": {"abilities-v1": [{"type": "direct-tcp-v1"}, {"type": "relay-v1"}], "hints-v1": hints}})
}

fn direct(host: &str, port: u16) -> Value {
    json!({"type": "direct-tcp-v1", "priority": 0.0, "hostname": host, "port": port})
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
