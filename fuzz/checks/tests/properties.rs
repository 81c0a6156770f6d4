//! What holds for any value: two implementations agree, what is written is read, streams may be cut anywhere, and the
//! order of records does not depend on the order in which they come.

#[cfg(test)]
mod tests {
    use dryoc::classic::crypto_secretbox::{crypto_secretbox_easy, crypto_secretbox_open_easy};
    use proptest::collection::vec;
    use proptest::prelude::*;
    use ring::{digest, hkdf};
    use wormhole_core::code::{Code, Nameplate};
    use wormhole_core::crypto::{Key, SessionKey, TransitKey, secretbox};
    use wormhole_core::driver::{Address, Conn, Conns};
    use wormhole_core::error::Mood;
    use wormhole_core::untrusted::{Name, Text};
    use wormhole_core::wire::hints::{Ability, DirectHint, Hint, Priority, TransitInfo};
    use wormhole_core::wire::peer::{Ack, Answer, Offer, TransferMessage, Versions};
    use wormhole_core::wire::server::{FromServer, ToServer};
    use wormhole_core::wire::{AppId, MailboxId, Phase, RawJson, Side};
    use wormhole_core::wormhole::{Config, Event, Wormhole};
    use wormhole_fuzz::peer::{CODE, Met, Peer, meet};
    use wormhole_fuzz::targets;
    use wormhole_fuzz::targets::mailbox_server::Server;
    use wormhole_fuzz::world::World;

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(128) })]

        #[test]
        fn keys_are_those_of_another_hkdf(key: [u8; 32], purpose: String, side in ".{0,40}", phase in ".{0,40}") {
            let session = SessionKey::from_bytes(key);
            for len in [1, 32, 33, 255 * 32] {
                let derived = session.derive(&purpose, len).unwrap();
                prop_assert_eq!(derived.as_bytes(), other_hkdf(&key, normal(&purpose).as_bytes(), len));
            }
            let info = phase_info(&side, &phase);
            let phase_key = session.phase_key(&Side::parse(&side).unwrap(), &Phase::parse(&phase).unwrap());
            prop_assert_eq!(phase_key.as_bytes().as_slice(), other_hkdf(&key, &info, 32));
            let verifier = session.verifier();
            prop_assert_eq!(verifier.as_bytes().as_slice(), other_hkdf(&key, b"wormhole:verifier", 32));
            let transit = TransitKey::from_bytes(key);
            for (ours, info) in [
                (transit.sender_id(), "transit_sender"),
                (transit.receiver_id(), "transit_receiver"),
                (transit.relay_token(), "transit_relay_token"),
                (*transit.sender_record_key().as_bytes(), "transit_record_sender_key"),
                (*transit.receiver_record_key().as_bytes(), "transit_record_receiver_key"),
            ] {
                prop_assert_eq!(ours.as_slice(), other_hkdf(&key, info.as_bytes(), 32));
            }
        }

        #[test]
        fn boxes_are_those_of_another_library(key: [u8; 32], nonce: [u8; 24], plain in vec(any::<u8>(), 0..3000)) {
            let boxed = secretbox::seal(&Key::from_bytes(key), &nonce, &plain);
            let mut other = vec![0; plain.len() + 16];
            crypto_secretbox_easy(&mut other, &plain, &nonce, &key).unwrap();
            prop_assert_eq!(&boxed[24..], other.as_slice());
            let mut opened = vec![0; plain.len()];
            crypto_secretbox_open_easy(&mut opened, &boxed[24..], &nonce, &key).unwrap();
            prop_assert_eq!(opened, plain);
        }

        #[test]
        fn what_a_side_says_is_what_the_other_hears(message in message(), versions in json(), ack in ack()) {
            prop_assert_eq!(TransferMessage::decode(&message.encode()), Ok(vec![message]));
            let versions = Versions { app_versions: RawJson::parse(&versions).unwrap() };
            prop_assert_eq!(Versions::decode(&versions.encode()), Ok(versions));
            prop_assert_eq!(Ack::decode(&ack.encode()), Ok(ack));
        }

        #[test]
        fn what_a_client_says_is_what_the_server_does(
            side in ".{0,20}", phase in ".{0,20}", mailbox in ".{0,20}", nameplate in "[0-9]{1,40}", body: Vec<u8>, ping in json(),
        ) {
            let mut talk = Talk::new(&side);
            let named = MailboxId::parse(&mailbox).unwrap();
            let phase = Phase::parse(&phase).unwrap();
            let nameplate = Nameplate::parse(&nameplate).unwrap();
            prop_assert_eq!(talk.ask(&ToServer::Ping(RawJson::parse(&ping).unwrap())), [FromServer::Pong]);
            let claimed = talk.ask(&ToServer::Claim(nameplate.clone()));
            prop_assert!(matches!(claimed.as_slice(), [FromServer::Claimed(_)]), "{:?}", claimed);
            prop_assert_eq!(talk.ask(&ToServer::List), [FromServer::Nameplates(vec![nameplate.clone()])]);
            prop_assert_eq!(talk.ask(&ToServer::Release(Some(nameplate))), [FromServer::Released]);
            prop_assert_eq!(talk.ask(&ToServer::Open(named.clone())), []);
            let added = talk.ask(&ToServer::Add { phase: phase.clone(), body: body.clone() });
            prop_assert_eq!(added, [FromServer::Message { side: Side::parse(&side).unwrap(), phase, body }]);
            let close = ToServer::Close { mailbox: Some(named), mood: Some(Mood::Happy) };
            prop_assert_eq!(talk.ask(&close), [FromServer::Closed]);
            let allocated = talk.ask(&ToServer::Allocate);
            prop_assert!(matches!(allocated.as_slice(), [FromServer::Allocated(_)]), "{:?}", allocated);
        }

        #[test]
        fn a_stream_may_be_cut_anywhere(cuts in vec(1_u8..60, 1..8), end in any::<u8>(), more in vec(any::<u8>(), 0..60)) {
            for (target, kinds, stream) in streams() {
                for kind in 0..kinds {
                    let cuts = [&[cuts.len() as u8], cuts.as_slice()].concat();
                    for rest in [&[][..], &more] {
                        target(&[&[kind | end & 0xc0], cuts.as_slice(), stream, rest].concat());
                    }
                }
            }
        }

        #[test]
        fn records_in_any_pieces_are_the_same_records(
            contents in vec(vec(any::<u8>(), 0..200), 0..6), cuts in vec(any::<u8>(), 1..20), rest in vec(any::<u8>(), 0..50),
        ) {
            let mut input = vec![contents.len() as u8];
            for content in &contents {
                input.push(content.len() as u8);
                input.extend(content);
            }
            input.extend([0, 0, 0, cuts.len() as u8]);
            input.extend(&cuts);
            input.extend(rest);
            targets::record::run(&input);
        }
    }

    #[test]
    fn records_come_in_order_whatever_the_server_does_with_them() {
        let (world, peer) = met();
        let mut count = 0;
        for order in permutations(&[0, 1, 2, 3]) {
            for again in 0..4 {
                for at in 0..=order.len() {
                    let mut order = order.clone();
                    order.insert(at, again);
                    let told = deliver(world.clone(), &peer, &order);
                    assert_eq!(told, [0_u8, 1, 2, 3].map(|number| vec![number]), "{order:?}");
                    count += 1;
                }
            }
        }
        assert_eq!(count, 24 * 4 * 5);
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(64) })]

        #[test]
        fn many_records_come_in_order(order in Just((0..40).collect::<Vec<u64>>()).prop_shuffle(), again in vec(0..40_u64, 0..20)) {
            let (world, peer) = met();
            let order = [again.as_slice(), &order, &again].concat();
            let told = deliver(world, &peer, &order);
            prop_assert_eq!(told, (0..40_u8).map(|number| vec![number]).collect::<Vec<_>>());
        }
    }

    /// The records that are told when they come in this order.
    fn deliver(mut world: World<Wormhole>, peer: &Peer, order: &[u64]) -> Vec<Vec<u8>> {
        for number in order {
            let frame = peer.sealed(&number.to_string(), &[*number as u8]).to_string();
            assert!(world.receive(Conn(0), frame.as_bytes()), "it reads");
        }
        let record = |event| {
            let Event::Record(record) = event else { panic!("{event:?}") };
            record
        };
        world.events.drain(..).map(record).collect()
    }

    fn met() -> (World<Wormhole>, Peer) {
        let mut wormhole = Wormhole::new(Config::new("a").unwrap(), [1; 32], Conns::all());
        wormhole.set_code(Code::parse(CODE).unwrap()).unwrap();
        meet(wormhole, "a", Met::Peer)
    }

    fn permutations(of: &[u64]) -> Vec<Vec<u64>> {
        if of.is_empty() {
            return vec![Vec::new()];
        }
        let mut all = Vec::new();
        for first in of {
            let rest: Vec<u64> = of.iter().filter(|it| *it != first).copied().collect();
            all.extend(permutations(&rest).into_iter().map(|rest| [&[*first], rest.as_slice()].concat()));
        }
        all
    }

    type Stream = (fn(&[u8]), u8, &'static [u8]);

    /// Targets that read streams, in how many kinds, and a stream for each. The cuts come before the stream.
    fn streams() -> Vec<Stream> {
        const LINE: &[u8] =
            b"please relay aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa for side 0000000000000009\n";
        const REQUEST: &[u8] = b"GET /v1 HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
            Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n\x81\x82\0\0\0\0hi";
        const ANSWER: &[u8] =
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
            Sec-WebSocket-Accept: %\r\n\r\n\x81\x02hi";
        vec![
            (targets::relay_line::run, 8, LINE),
            (targets::handshake::run, 6, &[0xff, 0xff]),
            (targets::upgrade::run, 3, REQUEST),
            (targets::upgrade::run, 2, ANSWER),
            (
                targets::websocket::run,
                3,
                b"\x81\x05hello\x01\x02he\x89\x01p\x80\x03llo\x8a\x00\x88\x02\x03\xe8",
            ),
            (targets::proxy::run, 12, b"\x05\x00\x05\x00\x00\x01\x01\x02\x03\x04\x00\x07rest"),
            (targets::proxy::run, 12, b"\x05\x02\x01\x00\x05\x00\x00\x03\x03abc\x00\x07rest"),
            (targets::proxy::run, 12, b"HTTP/1.1 200 Connected\r\nVia: x\r\n\r\nrest"),
        ]
    }

    /// A client that talks to a server and is bound.
    struct Talk(Server, Conn);

    impl Talk {
        fn new(side: &str) -> Self {
            let mut talk = Self(Server::new(0), Conn(1));
            talk.0.call();
            let bind = ToServer::Bind {
                appid: AppId::parse("app").unwrap(),
                side: Side::parse(side).unwrap(),
                client_version: ("fuzz".into(), "1".into()),
            };
            assert_eq!(talk.ask(&bind), []);
            talk
        }

        /// What the server says to it, but for acknowledgements.
        fn ask(&mut self, command: &ToServer) -> Vec<FromServer> {
            self.0.take_writes();
            self.0.settle();
            assert!(self.0.world.receive(self.1, &command.encode("12")), "it is read");
            let said = self.0.settle();
            said.into_iter().filter(|said| *said != FromServer::Ack).collect()
        }
    }

    fn message() -> impl Strategy<Value = TransferMessage> {
        let text = || ".{0,30}".prop_map(|text| Text::from(text.as_str()));
        let name = || ".{0,30}".prop_map(|name| Name::from(name.as_str()));
        let answer = || text().prop_map(|text| if text == Text::from("ok") { Ok(()) } else { Err(text) });
        let offer = prop_oneof![
            text().prop_map(Offer::Text),
            (name(), any::<u64>()).prop_map(|(name, size)| Offer::File { name, size, attributes: None }),
            (name(), ".{0,20}", any::<[u64; 3]>()).prop_map(|(name, mode, [zip_size, bytes, files])| {
                Offer::Directory { name, mode, zip_size, bytes, files }
            }),
            Just(Offer::Unknown),
        ];
        let answers = prop_oneof![
            answer().prop_map(Answer::Text),
            answer().prop_map(Answer::File),
            Just(Answer::Text(Ok(()))),
            Just(Answer::Unknown),
        ];
        prop_oneof![
            info().prop_map(TransferMessage::Transit),
            offer.prop_map(TransferMessage::Offer),
            answers.prop_map(TransferMessage::Answer),
            text().prop_map(TransferMessage::Error),
        ]
    }

    fn info() -> impl Strategy<Value = TransitInfo> {
        let address = || {
            ("[!-~]{1,30}", 1_u16.., any::<f64>()).prop_map(|(host, port, priority)| DirectHint {
                address: Address::new(host, port),
                priority: Priority::new(priority).unwrap_or_default(),
            })
        };
        let hint = prop_oneof![
            address().prop_map(Hint::Direct),
            address().prop_map(Hint::Tor),
            vec(address(), 1..5).prop_map(Hint::Relay),
        ];
        let ability = prop_oneof![Just(Ability::DirectTcp), Just(Ability::TorTcp), Just(Ability::Relay)];
        (vec(ability, 0..5), vec(hint, 0..5)).prop_map(|(abilities, hints)| TransitInfo {
            abilities,
            hints: hints.into_iter().take(wormhole_core::defaults::RELAY_HINTS).collect(),
        })
    }

    fn ack() -> impl Strategy<Value = Ack> {
        let ok =
            "[a-z ]{0,9}".prop_map(|text| if text == "ok" { Ok(()) } else { Err(Text::from(text.as_str())) });
        (prop_oneof![Just(Ok(())), ok], any::<Option<[u8; 32]>>()).prop_map(|(ok, sha256)| Ack { ok, sha256 })
    }

    /// Any JSON, as text.
    fn json() -> impl Strategy<Value = String> {
        prop_oneof![
            Just("null".to_owned()),
            any::<i64>().prop_map(|number| number.to_string()),
            ".{0,20}".prop_map(|text| serde_json::Value::from(text).to_string()),
            vec("[a-z]{0,5}", 0..4).prop_map(|list| serde_json::json!({"list": list, "1": 1.0}).to_string()),
        ]
    }

    fn other_hkdf(key: &[u8], info: &[u8], len: usize) -> Vec<u8> {
        struct Len(usize);
        impl hkdf::KeyType for Len {
            fn len(&self) -> usize {
                self.0
            }
        }
        let mut derived = vec![0; len];
        let prk = hkdf::Salt::new(hkdf::HKDF_SHA256, &[]).extract(key);
        prk.expand(&[info], Len(len)).unwrap().fill(&mut derived).unwrap();
        derived
    }

    fn phase_info(side: &str, phase: &str) -> Vec<u8> {
        let hash = |text: &str| digest::digest(&digest::SHA256, text.as_bytes());
        [b"wormhole:phase:", hash(side).as_ref(), hash(phase).as_ref()].concat()
    }

    /// In the form in which purposes are hashed.
    fn normal(text: &str) -> String {
        use unicode_normalization::UnicodeNormalization as _;
        text.nfc().collect()
    }
}
