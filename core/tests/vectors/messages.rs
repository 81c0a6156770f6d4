//! `messages.json`: every plaintext that was seen from any implementation can be read.

use serde_json::Value;
use wormhole_core::untrusted::{Name, Text};
use wormhole_core::wire::peer::{Ack, Answer, Offer, TransferMessage, Versions, decode_pake};

use crate::support::{rows, text};

const FILE: &str = include_str!("../data/messages.json");

#[test]
fn every_plaintext_of_every_implementation_is_read() {
    let mut read = 0;
    for row in rows(FILE, "messages") {
        let plain = text(&row["plaintext_utf8"]).replace("PORT", "4001").replace("HEX", &"53".repeat(33));
        let value: Result<Value, _> = serde_json::from_str(&plain);
        match text(&row["phase"]) {
            "pake" => assert_eq!(decode_pake(plain.as_bytes()), Ok(vec![0x53; 33])),
            "version" => {
                let versions = Versions::decode(plain.as_bytes()).unwrap();
                let said: Value = serde_json::from_str(versions.app_versions.as_str()).unwrap();
                assert_eq!(said, value.unwrap()["app_versions"]);
            }
            phase if phase.starts_with("dilate-") => {}
            _ if value.is_err() => assert!(TransferMessage::decode(plain.as_bytes()).is_err()),
            _ => {
                let messages = TransferMessage::decode(plain.as_bytes()).unwrap();
                assert_eq!(messages.len(), 1, "{plain}");
                assert!(!is_unknown(&messages[0]), "{plain}");
                // What we write is read as the same, and but for what we ignore it is the same JSON.
                let ours = messages[0].encode();
                assert_eq!(TransferMessage::decode(&ours).unwrap(), messages);
                if !matches!(messages[0], TransferMessage::Transit(_)) {
                    assert_eq!(serde_json::from_slice::<Value>(&ours).unwrap(), value.unwrap());
                }
                read += 1;
            }
        }
    }
    assert_eq!(read, 32);
}

#[test]
fn offers_of_every_implementation_are_understood() {
    let decode = |plain: &str| TransferMessage::decode(plain.as_bytes()).unwrap();
    assert_eq!(
        decode(
            r#"{"offer":{"directory":{"dirname":"mydir","mode":"zipfile/deflated","numbytes":14,"numfiles":2,"zipsize":264}}}"#
        ),
        [TransferMessage::Offer(Offer::Directory {
            name: Name::from("mydir"),
            mode: "zipfile/deflated".into(),
            zip_size: 264,
            bytes: 14,
            files: 2
        })]
    );
    assert_eq!(
        decode(r#"{"offer": {"message": "hi \u003c\u0026\u003e é"}}"#),
        [TransferMessage::Offer(Offer::Text(Text::from("hi <&> é")))]
    );
    assert_eq!(decode(r#"{"answer": {"file_ack": "ok"}}"#), [TransferMessage::Answer(Answer::File(Ok(())))]);
}

#[test]
fn acknowledgements_of_every_implementation_are_read_and_written() {
    let file: Value = serde_json::from_str(FILE).unwrap();
    for ack in file["transit_ack"].as_object().unwrap().values() {
        let plain = text(ack).replace("<64 hex>", &"ab".repeat(32));
        let ack = Ack::decode(plain.as_bytes()).unwrap();
        assert_eq!(ack, Ack { ok: Ok(()), sha256: Some([0xab; 32]) });
        assert_eq!(
            serde_json::from_slice::<Value>(&ack.encode()).unwrap(),
            serde_json::from_str::<Value>(&plain).unwrap()
        );
    }
}

fn is_unknown(message: &TransferMessage) -> bool {
    matches!(message, TransferMessage::Offer(Offer::Unknown) | TransferMessage::Answer(Answer::Unknown))
}
