//! Every call of every adapter is given up half-way and made again, and nothing is lost or done twice: by dropping its
//! future whenever that was woken, and where there is none by a short limit.
#![cfg(test)]

use std::fmt::Debug;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Sender as Tell};
use std::thread;
use std::time::Duration;

use tempfile::TempDir;
use wormhole_core::code::Code;
use wormhole_core::error::{Error, Mood};
use wormhole_core::wormhole::Event;
use wormhole_runtime::{Config, OnNetwork, transcribe};
use wormhole_tests::{Adapter, Executor, Servers, Side, noise, until_woken};
use wormhole_transfer::{
    Content, Destination, Error as TransferError, Event as TransferEvent, Received, Receiver, Sender,
};

/// So short that most calls are given up.
const LIMIT: Duration = Duration::from_millis(3);
const RECORDS: u32 = 300;
const FILE: usize = 3_000_003;

/// Makes a future anew whenever it was woken, until it is ready at its first poll.
macro_rules! again {
    ($future:expr) => {
        loop {
            if let Some(outcome) = until_woken($future).await {
                break outcome;
            }
        }
    };
}

#[test]
fn every_call_of_a_wormhole_is_given_up_and_made_again() {
    for adapter in Adapter::ALL {
        let (mut left, mut right) = (open(adapter), open(adapter));
        left.allocate_code(2).unwrap();
        patient(|| left.welcome());
        let code = patient(|| left.code());
        right.input_code().unwrap();
        patient(|| right.nameplates());
        right.choose_nameplate(code.nameplate().as_str()).unwrap();
        patient(|| right.word_list());
        right.choose_words(code.as_str().split_once('-').unwrap().1).unwrap();
        let other = thread::spawn(move || talk(right));
        let (ours, theirs) = (talk(left), other.join().unwrap());
        assert_eq!(ours, theirs, "{adapter:?}");
    }
}

#[test]
fn every_call_of_an_introduction_is_given_up_and_made_again() {
    for adapter in Adapter::ALL {
        let (tell, told) = mpsc::channel();
        let initiating = thread::spawn(move || initiate(adapter, tell));
        assert_eq!(answer(adapter, told.recv().unwrap()), Ok(b"from left".to_vec()), "{adapter:?}");
        assert_eq!(initiating.join().unwrap(), Ok(b"from right".to_vec()), "{adapter:?}");
    }
}

#[test]
fn every_call_of_a_transfer_is_given_up_and_made_again() {
    for adapter in Adapter::ALL {
        let work = TempDir::new().unwrap();
        let (file, to) = (work.path().join("file"), work.path().join("to"));
        fs::write(&file, noise(FILE)).unwrap();
        fs::create_dir(&to).unwrap();
        let arrived = to.join("file");
        let (tell, told) = mpsc::channel();
        let sending = thread::spawn(move || send(adapter, &file, tell));
        let received = receive(adapter, told.recv().unwrap(), to);
        assert_eq!(received, Ok(Received::Stored(arrived.clone())), "{adapter:?}");
        sending.join().unwrap().unwrap();
        assert!(fs::read(arrived).unwrap() == noise(FILE));
    }
}

/// All that is the same on both sides.
fn talk(mut side: Box<dyn Side>) -> (Vec<u8>, String, String, Vec<u8>) {
    let session_key = patient(|| side.unverified_key()).as_bytes().to_vec();
    let verifier = patient(|| side.verifier()).to_string();
    let versions = patient(|| side.versions()).app_versions.as_str().to_owned();
    for number in 0..RECORDS {
        // Either it was taken or it was not: it comes once.
        patient(|| side.send(&number.to_be_bytes()));
        assert_eq!(patient(|| side.receive()), number.to_be_bytes());
    }
    patient(|| side.stored());
    let key = side.derive_key("purpose", 32).unwrap().as_bytes().to_vec();
    side.close().unwrap();
    side.close().unwrap();
    assert_eq!(side.status().mood, Some(Mood::Happy));
    while side.next_event() != Event::Closed(Ok(())) {}
    (session_key, verifier, versions, key)
}

fn initiate(adapter: Adapter, tell: Tell<Code>) -> Result<Vec<u8>, Error> {
    match adapter {
        Adapter::Tokio => Executor::tokio().run(initiating::<wormhole_tokio::Runtime>(tell)),
        Adapter::AsyncStd => Executor::AsyncStd.run(initiating::<wormhole_async_std::Runtime>(tell)),
        Adapter::Smol => Executor::Smol.run(initiating::<wormhole_smol::Runtime>(tell)),
        Adapter::Blocking => {
            let config = config().wait_limit(LIMIT);
            let mut side = wormhole_blocking::transcribe::Initiator::with(config, b"from left").unwrap();
            tell.send(patient(|| side.start())).unwrap();
            Ok(patient(|| side.finish()))
        }
    }
}

