//! How content flows on the thread of the disk: out of a [`Source`], into a [`Sink`], in the buffers of either.

use crate::error::{BadArchive, Error};

/// Takes content that is to be sent.
pub(crate) trait Sink {
    /// Where the next bytes go; never empty.
    fn room(&mut self) -> Result<&mut [u8], Error>;

    /// So many bytes of the room are content now. They leave no earlier than the room is asked for again, or the whole
    /// is complete, so that whoever fills it may still find fault with the last of them.
    fn filled(&mut self, count: usize);

    /// Lets what is there leave: more may be long in coming.
    fn hurry(&mut self) -> Result<(), Error> {
        Ok(())
    }

    /// Says that this is the end, where that does not show by the size.
    fn end(&mut self) -> Result<(), Error> {
        Ok(())
    }

    /// Copies these bytes in.
    fn put(&mut self, mut bytes: &[u8]) -> Result<(), Error> {
        while !bytes.is_empty() {
            let room = self.room()?;
            let count = room.len().min(bytes.len());
            let (now, later) = bytes.split_at(count);
            if let Some(place) = room.get_mut(..count) {
                place.copy_from_slice(now);
            }
            self.filled(count);
            bytes = later;
        }
        Ok(())
    }
}

/// Gives content that has come.
pub(crate) trait Source {
    /// What is there and not used yet; empty only at the end of the content.
    fn chunk(&mut self) -> Result<&[u8], Error>;

    /// So many bytes of the chunk need not be seen again.
    fn used(&mut self, count: usize);

    /// Fails once nobody wants what was made of the content: for work that goes on when all of it has been used.
    fn check_wanted(&self) -> Result<(), Error>;

    /// Exactly `N` bytes.
    fn take<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        let mut taken = [0; N];
        self.fill(&mut taken)?;
        Ok(taken)
    }

    /// Fills this place; an end before that is that of a broken archive.
    fn fill(&mut self, mut place: &mut [u8]) -> Result<(), Error> {
        while !place.is_empty() {
            let chunk = self.chunk()?;
            if chunk.is_empty() {
                return Err(BadArchive::Malformed("it ends too early").into());
            }
            let count = chunk.len().min(place.len());
            let (now, later) = place.split_at_mut(count);
            now.copy_from_slice(chunk.get(..count).unwrap_or_default());
            place = later;
            self.used(count);
        }
        Ok(())
    }
}

#[cfg(test)]
pub(crate) mod doubles {
    use wormhole_core::error::Error as CoreError;

    use super::*;

    /// Content in memory, given in chunks of a size of its own.
    pub(crate) struct Chunks<'a> {
        pub(crate) bytes: &'a [u8],
        pub(crate) at_once: usize,
    }

    impl Source for Chunks<'_> {
        fn chunk(&mut self) -> Result<&[u8], Error> {
            Ok(&self.bytes[..self.bytes.len().min(self.at_once)])
        }

        fn used(&mut self, count: usize) {
            self.bytes = &self.bytes[count..];
        }

        fn check_wanted(&self) -> Result<(), Error> {
            Ok(())
        }
    }

    /// Content that nobody wants any more once no more than so many bytes of it are left.
    pub(crate) struct Unwanted<'a>(pub(crate) Chunks<'a>, pub(crate) usize);

    impl Source for Unwanted<'_> {
        fn chunk(&mut self) -> Result<&[u8], Error> {
            self.0.chunk()
        }

        fn used(&mut self, count: usize) {
            self.0.used(count);
        }

        fn check_wanted(&self) -> Result<(), Error> {
            if self.0.bytes.len() <= self.1 { Err(CoreError::Cancelled.into()) } else { Ok(()) }
        }
    }

    /// Collects content in memory.
    #[derive(Default)]
    pub(crate) struct Collected {
        pub(crate) bytes: Vec<u8>,
        room: Vec<u8>,
    }

    impl Sink for Collected {
        fn room(&mut self) -> Result<&mut [u8], Error> {
            self.room.resize(1000, 0);
            Ok(&mut self.room)
        }

        fn filled(&mut self, count: usize) {
            self.bytes.extend_from_slice(&self.room[..count]);
        }
    }
}
