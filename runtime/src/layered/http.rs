//! The little HTTP there is: how a client asks for a WebSocket, and what a mailbox server answers.

use tungstenite::error::{Error, ProtocolError};
use tungstenite::handshake::client::{Response, generate_key};
use tungstenite::handshake::derive_accept_key;
use tungstenite::handshake::machine::TryParse;
use tungstenite::handshake::server::Request;
use tungstenite::http::HeaderMap;
use wormhole_core::driver::Why;

use super::serving::Serving;
use super::url::Url;

/// The longest head of a request that we read.
const REQUEST_LIMIT: usize = 4 << 10;
/// The longest head of an answer that we read; there may be a large front end before a server.
const ANSWER_LIMIT: usize = 16 << 10;

/// A request for a WebSocket, and the key that its answer must prove.
pub(super) struct Asking {
    pub(super) request: Vec<u8>,
    key: String,
}

impl Asking {
    pub(super) fn new(url: &Url) -> Self {
        let key = generate_key();
        let Url { path, authority, .. } = url;
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: {authority}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n"
        );
        Self { request: request.into_bytes(), key }
    }

    /// Reads the answer: its length once it is there and grants the WebSocket.
    pub(super) fn answered(&self, bytes: &[u8]) -> Result<Option<usize>, Why> {
        let fault = |text: String| Err(Why::WebSocket(text));
        let (length, answer) = match Response::try_parse(bytes) {
            Ok(Some(parsed)) => parsed,
            Ok(None) if bytes.len() < ANSWER_LIMIT => return Ok(None),
            Ok(None) => return fault("the answer of the server is too long".into()),
            Err(_) => return fault("the server does not answer in HTTP".into()),
        };
        let status = answer.status();
        if status.as_u16() != 101 {
            return fault(format!("the server answered {status}"));
        }
        let headers = answer.headers();
        let accept = headers.get("Sec-WebSocket-Accept").map(|value| value.as_bytes());
        if !has_token(headers, "Upgrade", "websocket")
            || !has_token(headers, "Connection", "upgrade")
            || accept != Some(derive_accept_key(self.key.as_bytes()).as_bytes())
        {
            return fault("the server answered something that is no WebSocket".into());
        }
        if headers.contains_key("Sec-WebSocket-Extensions") || headers.contains_key("Sec-WebSocket-Protocol")
        {
            return fault("the server insists on an extension".into());
        }
        Ok(Some(length))
    }
}

/// What a server does about the bytes that a caller began with.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// Waits for the rest of the request.
    More,
    /// Grants a WebSocket, whose frames begin after `length` bytes.
    Upgrade { length: usize, answer: Vec<u8> },
    /// Answers and closes.
    Other { answer: Vec<u8> },
}

/// Whose clients are served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Serves {
    /// A mailbox server's: messages.
    Mailbox,
    /// A relay's: one stream of bytes.
    Relay,
}

/// Reads a request (`docs/server-protocol.md`, "The connection": the path is `/v1`, and `/` says what this is). At a
/// relay every path is the WebSocket.
pub(super) fn asked(bytes: &[u8], serves: Serves, serving: &Serving) -> Asked {
    match Request::try_parse(bytes) {
        Ok(None) if bytes.len() < REQUEST_LIMIT => Asked::More,
        Ok(None) => other("431 Request Header Fields Too Large", "", "too long\n"),
        Ok(Some((length, _))) if length > REQUEST_LIMIT => {
            other("431 Request Header Fields Too Large", "", "too long\n")
        }
        Ok(Some((length, request))) => match request.uri().path() {
            _ if serves == Serves::Relay => upgrade(length, request.headers(), serving),
            "/" => other("200 OK", "", "Wormhole Relay\n"),
            path if is_v1(path) => upgrade(length, request.headers(), serving),
            _ => other("404 Not Found", "", "not found\n"),
        },
        Err(Error::Protocol(ProtocolError::WrongHttpMethod)) => not_get(bytes),
        Err(_) => other("400 Bad Request", "", "bad request\n"),
    }
}

