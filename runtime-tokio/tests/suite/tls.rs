//! `wss://`, against a server that shares nothing with ours but its libraries.

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;

use data_encoding::BASE64;
use rustls::crypto::ring;
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use wormhole_core::driver::{Conn, Input, Op, Target, Why};
use wormhole_runtime::Runtime;
use wormhole_tokio::{Config, Network, Roots, Wormhole};

use crate::soon;

const CONN: Conn = Conn(0);

#[tokio::test]
async fn messages_of_any_length_go_through_tls() {
    let (port, root) = serve("localhost");
    let mut runtime = runtime(vec![root]);
    open(&mut runtime, port);
    let opened = next(&mut runtime).await;
    assert!(matches!(opened, Input::Opened { conn: CONN, peer: Some(_) }), "{opened:?}");
    for message in [b"{}".to_vec(), vec![b'x'; 3_000_000], b"last".to_vec()] {
        runtime.start(Op::Write { conn: CONN, bytes: message.clone() });
        runtime.start(Op::Read { conn: CONN });
        let mut came = [next(&mut runtime).await, next(&mut runtime).await];
        came.sort_by_key(|input| matches!(input, Input::Received { .. }));
        assert!(came == [Input::Sent { conn: CONN }, Input::Received { conn: CONN, bytes: message }]);
    }
    runtime.start(Op::Close { conn: CONN });
    assert_eq!(next(&mut runtime).await, Input::Closed { conn: CONN, why: Why::Asked });
}

#[tokio::test]
async fn records_may_come_a_byte_at_a_time_and_end_without_a_word() {
    let (port, root) = serve_with("localhost", 1, 1);
    let mut runtime = runtime(vec![root]);
    open(&mut runtime, port);
    assert!(matches!(next(&mut runtime).await, Input::Opened { conn: CONN, .. }));
    runtime.start(Op::Write { conn: CONN, bytes: b"only".to_vec() });
    assert_eq!(next(&mut runtime).await, Input::Sent { conn: CONN });
    runtime.start(Op::Read { conn: CONN });
    assert_eq!(next(&mut runtime).await, Input::Received { conn: CONN, bytes: b"only".to_vec() });
    // The server is gone without having closed its TLS.
    runtime.start(Op::Read { conn: CONN });
    assert_eq!(next(&mut runtime).await, Input::Closed { conn: CONN, why: Why::Ended });
}

#[tokio::test]
async fn a_server_that_nobody_vouches_for_is_refused() {
    let (port, _) = serve("localhost");
    let (_, other) = serve("localhost");
    let mut runtime = runtime(vec![other]);
    open(&mut runtime, port);
    let why = Why::Tls("nobody whom we trust vouches for the server's certificate".into());
    assert_eq!(next(&mut runtime).await, Input::Closed { conn: CONN, why });
}

#[tokio::test]
async fn a_certificate_for_another_name_is_refused() {
    let (port, root) = serve("relay.example");
    let mut runtime = runtime(vec![root]);
    open(&mut runtime, port);
    let Input::Closed { why: Why::Tls(why), .. } = next(&mut runtime).await else { panic!("taken") };
    assert_eq!(why, "the server's certificate is for another name");
}

#[tokio::test]
async fn a_server_without_tls_is_told_so() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || listener.accept().unwrap().0.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n"));
    let mut runtime = runtime(Vec::new());
    open(&mut runtime, port);
    let why = Why::Tls("the other end does not speak it".into());
    assert_eq!(next(&mut runtime).await, Input::Closed { conn: CONN, why });
}

#[tokio::test]
async fn the_roots_of_the_system_do_not_vouch_for_a_stranger() {
    let (port, _) = serve("localhost");
    let mut runtime = wormhole_tokio::runtime();
    open(&mut runtime, port);
    assert!(matches!(next(&mut runtime).await, Input::Closed { conn: CONN, why: Why::Tls(_) }));
}

