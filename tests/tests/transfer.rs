//! Whole transfers between two of ours on tokio, with our servers: direct and by relay, and all the ways to end early.
#![cfg(test)]

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use wormhole_core::code::Code;
use wormhole_core::driver::Address;
use wormhole_core::error::{Error as CoreError, PeerFault};
use wormhole_core::transit::Path as Way;
use wormhole_core::untrusted::Text;
use wormhole_server::{Server, mailbox, relay};
use wormhole_tokio::transfer::{
    Config, Content, Destination, Error, Event, Offer, Received, Receiver, Sender,
};

#[tokio::test]
async fn a_text_arrives() {
    let world = World::new().await;
    let (mut sender, mut receiver) = world.meet(Content::text("hello \u{1b}[31m"), true).await;
    let receiving = async {
        assert_eq!(receiver.offer().await?, Offer::Text(Text::from("hello \u{1b}[31m")));
        receiver.accept_text()?;
        receiver.finish().await
    };
    let (sent, received) = tokio::join!(sender.finish(), receiving);
    sent.unwrap();
    assert_eq!(received, Ok(Received::Text(Text::from("hello \u{1b}[31m"))));
}

#[tokio::test]
async fn a_text_that_was_to_be_stored_is_still_offered() {
    let world = World::new().await;
    let (mut sender, mut receiver) = world.meet(Content::text("hello"), true).await;
    let receiving = async {
        receiver.offer().await?;
        let refused = receiver.accept(&world.destination());
        assert!(matches!(refused, Err(Error::Wormhole(CoreError::Misuse(_)))), "{refused:?}");
        receiver.accept_text()?;
        receiver.finish().await
    };
    let (sent, received) = tokio::join!(sender.finish(), receiving);
    assert_eq!((sent, received), (Ok(()), Ok(Received::Text(Text::from("hello")))));
}

#[tokio::test]
async fn an_answer_after_the_other_side_has_left_is_no_misuse() {
    let world = World::new().await;
    let (mut sender, mut receiver) = world.meet(Content::memory("a", pattern(10)), true).await;
    let (offer, ()) = tokio::join!(receiver.offer(), async {
        while !matches!(sender.next_event().await, Event::OurHints(_)) {}
        sender.cancel();
        assert!(sender.finish().await.is_err());
    });
    if offer.is_ok() {
        while !matches!(receiver.next_event().await, Event::Closed(_)) {}
        receiver.accept_memory().unwrap();
        assert!(matches!(receiver.accept_memory(), Err(Error::Wormhole(CoreError::Misuse(_)))));
    }
    let said = receiver.finish().await;
    assert!(matches!(said, Err(Error::Wormhole(CoreError::Peer(_)))), "{said:?}");
}

#[tokio::test]
async fn files_of_all_sizes_arrive_by_either_way() {
    for direct in [true, false] {
        for size in [0, 1, 16_384, 16_385, 5_000_000] {
            let world = World::new().await;
            fs::write(world.path("a.bin"), pattern(size)).unwrap();
            let (mut sender, mut receiver) = world.meet_over("a.bin", direct).await;
            let (sent, received) = tokio::join!(sender.finish(), world.accept(&mut receiver));
            sent.unwrap();
            assert_eq!(received, Ok(Received::Stored(world.path("to/a.bin"))));
            assert!(fs::read(world.path("to/a.bin")).unwrap() == pattern(size));
            assert_eq!(world.arrived(), ["a.bin"]);
        }
    }
}

#[tokio::test]
async fn a_directory_arrives_with_its_empty_directories() {
    let world = World::new().await;
    fs::create_dir_all(world.path("photos/empty/deeper")).unwrap();
    fs::write(world.path("photos/one"), pattern(400_000)).unwrap();
    let (mut sender, mut receiver) = world.meet_over("photos", true).await;
    let (sent, received) = tokio::join!(sender.finish(), world.accept(&mut receiver));
    sent.unwrap();
    assert_eq!(received, Ok(Received::Stored(world.path("to/photos"))));
    assert!(world.path("to/photos/empty/deeper").is_dir());
    assert_eq!(fs::read(world.path("to/photos/one")).unwrap(), pattern(400_000));
}

#[tokio::test]
async fn the_events_come_in_their_order() {
    let world = World::new().await;
    fs::write(world.path("a"), "12345").unwrap();
    let (mut sender, mut receiver) = world.meet_over("a", false).await;
    let watch = async {
        let mut seen = Vec::new();
        loop {
            match sender.next_event().await {
                Event::Session(_) | Event::OurHints(_) | Event::TheirHints(_) => {}
                Event::Connected(Way::Relay { .. }) => seen.push("connected by relay"),
                Event::Connected(Way::Direct { .. }) => seen.push("connected"),
                Event::Answered => seen.push("answered"),
                Event::Sent => seen.push("sent"),
                Event::Closed(end) => break (seen, end, sender.progress()),
                Event::Offered(_) | Event::Spooling | Event::Stored(_) | Event::Complete => {
                    seen.push("stray")
                }
            }
        }
    };
    let ((seen, end, progress), received) = tokio::join!(watch, world.accept(&mut receiver));
    assert_eq!(seen, ["answered", "connected by relay", "sent"]);
    assert_eq!(end, Ok(()));
    assert_eq!((progress.done(), progress.total()), (5, 5));
    received.unwrap();
}

