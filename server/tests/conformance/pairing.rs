//! Relay: lines, partners, and the bytes between them.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::thread;
use std::time::Duration;

use rustix::net::sockopt::{set_socket_linger, set_socket_recv_buffer_size};

use crate::client::{rest, tcp};
use crate::running::{LIMIT, Running};
use crate::talk::{asking, kibibytes, relay};

const OK: &[u8] = b"ok\n";
const BAD_HANDSHAKE: &[u8] = b"bad handshake\n";
const IMPATIENT: &[u8] = b"impatient\n";

#[test]
fn r1_two_old_lines_with_one_token_are_a_pair() {
    let server = relay(&[]);
    let [mut a, mut b] = pair(&server, &old('1'), &old('1'));
    a.write_all(b"over to you").unwrap();
    assert_eq!(read(&mut b, 11), b"over to you");
    b.write_all(b"and back").unwrap();
    assert_eq!(read(&mut a, 8), b"and back");
}

#[test]
fn r2_two_new_lines_of_different_sides_are_a_pair() {
    pair(&relay(&[]), &new('2', 'a'), &new('2', 'b'));
}

#[test]
fn r3_lines_of_both_forms_are_a_pair_in_either_order() {
    let server = relay(&[]);
    pair(&server, &old('3'), &new('3', 'a'));
    pair(&server, &new('3', 'a'), &old('3'));
}

#[test]
fn r4_two_of_one_side_both_wait() {
    let server = relay(&[]);
    let mut both = [0, 1].map(|_| asking(&server, new('4', 'a')));
    // Another pair that comes after them is served before anything happens to them.
    pair(&server, &new('5', 'a'), &new('5', 'b'));
    for waiter in &mut both {
        assert!(is_silent(waiter));
    }
}

#[test]
fn r5_of_those_who_wait_one_is_chosen_and_the_others_end() {
    let server = relay(&[]);
    let mut waiters = [0, 1, 2].map(|_| asking(&server, new('5', 'a')));
    for waiter in &mut waiters {
        assert!(is_silent(waiter));
    }
    let mut partner = asking(&server, new('5', 'b'));
    assert_eq!(read(&mut partner, 3), OK);
    partner.write_all(b"x").unwrap();
    partner.shutdown(Shutdown::Write).unwrap();
    let mut heard = waiters.each_mut().map(|waiter| rest(waiter, LIMIT));
    heard.sort();
    assert_eq!(heard, [&b""[..], b"", b"ok\nx"]);
}

#[test]
fn r6_after_a_pair_a_third_waits_and_a_fourth_is_its_partner() {
    let server = relay(&[]);
    let _first = pair(&server, &old('6'), &old('6'));
    let mut third = asking(&server, old('6'));
    assert!(is_silent(&mut third));
    let mut fourth = asking(&server, old('6'));
    assert_eq!([read(&mut third, 3), read(&mut fourth, 3)], [OK, OK]);
}

#[test]
fn r7_different_tokens_never_meet() {
    let server = relay(&[]);
    let mut both = [asking(&server, old('7')), asking(&server, old('8'))];
    for waiter in &mut both {
        assert!(is_silent(waiter));
    }
    assert_eq!(read(&mut asking(&server, old('7')), 3), OK);
}

#[test]
fn r8_any_other_line_is_a_bad_handshake() {
    let server = relay(&[]);
    let (token, side) = ("8".repeat(64), "a".repeat(16));
    for line in [
        "hello\n".to_owned(),
        "\n".into(),
        format!("please relay {token}\r\n"),
        format!("please relay {}\n", &token[1..]),
        format!("please relay {token}8\n"),
        format!("please relay {token} for side {}\n", &side[1..]),
        format!("please relay {token} for side {side}a\n"),
        format!("please relay {token} \n"),
        format!(" please relay {token}\n"),
        format!("please relay -{}\n", &token[1..]),
        format!("please relay {token} for side {side} \n"),
    ] {
        assert_eq!(rest(&mut asking(&server, &line), LIMIT), BAD_HANDSHAKE, "{line:?}");
    }
}

#[test]
fn r9_letters_of_either_case_and_underscores_are_good() {
    let token = "Az_9".repeat(16);
    let lines =
        ["A_z0".repeat(4), "a_Z0".repeat(4)].map(|side| format!("please relay {token} for side {side}\n"));
    pair(&relay(&[]), &lines[0], &lines[1]);
}

