//! A mailbox server that does what a well-behaved client needs, and nothing else.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use wormhole_core::driver::{Address, Conn, Input, Listen, Op};
use wormhole_runtime::Runtime;

const LISTENER: Conn = Conn(0);

/// The server and the runtime that it alone uses.
pub(crate) struct Double<R> {
    pub(crate) runtime: R,
    clients: BTreeMap<Conn, Client>,
    /// The messages of each mailbox, as they are sent.
    mailboxes: BTreeMap<String, Vec<Value>>,
    callers: u64,
}

#[derive(Default)]
struct Client {
    side: Value,
    open: Option<String>,
}

impl<R: Runtime> Double<R> {
    /// Begins to listen on loopback.
    pub(crate) fn new(mut runtime: R) -> Self {
        runtime.start(Op::Listen { conn: LISTENER, on: Listen::Mailbox(Address::new("127.0.0.1", 0)) });
        Self { runtime, clients: BTreeMap::new(), mailboxes: BTreeMap::new(), callers: 0 }
    }

    /// Takes in what happened; answers the URL once the server can be reached.
    pub(crate) fn handle(&mut self, input: Option<Input>) -> Option<String> {
        match input? {
            Input::Listening { at, .. } => {
                self.accept();
                return Some(format!("ws://{}/v1", at[0]));
            }
            Input::Opened { conn, .. } => {
                self.clients.insert(conn, Client::default());
                self.say(conn, json!({"type": "welcome", "welcome": {"motd": "hello"}}));
                self.runtime.start(Op::Read { conn });
                self.accept();
            }
            Input::Received { conn, bytes } => {
                self.command(conn, &serde_json::from_slice(&bytes).unwrap());
                self.runtime.start(Op::Read { conn });
            }
            Input::Closed { conn, .. } => {
                self.clients.remove(&conn);
            }
            Input::Sent { .. } | Input::Stored(_) | Input::Tick => {}
        }
        None
    }

    fn accept(&mut self) {
        self.callers += 1;
        self.runtime.start(Op::Accept { at: LISTENER, conn: Conn(self.callers) });
    }

    fn say(&mut self, conn: Conn, message: Value) {
        self.runtime.start(Op::Write { conn, bytes: message.to_string().into_bytes() });
    }

    fn command(&mut self, conn: Conn, command: &Value) {
        self.say(conn, json!({"type": "ack", "id": command["id"]}));
        let Some(client) = self.clients.get_mut(&conn) else { return };
        match command["type"].as_str().unwrap() {
            "bind" => client.side = command["side"].clone(),
            "list" => self.say(conn, json!({"type": "nameplates", "nameplates": [{"id": "4"}]})),
            "allocate" => self.say(conn, json!({"type": "allocated", "nameplate": "4"})),
            "claim" => self.say(conn, json!({"type": "claimed", "mailbox": command["nameplate"]})),
            "release" => self.say(conn, json!({"type": "released"})),
            "close" => {
                client.open = None;
                self.say(conn, json!({"type": "closed"}));
            }
            "open" => {
                let mailbox = command["mailbox"].as_str().unwrap().to_owned();
                client.open = Some(mailbox.clone());
                for message in self.mailboxes.entry(mailbox).or_default().clone() {
                    self.say(conn, message);
                }
            }
            "add" => {
                let mailbox = client.open.clone().unwrap();
                let message = json!({"type": "message", "side": client.side, "phase": command["phase"],
                    "body": command["body"], "id": command["id"]});
                self.mailboxes.entry(mailbox.clone()).or_default().push(message.clone());
                let readers =
                    self.clients.iter().filter(|(_, client)| client.open.as_ref() == Some(&mailbox));
                for conn in readers.map(|(conn, _)| *conn).collect::<Vec<_>>() {
                    self.say(conn, message.clone());
                }
            }
            other => panic!("{other}"),
        }
    }
}
