//! A wormhole that is written down, for another process to go on with.

use std::fmt;
use std::io;

use serde::{Deserialize, Serialize};
use wormhole_core::driver::Conns;
use wormhole_core::error::{Error, Misuse, SnapshotFault};
use wormhole_core::wormhole::{self as machine, SNAPSHOT_VERSION};
use zeroize::Zeroizing;

use super::{Seen, Wormhole};
use crate::config::Config;
use crate::driver::{Driver, Runtime};
use crate::network::OnNetwork;

/// A wormhole as bytes, which another process can [go on](Wormhole::restore) with.
///
/// **It holds secrets**: the code, the key or what the key is made from, and records. Whoever has it can read all that is
/// said and take this side's place. It is overwritten when it is dropped; what is made of its bytes is the
/// application's to protect, and to overwrite.
#[derive(Clone)]
pub struct Snapshot(Zeroizing<Vec<u8>>);

impl Snapshot {
    /// The bytes, to be stored where nobody else reads them.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Snapshot({} bytes)", self.0.len())
    }
}

/// What is written.
#[derive(Serialize)]
struct Written<'a> {
    version: u32,
    machine: machine::Snapshot,
    seen: &'a Seen,
}

/// What is read first: everything else may look different in another version.
#[derive(Deserialize)]
struct Head {
    version: u32,
}

#[derive(Deserialize)]
struct Body {
    machine: machine::Snapshot,
    seen: Seen,
}

/// How to go on in another process.
impl<R> Wormhole<R> {
    /// Writes down all that another process needs to go on with this wormhole, after this one has ended. Nothing is sent
    /// on the way; the server holds what there is for as long as it holds anything for somebody who is away.
    ///
    /// Of two processes that go on with the same wormhole one is lost, and this one counts.
    ///
    /// ```
    /// use wormhole_core::error::Error;
    /// use wormhole_runtime::{Config, OnNetwork, Snapshot, Wormhole};
    ///
    /// /// Shows a code, and leaves the rest to another process.
    /// async fn invite<R: OnNetwork>() -> Result<Snapshot, Error> {
    ///     let mut wormhole = Wormhole::<R>::new(Config::new("example.com/app"))?;
    ///     wormhole.allocate_code(2).await?;
    ///     println!("Tell the other side: {}", wormhole.code().await?);
    ///     wormhole.snapshot()
    /// }
    ///
    /// /// Meets whoever has come meanwhile.
    /// async fn meet<R: OnNetwork>(bytes: &[u8]) -> Result<Vec<u8>, Error> {
    ///     let mut wormhole = Wormhole::<R>::restore(Config::new("example.com/app"), bytes)?;
    ///     wormhole.receive().await
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// None today.
    pub fn snapshot(&self) -> Result<Snapshot, Error> {
        let written = Written {
            version: SNAPSHOT_VERSION,
            machine: self.driver.machine.snapshot(),
            seen: &self.driver.seen,
        };
        let mut out = Wiping::default();
        serde_json::to_writer(&mut out, &written).map_err(|_| fault(SnapshotFault::Malformed))?;
        Ok(Snapshot(out.0))
    }
}

impl<R: OnNetwork> Wormhole<R> {
    /// Goes on where a process has left off. The configuration is the one that the first process had, or one that differs
    /// in the network or the limits.
    ///
    /// # Errors
    ///
    /// The snapshot is damaged, of another version of this library, or for another application or mailbox server.
    pub fn restore(config: Config, snapshot: &[u8]) -> Result<Self, Error> {
        Self::restore_on(R::on_network(config.network()), config, snapshot)
    }
}

impl<R: Runtime> Wormhole<R> {
    /// As [`Wormhole::restore`], on this runtime, which knows its network already.
    ///
    /// # Errors
    ///
    /// As [`Wormhole::restore`].
    pub fn restore_on(mut runtime: R, config: Config, snapshot: &[u8]) -> Result<Self, Error> {
        let malformed = |_| fault(SnapshotFault::Malformed);
        let Head { version: found } = serde_json::from_slice(snapshot).map_err(malformed)?;
        if found != SNAPSHOT_VERSION {
            return Err(fault(SnapshotFault::Version { found, known: SNAPSHOT_VERSION }));
        }
        let Body { machine, seen } = serde_json::from_slice(snapshot).map_err(malformed)?;
        let machine = machine::Wormhole::restore(config.session()?, machine, runtime.seed(), Conns::all())
            .map_err(fault)?;
        let driver = Driver::new(machine, runtime, seen);
        Ok(Self { driver, wait_limit: config.waits() })
    }
}

fn fault(fault: SnapshotFault) -> Error {
    Misuse::Snapshot(fault).into()
}

/// A buffer that leaves no copies behind when it grows.
#[derive(Default)]
struct Wiping(Zeroizing<Vec<u8>>);

impl io::Write for Wiping {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let wanted = self.0.len().saturating_add(bytes.len());
        if wanted > self.0.capacity() {
            let mut larger = Zeroizing::new(Vec::with_capacity(wanted.saturating_mul(2).max(4096)));
            larger.extend_from_slice(&self.0);
            self.0 = larger;
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
