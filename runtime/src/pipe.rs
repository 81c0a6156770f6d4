//! The bulk pipe: transit records on a connection that the loop has given out.
//!
//! A [`Pipe`] is what transit settled on: a stream, the keys of its records, and what was read past the handshake. For
//! a message now and then, [`Pipe::send`] and [`Pipe::receive`] are all there is to it. For content it comes apart
//! ([`Pipe::into_parts`]): the [`Wire`] stays where the socket is and moves large buffers, the sealing or opening half
//! goes to the thread that reads or writes the disk, and the two trade [`Outbox`] or [`Inbox`], each a buffer of many
//! records. Nothing is allocated for a record and nothing copied but what the socket cut in two.

mod buffers;

use std::fmt;
use std::future::poll_fn;
use std::io;
use std::task::{Context, Poll};

use wormhole_core::error::TransitFault;
use wormhole_core::transit::{OVERHEAD, Opener, RecordKeys, Sealer};

use self::buffers::LENGTH;
pub use self::buffers::{BATCH_RECORDS, Inbox, Outbox};
use crate::driver::Stream;
use crate::record::Fastest;

/// A connection on which records go both ways.
#[derive(Debug)]
pub struct Pipe<S> {
    parts: Parts<S>,
}

/// A [`Pipe`] taken apart.
#[derive(Debug)]
pub struct Parts<S> {
    /// The connection.
    pub wire: Wire<S>,
    /// Seals what we send.
    pub sealer: Sealer<Fastest>,
    /// Opens what we receive.
    pub opener: Opener<Fastest>,
}

/// Why no record came.
#[derive(Debug)]
pub enum Broken {
    /// The connection failed.
    Failed(io::Error),
    /// The other end closed it, or half a record came last.
    Ended,
    /// What came is no record, or not the next one.
    Fault(TransitFault),
}

impl<S: Stream> Pipe<S> {
    /// A pipe on this stream; `read` is what was already read from it.
    pub fn new(stream: S, keys: &RecordKeys, read: Vec<u8>) -> Self {
        let fastest = Fastest::here();
        let wire = Wire { stream, ahead: read };
        Self { parts: Parts { wire, sealer: keys.sealer(fastest), opener: keys.opener(fastest) } }
    }

    /// Takes it apart, for content.
    pub fn into_parts(self) -> Parts<S> {
        self.parts
    }

    /// Sends one record.
    pub async fn send(&mut self, content: &[u8]) -> io::Result<()> {
        self.parts.send(content).await
    }

    /// The next record, of at most `limit` bytes of content.
    pub async fn receive(&mut self, limit: usize) -> Result<Vec<u8>, Broken> {
        self.parts.wire.receive(&mut self.parts.opener, limit).await
    }

    /// Says that nothing more will be sent, and closes.
    pub async fn finish(self) -> io::Result<()> {
        self.parts.wire.finish().await
    }
}

impl<S: Stream> Parts<S> {
    /// Sends one record.
    async fn send(&mut self, content: &[u8]) -> io::Result<()> {
        self.wire.send(&mut self.sealer, content).await
    }
}

/// The connection itself, and what was read from it too early.
pub struct Wire<S> {
    stream: S,
    ahead: Vec<u8>,
}

impl<S: Stream> Wire<S> {
    /// Seals and sends one record.
    pub async fn send(&mut self, sealer: &mut Sealer<Fastest>, content: &[u8]) -> io::Result<()> {
        let record = sealer.seal_copy(content).map_err(io::Error::other)?;
        self.write(&record, |_| ()).await
    }

    /// Sends what an [`Outbox`] holds; `sent` is told how many bytes of its content have left so far.
    pub async fn send_all(&mut self, outbox: &Outbox, mut sent: impl FnMut(u64)) -> io::Result<()> {
        let content = outbox.content_len();
        let whole = outbox.as_bytes().len().max(1) as u128;
        self.write(outbox.as_bytes(), |bytes| {
            // The heads leave in proportion; for a bar that is exact enough, and at the end it is exact.
            sent(u64::try_from(u128::from(content) * bytes as u128 / whole).unwrap_or(content));
        })
        .await
    }

    async fn write(&mut self, mut bytes: &[u8], mut written: impl FnMut(usize)) -> io::Result<()> {
        let mut total = 0_usize;
        while !bytes.is_empty() {
            let count = poll_fn(|cx| self.stream.poll_write(cx, bytes)).await?;
            if count == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            bytes = bytes.get(count..).unwrap_or_default();
            total = total.saturating_add(count);
            written(total);
        }
        Ok(())
    }

