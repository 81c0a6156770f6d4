//! A client of the mailbox server that costs as little as it can, since it shares the computer with the server.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU32, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use crate::Outcome;

/// Loopback addresses to call from, or one would run out of ports.
const SOURCES: u32 = 250;

const UPGRADE: &str = "GET /v1 HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

/// Connects from the next source address.
pub(crate) async fn call(to: SocketAddr) -> Outcome<TcpStream> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let source = NEXT.fetch_add(1, Ordering::Relaxed) % SOURCES;
    let socket = TcpSocket::new_v4()?;
    // The server closes, or waits for it; either way nothing of ours is to hold a port.
    socket.set_reuseaddr(true)?;
    socket.bind(SocketAddr::from((Ipv4Addr::from(0x7f00_0101 + source), 0)))?;
    let stream = socket.connect(to).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// One connection to a mailbox server.
pub(crate) struct Client {
    stream: TcpStream,
    came: Vec<u8>,
    used: usize,
    out: Vec<u8>,
}

impl Client {
    /// Connects and reads the welcome.
    pub(crate) async fn connect(to: SocketAddr) -> Outcome<Self> {
        let mut stream = call(to).await?;
        stream.write_all(UPGRADE.as_bytes()).await?;
        let mut client = Self { stream, came: Vec::new(), used: 0, out: Vec::new() };
        loop {
            client.more().await?;
            if let Some(end) = client.came.windows(4).position(|four| four == b"\r\n\r\n") {
                client.used = end + 4;
                break;
            }
        }
        client.until("welcome", |_| true).await?;
        Ok(client)
    }

    /// Notes a message that leaves with the next [`Client::until`].
    pub(crate) fn say(&mut self, text: &str) {
        self.out.push(0x81);
        match u8::try_from(text.len()) {
            Ok(short) if short < 126 => self.out.push(0x80 | short),
            Ok(_) | Err(_) => {
                self.out.push(0x80 | 126);
                let length = u16::try_from(text.len()).unwrap_or(u16::MAX);
                self.out.extend_from_slice(&length.to_be_bytes());
            }
        }
        // A mask of zeros leaves the text as it is.
        self.out.extend_from_slice(&[0; 4]);
        self.out.extend_from_slice(text.as_bytes());
    }

    /// Reads until a message of this type comes that is the one.
    pub(crate) async fn until(&mut self, kind: &str, is_it: impl Fn(&str) -> bool) -> Outcome<String> {
        if !self.out.is_empty() {
            self.stream.write_all(&self.out).await?;
            self.out.clear();
        }
        loop {
            while let Some(text) = self.next()? {
                match field(&text, "type") {
                    Some("error") => return Err(text.into()),
                    Some(came) if came == kind && is_it(&text) => return Ok(text),
                    Some(_) | None => {}
                }
            }
            self.more().await?;
        }
    }

    /// Gives its buffers back, since what holds ten thousand of these is not to weigh on the computer.
    pub(crate) fn rest(&mut self) {
        self.out = Vec::new();
        self.came = self.came.split_off(self.used);
        self.used = 0;
        self.came.shrink_to_fit();
    }

    async fn more(&mut self) -> Outcome<()> {
        if self.used > 0 {
            self.came.drain(..self.used);
            self.used = 0;
        }
        self.came.reserve(2048);
        match self.stream.read_buf(&mut self.came).await? {
            0 => Err("the server closed".into()),
            _ => Ok(()),
        }
    }

    /// The next whole message of text.
    fn next(&mut self) -> Outcome<Option<String>> {
        loop {
            let bytes = self.came.get(self.used..).unwrap_or(&[]);
            let [first, second, rest @ ..] = bytes else { return Ok(None) };
            let (head, length) = match (*second, rest) {
                (126, [high, low, ..]) => (4, usize::from(u16::from_be_bytes([*high, *low]))),
                (126, _) => return Ok(None),
                (127, _) => return Err("a huge message".into()),
                (length, _) => (2, usize::from(length)),
            };
            let Some(body) = bytes.get(head..head + length) else { return Ok(None) };
            let text = (*first == 0x81).then(|| String::from_utf8_lossy(body).into_owned());
            self.used += head + length;
            if text.is_some() {
                return Ok(text);
            }
        }
    }
}

/// The text of one key, as both servers write it; good enough for what they say here.
pub(crate) fn field<'t>(text: &'t str, key: &str) -> Option<&'t str> {
    let (_, rest) = text.split_once(&format!("\"{key}\":"))?;
    rest.trim_start().strip_prefix('"')?.split('"').next()
}
