//! TLS: served, and renewed while it is served.

use std::fs;
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustix::process::Signal;
use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use serde_json::json;
use tungstenite::Message;

use crate::client::{Client, tcp};
use crate::running::{Running, soon};

#[test]
fn clients_come_in_over_tls() {
    let files = Files::new();
    let server = files.serve(&["--trusted-proxy", "127.0.0.1"]);
    let mut client = Client::over(sealed(server.at("mailbox"), &files.issued), &[("X-Real-IP", "192.0.2.1")]);
    assert_eq!(client.hear()["welcome"]["your-address"]["ipv4"], "192.0.2.1");
    client.tell(json!({"type": "bind", "appid": "x", "side": "a"}));
    client.tell(json!({"type": "open", "mailbox": "m"}));
    let body = "ab".repeat(300_000);
    for _ in 0..3 {
        client.tell(json!({"type": "add", "phase": "p", "body": body}));
        assert_eq!(client.hear()["body"], body);
    }
    assert!(server.all("mailbox")[0].starts_with("tls:127.0.0.1:"), "{:?}", server.all("mailbox"));
}

#[test]
fn a_proxy_header_stands_before_tls() {
    let files = Files::new();
    let mut arguments = files.arguments();
    arguments[2] = "proxy:tls:127.0.0.1:0";
    let server = Running::start(&[&arguments[..], &["--trusted-proxy", "127.0.0.1"]].concat());
    let mut wire = sealed(server.at("mailbox"), &files.issued);
    wire.sock.write_all(b"PROXY TCP4 192.0.2.8 127.0.0.1 5 443\r\n").unwrap();
    let mut client = Client::over(wire, &[]);
    assert_eq!(client.hear()["welcome"]["your-address"]["ipv4"], "192.0.2.8");
}

#[test]
fn the_relay_pairs_a_client_over_tls_with_one_without() {
    let files = Files::new();
    let [_, _, _, certificate_flag, certificate, key_flag, key] = files.arguments();
    let places = ["relay", "--relay", "127.0.0.1:0", "--relay-websocket", "tls:127.0.0.1:0"];
    let server = Running::start(&[&places[..], &[certificate_flag, certificate, key_flag, key]].concat());
    let line = format!("please relay {}\n", "0".repeat(64));
    let mut plain = tcp(server.at("relay"));
    plain.write_all(line.as_bytes()).unwrap();
    let wire = sealed(server.at("relay-websocket"), &files.issued);
    let (mut socket, _) = tungstenite::client("wss://localhost/", wire).unwrap();
    socket.send(Message::binary(line.into_bytes())).unwrap();
    let mut ok = [0; 3];
    plain.read_exact(&mut ok).unwrap();
    assert_eq!((&ok, socket.read().unwrap()), (b"ok\n", Message::binary(&b"ok\n"[..])));

    let content: Vec<u8> =
        (0..3_000_000_u32).map(|number| number.to_le_bytes()[0] ^ number.to_le_bytes()[1]).collect();
    socket.send(Message::binary(content.clone())).unwrap();
    let mut arrived = vec![0; content.len()];
    plain.read_exact(&mut arrived).unwrap();
    assert!(arrived == content);
    plain.write_all(&content).unwrap();
    drop(plain);
    let mut arrived = Vec::new();
    while let Ok(Message::Binary(bytes)) = socket.read() {
        arrived.extend_from_slice(&bytes);
    }
    assert!(arrived == content, "{} of {} bytes", arrived.len(), content.len());
}

#[test]
fn who_speaks_no_tls_is_refused_and_costs_nobody_else() {
    let files = Files::new();
    let server = files.serve(&[]);
    let silent = tcp(server.at("mailbox"));
    assert!(Client::try_over(tcp(server.at("mailbox")), &[]).is_err());
    Client::over(sealed(server.at("mailbox"), &files.issued), &[]).hear();
    drop(silent);
}

#[test]
fn a_new_certificate_is_taken_when_it_is_there_or_on_sighup_and_a_broken_one_never() {
    let mut files = Files::new();
    let server = files.serve(&[]);
    let mut old = Client::over(sealed(server.at("mailbox"), &files.issued), &[]);
    old.hear();
    let is_served = |issued: &CertificateDer<'static>| {
        let wire = sealed(server.at("mailbox"), issued);
        Client::try_over(wire, &[]).is_ok().then_some(())
    };

    files.issue();
    soon("the change is seen", || is_served(&files.issued));

    let working = files.issued.clone();
    fs::write(&files.certificate, "no certificate").unwrap();
    server.wait_for_log("the new certificate cannot be used; the old one stays");
    is_served(&working).unwrap();

    files.issue();
    server.signal(Signal::HUP);
    soon("the signal is heard", || is_served(&files.issued));
    assert_eq!(old.ask(json!({"type": "ping", "ping": 1}))["pong"], 1, "who was there before stays");
}

#[test]
fn without_a_usable_certificate_it_does_not_start() {
    let mut files = Files::new();
    let certificate = fs::read(&files.certificate).unwrap();
    files.issue();
    fs::write(&files.certificate, certificate).unwrap();
    let output = files.command(&[]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("certificate.pem: "), "{said}");
}

/// A certificate of localhost and its key, in files.
struct Files {
    _dir: tempfile::TempDir,
    certificate: PathBuf,
    key: PathBuf,
    issued: CertificateDer<'static>,
}

impl Files {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (certificate, key) = (dir.path().join("certificate.pem"), dir.path().join("key.pem"));
        let issued = issue(&certificate, &key);
        Self { _dir: dir, certificate, key, issued }
    }

    fn issue(&mut self) {
        self.issued = issue(&self.certificate, &self.key);
    }

    fn command(&self, more: &[&str]) -> std::process::Command {
        let mut command = crate::running::program(&self.arguments());
        command.args(["--channel-db", ":memory:"]).args(more);
        command
    }

    fn arguments(&self) -> [&str; 7] {
        [
            "mailbox",
            "--mailbox",
            "tls:127.0.0.1:0",
            "--tls-certificate",
            self.certificate.to_str().unwrap(),
            "--tls-key",
            self.key.to_str().unwrap(),
        ]
    }

    fn serve(&self, more: &[&str]) -> Running {
        Running::start(&[&self.arguments()[..], more].concat())
    }
}

/// Writes a new certificate, the key first.
fn issue(certificate: &Path, key: &Path) -> CertificateDer<'static> {
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    fs::write(key, signing_key.serialize_pem()).unwrap();
    fs::write(certificate, cert.pem()).unwrap();
    cert.der().clone()
}

/// A TLS connection whose other end must have this certificate.
fn sealed(
    at: SocketAddr,
    issued: &CertificateDer<'static>,
) -> StreamOwned<ClientConnection, std::net::TcpStream> {
    let mut roots = RootCertStore::empty();
    roots.add(issued.clone()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let session = ClientConnection::new(Arc::new(config), "localhost".try_into().unwrap()).unwrap();
    StreamOwned::new(session, tcp(at))
}
