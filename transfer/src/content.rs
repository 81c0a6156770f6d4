//! The content itself, over a pipe: what runs beside the session once transit has settled on a connection.
//!
//! Each side has one plain thread. The sender's reads, hashes and seals; the receiver's opens, hashes and writes. It
//! trades a few large buffers with the task that has the socket, so disk and network overlap, and memory stays the
//! same whatever the size. When one of the two is dropped the other ends.
//!
//! What is in memory and fits into the buffers needs no thread: the same work is then done by the task, before the first
//! byte leaves or after the last has come, when it has nothing to wait for.

use std::fmt;
use std::future::poll_fn;
use std::pin::pin;
use std::task::{Context, Poll};
use std::thread;

use wormhole_core::defaults::RECORD_CONTENT;
use wormhole_core::error::TransitFault;
use wormhole_core::transit::{Opener, Sealer};
use wormhole_core::wire::peer::Ack;
use wormhole_runtime::Stream;
use wormhole_runtime::pipe::{BATCH_RECORDS, Broken, Inbox, Outbox, Parts, Pipe, Wire};
use wormhole_runtime::record::Fastest;

use crate::disk::{Hash, Opening, Sealing, Sent, Stored};
use crate::error::Error;
use crate::exchange::{Ended, Taken, TaskEnd, exchange};
use crate::incoming::Incoming;
use crate::outgoing::Content;
use crate::progress::{Progress, UNKNOWN};
use crate::receiver::Received;

/// Buffers that go round between thread and task: one at each end, and one on the way.
const BUFFERS: usize = 3;
/// Content that one buffer holds.
const BUFFER_CONTENT: u64 = (BATCH_RECORDS * RECORD_CONTENT) as u64;
/// The longest acknowledgement that is read.
const ACK_LIMIT: usize = 64 << 10;

/// Content on its way out.
pub struct Sending<S> {
    wire: Wire<S>,
    opener: Opener<Fastest>,
    from_disk: TaskEnd<Outbox, Sent>,
    size: u64,
    progress: Progress,
}

impl<S: Stream> Sending<S> {
    /// Starts to read. Nothing is sent before [`Sending::run`].
    pub fn start(content: Content, pipe: Pipe<S>, progress: Progress) -> Result<Self, Error> {
        let Parts { wire, sealer, opener } = pipe.into_parts();
        let (to_task, mut from_disk) = exchange();
        let size = content.size();
        progress.set_total(size);
        let needs_no_thread = content.is_memory() && size <= BUFFER_CONTENT;
        for _ in 0..if needs_no_thread { 1 } else { BUFFERS } {
            from_disk.give(Outbox::for_content(size));
        }
        let work = move || {
            let mut sealing = Sealing::new(&to_task, sealer);
            let outcome = content.flow(&mut sealing).and_then(|()| sealing.finish());
            to_task.finish(outcome);
        };
        if needs_no_thread {
            // It has the one buffer that it takes, and must not wait for more.
            from_disk.done();
            work();
        } else {
            on_a_thread(work)?;
        }
        Ok(Self { wire, opener, from_disk, size, progress })
    }

    /// Sends all of it.
    pub async fn run(mut self) -> Result<Confirming<S>, Error> {
        let mut done = 0_u64;
        let hash = loop {
            match self.from_disk.take().await {
                Taken::Buffer(outbox) => {
                    let progress = &self.progress;
                    let sent = self.wire.send_all(&outbox, |bytes| progress.set(done.saturating_add(bytes)));
                    if sent.await.is_err() {
                        let lost = TransitFault::Lost { got: self.progress.done(), want: self.size };
                        return Err(transit(lost));
                    }
                    done = done.saturating_add(outbox.content_len());
                    self.from_disk.give(outbox);
                }
                Taken::Ended(outcome) => break outcome.unwrap_or(Err(Error::NoThread))?,
            }
        };
        self.progress.end();
        Ok(Confirming { wire: self.wire, opener: self.opener, hash })
    }

    pub(crate) fn thread(&self) -> Ended {
        self.from_disk.thread()
    }
}

/// Content that has all been sent, and waits for the other side to say that it has it.
pub struct Confirming<S> {
    wire: Wire<S>,
    opener: Opener<Fastest>,
    hash: Hash,
}

impl<S: Stream> Confirming<S> {
    /// Waits for the acknowledgement and checks it.
    pub async fn run(mut self) -> Result<(), Error> {
        let record = self.wire.receive(&mut self.opener, ACK_LIMIT).await.map_err(|broken| match broken {
            Broken::Failed(_) | Broken::Ended => transit(TransitFault::Unconfirmed(broken.to_string())),
            Broken::Fault(fault) => transit(fault),
        })?;
        let ack = Ack::decode(&record).map_err(|_| transit(TransitFault::MalformedAck))?;
        ack.ok.map_err(|text| transit(TransitFault::Refused(text)))?;
        if ack.sha256.is_some_and(|theirs| theirs != self.hash) {
            return Err(transit(TransitFault::WrongHash));
        }
        // It is confirmed, whatever becomes of the connection.
        self.wire.finish().await.ok();
        Ok(())
    }
}

