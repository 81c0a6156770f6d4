//! What is needed to copy while bytes move, and only then: a buffer, and a pipe where the system can move bytes between
//! sockets by itself. A few of them go round among all pairs, since a pipe costs two descriptors and the system shrinks
//! the pipes of a user who holds many.

use std::mem;
use std::sync::{Arc, Mutex, PoisonError};

#[cfg(target_os = "linux")]
pub(super) use self::pipe::Pipe;

/// What one read brings.
const BUFFER: usize = 64 << 10;
/// The most kits that wait for somebody: as many as threads copy at a time.
const KITS: usize = 8;

/// The kits that nobody uses; clones are the same ones.
#[derive(Clone, Default)]
pub(super) struct Kits(Arc<Mutex<Vec<Kit>>>);

/// The tools of one who copies.
#[derive(Default)]
pub(super) struct Kit {
    buffer: Vec<u8>,
    #[cfg(target_os = "linux")]
    pipe: Option<Pipe>,
}

impl Kits {
    /// Lends a kit for as long as `work` takes.
    pub(super) fn lend<T>(&self, work: impl FnOnce(&mut Kit) -> T) -> T {
        let mut kit = self.lock(Vec::pop).unwrap_or_default();
        let done = work(&mut kit);
        self.lock(|kits| {
            if kits.len() < KITS {
                kits.push(kit);
            }
        });
        done
    }

    fn lock<T>(&self, change: impl FnOnce(&mut Vec<Kit>) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Kit {
    /// A buffer, with what nobody wants to know.
    pub(super) fn buffer(&mut self) -> &mut [u8] {
        self.buffer.resize(BUFFER, 0);
        &mut self.buffer
    }

    /// An empty pipe, if the system has one for us. It is to be put back empty, or dropped.
    #[cfg(target_os = "linux")]
    pub(super) fn take_pipe(&mut self) -> Option<Pipe> {
        mem::take(&mut self.pipe).or_else(|| Pipe::new().ok())
    }

    #[cfg(target_os = "linux")]
    pub(super) fn put_back(&mut self, pipe: Pipe) {
        self.pipe = Some(pipe);
    }
}

#[cfg(target_os = "linux")]
mod pipe {
    use std::io::{self, PipeReader, PipeWriter, Read};
    use std::os::fd::BorrowedFd;

    use rustix::pipe::{SpliceFlags, fcntl_setpipe_size, splice};

    /// How much a pipe should hold; the system may give less. It is also the most that a stalled side costs.
    const PIPE: usize = 256 << 10;

    /// A pipe of the system, and how much is in it.
    pub(in super::super) struct Pipe {
        from: PipeReader,
        to: PipeWriter,
        holds: usize,
    }

    impl Pipe {
        pub(super) fn new() -> io::Result<Self> {
            let (from, to) = io::pipe()?;
            // With less it goes on more slowly.
            let _ = fcntl_setpipe_size(&to, PIPE);
            Ok(Self { from, to, holds: 0 })
        }

        pub(in super::super) fn is_empty(&self) -> bool {
            self.holds == 0
        }

        /// Moves what has come at a socket into the pipe; 0 where the other end has closed.
        pub(in super::super) fn fill(&mut self, from: BorrowedFd<'_>) -> io::Result<usize> {
            let count = splice(from, None, &self.to, None, PIPE, flags())?;
            self.holds += count;
            Ok(count)
        }

        /// Moves what is in the pipe to a socket.
        pub(in super::super) fn drain(&mut self, to: BorrowedFd<'_>) -> io::Result<usize> {
            let count = splice(&self.from, None, to, None, self.holds, flags())?;
            self.holds = self.holds.saturating_sub(count);
            Ok(count)
        }

        /// Reads what is left in the pipe.
        pub(in super::super) fn empty(&mut self) -> io::Result<Vec<u8>> {
            let mut bytes = vec![0; self.holds];
            self.from.read_exact(&mut bytes)?;
            self.holds = 0;
            Ok(bytes)
        }
    }

    fn flags() -> SpliceFlags {
        SpliceFlags::MOVE | SpliceFlags::NONBLOCK
    }
}
