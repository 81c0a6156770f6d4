//! A mailbox server with one mailbox, for any number of clients, which loses what it is told to lose.

use std::net::TcpStream;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};
use tungstenite::{Message, WebSocket, accept};

use super::LyingServer;
use crate::ok;

/// How often a client's socket is left alone to see whether there is something for it.
const TURN: Duration = Duration::from_millis(5);

/// What the server loses of what it is to send: from which side, where it is a message, and to which. Sides are numbered in
/// the order in which they came.
pub type Loses = fn(from: Option<usize>, to: usize, said: &Value) -> bool;

#[derive(Default)]
struct Shared {
    sides: Vec<String>,
    messages: Vec<Value>,
}

/// Starts one. Whoever claims any nameplate gets the same mailbox, however many there are.
#[track_caller]
pub fn room(loses: Loses) -> LyingServer {
    let shared = Arc::new(Mutex::new(Shared::default()));
    LyingServer::raw(move |stream| {
        let Ok(mut socket) = accept(stream) else { return };
        // From here on the socket is asked again and again, since two things may happen.
        ok(socket.get_mut().set_read_timeout(Some(TURN)), "a socket");
        Guest { socket, shared: Arc::clone(&shared), loses, number: None, told: None }.serve();
    })
}

struct Guest {
    socket: WebSocket<TcpStream>,
    shared: Arc<Mutex<Shared>>,
    loses: Loses,
    number: Option<usize>,
    /// How many messages of the mailbox it was told, once it is open.
    told: Option<usize>,
}

impl Guest {
    fn serve(&mut self) {
        self.say(&json!({"type": "welcome", "welcome": {}}));
        while let Some(command) = self.next() {
            if let Some(command) = command {
                self.answer(&command);
            }
            self.pass_on();
        }
    }

    /// What it says, if it says something; nothing once it has left.
    fn next(&mut self) -> Option<Option<Value>> {
        match self.socket.read() {
            Ok(Message::Text(text)) => Some(Some(ok(serde_json::from_str(&text), "a command"))),
            Ok(_) => Some(None),
            Err(tungstenite::Error::Io(error)) if error.kind() == std::io::ErrorKind::WouldBlock => {
                thread::yield_now();
                Some(None)
            }
            Err(_) => None,
        }
    }

    fn answer(&mut self, command: &Value) {
        self.say(&json!({"type": "ack", "id": command["id"]}));
        let text = |key: &str| command[key].as_str().unwrap_or_default().to_owned();
        match text("type").as_str() {
            "bind" => {
                let (mut shared, side) = (lock(&self.shared), text("side"));
                let known = shared.sides.iter().position(|known| *known == side);
                self.number = known.or(Some(shared.sides.len()));
                if known.is_none() {
                    shared.sides.push(side);
                }
            }
            "allocate" => self.say(&json!({"type": "allocated", "nameplate": "4"})),
            "claim" => self.say(&json!({"type": "claimed", "mailbox": "mb"})),
            "release" => self.say(&json!({"type": "released"})),
            "open" => self.told = Some(0),
            "close" => {
                self.told = None;
                self.say(&json!({"type": "closed"}));
            }
            "add" => {
                let mut shared = lock(&self.shared);
                let side = self.number.and_then(|number| shared.sides.get(number)).cloned();
                let (phase, body) = (text("phase"), text("body"));
                shared.messages.push(json!({"type": "message", "side": side, "phase": phase, "body": body}));
            }
            _ => {}
        }
    }

    fn pass_on(&mut self) {
        let Some(told) = self.told else { return };
        let new: Vec<Value> = lock(&self.shared).messages.iter().skip(told).cloned().collect();
        self.told = Some(told + new.len());
        for message in new {
            self.say(&message);
        }
    }

    fn say(&mut self, message: &Value) {
        let from = lock(&self.shared).sides.iter().position(|side| message["side"] == side.as_str());
        let is_lost = self.number.is_some_and(|to| (self.loses)(from, to, message));
        if !is_lost {
            // It may have left.
            let _ = self.socket.send(Message::text(message.to_string()));
        }
    }
}

fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}
