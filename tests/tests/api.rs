//! What applications are offered, on tokio and with our servers: the front door, proxies, limits, and going on in
//! another process.
#![cfg(test)]

#[path = "../../runtime/tests/suite/proxy.rs"]
mod proxy;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use wormhole_core::driver::Address;
use wormhole_core::error::{Error as CoreError, ServerFault};
use wormhole_core::transit::Path;
use wormhole_core::wire::hints::Hint;
use wormhole_core::wormhole::Event as Session;
use wormhole_runtime::Runtime;
use wormhole_server::{Server, mailbox, relay};
use wormhole_tokio::transcribe::{Initiator, Receiver};
use wormhole_tokio::transfer::{self, Content, Destination, Event};
use wormhole_tokio::{
    CodeStatus, Config, Error, KeyStatus, LinkStatus, Misuse, Proxy, RECORD_BYTES, Wormhole,
};

use self::proxy::ProxyDouble;

#[tokio::test]
async fn two_computers_are_introduced_to_each_other() {
    let world = World::new().await;
    let mut initiator =
        Initiator::new("example.com/app", b"initiator's blob").unwrap().rendezvous(&world.url);
    let code = initiator.start().await.unwrap();
    let mut receiver =
        Receiver::new("example.com/app", code, b"receiver's blob").unwrap().rendezvous(&world.url);
    let (theirs, ours) = tokio::join!(initiator.finish(), receiver.finish());
    assert_eq!(theirs.unwrap(), b"receiver's blob");
    assert_eq!(ours.unwrap(), b"initiator's blob");
}

#[tokio::test]
async fn the_longest_records_and_the_shortest_arrive_and_longer_ones_are_refused() {
    let world = World::new().await;
    let (mut alice, mut bob) = world.meet().await;
    let long = vec![7; RECORD_BYTES];
    let sending = async {
        let refused = alice.send(&[long.as_slice(), b"x"].concat()).await;
        assert_eq!(refused, Err(Misuse::TooLong { limit_bytes: RECORD_BYTES }.into()));
        alice.send(&long).await?;
        alice.send(b"").await?;
        alice.stored().await?;
        alice.close().await
    };
    let receiving = async {
        let came = [bob.receive().await?, bob.receive().await?];
        bob.close().await.map(|()| came)
    };
    let (sent, came) = tokio::join!(sending, receiving);
    assert_eq!(sent, Ok(()));
    assert!(came.unwrap() == [long, Vec::new()]);
}

#[tokio::test]
async fn the_longest_blobs_are_exchanged() {
    let world = World::new().await;
    let blob = vec![7; RECORD_BYTES];
    let mut initiator = Initiator::with(world.config(), &blob).unwrap();
    let code = initiator.start().await.unwrap();
    let mut receiver = Receiver::with(world.config(), code, &blob).unwrap();
    let (theirs, ours) = tokio::join!(initiator.finish(), receiver.finish());
    assert!(theirs.unwrap() == blob && ours.unwrap() == blob);
}

#[tokio::test]
async fn an_introduction_with_the_wrong_code_fails_on_both_sides() {
    let world = World::new().await;
    let mut initiator = Initiator::with(world.config(), b"ours").unwrap();
    let code = initiator.start().await.unwrap();
    let wrong = format!("{}-wrong-words", code.nameplate());
    let mut receiver = Receiver::with(world.config(), wrong, b"theirs").unwrap();
    let (theirs, ours) = tokio::join!(initiator.finish(), receiver.finish());
    assert_eq!((theirs, ours), (Err(Error::WrongCode), Err(Error::WrongCode)));
}

#[tokio::test]
async fn a_code_is_typed_with_the_help_of_the_server() {
    let world = World::new().await;
    let (mut alice, mut bob) = (world.wormhole(), world.wormhole());
    alice.allocate_code(2).await.unwrap();
    let code = alice.code().await.unwrap();
    let nameplate = code.nameplate();
    bob.input_code().await.unwrap();
    assert_eq!(bob.nameplates().await.unwrap().as_slice(), std::slice::from_ref(&nameplate));
    assert_eq!(bob.complete_nameplate("").unwrap(), [format!("{nameplate}-")]);
    bob.choose_nameplate(nameplate.as_str()).await.unwrap();
    bob.word_list().await.unwrap();
    let (_, words) = code.as_str().split_once('-').unwrap();
    assert!(bob.complete_words(&words[..2]).unwrap().iter().any(|word| words.starts_with(word)));
    bob.choose_words(words).await.unwrap();
    let (ours, theirs) = tokio::join!(alice.verifier(), bob.verifier());
    assert_eq!(ours.unwrap(), theirs.unwrap());
    assert_eq!(alice.unverified_key().await.unwrap(), bob.unverified_key().await.unwrap());
    let status = bob.status();
    assert_eq!((status.link, status.key), (LinkStatus::Up, KeyStatus::Confirmed));
    assert_ne!(status.code, CodeStatus::None);
}