    /// The next record, of at most `limit` bytes of content.
    pub async fn receive(&mut self, opener: &mut Opener<Fastest>, limit: usize) -> Result<Vec<u8>, Broken> {
        let mut head = [0; LENGTH];
        self.read_exact(&mut head).await?;
        let len = Opener::<Fastest>::frame_len(head).map_err(Broken::Fault)?;
        if len.saturating_add(LENGTH) > limit.saturating_add(OVERHEAD) {
            return Err(Broken::Fault(TransitFault::RecordTooLong));
        }
        let mut body = vec![0; len];
        self.read_exact(&mut body).await?;
        Ok(opener.open(&mut body).map_err(Broken::Fault)?.to_vec())
    }

    async fn read_exact(&mut self, mut place: &mut [u8]) -> Result<(), Broken> {
        while !place.is_empty() {
            let count = self.read(place).await?;
            place = place.get_mut(count..).unwrap_or_default();
        }
        Ok(())
    }

    /// Reads until `inbox` is full, or holds a whole record while the socket has no more for now and `is_wanted`, which is
    /// told how much content is whole, says that somebody waits for it; where it says no, it wakes when that changes. `come` is told how many bytes of content
    /// there are in it, after each read.
    pub async fn receive_many(
        &mut self,
        inbox: &mut Inbox,
        mut is_wanted: impl FnMut(&Context<'_>, u64) -> bool,
        mut come: impl FnMut(u64),
    ) -> Result<(), Broken> {
        loop {
            let (has_whole, content) = (inbox.has_whole(), inbox.content_len());
            let room = inbox.room();
            if room.is_empty() {
                return Ok(());
            }
            let ahead = take_ahead(&mut self.ahead, room);
            let count = if ahead > 0 {
                ahead
            } else {
                let stream = &mut self.stream;
                let read = poll_fn(|cx| match stream.poll_read(cx, room) {
                    Poll::Ready(read) => Poll::Ready(Some(read)),
                    Poll::Pending if has_whole && is_wanted(cx, content) => Poll::Ready(None),
                    Poll::Pending => Poll::Pending,
                });
                match read.await {
                    None => return Ok(()),
                    // The records that did come are the reader's; it will ask again and hear of the end then.
                    Some(Ok(0)) if has_whole => return Ok(()),
                    Some(Ok(0)) => return Err(Broken::Ended),
                    Some(Ok(count)) => count,
                    Some(Err(error)) => return Err(Broken::Failed(error)),
                }
            };
            inbox.filled(count)?;
            come(inbox.content_len().saturating_add(inbox.begun() as u64));
        }
    }

    /// Whether anything beyond what was asked for has come already.
    pub async fn has_more(&mut self) -> bool {
        let mut probe = [0; 1];
        let stream = &mut self.stream;
        let more = poll_fn(|cx| Poll::Ready(matches!(stream.poll_read(cx, &mut probe), Poll::Ready(Ok(1)))));
        !self.ahead.is_empty() || more.await
    }

    async fn read(&mut self, place: &mut [u8]) -> Result<usize, Broken> {
        let ahead = take_ahead(&mut self.ahead, place);
        if ahead > 0 {
            return Ok(ahead);
        }
        match poll_fn(|cx| self.stream.poll_read(cx, place)).await {
            Ok(0) => Err(Broken::Ended),
            Ok(count) => Ok(count),
            Err(error) => Err(Broken::Failed(error)),
        }
    }

    /// Says that nothing more will be sent, and closes.
    pub async fn finish(mut self) -> io::Result<()> {
        poll_fn(|cx| self.stream.poll_shutdown(cx)).await
    }
}

/// Takes what was read too early, as far as there is room for it.
fn take_ahead(ahead: &mut Vec<u8>, place: &mut [u8]) -> usize {
    let count = ahead.len().min(place.len());
    for (to, from) in place.iter_mut().zip(ahead.drain(..count)) {
        *to = from;
    }
    count
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed(error) => error.fmt(f),
            Self::Ended => f.write_str("the other side closed the connection"),
            Self::Fault(fault) => fault.fmt(f),
        }
    }
}

impl std::error::Error for Broken {}