/// Content on its way in.
pub struct Receiving<S> {
    wire: Wire<S>,
    sealer: Sealer<Fastest>,
    to_disk: TaskEnd<Inbox, Stored>,
    /// The work, where no thread does it yet.
    work: Option<Work>,
    size: u64,
    progress: Progress,
}

type Work = Box<dyn FnOnce() + Send>;

impl<S: Stream> Receiving<S> {
    /// Is ready to write. Nothing is read before [`Receiving::run`].
    pub fn start(incoming: Incoming, pipe: Pipe<S>, progress: Progress) -> Result<Self, Error> {
        let Parts { wire, sealer, opener } = pipe.into_parts();
        let (from_task, to_disk) = exchange();
        let size = incoming.size();
        progress.set_total(size);
        for _ in 0..BUFFERS {
            from_task.give(Inbox::for_content(size));
        }
        let is_memory = incoming.is_memory();
        let work: Work = Box::new(move || {
            let mut opening = Opening::new(&from_task, size, opener);
            let outcome = incoming.take(&mut opening).map(|received| (opening.hash(), received));
            from_task.finish(outcome);
        });
        let mut receiving = Self { wire, sealer, to_disk, work: Some(work), size, progress };
        if !is_memory {
            receiving.start_thread()?;
        }
        Ok(receiving)
    }

    /// Receives all of it, and says so to the other side once it has its name.
    pub async fn run(mut self) -> Result<Received, Error> {
        self.receive().await?;
        self.to_disk.done();
        if let Some(work) = self.work.take() {
            work();
        }
        let (hash, received) = loop {
            match self.to_disk.take().await {
                Taken::Buffer(_) => {}
                Taken::Ended(outcome) => break outcome.unwrap_or(Err(Error::NoThread))?,
            }
        };
        let ack = Ack { ok: Ok(()), sha256: Some(hash) }.encode();
        let sent = match self.wire.send(&mut self.sealer, &ack).await {
            Ok(()) => self.wire.finish().await,
            Err(error) => Err(error),
        };
        // The other side may have gone in the moment in which we wrote. What is here is whole all the same.
        sent.ok();
        Ok(received)
    }

    async fn receive(&mut self) -> Result<(), Error> {
        let mut got = 0_u64;
        let mut inbox = self.empty().await?;
        let mut is_ended = self.size == 0;
        while !is_ended {
            self.fill(&mut inbox, got).await?;
            got = got.saturating_add(inbox.content_len());
            is_ended = if self.size == UNKNOWN { inbox.has_empty() } else { got >= self.size };
            let mut next = self.empty().await?;
            inbox.carry_over(&mut next).map_err(|broken| self.broken(&broken, got))?;
            self.to_disk.give(inbox);
            inbox = next;
        }
        if got > self.size || inbox.begun() > 0 || self.wire.has_more().await {
            return Err(transit(TransitFault::TooMuch));
        }
        self.progress.end();
        Ok(())
    }

    /// Reads, unless the thread has failed meanwhile.
    async fn fill(&mut self, inbox: &mut Inbox, got: u64) -> Result<(), Error> {
        let thread = self.to_disk.thread();
        let filled = {
            let (progress, to_disk, size) = (&self.progress, &self.to_disk, self.size);
            let come = |bytes| progress.set(got.saturating_add(bytes).min(size));
            // Full buffers cost least. What is less goes over only if the thread would sleep otherwise.
            let no_thread = self.work.is_some();
            let is_wanted = |cx: &Context<'_>, content| {
                if no_thread { got.saturating_add(content) >= size } else { to_disk.is_idle(cx) }
            };
            let mut read = pin!(self.wire.receive_many(inbox, is_wanted, come));
            poll_fn(|cx| match read.as_mut().poll(cx) {
                Poll::Ready(read) => Poll::Ready(Some(read)),
                Poll::Pending => thread.poll(cx).map(|()| None),
            })
            .await
        };
        match filled {
            Some(Ok(())) => Ok(()),
            Some(Err(broken)) => Err(self.broken(&broken, got.saturating_add(inbox.begun() as u64))),
            None => loop {
                match self.to_disk.take().await {
                    Taken::Buffer(_) => {}
                    Taken::Ended(Some(Err(error))) => break Err(error),
                    Taken::Ended(Some(Ok(_)) | None) => break Err(Error::NoThread),
                }
            },
        }
    }

    /// A buffer to read into, or why the thread needs none.
    async fn empty(&mut self) -> Result<Inbox, Error> {
        if !self.to_disk.has_buffer() {
            self.start_thread()?;
        }
        match self.to_disk.take().await {
            Taken::Buffer(mut inbox) => {
                inbox.clear();
                Ok(inbox)
            }
            Taken::Ended(Some(Err(error))) => Err(error),
            Taken::Ended(Some(Ok(_)) | None) => Err(Error::NoThread),
        }
    }

    /// Starts the thread, unless there is one.
    fn start_thread(&mut self) -> Result<(), Error> {
        self.work.take().map_or(Ok(()), on_a_thread)
    }

    fn broken(&self, broken: &Broken, got: u64) -> Error {
        match broken {
            Broken::Failed(_) | Broken::Ended => transit(TransitFault::Lost { got, want: self.size }),
            Broken::Fault(fault) => transit(fault.clone()),
        }
    }

    pub(crate) fn thread(&self) -> Ended {
        self.to_disk.thread()
    }
}

