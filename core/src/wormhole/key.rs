//! The key: the exchange of `pake` messages, and our `version`.
//!
//! Fed by the code machine and the order machine, in either order. It ends with the session key, which is not yet
//! confirmed: whoever knows another code has another one.

use alloc::vec::Vec;
use core::{fmt, mem};

use zeroize::Zeroizing;

use super::mailbox::Own;
use crate::code;
use crate::crypto::{SessionKey, pake, secretbox};
use crate::error::PeerFault;
use crate::rng::Rng;
use crate::wire::{AppId, Phase, Side, peer};

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Input {
    Code(code::Code),
    Pake(Vec<u8>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Output {
    Add(Own),
    Known(SessionKey),
    Bad(PeerFault),
}

/// Who we are, and what a step may draw from.
#[derive(Debug)]
pub(crate) struct Context<'a> {
    pub(crate) appid: &'a AppId,
    pub(crate) side: &'a Side,
    pub(crate) versions: &'a peer::Versions,
    pub(crate) rng: &'a mut Rng,
}

/// The random bytes that our half of the exchange is made from, each time it is needed.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Scalar(Zeroizing<[u8; 64]>);

impl Scalar {
    pub(crate) fn new(bytes: [u8; 64]) -> Self {
        Self(Zeroizing::new(bytes))
    }
}

impl fmt::Debug for Scalar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Scalar(..)")
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Key {
    scalar: Scalar,
    state: State,
}

impl Key {
    pub(crate) fn new(scalar: Scalar) -> Self {
        Self { scalar, state: State::default() }
    }

    pub(crate) fn handle(&mut self, input: Input, context: Context<'_>) -> Vec<Output> {
        let mut out = Vec::new();
        self.state = mem::take(&mut self.state).step(input, &self.scalar, context, &mut out);
        out
    }

    /// The session key, from when on there is one.
    pub(crate) const fn session(&self) -> Option<&SessionKey> {
        match &self.state {
            State::Known(key) => Some(key),
            State::Nothing | State::Code(_) | State::Pake(_) | State::Bad => None,
        }
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Nothing,
    /// Our half has been said.
    Code(code::Code),
    /// The peer's half is there; our code is still being typed.
    Pake(Vec<u8>),
    Known(SessionKey),
    Bad,
}

impl State {
    fn step(self, input: Input, scalar: &Scalar, context: Context<'_>, out: &mut Vec<Output>) -> Self {
        match self {
            Self::Nothing => match input {
                Input::Code(code) => {
                    start(&code, scalar, &context, out);
                    Self::Code(code)
                }
                Input::Pake(body) => Self::Pake(body),
            },
            Self::Code(code) => match input {
                Input::Pake(body) => finish(&code, &body, scalar, context, out),
                Input::Code(_) => Self::Code(code),
            },
            Self::Pake(body) => match input {
                Input::Code(code) => {
                    start(&code, scalar, &context, out);
                    finish(&code, &body, scalar, context, out)
                }
                Input::Pake(_) => Self::Pake(body),
            },
            Self::Known(key) => Self::Known(key),
            Self::Bad => Self::Bad,
        }
    }
}

fn start(code: &code::Code, scalar: &Scalar, context: &Context<'_>, out: &mut Vec<Output>) {
    let message = pake::start(code, context.appid, &scalar.0);
    out.push(Output::Add(Own { phase: Phase::pake(), body: peer::encode_pake(&message) }));
}

fn finish(
    code: &code::Code,
    body: &[u8],
    scalar: &Scalar,
    context: Context<'_>,
    out: &mut Vec<Output>,
) -> State {
    let Ok(theirs) = peer::decode_pake(body) else {
        return bad(PeerFault::MalformedPake, out);
    };
    let Ok(key) = pake::finish(code, context.appid, &scalar.0, &theirs) else {
        return bad(PeerFault::BadPake, out);
    };
    out.push(Output::Known(key.clone()));
    let phase = Phase::version();
    let box_key = key.phase_key(context.side, &phase);
    let body = secretbox::seal(&box_key, &context.rng.bytes(), &context.versions.encode());
    out.push(Output::Add(Own { phase, body }));
    State::Known(key)
}

fn bad(fault: PeerFault, out: &mut Vec<Output>) -> State {
    out.push(Output::Bad(fault));
    State::Bad
}