#[tokio::test]
async fn a_wormhole_trusts_the_root_that_its_configuration_names() {
    let (port, root) = greet("localhost");
    let config = Config::new("example.com/app").mailbox(&format!("wss://localhost:{port}/v1"));
    let mut wormhole = Wormhole::new(config.tls_roots(Roots::from_pem(root.as_bytes()).unwrap())).unwrap();
    assert_eq!(soon(wormhole.welcome()).await.unwrap().motd.unwrap().to_string(), "hello");
}

#[tokio::test]
async fn a_certificate_that_is_not_trusted_is_a_clear_error() {
    let (port, _) = greet("localhost");
    let (other_port, root) = greet("other.example");
    let roots = Roots::from_pem(root.as_bytes()).unwrap();
    for (port, told) in [
        (port, "nobody whom we trust vouches for the server's certificate"),
        (other_port, "the server's certificate is for another name"),
    ] {
        let url = format!("wss://localhost:{port}/v1");
        let config = Config::new("example.com/app").mailbox(&url).tls_roots(roots.clone());
        let error = soon(Wormhole::new(config).unwrap().welcome()).await.unwrap_err();
        let wanted = format!("the mailbox server {url} cannot be reached: TLS failed: {told}");
        assert_eq!(error.to_string(), wanted);
    }
}

/// A mailbox server that says hello to one client, and its certificate in PEM.
fn greet(name: &str) -> (u16, String) {
    let made = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
    let (config, pem) = (server_config(&made), pem(made.cert.der()));
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        let (socket, _) = listener.accept().unwrap();
        let session = ServerConnection::new(Arc::new(config)).unwrap();
        let Ok(mut socket) = tungstenite::accept(StreamOwned::new(session, socket)) else { return };
        let hello = tungstenite::Message::text(r#"{"type": "welcome", "welcome": {"motd": "hello"}}"#);
        if socket.send(hello).is_ok() {
            while socket.read().is_ok() {}
        }
    });
    (port, pem)
}

fn pem(certificate: &[u8]) -> String {
    let body = BASE64.encode(certificate);
    format!("-----BEGIN CERTIFICATE-----\n{body}\n-----END CERTIFICATE-----\n")
}

fn server_config(made: &rcgen::CertifiedKey<rcgen::KeyPair>) -> ServerConfig {
    let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
    ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key.into())
        .unwrap()
}

fn runtime(roots: Vec<Vec<u8>>) -> wormhole_tokio::Runtime {
    wormhole_tokio::runtime_on(&Network { roots: Some(Roots::from_der(roots)), ..Network::default() })
}

fn open(runtime: &mut wormhole_tokio::Runtime, port: u16) {
    let target = Target::Mailbox(format!("wss://localhost:{port}/v1"));
    runtime.start(Op::Open { conn: CONN, target });
}

async fn next(runtime: &mut wormhole_tokio::Runtime) -> Input {
    soon(runtime.next(None)).await.unwrap()
}

/// Says back what one client says, under a new certificate for this name.
fn serve(name: &str) -> (u16, Vec<u8>) {
    serve_with(name, usize::MAX, usize::MAX)
}

/// The same, in pieces of this length, and no more than so many messages.
fn serve_with(name: &str, piece: usize, messages: usize) -> (u16, Vec<u8>) {
    let made = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
    let (config, root) = (server_config(&made), made.cert.der().clone());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        let (socket, _) = listener.accept().unwrap();
        socket.set_nodelay(true).unwrap();
        let session = ServerConnection::new(Arc::new(config)).unwrap();
        let Ok(mut socket) = tungstenite::accept(StreamOwned::new(session, Pieces(socket, piece))) else {
            return;
        };
        for _ in 0..messages {
            let Ok(message) = socket.read() else { return };
            if message.is_text() && socket.send(message).is_err() {
                return;
            }
        }
    });
    (port, root.to_vec())
}

/// A connection that writes no more than this at a time.
struct Pieces(TcpStream, usize);

impl Read for Pieces {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.0.read(buf)
    }
}

impl Write for Pieces {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.0.write(&buf[..buf.len().min(self.1)])
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}
