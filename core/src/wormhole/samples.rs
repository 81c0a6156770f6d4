//! Sample values for the tests of the machines.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Debug;

use super::link::Line;
use super::mailbox::{Message, Own};
use crate::code::{Code, Nameplate};
use crate::crypto::SessionKey;
use crate::rng::Rng;
use crate::wire::{MailboxId, Phase, Side};

pub(super) fn nameplate() -> Nameplate {
    Nameplate::parse("4").unwrap()
}

pub(super) fn code() -> Code {
    Code::parse("4-armistice-baboon").unwrap()
}

pub(super) fn mailbox(id: &str) -> MailboxId {
    MailboxId::parse(id).unwrap()
}

pub(super) fn ours() -> Side {
    Side::parse("ours").unwrap()
}

pub(super) fn theirs() -> Side {
    Side::parse("theirs").unwrap()
}

pub(super) fn key() -> SessionKey {
    SessionKey::from_bytes([9; 32])
}

pub(super) fn rng() -> Rng {
    Rng::new([7; 32])
}

pub(super) fn phase(name: &str) -> Phase {
    Phase::parse(name).unwrap()
}

pub(super) fn own(name: &str) -> Own {
    Own { phase: phase(name), body: b"ours".to_vec() }
}

pub(super) fn message(name: &str) -> Message {
    Message { side: theirs(), phase: phase(name), body: b"theirs".to_vec() }
}

/// The name of an input that is handled with the link up or down.
pub(super) fn on_line<I: Debug>((input, line): &(I, Line)) -> String {
    match line {
        Line::Up => format!("{input:?}"),
        Line::Down => format!("{input:?} while down"),
    }
}

/// Each input with the link up, then those where it makes a difference with the link down.
pub(super) fn with_lines<I: Clone>(inputs: &[I], down: &[I]) -> Vec<(I, Line)> {
    let up = inputs.iter().cloned().map(|input| (input, Line::Up));
    up.chain(down.iter().cloned().map(|input| (input, Line::Down))).collect()
}
