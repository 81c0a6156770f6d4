//! A mailbox server that says what it is told to say, down to the bytes of its frames.

use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};
use tungstenite::{Message, WebSocket};

use crate::{fail, ok};

/// How long it waits for a client to say something.
const LIMIT: Duration = Duration::from_secs(30);

/// Serves each of its clients on a thread of its own, which ends with the client.
pub struct LyingServer {
    port: u16,
}

/// One client of it.
pub struct Client {
    socket: WebSocket<TcpStream>,
    side: Value,
}

impl LyingServer {
    /// Welcomes its clients, and then does as `serve` says.
    #[track_caller]
    pub fn start(serve: impl Fn(&mut Client) + Send + Sync + 'static) -> Self {
        Self::mute(move |client| {
            client.say(&json!({"type": "welcome", "welcome": {}}));
            serve(client);
        })
    }

    /// Speaks WebSocket, and says what `serve` says.
    #[track_caller]
    pub fn mute(serve: impl Fn(&mut Client) + Send + Sync + 'static) -> Self {
        Self::raw(move |stream| {
            if let Ok(socket) = tungstenite::accept(stream) {
                serve(&mut Client { socket, side: Value::Null });
            }
        })
    }

    /// Does not even speak WebSocket, unless `serve` does.
    #[track_caller]
    pub fn raw(serve: impl Fn(TcpStream) + Send + Sync + 'static) -> Self {
        let listener = ok(TcpListener::bind("127.0.0.1:0"), "a port");
        let port = ok(listener.local_addr(), "a port").port();
        let serve = Arc::new(serve);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // A client that says nothing ends the thread in the end.
                let _ = stream.set_read_timeout(Some(LIMIT));
                let serve = Arc::clone(&serve);
                thread::spawn(move || serve(stream));
            }
        });
        Self { port }
    }

    /// Its URL.
    pub fn url(&self) -> String {
        format!("ws://127.0.0.1:{}/v1", self.port)
    }
}

impl Client {
    /// The next command; nothing once the client has left.
    pub fn read(&mut self) -> Option<Value> {
        loop {
            match self.socket.read().ok()? {
                Message::Text(text) => return Some(ok(serde_json::from_str(&text), "a command")),
                Message::Binary(_)
                | Message::Ping(_)
                | Message::Pong(_)
                | Message::Close(_)
                | Message::Frame(_) => {}
            }
        }
    }

    /// Says this. A client that has left does not hear it.
    pub fn say(&mut self, message: &Value) {
        let _ = self.socket.send(Message::text(message.to_string()));
    }

    /// Sends these bytes where a frame should be; tells whether they could be sent.
    pub fn raw(&mut self, bytes: &[u8]) -> bool {
        self.socket.get_mut().write_all(bytes).is_ok()
    }

    /// Says something as the other side.
    pub fn say_as(&mut self, side: &str, phase: &str, body: &str) {
        self.say(&json!({"type": "message", "side": side, "phase": phase, "body": body}));
    }

    /// Answers as a server should, until it has heard this command and answered it.
    pub fn serve_until(&mut self, wanted: &str) -> Option<Value> {
        loop {
            let command = self.read()?;
            self.answer(&command);
            if command.get("type").and_then(Value::as_str) == Some(wanted) {
                return Some(command);
            }
        }
    }

    /// Answers as a server should, until the client has left.
    pub fn serve(&mut self) {
        while let Some(command) = self.read() {
            self.answer(&command);
        }
    }

    fn answer(&mut self, command: &Value) {
        let Some(kind) = command["type"].as_str() else { fail(format_args!("no command: {command}")) };
        match kind {
            "bind" => self.side = command["side"].clone(),
            "allocate" => self.say(&json!({"type": "allocated", "nameplate": "4"})),
            "claim" => self.say(&json!({"type": "claimed", "mailbox": "mb"})),
            "release" => self.say(&json!({"type": "released"})),
            "close" => self.say(&json!({"type": "closed"})),
            "add" => {
                let (side, phase, body) = (&self.side, &command["phase"], &command["body"]);
                self.say(&json!({"type": "message", "side": side, "phase": phase, "body": body}));
            }
            _ => {}
        }
    }
}