#[test]
fn r10_a_line_may_come_byte_by_byte() {
    let server = relay(&[]);
    let mut first = asking(&server, old('a'));
    let mut slow = tcp(server.at("relay"));
    slow.set_nodelay(true).unwrap();
    for byte in old('a').bytes() {
        slow.write_all(&[byte]).unwrap();
        thread::park_timeout(Duration::from_millis(2));
    }
    assert_eq!([read(&mut first, 3), read(&mut slow, 3)], [OK, OK]);
}

#[test]
fn r11_a_line_has_a_limit_of_1024_bytes() {
    let server = relay(&[]);
    let mut waits = asking(&server, "x".repeat(1024));
    assert!(is_silent(&mut waits));
    waits.write_all(b"\n").unwrap();
    assert_eq!(rest(&mut waits, LIMIT), BAD_HANDSHAKE);
    for end in ["", "\n"] {
        let long = "x".repeat(1025) + end;
        assert_eq!(rest(&mut asking(&server, long), LIMIT), b"");
    }
}

#[test]
fn r12_the_first_may_say_nothing_behind_its_line() {
    let server = relay(&[]);
    assert_eq!(rest(&mut asking(&server, old('c') + "data"), LIMIT), IMPATIENT);
    pair(&server, &old('c'), &old('c'));
}

#[test]
fn r13_the_first_may_say_nothing_while_it_waits() {
    let server = relay(&[]);
    let mut first = asking(&server, old('d'));
    assert!(is_silent(&mut first));
    first.write_all(b"data").unwrap();
    assert_eq!(rest(&mut first, LIMIT), IMPATIENT);
    pair(&server, &old('d'), &old('d'));
}

#[test]
fn r14_what_the_second_says_behind_its_line_is_delivered_after_the_ok() {
    let server = relay(&[]);
    let mut first = asking(&server, old('e'));
    assert!(is_silent(&mut first));
    let mut second = asking(&server, old('e') + "data");
    assert_eq!(read(&mut second, 3), OK);
    assert_eq!(read(&mut first, 7), b"ok\ndata");
}

#[test]
fn r15_who_has_left_is_nobodys_partner() {
    let server = relay(&[]);
    let mut first = asking(&server, old('f'));
    first.shutdown(Shutdown::Write).unwrap();
    // The relay has seen it go.
    assert_eq!(rest(&mut first, LIMIT), b"");
    let mut second = asking(&server, old('f'));
    assert!(is_silent(&mut second));
    let mut third = asking(&server, old('f'));
    assert_eq!([read(&mut second, 3), read(&mut third, 3)], [OK, OK]);
}

#[test]
fn r16_what_was_sent_before_the_end_arrives() {
    let server = relay(&[]);
    let [mut a, mut b] = pair(&server, &old('0'), &old('0'));
    let content = pattern(3_000_000);
    let sent = content.clone();
    thread::scope(|scope| {
        scope.spawn(move || {
            a.write_all(&sent).unwrap();
            drop(a);
        });
        assert!(rest(&mut b, LIMIT) == content);
    });
}

#[test]
fn r17_a_reset_ends_the_other_side() {
    let server = relay(&[]);
    let [a, mut b] = pair(&server, &old('1'), &old('1'));
    set_socket_linger(&a, Some(Duration::ZERO)).unwrap();
    drop(a);
    assert_eq!(rest(&mut b, LIMIT), b"");
}

#[test]
fn r18_a_half_closed_side_ends_both_once_all_is_delivered() {
    let server = relay(&[]);
    let [mut a, mut b] = pair(&server, &old('2'), &old('2'));
    a.write_all(b"the last word").unwrap();
    a.shutdown(Shutdown::Write).unwrap();
    assert_eq!(rest(&mut b, LIMIT), b"the last word");
    assert_eq!(rest(&mut a, LIMIT), b"");
}

#[test]
fn r19_a_receiver_that_stands_still_stops_its_sender() {
    let server = relay(&[]);
    let [mut a, b] = pair(&server, &old('3'), &old('3'));
    // What the receiver's own system takes for it is not the relay's.
    set_socket_recv_buffer_size(&b, 4096).unwrap();
    let before = kibibytes(&server, "VmRSS");
    let sent = until_stalled(&mut a, &pattern(1 << 20));
    assert!(sent < 16 << 20, "{sent}");
    let more = kibibytes(&server, "VmHWM").saturating_sub(before);
    assert!(more < 4 << 10, "{more} KiB");
}

#[test]
fn r20_a_receiver_that_goes_on_gets_everything() {
    let server = relay(&[]);
    let [mut a, mut b] = pair(&server, &old('4'), &old('4'));
    let content = pattern(1 << 20);
    let sent = until_stalled(&mut a, &content);
    let total = 24 << 20;
    thread::scope(|scope| {
        let content = &content;
        scope.spawn(move || {
            let mut sent = sent;
            a.set_write_timeout(Some(LIMIT)).unwrap();
            while sent < total {
                let at = sent % content.len();
                let end = content.len().min(at + total - sent);
                sent += a.write(&content[at..end]).unwrap();
            }
        });
        assert_eq!(same(&mut b, content), total);
    });
}