fn is_v1(path: &str) -> bool {
    path == "/v1" || path.starts_with("/v1/")
}

/// Any method but `GET`; the request is whole.
fn not_get(bytes: &[u8]) -> Asked {
    let line = bytes.split(|byte| *byte == b'\r' || *byte == b'\n').next().unwrap_or(&[]);
    let mut words = line.split(|byte| *byte == b' ');
    let (method, target) = (words.next().unwrap_or(&[]), words.next().unwrap_or(&[]));
    let path = String::from_utf8_lossy(target.split(|byte| *byte == b'?').next().unwrap_or(&[]));
    match &*path {
        "/" if method == b"HEAD" => Asked::Other { answer: head("200 OK", "", "Wormhole Relay\n".len()) },
        "/" => other("405 Method Not Allowed", "Allow: HEAD, GET\r\n", "not allowed\n"),
        path if is_v1(path) => other("405 Method Not Allowed", "Allow: GET\r\n", "not allowed\n"),
        _ => other("404 Not Found", "", "not found\n"),
    }
}

fn upgrade(length: usize, headers: &HeaderMap, serving: &Serving) -> Asked {
    let value = |name: &str| headers.get(name).map(|value| value.as_bytes());
    if !has_token(headers, "Upgrade", "websocket") || !has_token(headers, "Connection", "upgrade") {
        return other("426 Upgrade Required", "Upgrade: websocket\r\n", "this is a WebSocket\n");
    }
    if !matches!(value("Sec-WebSocket-Version"), Some(b"13" | b"8")) {
        return other("400 Bad Request", "Sec-WebSocket-Version: 13, 8\r\n", "another version, please\n");
    }
    if value("Origin") == Some(b"null") {
        return other("400 Bad Request", "", "origin 'null' not allowed\n");
    }
    if !serving.admits(value("Origin")) {
        return other("403 Forbidden", "", "this origin is not allowed\n");
    }
    let key = value("Sec-WebSocket-Key").filter(|key| is_key(key));
    let Some(key) = key else {
        return other("400 Bad Request", "", "no usable Sec-WebSocket-Key\n");
    };
    let answer = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {}\r\n\r\n",
        derive_accept_key(key)
    );
    Asked::Upgrade { length, answer: answer.into_bytes() }
}

/// Sixteen bytes in base 64 have 24 characters.
fn is_key(key: &[u8]) -> bool {
    key.len() == 24 && key.ends_with(b"==")
}

/// Whether a header that is a list of words has this one.
fn has_token(headers: &HeaderMap, name: &str, token: &str) -> bool {
    let mut words = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    words.any(|value| value.split(',').any(|word| word.trim().eq_ignore_ascii_case(token)))
}

fn other(status: &str, extra: &str, body: &str) -> Asked {
    let mut answer = head(status, extra, body.len());
    answer.extend_from_slice(body.as_bytes());
    Asked::Other { answer }
}

