//! Every adapter has every name that its public signatures need, so that an application depends on one crate.
#![cfg(test)]

/// Names all of them, of one adapter. That it compiles is most of the test.
macro_rules! names {
    ($adapter:ident) => {
        mod $adapter {
            use $adapter::*;

            #[test]
            fn all_names_are_there() {
                let facts = |it: Facts| drop(it);
                let _ = facts;
                assert_eq!(Code::parse("7-crossover").map(|code| code.nameplate()), Nameplate::parse("7"));
                assert_eq!(Code::parse("7"), Err(CodeFault::NoDash));
                assert_eq!(RECORD_BYTES, 2_093_016);
                let config = Config::new("example.com/app").proxy(Proxy::socks5("localhost", 1));
                assert!(config.network() != &Network::default());
                assert!(Roots::from_pem(b"").is_err());
                let wormhole = Wormhole::on(runtime_on(&Network::default()), config).unwrap();
                assert_eq!(wormhole.status(), Status::default());
                assert_eq!(wormhole.status().link, LinkStatus::Connecting);
                assert_eq!(wormhole.status().code, CodeStatus::None);
                assert_eq!(wormhole.status().key, KeyStatus::None);
                assert!(matches!(wormhole.derive_key("purpose", 1), Err(Error::Misuse(Misuse::NoKeyYet))));
                let initiator = transcribe::Initiator::new("example.com/app", b"blob").unwrap();
                let receiver = transcribe::Receiver::new("example.com/app", "7-a", b"blob").unwrap();
                drop((initiator.rendezvous("ws://[::1]:1"), receiver.rendezvous("ws://[::1]:1")));
            }

            /// What is only given.
            #[expect(dead_code, reason = "each field is a type that an application may name")]
            struct Facts {
                secret: Secret,
                verifier: Verifier,
                versions: Versions,
                app_versions: RawJson,
                welcome: Welcome,
                said: Text,
                event: Event,
                exchange: Exchange,
                mood: Mood,
                path: Path,
                address: Address,
                hint: (Hint, DirectHint, Priority),
                why: Why,
                limits: Limits,
                faults: (ServerFault, PeerFault, Awaited, TransitFault, SnapshotFault),
                runtime: fn() -> Runtime,
                transfer: Transfer,
            }

            #[expect(dead_code, reason = "each field is a type that an application may name")]
            struct Transfer {
                sides: (transfer::Sender, transfer::Receiver),
                config: transfer::Config,
                content: transfer::Content,
                offer: (transfer::Offer, transfer::OurOffer, Name),
                destination: (transfer::Destination, transfer::Incoming),
                received: transfer::Received,
                progress: transfer::Progress,
                event: transfer::Event,
                error: transfer::Error,
                why: (transfer::error::Doing, transfer::error::Unsendable, transfer::error::BadArchive),
            }
        }
    };
}

names!(wormhole_tokio);
names!(wormhole_async_std);
names!(wormhole_smol);
names!(wormhole_blocking);

#[cfg(test)]
mod blocking_only {
    #[test]
    fn a_canceller_can_be_named() {
        let wormhole = wormhole_blocking::Wormhole::new(wormhole_blocking::Config::new("example.com/app"));
        let canceller: wormhole_blocking::Canceller = wormhole.unwrap().canceller();
        canceller.cancel();
    }
}
