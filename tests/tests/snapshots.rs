//! A wormhole that is written down at every event of a session and gone on with on the same or another adapter.
#![cfg(test)]

use std::sync::mpsc;
use std::thread;

use wormhole_core::error::{Error, Misuse, Mood, SnapshotFault};
use wormhole_core::wormhole::{Event, SNAPSHOT_VERSION};
use wormhole_runtime::Config;
use wormhole_tests::{Adapter, Servers, Side};

#[test]
fn tokio_goes_on_from_every_event() {
    goes_on(Adapter::Tokio, Adapter::Tokio);
}

#[test]
fn async_std_goes_on_from_every_event() {
    goes_on(Adapter::AsyncStd, Adapter::AsyncStd);
}

#[test]
fn smol_goes_on_from_every_event() {
    goes_on(Adapter::Smol, Adapter::Smol);
}

#[test]
fn blocking_goes_on_from_every_event() {
    goes_on(Adapter::Blocking, Adapter::Blocking);
}

#[test]
fn each_adapter_goes_on_from_what_another_has_written_down() {
    goes_on(Adapter::Tokio, Adapter::Blocking);
    goes_on(Adapter::Blocking, Adapter::Smol);
    goes_on(Adapter::Smol, Adapter::AsyncStd);
    goes_on(Adapter::AsyncStd, Adapter::Tokio);
}

#[test]
fn what_another_version_or_application_has_written_down_is_refused() {
    for adapter in Adapter::ALL {
        let snapshot = adapter.wormhole(config()).unwrap().snapshot().unwrap();
        let text = std::str::from_utf8(snapshot.as_bytes()).unwrap();
        let version = |version: u32| format!("\"version\":{version},");
        let newer = text.replacen(&version(SNAPSHOT_VERSION), &version(SNAPSHOT_VERSION + 1), 1);
        let fault = |config: Config, text: &str| match adapter.restore(config, text.as_bytes()) {
            Err(Error::Misuse(Misuse::Snapshot(fault))) => Some(fault),
            Ok(_) => None,
            Err(other) => panic!("{other}"),
        };
        let refused = SnapshotFault::Version { found: SNAPSHOT_VERSION + 1, known: SNAPSHOT_VERSION };
        assert_eq!(fault(config(), &newer), Some(refused));
        let elsewhere = Config::new("example.com/other").mailbox(&Servers::ours().mailbox_url());
        assert_eq!(fault(elsewhere, text), Some(SnapshotFault::Config));
        assert_eq!(fault(config(), &text[..text.len() / 2]), Some(SnapshotFault::Malformed));
        assert_eq!(fault(config(), text), None);
    }
}

/// Both sides begin on one adapter, stop at the same point of the session and go on on the other; at every point.
#[track_caller]
fn goes_on(first: Adapter, then: Adapter) {
    let mut at = 0;
    loop {
        let (tell, told) = mpsc::channel();
        let left = thread::spawn(move || {
            let mut side = Stopping::new(first, then, at);
            side.then(|side| side.allocate_code(2));
            side.until_versions(|code| tell.send(code).unwrap());
            side.talk(b"from left")
        });
        let mut side = Stopping::new(first, then, at);
        let code = told.recv().unwrap();
        side.then(|side| side.set_code(&code));
        side.until_versions(|_| ());
        let right = side.talk(b"from right");
        let left = left.join().unwrap();
        assert_eq!(left.verifier, right.verifier);
        assert_eq!((left.heard, right.heard), (b"from right".to_vec(), b"from left".to_vec()));
        at += 1;
        if at > left.points && at > right.points {
            // Fewer would mean that it has not stopped at the events.
            assert!(at > 12, "{at}");
            return;
        }
    }
}

/// A side that is written down at one point, and never after.
struct Stopping {
    side: Box<dyn Side>,
    then: Adapter,
    at: usize,
    points: usize,
}

/// What came of it.
struct Talked {
    verifier: String,
    heard: Vec<u8>,
    points: usize,
}

impl Stopping {
    fn new(first: Adapter, then: Adapter, at: usize) -> Self {
        let mut side = Self { side: first.wormhole(config()).unwrap(), then, at, points: 0 };
        side.point();
        side
    }

    fn point(&mut self) {
        if self.points == self.at {
            let snapshot = self.side.snapshot().unwrap();
            self.side = self.then.restore(config(), snapshot.as_bytes()).unwrap();
        }
        self.points += 1;
    }

    /// Does something, which is a point.
    fn then<T>(&mut self, call: impl FnOnce(&mut dyn Side) -> Result<T, Error>) -> T {
        let outcome = call(&mut *self.side).unwrap();
        self.point();
        outcome
    }

    /// Each event is a point.
    fn until_versions(&mut self, tell: impl Fn(String)) {
        loop {
            let event = self.side.next_event();
            self.point();
            match event {
                Event::Code(code) => tell(code.as_str().to_owned()),
                Event::Versions(_) => return,
                Event::Closed(end) => panic!("{end:?}"),
                Event::LinkUp
                | Event::LinkDown { .. }
                | Event::Welcome(_)
                | Event::Nameplates(_)
                | Event::WordsWanted
                | Event::PeerHeard
                | Event::UnverifiedKey
                | Event::Verifier(_)
                | Event::Record(_)
                | Event::CodeConsumed => {}
            }
        }
    }

    fn talk(mut self, say: &[u8]) -> Talked {
        let verifier = self.then(|side| side.verifier()).to_string();
        self.then(|side| side.send(say));
        self.then(|side| side.stored());
        let heard = self.then(|side| side.receive());
        self.then(|side| side.close());
        self.then(|side| side.close());
        assert_eq!(self.side.status().mood, Some(Mood::Happy));
        assert_eq!(self.side.verifier().unwrap().to_string(), verifier, "a fact stays a fact");
        Talked { verifier, heard, points: self.points }
    }
}

fn config() -> Config {
    Config::new("example.com/snapshots").mailbox(&Servers::ours().mailbox_url())
}
