//! Both servers over real sockets: on tokio, with clients that know nothing of it.
#![cfg(test)]

use std::future::Future;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::thread;
use std::time::Duration;

use tokio::task::JoinHandle;
use wormhole_core::driver::Address;
use wormhole_server::{Server, mailbox, relay};
use wormhole_tokio::{Config, Error, Wormhole};

/// Content that shows where a piece of it was lost, doubled or moved: it repeats after a prime.
const PERIOD: usize = 65_521;

#[tokio::test]
async fn a_hundred_clients_find_their_partners_through_one_server() {
    let (url, _server) = serve(0).await;
    let pairs: Vec<_> = (0..50).map(|number| tokio::spawn(meet(url.clone(), number))).collect();
    for pair in pairs {
        soon(pair).await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn two_who_have_not_met_survive_a_server_that_comes_back_empty() {
    let (url, server) = serve(0).await;
    let mut alice = wormhole(&url);
    alice.allocate_code(2).await.unwrap();
    let code = soon(alice.code()).await.unwrap();
    let (url, _server) = restart(&url, server).await;

    let mut bob = wormhole(&url);
    bob.set_code(code.as_str()).await.unwrap();
    let (ours, theirs) = soon(async { tokio::join!(alice.verifier(), bob.verifier()) }).await;
    assert_eq!(ours.unwrap(), theirs.unwrap());
    say_goodbye(alice, bob).await.unwrap();
}

#[tokio::test]
async fn two_who_have_met_go_on_with_a_server_that_comes_back_empty() {
    let (url, server) = serve(0).await;
    let (mut alice, mut bob) = (wormhole(&url), wormhole(&url));
    alice.set_code("4-purple-sausages").await.unwrap();
    bob.set_code("4-purple-sausages").await.unwrap();
    let (ours, theirs) = soon(async { tokio::join!(alice.verifier(), bob.verifier()) }).await;
    assert_eq!(ours.unwrap(), theirs.unwrap());
    soon(async { tokio::join!(alice.versions(), bob.versions()) }).await.0.unwrap();
    let (_url, _server) = restart(&url, server).await;
    say_goodbye(alice, bob).await.unwrap();
}

#[test]
fn a_relay_carries_megabytes_both_ways_and_changes_nothing() {
    let relay = serve_relay();
    let (a, b) = partners(relay);
    exchange(a, b, 64 << 20);
}

#[test]
fn a_relay_delivers_what_came_before_the_end() {
    let relay = serve_relay();
    let (mut a, b) = partners(relay);
    // The system holds that much, and nobody reads before the writer has left.
    write(&mut a, 256 << 10);
    drop(a);
    assert_eq!(read_to_end(b), 256 << 10);
}

#[test]
fn a_client_over_websocket_meets_one_over_tcp_and_another_over_websocket() {
    let relay = serve_relays();
    let token = "8".repeat(64);
    let line = |side: &str| format!("please relay {token} for side {}\n", side.repeat(16)).into_bytes();
    let ok = b"\x82\x03ok\n";
    for _ in 0..2 {
        let mut web = upgraded(relay[1]);
        let asked = line("a");
        let (first, last) = asked.split_at(30);
        web.write_all(&[frame(0x82, first), frame(0x82, last)].concat()).unwrap();
        let mut plain = TcpStream::connect(relay[0]).unwrap();
        plain.write_all(&line("b")).unwrap();
        expect(&mut plain, b"ok\n");
        expect(&mut web, ok);
        web.write_all(&[frame(0x02, b"from "), frame(0x80, b"the web")].concat()).unwrap();
        expect(&mut plain, b"from the web");
        plain.write_all(b"and back").unwrap();
        expect(&mut web, b"\x82\x08and back");
        plain.shutdown(Shutdown::Both).unwrap();
        expect(&mut web, b"\x88\x02\x03\xe8");
        assert_eq!(web.read(&mut [0]).unwrap(), 0);
    }

    let (mut one, mut other) = (upgraded(relay[1]), upgraded(relay[1]));
    one.write_all(&frame(0x82, &line("c"))).unwrap();
    other.write_all(&frame(0x82, &line("d"))).unwrap();
    expect(&mut one, ok);
    expect(&mut other, ok);
    one.write_all(&frame(0x82, b"hello")).unwrap();
    expect(&mut other, b"\x82\x05hello");
    one.write_all(&frame(0x81, b"text")).unwrap();
    expect(&mut one, b"\x88\x02\x03\xeb");
    expect(&mut other, b"\x88\x02\x03\xe8");
}

#[test]
fn r27_a_bad_line_over_websocket_is_told_and_closed() {
    let relay = serve_relays();
    let mut web = upgraded(relay[1]);
    web.write_all(&frame(0x82, b"hello\n")).unwrap();
    expect(&mut web, b"\x82\x0ebad handshake\n\x88\x02\x03\xe8");
    assert_eq!(web.read(&mut [0]).unwrap(), 0);
}

/// A mailbox server in a task of its own, and its URL.
async fn serve(port: u16) -> (String, JoinHandle<()>) {
    let options = mailbox::Options::new(Address::new("127.0.0.1", port), 0.0);
    let mut server = Server::mailbox(options, wormhole_tokio::runtime());
    let at = soon(server.listening()).await.unwrap();
    let serving = tokio::spawn(async move {
        server.run().await;
    });
    (format!("ws://{}/v1", at[0]), serving)
}

/// Ends the server and begins another in its place that knows nothing.
async fn restart(url: &str, server: JoinHandle<()>) -> (String, JoinHandle<()>) {
    server.abort();
    assert!(server.await.unwrap_err().is_cancelled());
    let port = url.split([':', '/']).nth(4).unwrap().parse().unwrap();
    serve(port).await
}

fn wormhole(url: &str) -> Wormhole {
    Wormhole::new(Config::new("example.com/app").mailbox(url)).unwrap()
}

/// Both sides of a conversation, from the code to the end.
async fn meet(url: String, number: u32) -> Result<(), Error> {
    let (mut alice, mut bob) = (wormhole(&url), wormhole(&url));
    alice.allocate_code(2).await?;
    bob.set_code(alice.code().await?.as_str()).await?;
    alice.send(number.to_string().as_bytes()).await?;
    // Alice waits for nothing after her verifier: what she sends has left by then.
    let (_, got) = tokio::try_join!(alice.verifier(), bob.receive())?;
    assert_eq!(got, number.to_string().as_bytes());
    say_goodbye(alice, bob).await
}

/// A word in each direction, and the end.
async fn say_goodbye(mut alice: Wormhole, mut bob: Wormhole) -> Result<(), Error> {
    let there = async {
        alice.send(b"there").await?;
        assert_eq!(alice.receive().await?, b"back");
        alice.stored().await?;
        alice.close().await
    };
    let back = async {
        bob.send(b"back").await?;
        assert_eq!(bob.receive().await?, b"there");
        bob.stored().await?;
        bob.close().await
    };
    soon(async { tokio::try_join!(there, back) }).await.map(|_| ())
}

/// A relay on a thread of its own, which ends with the process: over TCP and over WebSocket.
#[expect(clippy::disallowed_methods, reason = "its clients block")]
fn serve_relays() -> Vec<SocketAddr> {
    let (tell, told) = std::sync::mpsc::channel();
    thread::spawn(move || {
        let executor = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        executor.block_on(async {
            let options = relay::Options::new(Address::new("127.0.0.1", 0));
            let options = options.web_socket(Address::new("127.0.0.1", 0));
            let mut server = Server::relay(options, wormhole_tokio::runtime());
            tell.send(server.listening().await.unwrap()).unwrap();
            server.run().await
        })
    });
    told.recv().unwrap().iter().map(|at| at.to_string().parse().unwrap()).collect()
}

fn serve_relay() -> SocketAddr {
    serve_relays()[0]
}

/// A WebSocket, after its handshake.
fn upgraded(relay: SocketAddr) -> TcpStream {
    let mut client = TcpStream::connect(relay).unwrap();
    client.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let request = "GET /any HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
        Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    client.write_all(request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        client.read_exact(&mut byte).unwrap();
        answer.push(byte[0]);
    }
    assert!(answer.starts_with(b"HTTP/1.1 101 "));
    client
}

/// A short frame of a client, with a mask of zeros.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let length = u8::try_from(payload.len()).unwrap();
    assert!(length < 126);
    [&[first, 0x80 | length, 0, 0, 0, 0], payload].concat()
}

fn expect(client: &mut TcpStream, bytes: &[u8]) {
    let mut came = vec![0; bytes.len()];
    client.read_exact(&mut came).unwrap();
    assert_eq!(came, bytes);
}

/// Two clients that a relay has joined.
fn partners(relay: SocketAddr) -> (TcpStream, TcpStream) {
    let ask = |side: char| {
        let mut client = TcpStream::connect(relay).unwrap();
        let side = side.to_string().repeat(16);
        writeln!(client, "please relay {} for side {side}", "7".repeat(64)).unwrap();
        client
    };
    let (mut a, mut b) = (ask('a'), ask('b'));
    for client in [&mut a, &mut b] {
        let mut ok = [0; 3];
        client.read_exact(&mut ok).unwrap();
        assert_eq!(&ok, b"ok\n");
    }
    (a, b)
}

/// Both write and read at once.
fn exchange(a: TcpStream, b: TcpStream, length: usize) {
    thread::scope(|scope| {
        for (near, far) in [(&a, &b), (&b, &a)] {
            scope.spawn(move || write(&mut &*near, length));
            scope.spawn(move || read_exactly(far, length));
        }
    });
    for client in [a, b] {
        client.shutdown(Shutdown::Both).unwrap();
    }
}

fn content() -> Vec<u8> {
    let mut content: Vec<u8> = (0..PERIOD).map(|at| ((at * at) >> 3) as u8).collect();
    content.extend_from_within(..);
    content
}

fn write(to: &mut impl Write, length: usize) {
    let content = content();
    let mut at = 0;
    while at < length {
        let piece = (length - at).min(PERIOD);
        to.write_all(&content[at % PERIOD..][..piece]).unwrap();
        at += piece;
    }
}

fn read_exactly(from: &TcpStream, length: usize) {
    assert_eq!(read_to_end(from.take(length as u64)), length);
}

/// How much came, after a look at all of it.
fn read_to_end(mut from: impl Read) -> usize {
    let content = content();
    let mut buf = vec![0; PERIOD];
    let mut at = 0;
    loop {
        let count = from.read(&mut buf).unwrap();
        assert!(buf[..count] == content[at % PERIOD..][..count], "at {at}");
        at += count;
        if count == 0 {
            return at;
        }
    }
}

/// No test waits for longer than this.
async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(60), future).await.expect("it takes too long")
}
