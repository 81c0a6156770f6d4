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

    #[cfg(feature = "serde")]
    pub(crate) fn as_bytes(&self) -> &[u8; 64] {
        &self.0
    }
}

impl fmt::Debug for Scalar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Scalar(..)")
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct Key {
    state: State,
}

impl Key {
    pub(crate) fn new(scalar: Scalar) -> Self {
        Self { state: State::Nothing(scalar) }
    }

    pub(crate) fn handle(&mut self, input: Input, context: Context<'_>) -> Vec<Output> {
        let mut out = Vec::new();
        self.state = mem::take(&mut self.state).step(input, context, &mut out);
        out
    }

    /// Whether our own user has done all that there is to do for a key.
    pub(crate) const fn has_code(&self) -> bool {
        match self.state {
            State::Code(..) | State::Known(_) => true,
            State::Nothing(_) | State::Pake(..) | State::Bad => false,
        }
    }

    /// The session key, from when on there is one.
    pub(crate) const fn session(&self) -> Option<&SessionKey> {
        match &self.state {
            State::Known(key) => Some(key),
            State::Nothing(_) | State::Code(..) | State::Pake(..) | State::Bad => None,
        }
    }

    /// How it stands, for a trace.
    pub(super) fn state(&self) -> &impl fmt::Debug {
        &self.state
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
enum State {
    Nothing(Scalar),
    /// Our half has been said.
    Code(code::Code, Scalar),
    /// The peer's half is there; our code is still being typed.
    Pake(Vec<u8>, Scalar),
    /// What led to the key is gone.
    Known(SessionKey),
    #[default]
    Bad,
}

impl State {
    fn step(self, input: Input, context: Context<'_>, out: &mut Vec<Output>) -> Self {
        match self {
            Self::Nothing(scalar) => match input {
                Input::Code(code) => {
                    start(&code, &scalar, &context, out);
                    Self::Code(code, scalar)
                }
                Input::Pake(body) => Self::Pake(body, scalar),
            },
            Self::Code(code, scalar) => match input {
                Input::Pake(body) => finish(&code, &body, &scalar, context, out),
                Input::Code(_) => Self::Code(code, scalar),
            },
            Self::Pake(body, scalar) => match input {
                Input::Code(code) => {
                    start(&code, &scalar, &context, out);
                    finish(&code, &body, &scalar, context, out)
                }
                Input::Pake(_) => Self::Pake(body, scalar),
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

#[cfg(test)]
mod tests {
    use alloc::format;

    use super::*;
    use crate::table::Table;
    use crate::wire::RawJson;
    use crate::wormhole::samples::{code, key, ours, rng};

    #[test]
    fn the_table_is_as_written() {
        let states = [
            State::Nothing(scalar(1)),
            State::Code(code(), scalar(1)),
            State::Pake(pake_of_peer(), scalar(1)),
            State::Known(key()),
            State::Bad,
        ];
        let inputs = [
            ("Code", Input::Code(code())),
            ("Pake", Input::Pake(pake_of_peer())),
            ("Pake without key", Input::Pake(b"{}".to_vec())),
            ("Pake of our own", Input::Pake(our_pake())),
        ];
        Table {
            name: "key",
            source: "wormhole/key.rs",
            about: "Before `Known` and `Bad` there is a scalar. `Known` is not confirmed: whoever knows another code \
                    has another key.",
            states: states.map(|state| Key { state }).to_vec(),
            inputs: inputs.to_vec(),
        }
        .check(
            |it| format!("{:?}", it.state).replace("(Scalar(..))", "").replace(", Scalar(..)", ""),
            |(name, _)| (*name).into(),
            |it, (_, input)| step(it, input),
        );
    }

    #[test]
    fn both_orders_of_code_and_pake_lead_to_the_same_key() {
        let mut first_code = Key::new(scalar(1));
        let started = step(&mut first_code, Input::Code(code()));
        assert_eq!(started, [Output::Add(Own { phase: Phase::pake(), body: our_pake() })]);
        let finished = step(&mut first_code, Input::Pake(pake_of_peer()));

        let mut first_pake = Key::new(scalar(1));
        assert_eq!(step(&mut first_pake, Input::Pake(pake_of_peer())), []);
        let both = step(&mut first_pake, Input::Code(code()));

        assert_eq!(both, [started, finished].concat());
        assert_eq!(first_code.session(), first_pake.session());
        assert!(first_code.session().is_some());
    }

    #[test]
    fn our_version_can_be_opened_with_the_key() {
        let mut machine = Key::new(scalar(1));
        step(&mut machine, Input::Code(code()));
        let out = step(&mut machine, Input::Pake(pake_of_peer()));
        let [Output::Known(key), Output::Add(Own { phase, body })] = out.as_slice() else {
            panic!("no key: {out:?}")
        };
        let plain = secretbox::open(&key.phase_key(&ours(), phase), body).unwrap();
        assert_eq!(peer::Versions::decode(&plain), Ok(versions()));
    }

    #[test]
    fn a_pake_that_cannot_be_used_is_bad() {
        let bad = [
            (b"{}".to_vec(), PeerFault::MalformedPake),
            (b"no JSON".to_vec(), PeerFault::MalformedPake),
            (our_pake(), PeerFault::BadPake),
            (peer::encode_pake(&[0; 33]), PeerFault::BadPake),
        ];
        for (body, fault) in bad {
            let mut machine = Key::new(scalar(1));
            step(&mut machine, Input::Code(code()));
            assert_eq!(step(&mut machine, Input::Pake(body)), [Output::Bad(fault)]);
            assert_eq!(machine.session(), None);
        }
    }

    #[test]
    fn secrets_are_not_printed() {
        let mut machine = Key::new(scalar(77));
        step(&mut machine, Input::Code(code()));
        let text = format!("{machine:?}");
        assert!(!text.contains("77") && !text.contains("armistice"), "{text}");
    }

    fn step(machine: &mut Key, input: Input) -> Vec<Output> {
        let (appid, side, versions) = (appid(), ours(), versions());
        machine.handle(input, Context { appid: &appid, side: &side, versions: &versions, rng: &mut rng() })
    }

    fn scalar(byte: u8) -> Scalar {
        Scalar::new([byte; 64])
    }

    fn appid() -> AppId {
        AppId::parse("example.com/app").unwrap()
    }

    fn versions() -> peer::Versions {
        peer::Versions { app_versions: RawJson::parse("{}").unwrap() }
    }

    fn our_pake() -> Vec<u8> {
        peer::encode_pake(&pake::start(&code(), &appid(), &[1; 64]))
    }

    fn pake_of_peer() -> Vec<u8> {
        peer::encode_pake(&pake::start(&code(), &appid(), &[2; 64]))
    }
}