impl<S> fmt::Debug for Wire<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wire").field("ahead", &self.ahead.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::pin::pin;
    use std::task::Waker;

    use wormhole_core::crypto::Key;
    use wormhole_core::defaults::{RECORD_CONTENT, RECORD_LIMIT};

    use super::buffers::BATCH;
    use super::*;

    #[test]
    fn records_keep_their_borders_however_the_bytes_come() {
        let lens = [0, 1, 5, RECORD_CONTENT, 3 * RECORD_CONTENT, 77];
        for at_once in [1, 43, 44, 45, 1000, BATCH] {
            let mut pipe = receiving(sealed(&lens), at_once, Vec::new());
            for len in lens {
                assert_eq!(now(pipe.receive(RECORD_LIMIT)).unwrap().unwrap(), content(len), "{at_once}");
            }
            assert!(matches!(now(pipe.receive(RECORD_LIMIT)).unwrap(), Err(Broken::Ended)));
        }
    }

    #[test]
    fn what_was_read_past_the_handshake_comes_first() {
        let bytes = sealed(&[10, 20]);
        for read in 0..bytes.len() {
            let (early, late) = bytes.split_at(read);
            let mut pipe = receiving(late.to_vec(), 1000, early.to_vec());
            assert_eq!(now(pipe.receive(100)).unwrap().unwrap(), content(10));
            assert_eq!(now(pipe.receive(100)).unwrap().unwrap(), content(20));
        }
    }

    #[test]
    fn a_record_beyond_the_limit_is_refused_by_its_length_alone() {
        let mut pipe = receiving(sealed(&[101]), 4, Vec::new());
        let refused = now(pipe.receive(100)).unwrap();
        assert!(matches!(refused, Err(Broken::Fault(TransitFault::RecordTooLong))));
    }

    #[test]
    fn an_inbox_gives_the_records_that_it_was_sent_whatever_their_length() {
        let lens = [16_384; 200].into_iter().chain([RECORD_CONTENT; 20]).chain([2 * BATCH, 1, 0, 9]);
        let lens: Vec<_> = lens.collect();
        for at_once in [10_007, BATCH, 3 * BATCH] {
            let Parts { mut wire, mut opener, .. } =
                receiving(sealed(&lens), at_once, Vec::new()).into_parts();
            let mut opened = Vec::new();
            let (mut inbox, mut next) = (Inbox::new(), Inbox::new());
            while opened.len() < lens.len() {
                now(wire.receive_many(&mut inbox, |_, _| true, |_| ())).unwrap().unwrap();
                next.clear();
                inbox.carry_over(&mut next).unwrap();
                let before = opened.len();
                while let Some(range) = inbox.open(&mut opener) {
                    opened.push(inbox.content(range.unwrap()).to_vec());
                }
                let total: usize = opened[before..].iter().map(Vec::len).sum();
                assert_eq!(inbox.content_len(), total as u64);
                (inbox, next) = (next, inbox);
            }
            assert_eq!(inbox.begun(), 0);
            assert!(opened.iter().zip(&lens).all(|(got, len)| *got == content(*len)), "{at_once}");
            assert!(matches!(
                now(wire.receive_many(&mut inbox, |_, _| true, |_| ())).unwrap(),
                Err(Broken::Ended)
            ));
        }
    }

    #[test]
    fn an_inbox_takes_records_that_are_cut_anywhere() {
        let lens = [3, 0, 0, 50, 1];
        let bytes = sealed(&lens);
        for cut in 0..bytes.len() {
            let (early, late) = bytes.split_at(cut);
            let Parts { mut wire, mut opener, .. } = receiving(late.to_vec(), 1, early.to_vec()).into_parts();
            let mut inbox = Inbox::new();
            now(wire.receive_many(&mut inbox, |_, _| true, |_| ())).unwrap().unwrap();
            let mut opened = Vec::new();
            while let Some(range) = inbox.open(&mut opener) {
                opened.push(inbox.content(range.unwrap()).to_vec());
            }
            assert!(opened.iter().zip(&lens).all(|(got, len)| *got == content(*len)), "{cut}");
            assert_eq!(opened.len(), lens.len());
            assert_eq!((inbox.begun(), inbox.content_len()), (0, 54));
        }
    }

    #[test]
    fn a_record_too_short_to_be_one_is_refused() {
        for len in 0..OVERHEAD - LENGTH {
            let bytes = [&(len as u32).to_be_bytes()[..], &[0; 60]].concat();
            let mut pipe = receiving(bytes.clone(), 64, Vec::new());
            assert!(matches!(now(pipe.receive(100)).unwrap(), Err(Broken::Fault(_))), "{len}");
            let mut wire = receiving(bytes, 64, Vec::new()).into_parts().wire;
            let refused = now(wire.receive_many(&mut Inbox::new(), |_, _| true, |_| ())).unwrap();
            assert!(matches!(refused, Err(Broken::Fault(_))), "{len}");
        }
    }

    #[test]
    fn an_outbox_is_sent_as_the_records_that_were_sealed_one_by_one() {
        let lens = [RECORD_CONTENT, RECORD_CONTENT, 10];
        let Parts { mut wire, mut sealer, .. } = sending().into_parts();
        let mut outbox = Outbox::new();
        for len in lens {
            let bytes = content(len);
            outbox.room()[..len].copy_from_slice(&bytes);
            outbox.filled(len);
            assert_eq!(outbox.open_content(), bytes);
            outbox.seal(&mut sealer).unwrap();
        }
        assert!(!outbox.is_full());
        let total: usize = lens.iter().sum();
        assert_eq!(outbox.content_len(), total as u64);
        let mut told = Vec::new();
        now(wire.send_all(&outbox, |sent| told.push(sent))).unwrap().unwrap();
        assert!(wire.stream.written == sealed(&lens));
        assert!(told.is_sorted() && told.last() == Some(&(total as u64)), "{told:?}");
        outbox.clear();
        assert!(outbox.as_bytes().is_empty());
    }

    #[test]
    fn an_outbox_is_full_after_its_last_record() {
        let mut sealer = keys().sealer(Fastest::here());
        let mut outbox = Outbox::new();
        let mut records = 0;
        while !outbox.is_full() {
            assert_eq!(outbox.room().len(), RECORD_CONTENT);
            outbox.filled(RECORD_CONTENT);
            assert!(outbox.room().is_empty());
            outbox.seal(&mut sealer).unwrap();
            records += 1;
        }
        assert_eq!(records, BATCH_RECORDS);
        assert!(outbox.room().is_empty());
    }

    #[test]
    fn memory_grows_with_what_comes_and_not_with_what_is_announced() {
        let mut inbox = Inbox::new();
        let announced = u32::try_from(RECORD_LIMIT + OVERHEAD - LENGTH).unwrap();
        inbox.room()[..LENGTH].copy_from_slice(&announced.to_be_bytes());
        inbox.filled(LENGTH).unwrap();
        assert_eq!(inbox.bytes.len(), BATCH);
        while !inbox.has_whole() {
            let room = inbox.room().len();
            assert!(room > 0);
            assert!(inbox.bytes.len() <= 2 * (inbox.filled + 1).max(BATCH));
            inbox.filled(room).unwrap();
        }
        assert!(inbox.room().is_empty());
        inbox.clear();
        assert_eq!(inbox.bytes.len(), BATCH);
    }

    #[test]
    fn more_than_was_asked_for_is_noticed() {
        let mut wire = receiving(vec![1], 10, Vec::new()).into_parts().wire;
        assert!(now(wire.has_more()).unwrap());
        let mut wire = receiving(Vec::new(), 10, vec![1]).into_parts().wire;
        assert!(now(wire.has_more()).unwrap());
        let mut wire = receiving(Vec::new(), 10, Vec::new()).into_parts().wire;
        assert!(!now(wire.has_more()).unwrap());
    }

    fn keys() -> RecordKeys {
        RecordKeys { send: Key::from_bytes([3; 32]), receive: Key::from_bytes([3; 32]) }
    }

    fn content(len: usize) -> Vec<u8> {
        (0..len).map(|index| (index + len) as u8).collect()
    }

    fn sealed(lens: &[usize]) -> Vec<u8> {
        let mut sealer = keys().sealer(Fastest::here());
        lens.iter().flat_map(|len| sealer.seal_copy(&content(*len)).unwrap()).collect()
    }

    fn receiving(bytes: Vec<u8>, at_once: usize, read: Vec<u8>) -> Pipe<Recorded> {
        let stream = Recorded { unread: bytes.into(), at_once, written: Vec::new() };
        Pipe::new(stream, &keys(), read)
    }

    fn sending() -> Pipe<Recorded> {
        receiving(Vec::new(), 1000, Vec::new())
    }

    /// What a future that never has to wait comes to.
    fn now<T>(future: impl Future<Output = T>) -> Option<T> {
        match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(outcome) => Some(outcome),
            Poll::Pending => None,
        }
    }

    /// A stream that gives what is there, so much at a time, and then ends.
    struct Recorded {
        unread: VecDeque<u8>,
        at_once: usize,
        written: Vec<u8>,
    }

    impl Stream for Recorded {
        fn poll_read(&mut self, _: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
            let count = self.unread.len().min(self.at_once).min(buf.len());
            for (place, byte) in buf.iter_mut().zip(self.unread.drain(..count)) {
                *place = byte;
            }
            Poll::Ready(Ok(count))
        }

        fn poll_write(&mut self, _: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
            let count = buf.len().min(self.at_once);
            self.written.extend_from_slice(&buf[..count]);
            Poll::Ready(Ok(count))
        }

        fn poll_shutdown(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }
}
