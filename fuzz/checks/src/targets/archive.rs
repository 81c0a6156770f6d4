//! Archives as they are unpacked: ours while they arrive, others once they are there.

use std::fs;
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::{io, mem};

use wormhole_core::crypto::Key;
use wormhole_core::transit::{RecordKeys, Reference};
use wormhole_core::untrusted::Name;
use wormhole_runtime::Stream;
use wormhole_runtime::pipe::Pipe;
use wormhole_transfer::content::Receiving;
use wormhole_transfer::{Destination, Error, Incoming, Offer, OnConflict, Progress};

use crate::script::Script;

/// What the offer announces at most.
const BYTES: u64 = 4096;
const FILES: u64 = 8;

/// An archive made from a script and then changed here and there, or bytes that are called one.
pub fn run(data: &[u8]) {
    let mut script = Script::new(data);
    let kind = script.byte();
    let mut archive = if kind & 1 == 0 { made(&mut script, kind & 2 == 0) } else { Vec::new() };
    if archive.is_empty() {
        archive = script.rest().to_vec();
    }
    while !script.is_empty() {
        let (at, change) = (usize::from(script.number()), script.byte());
        if let Some(byte) = archive.get_mut(at) {
            *byte ^= change;
        }
    }
    let Ok(work) = tempfile::tempdir() else { return };
    let to = work.path().join("to");
    if fs::create_dir(&to).is_err() {
        return;
    }
    let received = receive(&archive, &to);
    let expected: &[&str] = if received.is_ok() { &["d"] } else { &[] };
    // Where it is not the disk's thread that has failed, that one is still at it.
    while names(&to).len() > expected.len() {
        thread::yield_now();
    }
    assert_eq!(names(&to), expected, "{received:?}");
    assert_eq!(names(work.path()), ["to"], "something was written elsewhere");
    if received.is_ok() {
        let (mut bytes, mut files) = (0, 0);
        count(&to, &mut bytes, &mut files);
        assert!(bytes <= BYTES && files <= FILES, "more was written than announced");
    }
}

fn receive(archive: &[u8], to: &Path) -> Result<(), Error> {
    let name = Name::from("d");
    let zip_size = archive.len() as u64;
    let mode = "zipfile/deflated".into();
    let offer = Offer::Directory { name, mode, zip_size, bytes: BYTES, files: FILES };
    let incoming = Incoming::prepare(&offer, &Destination::Into(to.into()), OnConflict::Refuse)?;
    let key = Key::from_bytes([1; 32]);
    let keys = RecordKeys { send: key.clone(), receive: key };
    let mut sealer = keys.sealer(Reference);
    let records: Result<Vec<_>, _> = archive.chunks(1000).map(|chunk| sealer.seal_copy(chunk)).collect();
    let pipe = Pipe::new(Records(records?.concat()), &keys, Vec::new());
    settle(Receiving::start(incoming, pipe, Progress::default())?.run()).map(drop)
}

fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

fn count(directory: &Path, bytes: &mut u64, files: &mut u64) {
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let Ok(metadata) = entry.path().symlink_metadata() else { continue };
        assert!(!metadata.is_symlink(), "a link was made");
        if metadata.is_dir() {
            count(&entry.path(), bytes, files);
        } else {
            *bytes += metadata.len();
            *files += 1;
        }
    }
}

/// An archive of stored entries, as we write them, with the mark that says so or without.
fn made(script: &mut Script<'_>, marked: bool) -> Vec<u8> {
    let (mut entries, mut list, mut count) = (Vec::new(), Vec::new(), 0_u16);
    for _ in 0..script.below(6) {
        let (name, content) = (script.chunk(), script.chunk());
        let mode = script.number();
        let at = len32(&entries);
        let crc = crc(content).to_le_bytes();
        let size = len32(content);
        let name_len = u16::try_from(name.len()).unwrap_or(0).to_le_bytes();
        let mark: &[u8] = if marked && entries.is_empty() { b"WH\x05\x00sizes" } else { b"" };
        let mark_len = [u8::try_from(mark.len()).unwrap_or(0), 0];
        // Version, flags for UTF-8, stored, time and date.
        let common = [20, 0, 0, 8, 0, 0, 0, 0, 0x21, 0];
        for part in
            [b"PK\x03\x04".as_slice(), &common, &crc, &size, &size, &name_len, &mark_len, name, mark, content]
        {
            entries.extend_from_slice(part);
        }
        let attributes = [0, 0, mode.to_le_bytes()[0], mode.to_le_bytes()[1]];
        let head = [b"PK\x01\x02\x14\x03".as_slice(), &common, &crc, &size, &size, &name_len].concat();
        for part in [head.as_slice(), &[0; 8], &attributes, &at, name] {
            list.extend_from_slice(part);
        }
        count += 1;
    }
    let (count, list_at, list_len) = (count.to_le_bytes(), len32(&entries), len32(&list));
    let end = [b"PK\x05\x06".as_slice(), &[0; 4], &count, &count, &list_len, &list_at, &[0; 2]];
    [entries, list, end.concat()].concat()
}

fn len32(bytes: &[u8]) -> [u8; 4] {
    u32::try_from(bytes.len()).unwrap_or(0).to_le_bytes()
}

fn crc(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| crc >> 1 ^ if crc & 1 == 0 { 0 } else { 0xedb8_8320 })
    })
}

/// Runs a future on this thread, which the disk's thread wakes.
fn settle<T>(future: impl Future<Output = T>) -> T {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let mut future = pin!(future);
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    loop {
        if let Poll::Ready(outcome) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return outcome;
        }
        thread::park();
    }
}

/// Records that are all there, and then the end.
struct Records(Vec<u8>);

impl Stream for Records {
    fn poll_read(&mut self, _: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        let rest = self.0.split_off(self.0.len().min(buf.len()));
        let now = mem::replace(&mut self.0, rest);
        for (place, byte) in buf.iter_mut().zip(&now) {
            *place = *byte;
        }
        Poll::Ready(Ok(now.len()))
    }

    fn poll_write(&mut self, _: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_shutdown(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