fn head(status: &str, extra: &str, length: usize) -> Vec<u8> {
    format!(
        "HTTP/1.1 {status}\r\n{extra}Content-Type: text/plain; charset=utf-8\r\nContent-Length: {length}\r\n\
         Connection: close\r\n\r\n"
    )
    .into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_of_ours_is_granted_by_our_server_and_believed() {
        let asking = Asking::new(&Url::parse("ws://relay:4000/v1?x=1").unwrap());
        let Asked::Upgrade { length, answer } = asked(&asking.request, Serves::Mailbox, &Serving::default())
        else {
            panic!("refused")
        };
        assert_eq!(length, asking.request.len());
        assert_eq!(asking.answered(&answer), Ok(Some(answer.len())));
        for cut in 0..answer.len() {
            assert_eq!(asking.answered(&answer[..cut]), Ok(None), "{cut}");
        }
        for cut in 0..asking.request.len() {
            assert_eq!(
                asked(&asking.request[..cut], Serves::Mailbox, &Serving::default()),
                Asked::More,
                "{cut}"
            );
        }
    }

    #[test]
    fn an_answer_that_proves_nothing_is_not_believed() {
        let asking = Asking::new(&Url::parse("ws://relay/v1").unwrap());
        let fault = |text: &str| match asking.answered(text.as_bytes()) {
            Err(Why::WebSocket(text)) => text,
            other => panic!("{other:?}"),
        };
        assert_eq!(fault("HTTP/1.1 404 Not Found\r\n\r\n"), "the server answered 404 Not Found");
        assert!(fault("please wait\n").contains("HTTP"));
        let wrong =
            "HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: x\r\n\r\n";
        assert!(fault(wrong).contains("no WebSocket"));
        let endless = format!("HTTP/1.1 101 x\r\nX: {}", "a".repeat(ANSWER_LIMIT));
        assert!(fault(&endless).contains("too long"));
    }

    #[test]
    fn paths_methods_and_keys_are_told_apart() {
        let upgrade = |path: &str, version: &str, key: &str, extra: &str| {
            status(&format!(
                "GET {path} HTTP/1.1\r\nHost: h\r\nConnection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n\
                 Sec-WebSocket-Version: {version}\r\nSec-WebSocket-Key: {key}\r\n{extra}\r\n"
            ))
        };
        let key = "dGhlIHNhbXBsZSBub25jZQ==";
        for path in ["/v1", "/v1/", "/v1/x", "/v1?x=1"] {
            assert_eq!(upgrade(path, "13", key, "Origin: https://x\r\n"), "101", "{path}");
        }
        assert_eq!(upgrade("/v1", "8", key, "Sec-WebSocket-Protocol: a\r\n"), "101");
        assert_eq!(upgrade("/v1", "12", key, ""), "400");
        assert_eq!(upgrade("/v1", "13", "short", ""), "400");
        assert_eq!(upgrade("/v1", "13", key, "Origin: null\r\n"), "400");
        assert_eq!(upgrade("/v2", "13", key, ""), "404");
        assert_eq!(upgrade("/v11", "13", key, ""), "404");
        assert_eq!(status("GET / HTTP/1.1\r\n\r\n"), "200");
        assert_eq!(status("HEAD / HTTP/1.1\r\n\r\n"), "200");
        assert_eq!(status("POST / HTTP/1.1\r\n\r\n"), "405");
        assert_eq!(status("POST /v1 HTTP/1.1\r\n\r\n"), "405");
        assert_eq!(status("POST /nope HTTP/1.1\r\n\r\n"), "404");
        assert_eq!(status("GET /nope HTTP/1.1\r\n\r\n"), "404");
        assert_eq!(status("GET /v1 HTTP/1.1\r\n\r\n"), "426");
        assert_eq!(status("GET /v1 HTTP/1.0\r\n\r\n"), "400");
        assert_eq!(status("\x16\x03\x01\x02\x00\x01"), "400");
    }

    #[test]
    fn a_flood_of_headers_is_cut_off() {
        let flood = format!("GET /v1 HTTP/1.1\r\n{}", "X: yyyyyyyyyyyy\r\n".repeat(320));
        assert!(flood.len() > 5 << 10);
        assert_eq!(status(&flood), "400", "more headers than are parsed");
        let long = format!("GET /v1 HTTP/1.1\r\nX: {}", "y".repeat(5 << 10));
        assert_eq!(status(&long), "431");
        assert_eq!(status(&format!("{long}\r\n\r\n")), "431");
    }

    /// The status of the answer to a whole request.
    fn status(request: &str) -> String {
        match asked(request.as_bytes(), Serves::Mailbox, &Serving::default()) {
            Asked::Upgrade { answer, .. } | Asked::Other { answer } => {
                String::from_utf8(answer).unwrap().split(' ').nth(1).unwrap().to_owned()
            }
            Asked::More => "more".into(),
        }
    }
}
