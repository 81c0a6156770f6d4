//! Every adapter behind one face, so that a scenario is written once and any two of them can meet in it.

pub mod scenarios;
mod side;
mod transfers;

use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

use wormhole_runtime::Config;

pub use side::{Executor, Side, until_woken};

use crate::{Make, Servers, fail, ok};

/// No side takes longer than this.
const LIMIT: Duration = Duration::from_secs(60);

/// One adapter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Adapter {
    /// `wormhole-tokio`.
    Tokio,
    /// `wormhole-async-std`.
    AsyncStd,
    /// `wormhole-smol`.
    Smol,
    /// `wormhole-blocking`.
    Blocking,
}

impl Adapter {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Tokio, Self::AsyncStd, Self::Smol, Self::Blocking];
}

/// Two adapters that meet.
#[derive(Clone, Copy, Debug)]
pub struct Pair {
    /// The one that allocates the code.
    pub left: Adapter,
    /// The one that is told it.
    pub right: Adapter,
    /// Whose servers they use.
    pub make: Make,
}

impl Pair {
    /// The servers, which all tests of one program share.
    #[track_caller]
    fn servers(self) -> &'static Servers {
        match Servers::shared(self.make) {
            Some(servers) => servers,
            None => fail("these servers are not there"),
        }
    }
}

/// A wormhole on this adapter.
#[track_caller]
fn open(adapter: Adapter, url: &str) -> Box<dyn Side> {
    ok(adapter.wormhole(config(url)), "a wormhole")
}

fn config(url: &str) -> Config {
    Config::new("example.com/scenarios").mailbox(url)
}

/// Something that a side does on a thread of its own.
struct Doing<T>(Receiver<T>);

/// Begins it. The test does not wait for ever for a side that is stuck.
fn begin<T: Send + 'static>(doing: impl FnOnce() -> T + Send + 'static) -> Doing<T> {
    let (tell, told) = mpsc::channel();
    thread::spawn(move || {
        // The test may have given up.
        let _ = tell.send(doing());
    });
    Doing(told)
}

impl<T> Doing<T> {
    /// What it came to.
    #[track_caller]
    fn end(self) -> T {
        match self.0.recv_timeout(LIMIT) {
            Ok(outcome) => outcome,
            Err(error) => fail(format_args!("a side is stuck or has failed: {error}")),
        }
    }
}

/// Two sides at the same time, each on a thread of its own.
#[track_caller]
fn both<L: Send + 'static, R: Send + 'static>(
    left: impl FnOnce() -> L + Send + 'static,
    right: impl FnOnce() -> R + Send + 'static,
) -> (L, R) {
    let (left, right) = (begin(left), begin(right));
    (left.end(), right.end())
}