#[tokio::test]
async fn a_conversation_goes_through_a_proxy_that_resolves_the_names() {
    for kind in [Proxy::socks5, Proxy::http] {
        let world = World::new().await;
        let (port, asked) = serve_proxy(Some("user:pass")).await;
        let proxy = kind("127.0.0.1", port).login("user", "pass").unwrap();
        let url = world.url.replace("127.0.0.1", "mailbox.test");
        let config = Config::new("example.com/app").mailbox(&url).proxy(proxy);
        let mut alice = Wormhole::new(config.clone()).unwrap();
        alice.allocate_code(2).await.unwrap();
        let code = alice.code().await.unwrap();
        let mut bob = Wormhole::new(config).unwrap();
        bob.set_code(code.as_str()).await.unwrap();
        alice.send(b"hello").await.unwrap();
        let (stored, came) = tokio::join!(alice.stored(), bob.receive());
        stored.unwrap();
        assert_eq!(came.unwrap(), b"hello");
        let asked = asked.lock().unwrap();
        assert!(
            asked.len() == 2 && asked.iter().all(|place| place.starts_with("mailbox.test:")),
            "{asked:?}"
        );
    }
}

#[tokio::test]
async fn a_proxy_that_lets_nobody_in_is_a_clear_error() {
    let world = World::new().await;
    let (port, _) = serve_proxy(Some("user:pass")).await;
    let proxy = Proxy::socks5("127.0.0.1", port).login("user", "wrong").unwrap();
    let mut alice = Wormhole::new(world.config().proxy(proxy)).unwrap();
    let error = alice.welcome().await.unwrap_err();
    assert!(matches!(error, Error::Server(ServerFault::Unreachable { .. })));
    let end = "the proxy did not connect us: it does not take this name and password";
    assert!(error.to_string().ends_with(end), "{error}");
}

#[tokio::test]
async fn content_goes_through_a_proxy_to_a_relay_and_nobody_is_told_where_we_are() {
    let world = World::new().await;
    let (port, asked) = serve_proxy(None).await;
    let relay = world.relay.replace("127.0.0.1", "relay.test");
    let hidden = world.transfers().proxy(Proxy::socks5("127.0.0.1", port)).relays([relay]);
    let work = tempfile::TempDir::new().unwrap();
    std::fs::write(work.path().join("a"), vec![3; 3_000_000]).unwrap();
    let content = Content::open(&work.path().join("a")).unwrap();
    let mut sender = transfer::Sender::new(hidden, content).unwrap();
    sender.allocate_code(2).unwrap();
    let code = sender.code().await.unwrap();
    let mut receiver = transfer::Receiver::new(world.transfers().listen(false)).unwrap();
    receiver.set_code(code).unwrap();
    let receiving = async {
        receiver.offer().await?;
        receiver.accept(&Destination::At(work.path().join("b")))?;
        receiver.finish().await
    };
    let (sent, received) = tokio::join!(sender.finish(), receiving);
    sent.unwrap();
    received.unwrap();
    assert_eq!(std::fs::read(work.path().join("b")).unwrap(), vec![3; 3_000_000]);
    let status = sender.status();
    assert!(matches!(status.path, Some(Path::Relay { .. })));
    assert!(matches!(status.our_hints.as_slice(), [Hint::Relay(_)]), "{:?}", status.our_hints);
    assert!(matches!(status.their_hints.as_slice(), [Hint::Relay(_)]), "{:?}", status.their_hints);
    let status = receiver.status();
    assert!(matches!(status.path, Some(Path::Relay { .. })), "{status:?}");
    assert_eq!(status.end, Some(Ok(())));
    assert!(asked.lock().unwrap().iter().any(|place| place.starts_with("relay.test:")));
}

