//! End to end: what the tests of whole programs share.
//!
//! [`Program`] runs a program and waits for what it says, always for a bounded time. [`Peers`] are the reference
//! implementation's programs, installed once into the target directory. [`Servers`] are a mailbox server and a relay,
//! ours or the reference's, on free ports of this computer. [`Sample`] is something to send, and knows whether it
//! arrived. [`Gate`] is what stands before a server and sees who comes and goes. [`Terminal`] is a terminal for programs
//! that ask questions. [`Usage`] is what a program costs.
//!
//! [`hostile`] has those who do not keep to the rules. [`scenarios`] are what any two adapters must be able to do
//! together; [`Side`] is an adapter's wormhole behind one face.

mod adapters;
mod gate;
pub mod hostile;
mod peers;
mod program;
mod sample;
mod scene;
mod servers;
#[cfg(unix)]
mod terminal;
#[cfg(target_os = "linux")]
mod usage;

use std::fmt::Display;

pub use adapters::{Adapter, Executor, Pair, Side, scenarios, until_woken};
pub use gate::Gate;
pub use peers::{Peers, quiet};
pub use program::{Channel, Outcome, Program};
pub use sample::{Kind, Sample, expect_names, noise};
pub use scene::{Route, Scene, Who, new_code};
pub use servers::{Make, Servers};
#[cfg(unix)]
pub use terminal::Terminal;
#[cfg(target_os = "linux")]
pub use usage::Usage;

/// Ends the test with this text.
#[track_caller]
#[expect(clippy::panic, reason = "it is how a test fails")]
pub fn fail(why: impl Display) -> ! {
    panic!("{why}")
}

/// The value, or the end of the test.
#[track_caller]
pub fn ok<T, E: Display>(outcome: Result<T, E>, doing: &str) -> T {
    match outcome {
        Ok(value) => value,
        Err(error) => fail(format_args!("{doing}: {error}")),
    }
}