#[tokio::test]
async fn a_refusal_is_told_to_the_sender() {
    let world = World::new().await;
    fs::write(world.path("a"), "12345").unwrap();
    let (mut sender, mut receiver) = world.meet_over("a", true).await;
    let refusing = async {
        receiver.offer().await?;
        receiver.refuse()?;
        receiver.finish().await
    };
    let (sent, received) = tokio::join!(sender.finish(), refusing);
    assert_eq!(sent, Err(said("transfer rejected")));
    assert_eq!(received, Err(Error::Wormhole(CoreError::Rejected)));
}

#[tokio::test]
async fn an_existing_file_refuses_the_offer_and_is_left_alone() {
    let world = World::new().await;
    fs::write(world.path("a"), "12345").unwrap();
    fs::write(world.path("to/a"), "old").unwrap();
    let (mut sender, mut receiver) = world.meet_over("a", true).await;
    let accepting = async {
        receiver.offer().await?;
        let exists = Error::Exists { path: world.path("to/a") };
        assert_eq!(receiver.accept(&world.destination()), Err(exists));
        receiver.finish().await
    };
    let (sent, received) = tokio::join!(sender.finish(), accepting);
    assert_eq!(sent, Err(said("transfer rejected")));
    assert_eq!(received, Err(Error::Exists { path: world.path("to/a") }));
    assert_eq!(fs::read(world.path("to/a")).unwrap(), b"old");
}

#[tokio::test]
async fn a_file_that_shrank_is_a_clear_error_on_both_sides() {
    let world = World::new().await;
    fs::write(world.path("a"), pattern(9_000_000)).unwrap();
    let (mut sender, mut receiver) = world.meet_over("a", true).await;
    fs::write(world.path("a"), pattern(8_000_000)).unwrap();
    let (sent, received) = tokio::join!(sender.finish(), world.accept(&mut receiver));
    assert_eq!(sent, Err(Error::Changed { path: world.path("a") }));
    assert_eq!(received, Err(said("a file changed while it was being sent")));
    assert!(world.arrived().is_empty());
}

#[tokio::test]
async fn who_cancels_in_the_middle_is_gone_within_a_second_and_the_other_is_told() {
    for sender_cancels in [true, false] {
        let world = World::new().await;
        fs::write(world.path("a"), "").unwrap();
        fs::File::options().write(true).open(world.path("a")).unwrap().set_len(1 << 31).unwrap();
        let (mut sender, mut receiver) = world.meet_over("a", true).await;
        let accepting = async {
            receiver.offer().await?;
            receiver.accept(&world.destination())?;
            loop {
                let event = receiver.next_event().await;
                if let Event::Closed(end) = event {
                    return end;
                }
                if matches!(event, Event::Connected(_)) && !sender_cancels {
                    receiver.cancel();
                }
            }
        };
        let sending = async {
            let mut cancelled = None;
            loop {
                let event = sender.next_event().await;
                if let Event::Closed(end) = event {
                    return (end, cancelled.map(|at: Instant| at.elapsed()));
                }
                if matches!(event, Event::Connected(_)) && sender_cancels {
                    cancelled = Some(Instant::now());
                    sender.cancel();
                }
            }
        };
        let ((sent, took), received) = tokio::join!(sending, accepting);
        let told = Err(said("transfer cancelled"));
        let cancelled = Err(Error::Wormhole(CoreError::Cancelled));
        if sender_cancels {
            assert_eq!((sent, received), (cancelled, told));
            assert!(took.unwrap() < Duration::from_secs(1), "{took:?}");
        } else {
            assert_eq!((received, sent), (cancelled, told));
        }
        assert!(world.arrived().is_empty());
    }
}

#[tokio::test]
async fn a_dropped_side_leaves_nothing_and_the_other_does_not_wait_for_ever() {
    let world = World::new().await;
    fs::write(world.path("a"), pattern(50_000_000)).unwrap();
    let (sender, mut receiver) = world.meet_over("a", true).await;
    let vanishing = async {
        let mut sender = sender;
        while !matches!(sender.next_event().await, Event::Connected(_)) {}
    };
    let ((), received) = tokio::join!(vanishing, world.accept(&mut receiver));
    let lost = matches!(
        received,
        Err(Error::Wormhole(CoreError::Transit(wormhole_core::error::TransitFault::Lost { .. })))
    );
    assert!(lost, "{received:?}");
    assert!(world.arrived().is_empty());
}