fn transit(fault: TransitFault) -> Error {
    Error::Wormhole(fault.into())
}

/// Nobody waits for it: whatever it works on ends when its exchange does.
pub(crate) fn on_a_thread(work: impl FnOnce() + Send + 'static) -> Result<(), Error> {
    let started = thread::Builder::new().name("wormhole-disk".to_owned()).spawn(work);
    started.map(drop).map_err(|_| Error::NoThread)
}

impl<S> fmt::Debug for Sending<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sending").field("progress", &self.progress).finish_non_exhaustive()
    }
}

impl<S> fmt::Debug for Confirming<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Confirming(..)")
    }
}

impl<S> fmt::Debug for Receiving<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiving").field("progress", &self.progress).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::{self, Write};
    use std::path::{Path, PathBuf};
    use std::sync::{Arc, Mutex};

    use sha2::{Digest, Sha256};
    use tempfile::TempDir;
    use wormhole_core::crypto::Key;
    use wormhole_core::error::{Error as CoreError, Misuse};
    use wormhole_core::transit::RecordKeys;
    use wormhole_core::untrusted::{Name, Text};
    use wormhole_core::wire::peer::{Extras, Item, Offer};

    use super::*;
    use crate::archive::layout::Entry;
    use crate::doubles::{End, connection, settle};
    use crate::error::{BadArchive, Doing, Unsendable};
    use crate::outgoing::Fitted;
    use crate::place::{Destination, OnConflict};

    #[test]
    fn a_file_of_any_size_arrives_whole() {
        for size in [0, 1, 16_384, 16_385, 131_072, 131_073, 1_048_576, 3_000_001] {
            for capacity in [1000, 100_000, 10_000_000] {
                let work = Work::new();
                work.write("a", &pattern(size));
                let (sent, received) = work.transfer("a", capacity);
                sent.unwrap();
                assert_eq!(received, Ok(Received::Stored(work.path("to/a"))));
                assert_eq!(fs::read(work.path("to/a")).unwrap(), pattern(size), "{size} {capacity}");
                assert_eq!(work.names(), ["a"]);
            }
        }
    }

    #[test]
    fn what_has_no_size_arrives_whole_and_ends_with_an_empty_record() {
        for size in [0, 1, 131_072, 1_048_576, 3_000_001] {
            for capacity in [1000, 10_000_000] {
                let work = Work::new();
                let content = Content::stream("a", io::Cursor::new(pattern(size)));
                let (sent, received) = work.transfer_of(content, capacity);
                sent.unwrap();
                assert_eq!(received, Ok(Received::Stored(work.path("to/a"))));
                assert_eq!(fs::read(work.path("to/a")).unwrap(), pattern(size), "{size} {capacity}");
                let content = Content::stream("a", io::Cursor::new(pattern(size)));
                let written = Written::default();
                assert_eq!(transfer_to_writer(content, written.clone()), (Ok(()), Ok(Received::Written)));
                assert!(*written.0.lock().unwrap() == pattern(size));
            }
        }
    }

    #[test]
    fn what_has_no_size_is_not_complete_without_its_end_and_nothing_follows_it() {
        for (records, expected) in [
            (&[&b"12"[..], b"3"][..], TransitFault::Lost { got: 3, want: UNKNOWN }),
            (&[b"12", b"", b"3"], TransitFault::TooMuch),
        ] {
            let work = Work::new();
            let (ours, theirs) = connection(1000);
            let mut pipe = Pipe::new(theirs, &keys(1, 2), Vec::new());
            for record in records {
                settle(pipe.send(record)).unwrap();
            }
            settle(pipe.finish()).unwrap();
            let received = receive(ours, work.prepare(&Offer::Stream { name: Name::from("a") }));
            assert_eq!(received, Err(Error::Wormhole(expected.into())), "{records:?}");
            assert!(work.names().is_empty());
        }
    }

    #[test]
    fn several_arrive_beside_each_other() {
        let work = Work::new();
        fs::create_dir_all(work.path("from/d/empty")).unwrap();
        work.write("d/one", &pattern(200_000));
        work.write("two", b"2");
        crate::system::set_mode(&work.path("from/d"), 0o555).unwrap();
        let paths = [work.path("from/d"), work.path("from/two")];
        let mut stored = vec![work.path("to/d"), work.path("to/two")];
        for extras in [Extras { several: true, ..Extras::default() }, Extras::ALL] {
            let content = fit(Content::several(&paths, "x").unwrap(), extras);
            let (sent, received) = work.transfer_of(content, 50_000);
            sent.unwrap();
            assert_eq!(received, Ok(Received::Several(stored.clone())));
            assert_eq!(fs::read(work.path("to/d/one")).unwrap(), pattern(200_000));
            assert!(work.path("to/d/empty").is_dir());
            let mut names = work.names();
            names.sort();
            assert_eq!(names, ["d", "two"]);
            let mode = |name: &str| crate::system::mode(&fs::metadata(work.path(name)).unwrap());
            #[cfg(unix)]
            assert_eq!(mode("to/d") == 0o555, extras.attributes);
            crate::system::set_mode(&work.path("to/d"), 0o755).unwrap();
            fs::remove_dir_all(work.path("to/d")).unwrap();
            fs::remove_file(work.path("to/two")).unwrap();
        }
        // To those that know no more, they are one directory.
        let content = fit(Content::several(&paths, "x").unwrap(), Extras::default());
        let (sent, received) = work.transfer_of(content, 50_000);
        sent.unwrap();
        assert_eq!(received, Ok(Received::Stored(work.path("to/x"))));
        stored.iter_mut().for_each(|path| *path = work.path("to/x").join(path.file_name().unwrap()));
        assert!(stored.iter().all(|path| path.exists()));
    }

    #[test]
    fn several_are_those_that_were_offered_or_nothing() {
        let item = |name: &str, is_directory| Item { name: Name::from(name), is_directory };
        let cases = [
            vec![item("d", true)],
            vec![item("d", true), item("two", true)],
            vec![item("d", true), item("three", false)],
            vec![item("d", true), item("two", false), item("three", false)],
        ];
        for items in cases {
            let work = Work::new();
            fs::create_dir(work.path("from/d")).unwrap();
            work.write("d/one", b"1");
            work.write("two", b"2");
            let content = Content::several(&[work.path("from/d"), work.path("from/two")], "x").unwrap();
            let Offer::Several { zip_size, bytes, files, .. } = content.offer().to_wire() else { panic!() };
            let incoming = work.prepare(&Offer::Several { items, zip_size, bytes, files });
            let (ours, theirs) = connection(10_000);
            let other = thread::spawn(move || receive(theirs, incoming));
            send(ours, content).unwrap_err();
            assert_eq!(other.join().unwrap(), Err(BadArchive::Mismatch.into()));
            assert!(work.names().is_empty());
        }
        let twice = vec![item("x/a", false), item("a", false)];
        let offer = Offer::Several { items: twice, zip_size: 22, bytes: 0, files: 0 };
        let into = Destination::Into("/".into());
        let outcome = Incoming::place(&offer, &into, OnConflict::Refuse);
        assert!(matches!(outcome, Err(Error::BadName(_))), "{outcome:?}");
    }

    #[cfg(unix)]
    #[test]
    fn a_file_keeps_its_mode_and_time_and_only_where_both_can_do_that() {
        let work = Work::new();
        work.write("a", b"1");
        let at = work.path("from/a");
        let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000_000);
        fs::File::options().write(true).open(&at).unwrap().set_modified(time).unwrap();
        crate::system::set_mode(&at, 0o751).unwrap();
        for (extras, keeps) in [(Extras::ALL, true), (Extras::default(), false)] {
            let (sent, received) = work.transfer_of(fit(Content::open(&at).unwrap(), extras), 1000);
            sent.unwrap();
            received.unwrap();
            let found = fs::metadata(work.path("to/a")).unwrap();
            assert_eq!(crate::system::mode(&found) == 0o751, keeps);
            assert_eq!(found.modified().unwrap() == time, keeps);
            fs::remove_file(work.path("to/a")).unwrap();
        }
    }

    #[test]
    fn what_has_no_size_gets_one_where_the_other_side_needs_it() {
        let content = Content::stream("a", io::Cursor::new(pattern(300_000)));
        let Ok(Fitted::Unspooled(unspooled)) = content.fit(Extras::default()) else { panic!("it has none") };
        let content = settle(unspooled.spool().unwrap()).unwrap();
        assert_eq!(content.size(), 300_000);
        let work = Work::new();
        let (sent, received) = work.transfer_of(content, 50_000);
        sent.unwrap();
        assert_eq!(received, Ok(Received::Stored(work.path("to/a"))));
        assert_eq!(fs::read(work.path("to/a")).unwrap(), pattern(300_000));
    }

    #[test]
    fn names_that_nothing_can_have_are_refused_before_anything_is_offered() {
        let work = Work::new();
        work.write("a", b"1");
        for name in ["", ".", "..", "a/b", "/", "a\0"] {
            let several = Content::several(&[work.path("from/a")], name).unwrap();
            for content in [Content::memory(name, *b"1"), Content::stream(name, io::empty()), several] {
                assert_eq!(content.check(), Err(Misuse::Name), "{name:?}");
            }
        }
        assert_eq!(Content::memory("a\\b ...", *b"1").check(), Ok(()));
    }

    #[test]
    fn two_of_the_same_name_are_refused_before_anything_is_offered() {
        let work = Work::new();
        fs::create_dir(work.path("from/d")).unwrap();
        work.write("d/a", b"1");
        work.write("a", b"2");
        let second = work.path("from/a");
        let error = Content::several(&[work.path("from/d/a"), second.clone()], "x").unwrap_err();
        assert_eq!(error, Error::unsendable(&second, Unsendable::SameName));
    }

    #[test]
    fn a_directory_arrives_whole() {
        let work = Work::new();
        fs::create_dir_all(work.path("from/d/empty")).unwrap();
        work.write("d/one", &pattern(200_000));
        work.write("d/two", b"");
        let (sent, received) = work.transfer("d", 50_000);
        sent.unwrap();
        assert_eq!(received, Ok(Received::Stored(work.path("to/d"))));
        assert_eq!(fs::read(work.path("to/d/one")).unwrap(), pattern(200_000));
        assert!(work.path("to/d/two").exists() && work.path("to/d/empty").is_dir());
        assert_eq!(work.names(), ["d"]);
    }

    #[test]
    fn what_is_in_memory_goes_into_memory_and_needs_no_thread_where_the_buffers_hold_it() {
        for (size, needs_thread) in [(0, false), (1, false), (1 << 20, false), ((1 << 20) + 1, true)] {
            let (ours, theirs) = connection(100_000_000);
            let content = Content::memory("a", pattern(size));
            let incoming = Incoming::in_memory(&content.offer().to_wire()).unwrap();
            let pipe = Pipe::new(ours, &keys(1, 2), Vec::new());
            let sending = Sending::start(content, pipe, Progress::default()).unwrap();
            if !needs_thread {
                assert!(is_over(&sending.thread()));
            }
            let confirming = settle(sending.run()).unwrap();
            let pipe = Pipe::new(theirs, &keys(2, 1), Vec::new());
            let receiving = Receiving::start(incoming, pipe, Progress::default()).unwrap();
            let thread = receiving.thread();
            assert!(!is_over(&thread), "nothing has come yet");
            // What could only be had from a thread would leave one poll of the job pending.
            let received = if needs_thread {
                settle(receiving.run())
            } else {
                let mut run = Box::pin(receiving.run());
                match run.as_mut().poll(&mut Context::from_waker(std::task::Waker::noop())) {
                    Poll::Ready(received) => received,
                    Poll::Pending => panic!("{size} bytes waited for a thread"),
                }
            };
            assert_eq!(received, Ok(Received::Bytes(pattern(size).into())));
            assert_eq!(settle(confirming.run()), Ok(()));
        }
    }

    #[test]
    fn memory_is_bounded_also_where_records_are_tiny() {
        let (ours, theirs) = connection(1 << 30);
        let mut pipe = Pipe::new(theirs, &keys(1, 2), Vec::new());
        for byte in pattern(20_000) {
            settle(pipe.send(&[])).unwrap();
            settle(pipe.send(&[byte])).unwrap();
        }
        let incoming =
            Incoming::in_memory(&Offer::File { name: Name::from("a"), size: 20_000, attributes: None })
                .unwrap();
        assert_eq!(receive(ours, incoming), Ok(Received::Bytes(pattern(20_000).into())));
    }

    #[test]
    fn what_a_reader_gives_goes_to_a_writer() {
        let written = Written::default();
        let content = Content::reader("a", 3_000_001, io::Cursor::new(pattern(3_000_001)));
        let (sent, received) = transfer_to_writer(content, written.clone());
        assert_eq!((sent, received), (Ok(()), Ok(Received::Written)));
        assert!(*written.0.lock().unwrap() == pattern(3_000_001));
    }

    #[test]
    fn a_reader_that_gives_more_or_less_than_it_was_said_to_is_an_error_on_both_sides() {
        let cases = [(1_000_000, 999_999), (1_000_000, 1_000_001), (1 << 20, (1 << 20) + 1), (1, 0), (0, 1)];
        for (index, (size, gives)) in cases.into_iter().chain(cases).enumerate() {
            let make = if index < cases.len() { Content::reader } else { Content::ready };
            let content = make("a", size, io::Cursor::new(pattern(gives)));
            let (sent, received) = transfer_to_writer(content, Written::default());
            assert_eq!(sent, Err(Error::Changed { path: "a".into() }), "{size} {gives}");
            if size > 0 {
                let lost =
                    matches!(received, Err(Error::Wormhole(CoreError::Transit(TransitFault::Lost { .. }))));
                assert!(lost, "{received:?}");
            }
        }
    }

    #[test]
    fn a_writer_that_fails_ends_it_and_what_is_no_file_has_no_writer() {
        struct Full;
        impl Write for Full {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::StorageFull.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let (ours, theirs) = connection(10_000_000);
        let content = Content::memory("a", pattern(1000));
        let incoming = Incoming::to_writer(&content.offer().to_wire(), Box::new(Full)).unwrap();
        let other = thread::spawn(move || receive(theirs, incoming));
        let sent = send(ours, content);
        let received = other.join().unwrap();
        assert!(matches!(received, Err(Error::Disk { doing: Doing::Write, .. })), "{received:?}");
        assert!(sent.is_err());
        let text = Offer::Text(Text::from("a"));
        assert!(Incoming::in_memory(&text).is_err() && Incoming::to_writer(&text, Box::new(Full)).is_err());
    }

    #[test]
    fn a_file_that_grew_or_shrank_is_an_error_on_both_sides() {
        for before in [300_000, 1_048_576] {
            for after in [before - 1, before + 1] {
                let work = Work::new();
                work.write("a", &pattern(before));
                let content = Content::open(&work.path("from/a")).unwrap();
                work.write("a", &pattern(after));
                let (sent, received) = work.transfer_of(content, 5_000_000);
                assert_eq!(sent, Err(Error::Changed { path: work.path("from/a") }), "{before} {after}");
                let Err(Error::Wormhole(CoreError::Transit(TransitFault::Lost { got, want }))) = received
                else {
                    panic!("{received:?}")
                };
                assert!(got < want, "{got} of {want}");
                assert!(work.names().is_empty());
            }
        }
    }

    #[test]
    fn a_connection_that_ends_early_leaves_nothing() {
        let work = Work::new();
        let (ours, theirs) = connection(1 << 20);
        let sending = settle(async {
            let mut pipe = Pipe::new(theirs, &keys(1, 2), Vec::new());
            pipe.send(b"only this").await.unwrap();
            pipe.finish().await
        });
        sending.unwrap();
        let received = receive(ours, work.incoming("a", 100));
        assert_eq!(received, Err(transit(TransitFault::Lost { got: 9, want: 100 })));
        assert!(work.names().is_empty());
    }

    #[test]
    fn more_than_was_announced_is_refused() {
        let cases: [&[&[u8]]; 3] = [&[b"123456"], &[b"123", b"456"], &[b"12345", b"6"]];
        for records in cases {
            let work = Work::new();
            let (ours, theirs) = connection(1 << 20);
            let mut pipe = Pipe::new(theirs, &keys(1, 2), Vec::new());
            for record in records {
                settle(pipe.send(record)).unwrap();
            }
            let received = receive(ours, work.incoming("a", 5));
            assert_eq!(received, Err(transit(TransitFault::TooMuch)), "{records:?}");
            assert!(work.names().is_empty());
        }
    }

    #[test]
    fn records_of_any_length_are_taken_up_to_the_limit() {
        let mut announced = Vec::new();
        for len in [1, 16_384, 131_072, 1_500_000, 1 << 24] {
            announced.extend([0, len]);
            let work = Work::new();
            let total: usize = announced.iter().sum();
            let (ours, theirs) = connection(1 << 30);
            let mut pipe = Pipe::new(theirs, &keys(1, 2), Vec::new());
            for len in &announced {
                settle(pipe.send(&pattern(*len))).unwrap();
            }
            let received = receive(ours, work.incoming("a", total as u64));
            assert_eq!(received, Ok(Received::Stored(work.path("to/a"))));
            let expected: Vec<u8> = announced.iter().flat_map(|len| pattern(*len)).collect();
            assert!(fs::read(work.path("to/a")).unwrap() == expected);
            let ack = Ack::decode(&settle(pipe.receive(1000)).unwrap()).unwrap();
            assert_eq!(ack, Ack { ok: Ok(()), sha256: Some(Sha256::digest(&expected).into()) });
        }
    }

    #[test]
    fn what_was_tampered_with_is_refused() {
        let work = Work::new();
        let (ours, theirs) = connection(1 << 20);
        let mut pipe = Pipe::new(theirs, &keys(9, 2), Vec::new());
        settle(pipe.send(b"12345")).unwrap();
        let received = receive(ours, work.incoming("a", 5));
        assert_eq!(received, Err(transit(TransitFault::BadRecord)));
        assert!(work.names().is_empty());
    }

    #[test]
    fn a_record_that_claims_to_be_endless_is_refused_before_it_comes() {
        let work = Work::new();
        let (ours, _theirs) = connection(1 << 20);
        let pipe = Pipe::new(ours, &keys(2, 1), vec![0xff; 4]);
        let receiving = Receiving::start(work.incoming("a", 5), pipe, Progress::default()).unwrap();
        assert_eq!(settle(receiving.run()), Err(transit(TransitFault::RecordTooLong)));
    }

    #[test]
    fn why_the_thread_failed_is_told_though_the_other_side_sends_no_more() {
        let work = Work::new();
        let (ours, theirs) = connection(1 << 20);
        let mut begun = Vec::new();
        Entry { name: "../a", size: 5, mode: 0o644, kept: None }.write_local(true, &mut begun);
        let mut pipe = Pipe::new(theirs, &keys(1, 2), Vec::new());
        settle(pipe.send(&begun)).unwrap();
        let (name, mode) = (Name::from("d"), "zipfile/deflated".to_owned());
        let incoming = work.prepare(&Offer::Directory { name, mode, zip_size: 1000, bytes: 5, files: 1 });
        assert_eq!(receive(ours, incoming), Err(BadArchive::Path("../a".to_owned()).into()));
        assert!(work.names().is_empty());
    }

    #[test]
    fn only_the_right_confirmation_is_one() {
        let hash: Hash = Sha256::digest(b"12345").into();
        let upper: String = hash.iter().map(|byte| format!("{byte:02X}")).collect();
        let refused = Text::from("disk full");
        let cases = [
            (Ack { ok: Ok(()), sha256: Some(hash) }.encode(), Ok(())),
            (Ack { ok: Ok(()), sha256: None }.encode(), Ok(())),
            (Ack { ok: Ok(()), sha256: Some([0; 32]) }.encode(), Err(TransitFault::WrongHash)),
            (
                Ack { ok: Err(refused.clone()), sha256: Some(hash) }.encode(),
                Err(TransitFault::Refused(refused)),
            ),
            (b"[]".to_vec(), Err(TransitFault::MalformedAck)),
            (format!(r#"{{"new": {{}}, "sha256": "{upper}", "ack": "ok"}}"#).into(), Ok(())),
            (vec![b' '; ACK_LIMIT + 1], Err(TransitFault::RecordTooLong)),
        ];
        for (ack, expected) in cases {
            let work = Work::new();
            work.write("a", b"12345");
            let (ours, theirs) = connection(1 << 20);
            let mut pipe = Pipe::new(theirs, &keys(2, 1), Vec::new());
            settle(pipe.send(&ack)).unwrap();
            let sent = send(ours, Content::open(&work.path("from/a")).unwrap());
            assert_eq!(sent, expected.map_err(transit));
        }
    }

    #[test]
    fn an_end_without_confirmation_is_no_success() {
        let work = Work::new();
        work.write("a", b"12345");
        let (ours, theirs) = connection(1 << 20);
        let content = Content::open(&work.path("from/a")).unwrap();
        let pipe = Pipe::new(ours, &keys(1, 2), Vec::new());
        let sent = settle(async {
            let confirming = Sending::start(content, pipe, Progress::default())?.run().await?;
            drop(theirs);
            confirming.run().await
        });
        let text = Broken::Ended.to_string();
        assert_eq!(sent, Err(transit(TransitFault::Unconfirmed(text))));
    }

    #[test]
    fn a_job_that_is_dropped_ends_its_thread_though_the_other_side_does_nothing() {
        let work = Work::new();
        work.write("a", &pattern(20_000_000));
        let (ours, theirs) = connection(1000);
        let pipe = Pipe::new(ours, &keys(1, 2), Vec::new());
        let content = Content::open(&work.path("from/a")).unwrap();
        let sending = Sending::start(content, pipe, Progress::default()).unwrap();
        let pipe = Pipe::new(theirs, &keys(2, 1), Vec::new());
        let receiving = Receiving::start(work.incoming("a", 20_000_000), pipe, Progress::default()).unwrap();
        let threads = [sending.thread(), receiving.thread()];
        assert_eq!(work.names().len(), 1);
        let mut sending = Box::pin(sending.run());
        let is_pending = settle(poll_fn(|cx| Poll::Ready(sending.as_mut().poll(cx).is_pending())));
        assert!(is_pending);
        drop(sending);
        drop(receiving);
        for thread in threads {
            settle(poll_fn(|cx| thread.poll(cx)));
        }
        assert!(work.names().is_empty());
    }

    #[test]
    fn progress_counts_to_the_end() {
        let work = Work::new();
        work.write("a", &pattern(500_000));
        let (ours, theirs) = connection(10_000);
        let (sent, came) = (Progress::default(), Progress::default());
        let content = Content::open(&work.path("from/a")).unwrap();
        let pipe = Pipe::new(ours, &keys(1, 2), Vec::new());
        let sending = Sending::start(content, pipe, sent.clone()).unwrap();
        let pipe = Pipe::new(theirs, &keys(2, 1), Vec::new());
        let receiving = Receiving::start(work.incoming("a", 500_000), pipe, came.clone()).unwrap();
        let other = thread::spawn(move || settle(receiving.run()));
        settle(async { sending.run().await?.run().await }).unwrap();
        other.join().unwrap().unwrap();
        for progress in [sent, came] {
            assert_eq!((progress.done(), progress.total()), (500_000, 500_000));
        }
    }

    fn send(end: End, content: Content) -> Result<(), Error> {
        let pipe = Pipe::new(end, &keys(1, 2), Vec::new());
        settle(async { Sending::start(content, pipe, Progress::default())?.run().await?.run().await })
    }

    fn fit(content: Content, extras: Extras) -> Content {
        match content.fit(extras).unwrap() {
            Fitted::Ready(content) => content,
            Fitted::Unspooled(_) => panic!("its size is known"),
        }
    }

    fn receive(end: End, incoming: Incoming) -> Result<Received, Error> {
        let pipe = Pipe::new(end, &keys(2, 1), Vec::new());
        let receiving = Receiving::start(incoming, pipe, Progress::default())?;
        let thread = receiving.thread();
        let outcome = settle(receiving.run());
        settle(poll_fn(|cx| thread.poll(cx)));
        outcome
    }

    fn transfer_to_writer(content: Content, to: Written) -> (Result<(), Error>, Result<Received, Error>) {
        let (ours, theirs) = connection(100_000);
        let incoming = Incoming::to_writer(&content.offer().to_wire(), Box::new(to)).unwrap();
        let other = thread::spawn(move || receive(theirs, incoming));
        let sent = send(ours, content);
        (sent, other.join().unwrap())
    }

    fn is_over(thread: &Ended) -> bool {
        thread.poll(&Context::from_waker(std::task::Waker::noop())).is_ready()
    }

    /// What a writer was given.
    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn keys(send: u8, receive: u8) -> RecordKeys {
        RecordKeys { send: Key::from_bytes([send; 32]), receive: Key::from_bytes([receive; 32]) }
    }

    fn pattern(len: usize) -> Vec<u8> {
        (0..len).map(|index| (index / 7 + index / 1000) as u8).collect()
    }

    /// A directory to send from, and one to receive into.
    struct Work(TempDir);

    impl Work {
        fn new() -> Self {
            let work = TempDir::new().unwrap();
            fs::create_dir(work.path().join("from")).unwrap();
            fs::create_dir(work.path().join("to")).unwrap();
            Self(work)
        }

        fn path(&self, name: &str) -> PathBuf {
            self.0.path().join(name)
        }

        fn write(&self, name: &str, content: &[u8]) {
            fs::write(self.path("from").join(name), content).unwrap();
        }

        /// What is where things arrive.
        fn names(&self) -> Vec<String> {
            let entries = fs::read_dir(self.path("to")).unwrap();
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
        }

        fn incoming(&self, name: &str, size: u64) -> Incoming {
            self.prepare(&Offer::File { name: Name::from(name), size, attributes: None })
        }

        fn prepare(&self, offer: &Offer) -> Incoming {
            Incoming::prepare(offer, &Destination::Into(self.path("to")), OnConflict::Refuse).unwrap()
        }

        fn transfer(&self, name: &str, capacity: usize) -> (Result<(), Error>, Result<Received, Error>) {
            let content = Content::open(&Path::new(&self.path("from")).join(name)).unwrap();
            self.transfer_of(content, capacity)
        }

        fn transfer_of(
            &self,
            content: Content,
            capacity: usize,
        ) -> (Result<(), Error>, Result<Received, Error>) {
            let (ours, theirs) = connection(capacity);
            let incoming = self.prepare(&content.offer().to_wire());
            let other = thread::spawn(move || receive(theirs, incoming));
            let sent = send(ours, content);
            (sent, other.join().unwrap())
        }
    }
}
