//! What the other side says: transfer's messages, versions, the key exchange, the acknowledgement.

use wormhole_core::defaults::{DIRECT_HINTS, RELAY_HINTS};
use wormhole_core::wire::hints::{ABILITIES, Ability, HOST_BYTES, Hint, RELAY_ADDRESSES, TransitInfo};
use wormhole_core::wire::peer::{Ack, Answer, Offer, TransferMessage, Versions, decode_pake, encode_pake};

use super::untrusted::{check_name, check_text};

/// The input is the plaintext.
pub fn run(data: &[u8]) {
    for message in TransferMessage::decode(data).into_iter().flatten() {
        check(&message);
        // What no string can hold is replaced when it is written, and what we do not know is not written.
        let Ok(once) = TransferMessage::decode(&message.encode()) else {
            unreachable!("{message:?} cannot be read again");
        };
        let [once] = once.as_slice() else { unreachable!("{message:?} has become {once:?}") };
        assert_eq!(TransferMessage::decode(&once.encode()).as_deref(), Ok([once.clone()].as_slice()));
    }
    if let Ok(versions) = Versions::decode(data) {
        assert_eq!(Versions::decode(&versions.encode()), Ok(versions));
    }
    if let Ok(ack) = Ack::decode(data) {
        let once = Ack::decode(&ack.encode());
        assert!(
            once.as_ref().is_ok_and(|once| once.sha256 == ack.sha256 && once.ok.is_ok() == ack.ok.is_ok())
        );
    }
    if let Some(message) = decode_pake(data).ok().and_then(|message| <[u8; 33]>::try_from(message).ok()) {
        assert_eq!(decode_pake(&encode_pake(&message)), Ok(message.to_vec()));
    }
}

fn check(message: &TransferMessage) {
    match message {
        TransferMessage::Transit(info) => check_info(info),
        TransferMessage::Offer(Offer::Text(text)) | TransferMessage::Error(text) => check_text(text),
        TransferMessage::Offer(
            Offer::File { name, .. } | Offer::Stream { name } | Offer::Directory { name, .. },
        ) => check_name(name),
        TransferMessage::Offer(Offer::Several { items, .. }) => {
            items.iter().for_each(|item| check_name(&item.name));
        }
        TransferMessage::Answer(Answer::Text(Err(text)) | Answer::File(Err(text))) => check_text(text),
        TransferMessage::Offer(Offer::Unknown)
        | TransferMessage::Answer(Answer::Text(Ok(())) | Answer::File(Ok(())) | Answer::Unknown) => {}
    }
}

fn check_info(info: &TransitInfo) {
    assert!(info.abilities.len() <= ABILITIES && info.hints.len() <= DIRECT_HINTS + RELAY_HINTS);
    for hint in &info.hints {
        let addresses = match hint {
            Hint::Direct(at) | Hint::Tor(at) => std::slice::from_ref(at),
            Hint::Relay(all) => all.as_slice(),
        };
        assert!((1..=RELAY_ADDRESSES).contains(&addresses.len()));
        for at in addresses {
            assert!(at.address.port != 0 && (1..=HOST_BYTES).contains(&at.address.host.len()));
            assert!(at.address.host.bytes().all(|byte| byte.is_ascii_graphic()));
            assert!(at.priority.get().is_finite());
        }
    }
    let known = info.abilities.iter().filter(|ability| **ability != Ability::Other).copied();
    let known = TransitInfo { abilities: known.collect(), hints: info.hints.clone() };
    let written = TransferMessage::Transit(info.clone()).encode();
    assert_eq!(TransferMessage::decode(&written), Ok(vec![TransferMessage::Transit(known)]));
}
