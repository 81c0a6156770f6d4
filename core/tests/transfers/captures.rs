//! Recorded conversations of the three programs: one side's messages are played to our machine, by a peer that shares
//! its code, and what ours says is compared with what the other side said. Hints differ, of course.

use serde_json::Value;
use wormhole_core::error::{Error, PeerFault};
use wormhole_core::transfer::{Event, Offer};

use super::recorded::vectors;
use super::world::{Side, World, config, double, receiver, sender};

const CONVERSATIONS: [&str; 22] = [
    "capture_file_direct",
    "capture_file_relay",
    "capture_file_empty",
    "capture_directory",
    "capture_rejected",
    "interop_py_to_rs_file",
    "interop_py_to_rs_direct",
    "interop_py_to_rs_empty",
    "interop_py_to_rs_dir",
    "interop_py_to_rs_text",
    "interop_rs_to_py_file",
    "interop_rs_to_py_direct",
    "interop_rs_to_py_empty",
    "interop_rs_to_py_dir",
    "interop_py_to_ww_file",
    "interop_py_to_ww_direct",
    "interop_py_to_ww_empty",
    "interop_py_to_ww_dir",
    "interop_py_to_ww_text",
    "interop_ww_to_py_file",
    "interop_ww_to_py_dir",
    "interop_ww_to_py_text",
];

#[test]
fn our_sender_says_what_the_recorded_senders_said() {
    for name in CONVERSATIONS {
        let talk = talk(name);
        let (ours, peer) = sides(&talk);
        let offer = ours_of(&talk, ours).iter().find_map(|message| message.get("offer").map(our_offer));
        let mut world = World::new(vec![sender(config(), offer.unwrap()), double(script(&talk, peer))]);
        world.rest();
        assert_eq!(heard(&world, 1), kinds(&ours_of(&talk, ours)), "{name}");
        match talk.iter().find_map(|(_, message)| message["error"].as_str()) {
            Some(error) => {
                let said = Error::Peer(PeerFault::Said(error.into()));
                assert_eq!(world.closed(0), Some(&Err(said)), "{name}");
            }
            None => assert!(world.events[0].contains(&Event::Answered), "{name}"),
        }
    }
}

#[test]
fn our_receiver_says_what_the_recorded_receivers_said() {
    // magic-wormhole.rs says `transit` before it knows what it will be offered, and fails at a text.
    for name in CONVERSATIONS.into_iter().filter(|name| *name != "interop_py_to_rs_text") {
        let talk = talk(name);
        let (peer, ours) = sides(&talk);
        let mut world = World::new(vec![double(script(&talk, peer)), receiver(config())]);
        world.rest();
        let Some(offer) = world.offered(1) else { panic!("{name}: nothing was offered") };
        let expected = talk.iter().find_map(|(_, message)| message.get("offer")).unwrap();
        assert_eq!(our_offer(expected), told_offer(offer), "{name}");
        if name == "capture_rejected" {
            world.receiver().refuse(Error::Rejected).unwrap();
        } else {
            world.receiver().accept().unwrap();
        }
        world.rest();
        assert_eq!(heard(&world, 0), kinds(&ours_of(&talk, ours)), "{name}");
    }
}

/// What was said, in its order, with the number of the speaker's connection.
fn talk(name: &str) -> Vec<(u64, Value)> {
    let recording = vectors(&format!("{name}.json"));
    let events = recording["websocket"].as_array().unwrap().iter();
    let said = events.filter(|event| event["dir"] == "client->server").filter_map(|event| {
        let raw = || event["raw_utf8"].as_str().and_then(|raw| serde_json::from_str(raw).ok());
        let command: Value = event.get("message").cloned().or_else(raw)?;
        let is_number = command["phase"].as_str()?.parse::<u64>().is_ok();
        let plain = event["plaintext_utf8"].as_str()?;
        let speaker = event["conn"].as_u64()?;
        is_number.then(|| (speaker, serde_json::from_str(plain).unwrap()))
    });
    said.collect()
}

/// The connections of the sender and of the receiver.
fn sides(talk: &[(u64, Value)]) -> (u64, u64) {
    let sender = talk.iter().find(|(_, message)| message.get("offer").is_some()).unwrap().0;
    let receiver = talk.iter().find(|(speaker, _)| *speaker != sender).unwrap().0;
    (sender, receiver)
}

fn ours_of(talk: &[(u64, Value)], ours: u64) -> Vec<Value> {
    talk.iter().filter(|(speaker, _)| *speaker == ours).map(|(_, message)| message.clone()).collect()
}

/// What `peer` said, each after so many messages of the other side.
fn script(talk: &[(u64, Value)], peer: u64) -> Vec<(usize, Vec<u8>)> {
    let mut heard = 0;
    let mut script = Vec::new();
    for (speaker, message) in talk {
        if *speaker == peer {
            script.push((heard, message.to_string().into_bytes()));
        } else {
            heard += 1;
        }
    }
    script
}

/// Messages without what differs from run to run.
fn kinds(messages: &[Value]) -> Vec<Value> {
    messages.iter().map(|message| super::odd_messages::without_hints(message.clone())).collect()
}

fn heard(world: &World, node: usize) -> Vec<Value> {
    assert!(matches!(world.sides[node], Side::Double(_)));
    let messages = world.heard(node).iter().map(|plain| serde_json::from_slice(plain).unwrap());
    kinds(&messages.collect::<Vec<_>>())
}

fn our_offer(offer: &Value) -> Offer {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let number = |value: &Value| value.as_u64().unwrap();
    if let Some(message) = offer.get("message") {
        return Offer::Text(text(message));
    }
    if let Some(file) = offer.get("file") {
        return Offer::File {
            name: text(&file["filename"]),
            size: number(&file["filesize"]),
            attributes: None,
        };
    }
    let directory = &offer["directory"];
    Offer::Directory {
        name: text(&directory["dirname"]),
        zip_size: number(&directory["zipsize"]),
        bytes: number(&directory["numbytes"]),
        files: number(&directory["numfiles"]),
    }
}

fn told_offer(offer: &wormhole_core::wire::peer::Offer) -> Offer {
    use wormhole_core::wire::peer::Offer as Told;
    match offer {
        Told::Text(text) => Offer::Text(text.to_unicode()),
        Told::File { name, size, attributes } => {
            Offer::File { name: name.to_unicode(), size: *size, attributes: *attributes }
        }
        Told::Directory { name, zip_size, bytes, files, .. } => {
            Offer::Directory { name: name.to_unicode(), zip_size: *zip_size, bytes: *bytes, files: *files }
        }
        Told::Stream { .. } | Told::Several { .. } | Told::Unknown => {
            panic!("every recorded offer is of the old kinds")
        }
    }
}
