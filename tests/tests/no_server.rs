//! What every adapter says of a mailbox server that is not there, or not one, and within what time.
#![cfg(test)]

use std::io::Write;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use wormhole_core::driver::Why;
use wormhole_core::error::{Error, ServerFault};
use wormhole_runtime::Config;
use wormhole_tests::Adapter;
use wormhole_transfer::{Error as TransferError, Received};

/// Dialling an address, and a greeting, are each given up after ten seconds; the rest is for a computer that is busy.
const GIVEN_UP: Duration = Duration::from_secs(25);

#[test]
fn nobody_listens_where_it_should_be() {
    // A port that is ours, and at which nobody listens.
    let taken = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    taken.bind(&"127.0.0.1:0".parse::<SocketAddr>().unwrap().into()).unwrap();
    let url = format!("ws://{}/v1", taken.local_addr().unwrap().as_socket().unwrap());
    for adapter in Adapter::ALL {
        let began = Instant::now();
        let error = expect(adapter, &url, &Why::Refused);
        let sentence =
            format!("the mailbox server {url} cannot be reached: connection refused: nobody listens there");
        assert_eq!(error.to_string(), sentence);
        let (tell, _told) = mpsc::channel();
        assert_eq!(adapter.initiate(config(&url), b"blob", tell), Err(error.clone()));
        let code = wormhole_core::code::Code::parse("4-purple-sausages").unwrap();
        assert_eq!(adapter.answer(config(&url), &code, b"blob"), Err(error.clone()));
        let received: Result<Received, _> = adapter.receive(config(&url), code, ".".into());
        assert_eq!(received, Err(TransferError::Wormhole(error)));
        assert!(began.elapsed() < GIVEN_UP);
    }
}

#[test]
fn what_listens_there_is_no_mailbox_server() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://{}/v1", listener.local_addr().unwrap());
    thread::spawn(move || {
        for mut caller in listener.incoming().flatten() {
            // Whoever does not wait for it does not get it.
            let _ = caller.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
        }
    });
    for adapter in Adapter::ALL {
        let mut side = adapter.wormhole(config(&url)).unwrap();
        let error = side.welcome().unwrap_err();
        assert!(matches!(error, Error::Server(ServerFault::Unreachable { .. })), "{adapter:?} {error:?}");
        assert!(error.to_string().contains("404"), "{error}");
    }
}

#[test]
fn what_does_not_answer_is_given_up() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let silent_url = format!("ws://{}/v1", silent.local_addr().unwrap());
    let (_listener, _callers, at) = full_queue();
    let full_url = format!("ws://{at}/v1");
    // All at the same time, since each takes ten seconds.
    let waiting = Adapter::ALL.map(|adapter| {
        [silent_url.clone(), full_url.clone()].map(|url| {
            thread::spawn(move || {
                let began = Instant::now();
                let mut side = adapter.wormhole(config(&url)).unwrap();
                let error = side.welcome().unwrap_err();
                println!("{adapter:?}: given up after {:?}: {error}", began.elapsed());
                assert!(matches!(error, Error::Server(ServerFault::Unreachable { .. })), "{error:?}");
                assert!(began.elapsed() < GIVEN_UP);
            })
        })
    });
    for waiting in waiting.into_iter().flatten() {
        waiting.join().unwrap();
    }
}

/// What a wormhole says, with each method that waits.
#[track_caller]
fn expect(adapter: Adapter, url: &str, why: &Why) -> Error {
    let mut side = adapter.wormhole(config(url)).unwrap();
    side.allocate_code(2).unwrap();
    let error = side.code().unwrap_err();
    assert_eq!(error, Error::Server(ServerFault::Unreachable { url: url.into(), why: why.clone() }));
    assert_eq!(side.verifier(), Err(error.clone()), "{adapter:?}");
    assert_eq!(side.send(b"hello"), Err(error.clone()));
    assert_eq!(side.receive(), Err(error.clone()));
    assert_eq!(side.close(), Err(error.clone()));
    assert_eq!(side.status().end, Some(Err(error.clone())));
    error
}

/// An address where a dial is not answered: nobody accepts, and the queue is full.
fn full_queue() -> (socket2::Socket, Vec<TcpStream>, SocketAddr) {
    let listener = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    listener.bind(&"127.0.0.1:0".parse::<SocketAddr>().unwrap().into()).unwrap();
    listener.listen(0).unwrap();
    let at = listener.local_addr().unwrap().as_socket().unwrap();
    let brief = Duration::from_millis(200);
    let callers = (0..8).map_while(|_| TcpStream::connect_timeout(&at, brief).ok()).collect();
    (listener, callers, at)
}

fn config(url: &str) -> Config {
    Config::new("example.com/no-server").mailbox(url).relays::<&str>([])
}