async fn initiating<R: OnNetwork>(tell: Tell<Code>) -> Result<Vec<u8>, Error> {
    let mut side = transcribe::Initiator::<R>::with(config(), b"from left")?;
    tell.send(again!(side.start())?).unwrap();
    again!(side.finish())
}

fn answer(adapter: Adapter, code: Code) -> Result<Vec<u8>, Error> {
    match adapter {
        Adapter::Tokio => Executor::tokio().run(answering::<wormhole_tokio::Runtime>(code)),
        Adapter::AsyncStd => Executor::AsyncStd.run(answering::<wormhole_async_std::Runtime>(code)),
        Adapter::Smol => Executor::Smol.run(answering::<wormhole_smol::Runtime>(code)),
        Adapter::Blocking => {
            let config = config().wait_limit(LIMIT);
            let mut side =
                wormhole_blocking::transcribe::Receiver::with(config, code, b"from right").unwrap();
            Ok(patient(|| side.finish()))
        }
    }
}

async fn answering<R: OnNetwork>(code: Code) -> Result<Vec<u8>, Error> {
    let mut side = transcribe::Receiver::<R>::with(config(), code, b"from right")?;
    again!(side.finish())
}

fn send(adapter: Adapter, file: &Path, tell: Tell<Code>) -> Result<(), TransferError> {
    match adapter {
        Adapter::Tokio => Executor::tokio().run(sending::<wormhole_tokio::Runtime>(file, tell)),
        Adapter::AsyncStd => Executor::AsyncStd.run(sending::<wormhole_async_std::Runtime>(file, tell)),
        Adapter::Smol => Executor::Smol.run(sending::<wormhole_smol::Runtime>(file, tell)),
        Adapter::Blocking => {
            let config = config().wait_limit(LIMIT);
            let mut sender = wormhole_blocking::transfer::Sender::new(config, Content::open(file)?)?;
            sender.allocate_code(2)?;
            tell.send(patient_transfer(|| sender.code())).unwrap();
            patient_transfer(|| sender.finish());
            sender.finish()
        }
    }
}

async fn sending<R: OnNetwork>(file: &Path, tell: Tell<Code>) -> Result<(), TransferError> {
    let mut sender = Sender::<R>::new(config(), Content::open(file)?)?;
    sender.allocate_code(2)?;
    tell.send(again!(sender.code())?).unwrap();
    while !matches!(again!(sender.next_event()), TransferEvent::Connected(_)) {}
    again!(sender.finish())
}

fn receive(adapter: Adapter, code: Code, to: PathBuf) -> Result<Received, TransferError> {
    let to = Destination::Into(to);
    match adapter {
        Adapter::Tokio => Executor::tokio().run(receiving::<wormhole_tokio::Runtime>(code, to)),
        Adapter::AsyncStd => Executor::AsyncStd.run(receiving::<wormhole_async_std::Runtime>(code, to)),
        Adapter::Smol => Executor::Smol.run(receiving::<wormhole_smol::Runtime>(code, to)),
        Adapter::Blocking => {
            let config = config().wait_limit(LIMIT);
            let mut receiver = wormhole_blocking::transfer::Receiver::new(config)?;
            receiver.set_code(code)?;
            patient_transfer(|| receiver.offer());
            receiver.accept(&to)?;
            patient_transfer(|| receiver.finish());
            receiver.finish()
        }
    }
}

async fn receiving<R: OnNetwork>(code: Code, to: Destination) -> Result<Received, TransferError> {
    let mut receiver = Receiver::<R>::new(config())?;
    receiver.set_code(code)?;
    again!(receiver.offer())?;
    receiver.accept(&to)?;
    again!(receiver.finish())
}

/// A wormhole whose calls are given up.
fn open(adapter: Adapter) -> Box<dyn Side> {
    let config = match adapter {
        Adapter::Tokio | Adapter::AsyncStd | Adapter::Smol => config(),
        Adapter::Blocking => config().wait_limit(LIMIT),
    };
    let mut side = adapter.wormhole(config).unwrap();
    side.restless();
    side
}

/// Repeats a wait until it is not over too early.
fn patient<T: Debug>(mut wait: impl FnMut() -> Result<T, Error>) -> T {
    loop {
        match wait() {
            Err(Error::TimedOut) => {}
            outcome => return outcome.unwrap(),
        }
    }
}

fn patient_transfer<T: Debug>(mut wait: impl FnMut() -> Result<T, TransferError>) -> T {
    loop {
        match wait() {
            Err(TransferError::Wormhole(Error::TimedOut)) => {}
            outcome => return outcome.unwrap(),
        }
    }
}

fn config() -> Config {
    Config::new("example.com/dropped").mailbox(&Servers::ours().mailbox_url()).relays::<&str>([])
}
