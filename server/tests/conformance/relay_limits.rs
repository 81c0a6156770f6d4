//! Relay: how long it waits, and what clients may cost.

use std::io::Write;
use std::thread;
use std::time::{Duration, Instant};

use crate::client::{rest, tcp};
use crate::pairing::{is_silent, old, pair, read};
use crate::running::{LIMIT, PROGRAM, Running};
use crate::talk::{asking, relay};
use crate::upkeep::default_of;

#[test]
fn r23_a_silent_client_is_closed() {
    let server = relay(&["--relay-line-timeout", "0.3"]);
    for said in ["", "please relay "] {
        assert_eq!(rest(&mut asking(&server, said), LIMIT), b"");
    }
}

#[test]
#[expect(clippy::disallowed_methods, reason = "this case is about time")]
fn r24_a_client_waits_for_its_partner_until_the_limit() {
    let server = relay(&["--relay-wait-timeout", "0.6", "--relay-line-timeout", "0.1"]);
    let began = Instant::now();
    assert_eq!(rest(&mut asking(&server, old('0')), LIMIT), b"");
    let took = began.elapsed();
    assert!(took >= Duration::from_millis(600), "{took:?}");
    // Clients wait for each other for two minutes.
    assert!(default_of("relay-wait-timeout").is_some_and(|seconds| seconds > 120.0));
}

#[test]
fn r25_a_pair_that_is_silent_for_too_long_is_closed() {
    let server = relay(&["--relay-idle-timeout", "0.5"]);
    let [mut a, mut b] = pair(&server, &old('1'), &old('1'));
    // A word now and then keeps it.
    for _ in 0..6 {
        thread::park_timeout(Duration::from_millis(200));
        a.write_all(b".").unwrap();
        assert_eq!(read(&mut b, 1), b".");
    }
    assert_eq!([rest(&mut a, LIMIT), rest(&mut b, LIMIT)], [b"", b""]);
}

#[test]
fn r41_when_descriptors_run_out_it_waits_and_recovers() {
    let limited = r#"ulimit -n 48; exec "$0" "$@""#;
    let arguments = ["-c", limited, PROGRAM, "relay", "--relay", "127.0.0.1:0"];
    let server = Running::start_as("sh", &arguments, |_| {});
    let [mut a, mut b] = pair(&server, &old('2'), &old('2'));
    let crowd: Vec<_> = (0..100).map(|_| tcp(server.at("relay"))).collect();
    server.wait_for_log("connections cannot be accepted at the moment");
    a.write_all(b"still here").unwrap();
    assert_eq!(read(&mut b, 10), b"still here");
    assert!(is_silent(&mut b));
    drop(crowd);
    pair(&server, &old('3'), &old('3'));
    assert_eq!(server.log().matches("cannot be accepted").count(), 1);
}
