//! For whom a connection is: believed from trusted proxies, and from nobody else.

use std::io::{Read, Write};
use std::net::TcpStream;

use serde_json::{Value, json};

use crate::client::{Client, tcp, unix};
use crate::running::{LIMIT, Running};

#[test]
fn headers_of_a_trusted_proxy_say_who_the_client_is() {
    let server = Running::start(&["mailbox", "--mailbox", "127.0.0.1:0", "--trusted-proxy", "127.0.0.0/8"]);
    for (headers, address) in [
        (&[("X-Real-IP", "192.0.2.7"), ("X-Real-Port", "99")][..], json!({"ipv4": "192.0.2.7", "port": 99})),
        (&[("X-Real-IP", "192.0.2.7")], json!({"ipv4": "192.0.2.7", "port": 0})),
        (&[("X-Forwarded-For", "203.0.113.1, 2001:db8::5")], json!({"ipv6": "2001:db8::5", "port": 0})),
        (&[("Forwarded", "for=\"[2001:db8::6]:7\"")], json!({"ipv6": "2001:db8::6", "port": 7})),
    ] {
        let mut client = Client::over(tcp(server.at("mailbox")), headers);
        assert_eq!(client.hear()["welcome"]["your-address"], address);
        client.say(json!({"type": "ping", "ping": 1}));
        assert_eq!([&client.hear()["type"], &client.hear()["pong"]], [&json!("ack"), &json!(1)]);
    }
    let plain = own(Client::over(tcp(server.at("mailbox")), &[]).hear());
    let odd = own(Client::over(tcp(server.at("mailbox")), &[("X-Real-IP", "nobody")]).hear());
    assert_eq!([plain, odd], ["127.0.0.1", "127.0.0.1"]);
}

#[test]
fn headers_of_a_stranger_say_nothing() {
    for trusted in [&[][..], &["--trusted-proxy", "10.0.0.0/8"], &["--trusted-proxy", "unix"]] {
        let server = Running::start(&[&["mailbox", "--mailbox", "127.0.0.1:0"], trusted].concat());
        for headers in [
            &[("X-Real-IP", "192.0.2.7"), ("X-Real-Port", "99")][..],
            &[("X-Forwarded-For", "192.0.2.7")],
            &[("Forwarded", "for=192.0.2.7")],
        ] {
            assert_eq!(own(Client::over(tcp(server.at("mailbox")), headers).hear()), "127.0.0.1");
        }
    }
}

#[test]
fn a_proxy_behind_a_unix_socket_can_be_trusted() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("socket");
    let path = path.to_str().unwrap();
    let server =
        Running::start(&["mailbox", "--mailbox", &format!("unix:{path}"), "--trusted-proxy", "unix"]);
    let mut client = Client::over(unix(path), &[("X-Forwarded-For", "192.0.2.9")]);
    assert_eq!(own(client.hear()), "192.0.2.9");
    drop(server);
    assert!(std::fs::exists(path).unwrap(), "it was killed, and left its socket");
    let mut server = Running::start(&["mailbox", "--mailbox", &format!("unix:{path}")]);
    Client::over(unix(path), &[]).hear();
    server.signal(rustix::process::Signal::TERM);
    assert_eq!(server.end().code(), Some(0));
    assert!(!std::fs::exists(path).unwrap(), "it ended in order, and took its socket away");
}

#[test]
fn a_proxy_header_of_either_version_says_who_the_client_is() {
    let place = "proxy:127.0.0.1:0";
    let server =
        Running::start(&["all", "--mailbox", place, "--relay", place, "--trusted-proxy", "127.0.0.1"]);
    let second = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\x02\x09\x7f\0\0\x01\x04\xd2\x0f\xa0";
    let six = "PROXY TCP6 2001:db8::9 ::1 1 2\r\n";
    for (header, address) in [
        (&b"PROXY TCP4 192.0.2.8 127.0.0.1 5 4000\r\n"[..], json!({"ipv4": "192.0.2.8", "port": 5})),
        (six.as_bytes(), json!({"ipv6": "2001:db8::9", "port": 1})),
        (second, json!({"ipv4": "192.0.2.9", "port": 1234})),
    ] {
        let mut client = Client::over(introduced(&server, "mailbox", header), &[]);
        assert_eq!(client.hear()["welcome"]["your-address"], address);
    }
    let unknown = introduced(&server, "mailbox", b"PROXY UNKNOWN\r\n");
    assert_eq!(own(Client::over(unknown, &[]).hear()), "127.0.0.1");

    let token = "5".repeat(64);
    let lines = format!("PROXY TCP4 192.0.2.8 127.0.0.1 5 4000\r\nplease relay {token}\n");
    let mut pair = [0, 1].map(|_| introduced(&server, "relay", lines.as_bytes()));
    for side in &mut pair {
        let mut ok = [0; 3];
        side.read_exact(&mut ok).unwrap();
        assert_eq!(&ok, b"ok\n");
    }
}

#[test]
fn where_a_proxy_header_must_be_nobody_comes_in_without_one() {
    let place = "proxy:127.0.0.1:0";
    let honest = Running::start(&["mailbox", "--mailbox", place, "--trusted-proxy", "127.0.0.1"]);
    let strict = Running::start(&["mailbox", "--mailbox", place, "--trusted-proxy", "10.0.0.1"]);
    for (server, header) in [
        (&honest, &b"GET /v1 HTTP/1.1\r\n\r\n"[..]),
        (&honest, &[b'x'; 2000]),
        (&honest, b"PROXY TCP4 here there 1 2\r\n"),
        (&strict, b"PROXY TCP4 192.0.2.8 127.0.0.1 5 4000\r\n"),
    ] {
        let mut stream = introduced(server, "mailbox", header);
        assert_eq!(crate::client::rest(&mut stream, LIMIT), b"");
    }
}

/// A connection that begins with these bytes.
fn introduced(server: &Running, name: &str, header: &[u8]) -> TcpStream {
    let mut stream = tcp(server.at(name));
    stream.write_all(header).unwrap();
    stream
}

/// The address that the welcome tells.
fn own(welcome: Value) -> String {
    let address = &welcome["welcome"]["your-address"];
    address["ipv4"].as_str().or_else(|| address["ipv6"].as_str()).unwrap().to_owned()
}
