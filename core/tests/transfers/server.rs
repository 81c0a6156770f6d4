//! A mailbox server in memory: as much of one as two clients need.

use serde_json::{Value, json};

/// Which node, and which of its connections.
pub(crate) type Client = (usize, u64);

/// Nameplates are not handed out: the one mailbox is behind all of them.
#[derive(Default)]
pub(crate) struct Server {
    sides: Vec<(Client, String)>,
    open: Vec<Client>,
    messages: Vec<Value>,
    /// Moods in which the mailbox was closed, by side.
    pub(crate) moods: Vec<(String, String)>,
    /// Side and phase of all that was added.
    pub(crate) added: Vec<(String, String)>,
    /// Answers to `add` are kept back.
    pub(crate) is_deaf: bool,
}

impl Server {
    pub(crate) fn connected(&self, client: Client) -> Vec<(Client, Value)> {
        vec![(client, json!({"type": "welcome", "welcome": {}}))]
    }

    pub(crate) fn lost(&mut self, client: Client) {
        self.open.retain(|it| *it != client);
        self.sides.retain(|(it, _)| *it != client);
    }

    pub(crate) fn said(&mut self, client: Client, text: &[u8]) -> Vec<(Client, Value)> {
        let command: Value = serde_json::from_slice(text).expect("clients send JSON");
        let text = |key: &str| command[key].as_str().unwrap_or_default().to_owned();
        let mut answers = vec![(client, json!({"type": "ack", "id": command["id"]}))];
        match text("type").as_str() {
            "bind" => self.sides.push((client, text("side"))),
            "allocate" => answers.push((client, json!({"type": "allocated", "nameplate": "7"}))),
            "claim" => answers.push((client, json!({"type": "claimed", "mailbox": "mb"}))),
            "list" => answers.push((client, json!({"type": "nameplates", "nameplates": [{"id": "7"}]}))),
            "release" => answers.push((client, json!({"type": "released"}))),
            "open" => {
                self.open.push(client);
                answers.extend(self.messages.iter().map(|message| (client, message.clone())));
            }
            "add" if self.is_deaf => {}
            "add" => {
                let side = self.side(client);
                self.added.push((side.clone(), text("phase")));
                let message = json!({
                    "type": "message", "side": side, "phase": command["phase"], "body": command["body"],
                    "id": command["id"],
                });
                self.messages.push(message.clone());
                answers.extend(self.open.iter().map(|open| (*open, message.clone())));
            }
            "close" => {
                self.moods.push((self.side(client), text("mood")));
                self.open.retain(|it| *it != client);
                answers.push((client, json!({"type": "closed"})));
            }
            other => panic!("unexpected command {other}"),
        }
        answers
    }

    fn side(&self, client: Client) -> String {
        self.sides.iter().find(|(it, _)| *it == client).expect("bind comes first").1.clone()
    }
}
