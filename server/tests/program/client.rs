//! A client of the mailbox server that says and hears what a test wants.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use serde_json::Value;
use tungstenite::client::IntoClientRequest;
use tungstenite::{Message, WebSocket};

use crate::running::LIMIT;

/// Anything that a WebSocket can run over.
pub(crate) trait Wire: Read + Write {}

impl<T: Read + Write> Wire for T {}

/// A connection that goes on where the system was interrupted, as it is when the whole computer stood still.
struct Steady<W>(W);

impl<W: Read> Read for Steady<W> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.0.read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                outcome => return outcome,
            }
        }
    }
}

impl<W: Write> Write for Steady<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// A client that stands.
pub(crate) struct Client {
    socket: WebSocket<Box<dyn Wire>>,
}

impl Client {
    /// Connects over TCP.
    pub(crate) fn connect(at: SocketAddr) -> Self {
        Self::over(tcp(at), &[])
    }

    /// Speaks over this connection, with these headers in its request.
    pub(crate) fn over(wire: impl Read + Write + 'static, headers: &[(&'static str, &str)]) -> Self {
        Self::try_over(wire, headers).unwrap()
    }

    /// As [`Client::over`], where it may be refused.
    pub(crate) fn try_over(
        wire: impl Read + Write + 'static,
        headers: &[(&'static str, &str)],
    ) -> Result<Self, String> {
        let mut request = "ws://server/v1".into_client_request().unwrap();
        for (name, value) in headers {
            request.headers_mut().append(*name, value.parse().unwrap());
        }
        let wire: Box<dyn Wire> = Box::new(Steady(wire));
        let (socket, _) = tungstenite::client(request, wire).map_err(|error| error.to_string())?;
        Ok(Self { socket })
    }

    pub(crate) fn say(&mut self, message: Value) {
        self.socket.send(Message::text(message.to_string())).unwrap();
    }

    /// The next message.
    pub(crate) fn hear(&mut self) -> Value {
        self.try_hear().unwrap()
    }

    /// The next message, or the code with which the server closes; `None` where it just ends.
    pub(crate) fn try_hear(&mut self) -> Result<Value, Option<u16>> {
        loop {
            match self.socket.read() {
                Ok(Message::Text(text)) => return Ok(serde_json::from_str(&text).unwrap()),
                Ok(Message::Close(frame)) => return Err(frame.map(|frame| frame.code.into())),
                Ok(Message::Ping(_) | Message::Pong(_)) => {}
                Ok(other) => panic!("{other:?}"),
                Err(tungstenite::Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => {
                    panic!("nothing was heard for {LIMIT:?}")
                }
                Err(_) => return Err(None),
            }
        }
    }

    /// Says a command, and hears what follows its ack.
    pub(crate) fn ask(&mut self, message: Value) -> Value {
        self.say(message);
        assert_eq!(self.hear()["type"], "ack");
        self.hear()
    }

    /// Says a command that has no answer but its ack.
    pub(crate) fn tell(&mut self, message: Value) {
        self.say(message);
        assert_eq!(self.hear()["type"], "ack");
    }
}

/// A connection that never blocks for ever.
pub(crate) fn tcp(at: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect_timeout(&at, LIMIT).unwrap();
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    stream
}

/// The same over a Unix socket.
pub(crate) fn unix(path: &str) -> UnixStream {
    let stream = UnixStream::connect(path).unwrap();
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    stream
}

/// All that comes until the other end closes, or this time is over.
pub(crate) fn rest(stream: &mut TcpStream, limit: Duration) -> Vec<u8> {
    stream.set_read_timeout(Some(limit)).unwrap();
    let mut all = Vec::new();
    // An error is the end, too.
    let _ = stream.read_to_end(&mut all);
    all
}