#[tokio::test]
async fn a_transfer_waits_for_nobody_for_longer_than_it_may() {
    let world = World::new().await;
    let config = world.transfers().wait_limit(Duration::from_millis(50));
    let late = transfer::Error::Wormhole(CoreError::TimedOut);
    let mut receiver = transfer::Receiver::new(config.clone()).unwrap();
    assert_eq!(receiver.code().await, Err(late.clone()), "no code was chosen");
    receiver.allocate_code(2).unwrap();
    let code = loop {
        // Each wait may be too short; together they are not.
        match receiver.code().await {
            Err(error) => assert_eq!(error, late),
            Ok(code) => break code,
        }
    };
    assert_eq!(receiver.offer().await, Err(late.clone()));
    assert_eq!(receiver.finish().await, Err(late));
    let mut sender = transfer::Sender::new(world.transfers(), Content::text("hello")).unwrap();
    sender.set_code(code).unwrap();
    let receiving = async {
        while receiver.offer().await.is_err() {}
        receiver.accept_text().unwrap();
        loop {
            if let Event::Closed(end) = receiver.next_event().await {
                break end;
            }
        }
    };
    let (sent, received) = tokio::join!(sender.finish(), receiving);
    sent.unwrap();
    received.unwrap();
}

#[tokio::test]
async fn another_process_goes_on_after_the_code_was_shown() {
    let world = World::new().await;
    let mut alice = world.wormhole();
    alice.allocate_code(2).await.unwrap();
    let code = alice.code().await.unwrap();
    alice.send(b"said before anybody was there").await.unwrap();
    let snapshot = alice.snapshot().unwrap();
    drop(alice);

    let mut bob = world.wormhole();
    bob.set_code(code.as_str()).await.unwrap();
    let mut alice = Wormhole::restore(world.config(), snapshot.as_bytes()).unwrap();
    assert_eq!(alice.code().await.unwrap(), code);
    let (ours, theirs) = tokio::join!(alice.verifier(), bob.verifier());
    assert_eq!(ours.unwrap(), theirs.unwrap());
    let (stored, came) = tokio::join!(alice.stored(), bob.receive());
    stored.unwrap();
    assert_eq!(came.unwrap(), b"said before anybody was there");
    let (ours, theirs) = tokio::join!(alice.close(), bob.close());
    assert_eq!((ours, theirs), (Ok(()), Ok(())));
}

#[tokio::test]
async fn whoever_watches_sees_each_step() {
    let world = World::new().await;
    let (mut alice, mut bob) = world.meet().await;
    let watching = async {
        let mut seen = Vec::new();
        loop {
            let event = alice.next_event().await;
            seen.push(event.clone());
            if let Session::Versions(_) = event {
                return seen;
            }
        }
    };
    let (seen, versions) = tokio::join!(watching, bob.versions());
    assert_eq!(versions.unwrap().app_versions.as_str(), "{}");
    for event in [Session::LinkUp, Session::PeerHeard, Session::UnverifiedKey] {
        assert!(seen.contains(&event), "{event:?} is missing in {seen:?}");
    }
}

/// Both servers.
struct World {
    url: String,
    relay: String,
}

impl World {
    async fn new() -> Self {
        let anywhere = || Address::new("127.0.0.1", 0);
        let mut mailbox = Server::mailbox(mailbox::Options::new(anywhere(), 0.0), wormhole_tokio::runtime());
        let mut relay = Server::relay(relay::Options::new(anywhere()), wormhole_tokio::runtime());
        let at = mailbox.listening().await.unwrap().remove(0);
        let relay_at = relay.listening().await.unwrap().remove(0);
        tokio::spawn(async move { mailbox.run().await });
        tokio::spawn(async move { relay.run().await });
        Self { url: format!("ws://{at}/v1"), relay: format!("tcp:{relay_at}") }
    }

    fn config(&self) -> Config {
        Config::new("example.com/app").mailbox(&self.url)
    }

    fn transfers(&self) -> Config {
        Config::default().mailbox(&self.url).relays([&self.relay])
    }

    fn wormhole(&self) -> Wormhole {
        Wormhole::new(self.config()).unwrap()
    }

    async fn meet(&self) -> (Wormhole, Wormhole) {
        let (mut alice, mut bob) = (self.wormhole(), self.wormhole());
        alice.allocate_code(2).await.unwrap();
        let code = alice.code().await.unwrap();
        bob.set_code(code.as_str()).await.unwrap();
        (alice, bob)
    }
}

/// A proxy in a task of its own: its port, and where its clients wanted to go.
async fn serve_proxy(login: Option<&'static str>) -> (u16, Arc<Mutex<Vec<String>>>) {
    let mut proxy = ProxyDouble::new(wormhole_tokio::runtime());
    proxy.login = login;
    let port = loop {
        let input = proxy.runtime.next(None).await;
        if let Some(port) = proxy.handle(input) {
            break port;
        }
    };
    let asked = Arc::<Mutex<Vec<String>>>::default();
    let told = Arc::clone(&asked);
    tokio::spawn(async move {
        loop {
            let input = proxy.runtime.next(None).await;
            proxy.handle(input);
            told.lock().unwrap().clone_from(&proxy.asked);
        }
    });
    (port, asked)
}
