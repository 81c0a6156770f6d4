//! What each fuzz target does with its input.
//!
//! A target is a function of bytes that fails an assertion, or panics, where something is wrong. libFuzzer calls it from
//! a line in `fuzz/fuzz_targets`; the corpus is replayed as ordinary tests of this crate, which needs neither. A target
//! asks for more than that nothing panics: what is parsed and written again is the same, a stream cut in other places
//! comes to the same, and every machine keeps the contract of `wormhole_core::driver` (see [`world`]).
//!
//! [`TARGETS`] has all of them.

pub mod below;
pub mod layered;
pub mod peer;
pub mod script;
pub mod targets;
pub mod world;

/// A target.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Its name, also of its corpus and of its file in `fuzz/fuzz_targets`.
    pub name: &'static str,
    /// What it does with an input.
    pub run: fn(&[u8]),
}

macro_rules! targets {
    ($($name:ident)*) => {
        /// All targets.
        pub const TARGETS: &[Target] = &[$(Target { name: stringify!($name), run: targets::$name::run }),*];
    };
}

targets! {
    addresses archive arrival code command handshake mailbox_server message_from_peer message_from_server proxy race
    record relay_line relay_pair relay_server schedule snapshot tls transcribe transfer untrusted upgrade uri websocket
    wormhole
}
