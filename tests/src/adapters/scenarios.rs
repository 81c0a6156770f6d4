//! What any two adapters must be able to do together.

use std::sync::mpsc;
use std::time::Duration;

use tempfile::TempDir;
use wormhole_core::error::{Error, Mood};
use wormhole_runtime::{Config, Exchange};
use wormhole_transfer::Received;

use super::side::Side;
use super::{Pair, begin, both, config, open};
use crate::{Servers, fail, noise, ok};

/// Records of a long conversation, each way.
const MANY: u32 = 10_000;
/// Of which so many are sent before the other side's are taken.
const AT_ONCE: u32 = 50;
/// Records that both sides pour in at once.
const POURED: u32 = 3_000;
/// A record that is as long as this.
const LONG: usize = 1 << 20;
/// A file of some megabytes, not a multiple of anything.
const FILE: usize = 5_000_003;

/// Everything that a wormhole offers, once.
pub fn a_conversation_from_code_to_close(pair: Pair) {
    let url = pair.servers().mailbox_url();
    let of = |name: &str| config(&url).app_versions(&format!(r#"{{"of":"{name}"}}"#));
    let mut left = ok(pair.left.wormhole(of("left")), "a wormhole");
    let mut right = ok(pair.right.wormhole(of("right")), "a wormhole");
    let code = allocate(&mut *left);
    ok(left.welcome(), "the welcome");
    ok(right.set_code(&code), "a code");
    assert_eq!(ok(right.code(), "the code").as_str(), code);
    let side = |mut side: Box<dyn Side>, peer: &'static str, say: &'static [u8]| {
        move || {
            let session_key = ok(side.unverified_key(), "the key").as_bytes().to_vec();
            let verifier = ok(side.verifier(), "the verifier");
            let versions = ok(side.versions(), "the versions");
            assert_eq!(versions.app_versions.as_str(), format!(r#"{{"of":"{peer}"}}"#));
            ok(side.send(say), "a record");
            let heard = ok(side.receive(), "a record");
            let key = ok(side.derive_key("purpose", 20), "a key").as_bytes().to_vec();
            ok(side.stored(), "what was sent");
            ok(side.close(), "the close");
            assert_eq!(side.status().mood, Some(Mood::Happy));
            (verifier, (session_key, key), heard)
        }
    };
    let (left, right) = both(side(left, "right", b"from left"), side(right, "left", b"from right"));
    assert_eq!((&left.0, &left.1), (&right.0, &right.1));
    assert_eq!((left.2.as_slice(), right.2.as_slice()), (&b"from right"[..], &b"from left"[..]));
}

/// The receiver types the code, and completes what can be.
pub fn a_code_that_is_typed(pair: Pair) {
    let url = pair.servers().mailbox_url();
    let (mut left, mut right) = (open(pair.left, &url), open(pair.right, &url));
    let code = allocate(&mut *left);
    let Some((nameplate, words)) = code.split_once('-') else { fail("a code without words") };
    ok(right.input_code(), "typing a code");
    let listed = ok(right.nameplates(), "nameplates");
    assert!(listed.iter().any(|listed| listed.as_str() == nameplate));
    assert!(ok(right.complete_nameplate(nameplate), "completions").contains(&format!("{nameplate}-")));
    ok(right.choose_nameplate(nameplate), "choosing");
    ok(right.word_list(), "the words");
    let typed = words.get(..words.len() - 1).unwrap_or_default();
    assert!(ok(right.complete_words(typed), "completions").contains(&words.to_owned()));
    ok(right.choose_words(words), "choosing");
    let (left, right) = both(move || left.verifier(), move || right.verifier());
    assert_eq!(ok(left, "a verifier"), ok(right, "a verifier"));
}

/// One of them mistypes a word.
pub fn a_wrong_code(pair: Pair) {
    let url = pair.servers().mailbox_url();
    let (mut left, mut right) = (open(pair.left, &url), open(pair.right, &url));
    let code = allocate(&mut *left);
    ok(right.set_code(&format!("{code}x")), "a code");
    let (left, right) =
        both(move || (left.verifier(), left.close()), move || (right.verifier(), right.close()));
    for (verifier, close) in [left, right] {
        assert_eq!((verifier, close), (Err(Error::WrongCode), Err(Error::WrongCode)));
    }
}

/// The other one never comes.
pub fn a_lonely_close(pair: Pair) {
    let url = pair.servers().mailbox_url();
    for adapter in [pair.left, pair.right] {
        let mut side = open(adapter, &url);
        allocate(&mut *side);
        assert_eq!(side.close(), Err(Error::Lonely));
        assert_eq!(side.receive(), Err(Error::Lonely));
    }
}

/// A third one has the code, too.
pub fn a_third_who_has_the_code(pair: Pair) {
    let url = pair.servers().mailbox_url();
    let (mut left, mut right) = (open(pair.left, &url), open(pair.right, &url));
    let code = allocate(&mut *left);
    // The reference's server lets nobody open a mailbox any more once a third one has tried.
    ok(left.stored(), "what was sent");
    ok(right.set_code(&code), "a code");
    // The nameplate stays claimed as long as the left side has not heard the right one.
    let mut right = begin(move || (ok(right.stored(), "what was sent"), right)).end().1;
    let mut third = open(pair.left, &url);
    ok(third.set_code(&code), "a code");
    assert_eq!(third.verifier(), Err(Error::Crowded));
    let (left, right) = both(move || left.verifier(), move || right.verifier());
    assert_eq!(ok(left, "a verifier"), ok(right, "a verifier"));
}

/// A wait has a limit, and may be repeated.
pub fn a_wait_with_a_limit(pair: Pair) {
    let url = pair.servers().mailbox_url();
    let limited = |adapter: super::Adapter| {
        let config = config(&url).wait_limit(Duration::from_millis(200));
        ok(adapter.wormhole(config), "a wormhole")
    };
    let (mut left, mut right) = (limited(pair.left), limited(pair.right));
    ok(left.allocate_code(2), "allocating a code");
    let code = patient(|| left.code());
    for _ in 0..2 {
        assert_eq!(left.verifier(), Err(Error::TimedOut));
    }
    ok(right.set_code(code.as_str()), "a code");
    let (left, right) = both(move || patient(|| left.verifier()), move || patient(|| right.verifier()));
    assert_eq!(left, right);
}

/// Repeats a wait until it is not over too early.
fn patient<T>(mut wait: impl FnMut() -> Result<T, Error>) -> T {
    loop {
        match wait() {
            Err(Error::TimedOut) => {}
            outcome => return ok(outcome, "a wait"),
        }
    }
}

/// Nobody listens where the mailbox server should be.
pub fn no_server(pair: Pair) {
    for adapter in [pair.left, pair.right] {
        let mut side = open(adapter, "ws://127.0.0.1:1/v1");
        ok(side.allocate_code(2), "a code");
        assert!(matches!(side.code(), Err(Error::Server(_))));
    }
}

/// The mailbox server is restarted, ours with nothing in memory and the reference's with its database, first while one side waits, then while they talk.
pub fn a_server_that_is_lost_and_comes_back(pair: Pair) {
    let Some(mut servers) = Servers::durable(pair.make) else { fail("the servers do not start") };
    let url = servers.mailbox_url();
    let mut left = open(pair.left, &url);
    let code = allocate(&mut *left);
    let waiting = begin(move || (ok(left.verifier(), "a verifier"), left));
    servers.start_mailbox();
    let mut right = open(pair.right, &url);
    ok(right.set_code(&code), "a code");
    let right = begin(move || (ok(right.verifier(), "a verifier"), right));
    let ((left_verifier, mut left), (right_verifier, mut right)) = (waiting.end(), right.end());
    assert_eq!(left_verifier, right_verifier);

    servers.start_mailbox();
    let talk = |side: &mut dyn Side| {
        ok(side.send(b"still there?"), "a record");
        let heard = ok(side.receive(), "a record");
        ok(side.stored(), "what was sent");
        (heard, side.close())
    };
    let (left, right) = both(move || talk(&mut *left), move || talk(&mut *right));
    for (heard, closed) in [left, right] {
        assert_eq!(heard, b"still there?");
        ok(closed, "the close");
    }
}

/// One thread has two wormholes, and so has the other.
pub fn two_wormholes_at_once(pair: Pair) {
    let url = pair.servers().mailbox_url();
    let mut left = [open(pair.left, &url), open(pair.left, &url)];
    let mut right = [open(pair.right, &url), open(pair.right, &url)];
    for (left, right) in left.iter_mut().zip(&mut right) {
        ok(right.set_code(&allocate(&mut **left)), "a code");
    }
    let talk = |mut sides: [Box<dyn Side>; 2]| {
        move || {
            for (side, say) in sides.iter_mut().zip([b"one", b"two"]) {
                ok(side.send(say), "a record");
            }
            let heard = sides.iter_mut().map(|side| ok(side.receive(), "a record")).collect::<Vec<_>>();
            for side in &mut sides {
                ok(side.stored(), "what was sent");
                ok(side.close(), "the close");
            }
            heard
        }
    };
    let (left, right) = both(talk(left), talk(right));
    assert_eq!(
        (left, right),
        (vec![b"one".to_vec(), b"two".to_vec()], vec![b"one".to_vec(), b"two".to_vec()])
    );
}

/// Every call is dropped when something has come, and made again.
pub fn calls_that_are_dropped_and_made_again(pair: Pair) {
    let url = pair.servers().mailbox_url();
    let (mut left, mut right) = (open(pair.left, &url), open(pair.right, &url));
    left.restless();
    right.restless();
    let code = allocate(&mut *left);
    ok(right.set_code(&code), "a code");
    let talk = |mut side: Box<dyn Side>| {
        move || {
            let verifier = ok(side.verifier(), "a verifier");
            exchange(&mut *side, 200);
            ok(side.stored(), "what was sent");
            (verifier, side.close())
        }
    };
    let (left, right) = both(talk(left), talk(right));
    assert_eq!(left.0, right.0);
    ok(left.1.and(right.1), "the close");
}

/// One side sends and then makes no call, until the other has answered; what it sent has left all the same.
pub fn a_writer_that_is_idle(pair: Pair) {
    let (mut left, mut right) = meet(pair);
    ok(left.send(b"read this"), "a record");
    let right = begin(move || {
        let heard = ok(right.receive(), "a record");
        ok(right.send(b"done"), "a record");
        ok(right.stored(), "what was sent");
        (heard, right)
    });
    assert_eq!(right.end().0, b"read this");
    assert_eq!(ok(left.receive(), "a record"), b"done");
    ok(left.close(), "the close");
}

/// Ten thousand records each way, in order.
pub fn ten_thousand_records_each_way(pair: Pair) {
    let (mut left, mut right) = meet(pair);
    both(move || exchange(&mut *left, MANY), move || exchange(&mut *right, MANY));
}

/// More than all queues hold, from both sides as fast as they can, with every call dropped when something has come.
pub fn records_poured_in_by_both_at_once(pair: Pair) {
    let (mut left, mut right) = meet(pair);
    left.restless();
    right.restless();
    let pour = |mut side: Box<dyn Side>| {
        move || {
            let (mut said, mut heard) = (0_u32, 0_u32);
            while said < POURED || heard < POURED {
                let ours = said.to_be_bytes();
                match ok(side.exchange((said < POURED).then_some(&ours)), "an exchange") {
                    Exchange::Sent => said += 1,
                    Exchange::Received(record) => {
                        assert_eq!(record, heard.to_be_bytes());
                        heard += 1;
                    }
                }
            }
            ok(side.stored(), "what was sent");
            side.close()
        }
    };
    let (left, right) = both(pour(left), pour(right));
    ok(left.and(right), "the close");
}

/// One record of a mebibyte each way.
pub fn a_record_of_a_mebibyte(pair: Pair) {
    let (mut left, mut right) = meet(pair);
    let talk = |side: &mut dyn Side, fill: u8| {
        ok(side.send(&vec![fill; LONG]), "a record");
        let heard = ok(side.receive(), "a record");
        ok(side.stored(), "what was sent");
        ok(side.close(), "the close");
        heard
    };
    let (left, right) = both(move || talk(&mut *left, 1), move || talk(&mut *right, 2));
    assert!(left == vec![2; LONG] && right == vec![1; LONG]);
}

/// A small message each way, and no more.
pub fn an_introduction(pair: Pair) {
    let ours = config(&pair.servers().mailbox_url());
    let (theirs, (tell, told)) = (ours.clone(), mpsc::channel());
    let (left, right) = both(
        move || pair.left.initiate(ours, b"from left", tell),
        move || pair.right.answer(theirs, &ok(told.recv(), "the code"), b"from right"),
    );
    assert_eq!((ok(left, "a blob"), ok(right, "a blob")), (b"from right".to_vec(), b"from left".to_vec()));
}

/// A file of some megabytes.
pub fn a_file(pair: Pair) {
    let config = config(&pair.servers().mailbox_url());
    transfer(pair, config.relays([pair.servers().relay_hint()]));
}

/// The same, where nobody listens, so that it can only go by the relay.
pub fn a_file_by_the_relay(pair: Pair) {
    let config = config(&pair.servers().mailbox_url()).listen(false);
    transfer(pair, config.relays([pair.servers().relay_hint()]));
}

/// The same, where there is no relay, so that it can only go from one side to the other.
pub fn a_file_without_a_relay(pair: Pair) {
    transfer(pair, config(&pair.servers().mailbox_url()).relays::<String>([]));
}

#[track_caller]
fn transfer(pair: Pair, config: Config) {
    let directory = ok(TempDir::new(), "a directory");
    let (from, to) = (directory.path().join("file.bin"), directory.path().join("to"));
    ok(std::fs::write(&from, noise(FILE)), "a file");
    ok(std::fs::create_dir(&to), "a directory");
    let theirs = config.clone();
    let (tell, told) = mpsc::channel();
    let sending = begin(move || pair.left.send(config, &from, tell));
    let arrived = to.join("file.bin");
    let receiving = begin(move || pair.right.receive(theirs, ok(told.recv(), "the code"), to));
    ok(sending.end(), "sending");
    assert_eq!(ok(receiving.end(), "receiving"), Received::Stored(arrived.clone()));
    assert!(ok(std::fs::read(arrived), "the file") == noise(FILE));
}

/// A file that is on no disk on either side, small enough for one buffer and not.
pub fn content_beside_the_disk(pair: Pair) {
    let servers = Servers::ours();
    let config = config(&servers.mailbox_url()).relays([servers.relay_hint()]);
    for size in [1000, FILE] {
        let (tell, told) = mpsc::channel();
        let theirs = config.clone();
        let ours = config.clone();
        let sending = begin(move || pair.left.send_from_reader(ours, noise(size), tell));
        let receiving = begin(move || pair.right.receive_in_memory(theirs, ok(told.recv(), "the code")));
        ok(sending.end(), "sending");
        assert_eq!(ok(receiving.end(), "receiving"), Received::Bytes(noise(size).into()));
    }
}

/// Has a code made.
#[track_caller]
fn allocate(side: &mut dyn Side) -> String {
    ok(side.allocate_code(2), "allocating a code");
    ok(side.code(), "a code").as_str().to_owned()
}

/// Two sides that have verified each other.
#[track_caller]
fn meet(pair: Pair) -> (Box<dyn Side>, Box<dyn Side>) {
    let url = pair.servers().mailbox_url();
    let (mut left, mut right) = (open(pair.left, &url), open(pair.right, &url));
    ok(right.set_code(&allocate(&mut *left)), "a code");
    let verified = |mut side: Box<dyn Side>| move || (ok(side.verifier(), "a verifier"), side);
    let ((left_verifier, left), (right_verifier, right)) = both(verified(left), verified(right));
    assert_eq!(left_verifier, right_verifier);
    (left, right)
}

/// Sends so many numbers and takes as many of the other side, some at a time.
fn exchange(side: &mut dyn Side, count: u32) {
    let mut numbers = (0..count).peekable();
    while let Some(first) = numbers.peek().copied() {
        let batch = first..count.min(first + AT_ONCE);
        for number in batch.clone() {
            ok(side.send(&number.to_be_bytes()), "a record");
        }
        for number in batch {
            assert_eq!(ok(side.receive(), "a record"), number.to_be_bytes());
            numbers.next();
        }
    }
    ok(side.stored(), "what was sent");
}