#[tokio::test]
async fn a_receiver_that_is_dropped_at_any_stage_leaves_nothing_on_the_disk() {
    for event in 0.. {
        let world = World::new().await;
        fs::create_dir(world.path("d")).unwrap();
        fs::write(world.path("d/a"), pattern(2_000_000)).unwrap();
        let (sender, receiver) = world.meet_over("d", true).await;
        let receiving = async {
            let mut receiver = receiver;
            for _ in 0..event {
                match receiver.next_event().await {
                    Event::Offered(_) => drop(receiver.accept(&world.destination()).unwrap()),
                    Event::Stored(_) => return true,
                    Event::Session(_)
                    | Event::Answered
                    | Event::OurHints(_)
                    | Event::TheirHints(_)
                    | Event::Connected(_)
                    | Event::Spooling
                    | Event::Sent
                    | Event::Complete
                    | Event::Closed(_) => {}
                }
            }
            false
        };
        let sending = async move {
            let mut sender = sender;
            sender.finish().await
        };
        let is_stored =
            tokio::select! { it = receiving => it, _ = sending => panic!("the receiver is there") };
        let gone = async {
            while !is_stored && !world.arrived().is_empty() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), gone).await.unwrap();
        if is_stored {
            assert_eq!(world.arrived(), ["d"]);
            break;
        }
    }
}

#[tokio::test]
async fn a_destination_that_vanishes_meanwhile_is_a_clear_error_on_both_sides() {
    let world = World::new().await;
    fs::write(world.path("a"), pattern(300_000)).unwrap();
    let (mut sender, mut receiver) = world.meet_over("a", true).await;
    let receiving = async {
        receiver.offer().await?;
        receiver.accept(&world.destination())?;
        fs::remove_dir_all(world.path("to")).unwrap();
        receiver.finish().await
    };
    let (sent, received) = tokio::join!(sender.finish(), receiving);
    assert_eq!(sent, Err(said("what was sent could not be stored")));
    let Err(Error::Disk { path, .. }) = received else { panic!("{received:?}") };
    assert_eq!(path, world.path("to/a"));
}

#[tokio::test]
async fn any_wait_may_be_dropped_and_taken_up_again() {
    let world = World::new().await;
    fs::write(world.path("a"), pattern(3_000_000)).unwrap();
    let (mut sender, mut receiver) = world.meet_over("a", true).await;
    let mut accepted = false;
    let (mut sent, mut received) = (None, None);
    while sent.is_none() || received.is_none() {
        let turn = Duration::from_micros(200);
        if let Ok(Event::Closed(end)) = tokio::time::timeout(turn, sender.next_event()).await {
            sent = Some(end);
        }
        match tokio::time::timeout(turn, receiver.next_event()).await {
            Ok(Event::Closed(end)) => received = Some(end),
            Ok(Event::Offered(_)) if !accepted => {
                receiver.accept(&world.destination()).unwrap();
                accepted = true;
            }
            Ok(_) | Err(_) => {}
        }
    }
    assert_eq!((sent, received), (Some(Ok(())), Some(Ok(()))));
    assert_eq!(fs::read(world.path("to/a")).unwrap(), pattern(3_000_000));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_whole_transfer_can_be_spawned() {
    let world = World::new().await;
    fs::write(world.path("a"), pattern(100_000)).unwrap();
    let (mut sender, mut receiver) = world.meet_over("a", true).await;
    let sending = tokio::spawn(async move { sender.finish().await });
    let destination = world.destination();
    let receiving = tokio::spawn(async move {
        receiver.offer().await?;
        receiver.accept(&destination)?;
        receiver.finish().await
    });
    sending.await.unwrap().unwrap();
    receiving.await.unwrap().unwrap();
}

/// Both servers, and a directory to work in.
struct World {
    work: TempDir,
    config: Config,
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
        let config = Config::default().mailbox(&format!("ws://{at}/v1")).relays([format!("tcp:{relay_at}")]);
        let work = TempDir::new().unwrap();
        fs::create_dir(work.path().join("to")).unwrap();
        Self { work, config }
    }

    async fn meet_over(&self, name: &str, direct: bool) -> (Sender, Receiver) {
        self.meet(Content::open(&self.path(name)).unwrap(), direct).await
    }

    /// Two sides with the same code.
    async fn meet(&self, content: Content, direct: bool) -> (Sender, Receiver) {
        let config = self.config.clone().listen(direct);
        let mut sender = Sender::new(config.clone(), content).unwrap();
        sender.allocate_code(2).unwrap();
        let code: Code = sender.code().await.unwrap();
        let mut receiver = Receiver::new(config).unwrap();
        receiver.set_code(code).unwrap();
        (sender, receiver)
    }

    async fn accept(&self, receiver: &mut Receiver) -> Result<Received, Error> {
        receiver.offer().await?;
        receiver.accept(&self.destination())?;
        receiver.finish().await
    }

    fn destination(&self) -> Destination {
        Destination::Into(self.path("to"))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.work.path().join(name)
    }

    /// What is where things arrive.
    fn arrived(&self) -> Vec<String> {
        let entries = fs::read_dir(self.path("to")).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }
}

fn said(text: &str) -> Error {
    Error::Wormhole(CoreError::Peer(PeerFault::Said(Text::from(text))))
}

fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|index| (index / 7 + index / 1000) as u8).collect()
}