#[test]
#[ignore = "ten gibibytes take their time"]
fn r21_ten_gibibytes_arrive_as_they_were() {
    let server = relay(&[]);
    let [mut a, mut b] = pair(&server, &old('5'), &old('5'));
    let before = kibibytes(&server, "VmRSS");
    let content = pattern(1 << 20);
    let pieces = 10 << 10;
    thread::scope(|scope| {
        let content = &content;
        scope.spawn(move || (0..pieces).for_each(|_| a.write_all(content).unwrap()));
        assert_eq!(same(&mut b, content), pieces << 20);
    });
    let more = kibibytes(&server, "VmHWM").saturating_sub(before);
    assert!(more < 4 << 10, "{more} KiB");
}

#[test]
#[ignore = "a thousand pairs take thousands of descriptors"]
fn r22_a_thousand_pairs_at_once_lose_nothing() {
    let server = relay(&[]);
    let content = pattern(1 << 20);
    let line = |number: usize| format!("please relay {number:064}\n");
    let mut firsts: Vec<TcpStream> = (0..1000).map(|number| asking(&server, line(number))).collect();
    let mut seconds: Vec<TcpStream> = (0..1000).map(|number| asking(&server, line(number))).collect();
    let size = |number: usize| number * 7919 % 1_000_003;
    for stream in firsts.iter_mut().chain(&mut seconds) {
        assert_eq!(read(stream, 3), OK);
    }
    thread::scope(|scope| {
        let content = &content;
        scope.spawn(move || {
            for (number, first) in firsts.drain(..).enumerate() {
                // A thread each, since none may wait for another.
                scope.spawn(move || {
                    let mut first = first;
                    first.write_all(&content[..size(number)]).unwrap();
                });
            }
        });
        for (number, mut second) in seconds.drain(..).enumerate() {
            scope.spawn(move || assert_eq!(same(&mut second, content), size(number), "{number}"));
        }
    });
}

pub(crate) fn old(token: char) -> String {
    format!("please relay {}\n", token.to_string().repeat(64))
}

pub(crate) fn new(token: char, side: char) -> String {
    format!("please relay {} for side {}\n", token.to_string().repeat(64), side.to_string().repeat(16))
}

/// Two who have said these lines and have met.
pub(crate) fn pair(server: &Running, first: &str, second: &str) -> [TcpStream; 2] {
    let mut pair = [asking(server, first), asking(server, second)];
    for side in &mut pair {
        assert_eq!(read(side, 3), OK);
    }
    pair
}

/// So many bytes.
pub(crate) fn read(stream: &mut TcpStream, count: usize) -> Vec<u8> {
    let mut bytes = vec![0; count];
    stream.read_exact(&mut bytes).unwrap();
    bytes
}

/// Whether nothing comes for a moment, and not the end either.
pub(crate) fn is_silent(stream: &mut TcpStream) -> bool {
    stream.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    let silent = stream.read(&mut [0]).is_err_and(|error| error.kind() == ErrorKind::WouldBlock);
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    silent
}

/// Bytes that do not repeat within what any buffer holds of them.
pub(crate) fn pattern(count: usize) -> Vec<u8> {
    let mut state = 1_u32;
    let next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_be_bytes()[0]
    };
    std::iter::repeat_with(next).take(count).collect()
}

/// Writes the content again and again until nothing more is taken; says how much was.
pub(crate) fn until_stalled(stream: &mut TcpStream, content: &[u8]) -> usize {
    stream.set_write_timeout(Some(Duration::from_millis(500))).unwrap();
    let mut sent = 0;
    loop {
        match stream.write(&content[sent % content.len()..]) {
            Ok(count) => sent += count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return sent,
            Err(error) => panic!("{error}"),
        }
    }
}

/// Reads to the end what must be the content again and again; says how much it was.
fn same(stream: &mut TcpStream, content: &[u8]) -> usize {
    let (mut buffer, mut seen) = (vec![0; 1 << 18], 0);
    loop {
        let at = seen % content.len();
        let most = buffer.len().min(content.len() - at);
        let count = stream.read(&mut buffer[..most]).unwrap();
        assert!(buffer[..count] == content[at..at + count], "it differs after {seen} bytes");
        seen += count;
        if count == 0 {
            return seen;
        }
    }
}
