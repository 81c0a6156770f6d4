//! The clock jumps by hours, as when a computer has slept: what can go on goes on.
#![cfg(test)]

use std::fs;
use std::time::Duration;

use tempfile::TempDir;
use tokio::time::timeout;
use wormhole_core::code::Code;
use wormhole_tests::hostile::Foe;
use wormhole_tests::{Servers, new_code};
use wormhole_tokio::transfer::{Config, Destination, Received, Receiver};

const HOURS: Duration = Duration::from_secs(5 * 60 * 60);

/// When the clock jumps.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Stage {
    Waiting,
    Offered,
    Transit,
    Content,
    Confirming,
}

#[tokio::test]
async fn the_sleep_of_the_computer_kills_no_transfer() {
    for stage in [Stage::Waiting, Stage::Offered, Stage::Transit, Stage::Content, Stage::Confirming] {
        let url = Servers::ours().mailbox_url();
        let code = new_code();
        let work = TempDir::new().unwrap();
        let mut receiver =
            Receiver::new(Config::default().mailbox(&url).relays([""; 0]).listen(false)).unwrap();
        receiver.set_code(Code::parse(&code).unwrap()).unwrap();
        let receiving = async {
            receiver.offer().await?;
            receiver.accept(&Destination::Into(work.path().to_owned()))?;
            receiver.finish().await
        };
        let other = async {
            let sleep_at = async |now| {
                if now == stage {
                    sleep().await;
                }
            };
            sleep_at(Stage::Waiting).await;
            let mut foe = Foe::meet(&url, &code).await;
            foe.say_where().await;
            sleep_at(Stage::Offered).await;
            foe.say(r#"{"offer": {"file": {"filename": "a", "filesize": 10}}}"#).await;
            while foe.hear().await.unwrap().get("answer").is_none() {}
            sleep_at(Stage::Transit).await;
            let mut stream = foe.send_to().await;
            let record = stream.sealed(b"12345");
            stream.write(&record).await;
            sleep_at(Stage::Content).await;
            let record = stream.sealed(b"67890");
            stream.write(&record).await;
            sleep_at(Stage::Confirming).await;
            stream.until_left().await;
            std::future::pending::<()>().await;
        };
        let both = async {
            tokio::select! { received = receiving => received, () = other => panic!() }
        };
        let received = timeout(10 * HOURS, both).await.unwrap();
        assert_eq!(received, Ok(Received::Stored(work.path().join("a"))), "{stage:?}");
        assert_eq!(fs::read(work.path().join("a")).unwrap(), b"1234567890");
    }
}

/// All that runs here sleeps; the server does not.
async fn sleep() {
    // What is on its way still comes: whoever sleeps has waited before.
    tokio::time::sleep(Duration::from_millis(50)).await;
    tokio::time::pause();
    tokio::time::advance(HOURS).await;
    tokio::time::resume();
    tokio::time::sleep(Duration::from_millis(50)).await;
}
