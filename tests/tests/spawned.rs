//! Whole conversations as tasks of executors that have several threads: every future of an async adapter is `Send`.
#![cfg(test)]

use std::path::PathBuf;

use tempfile::TempDir;
use wormhole_core::code::Code;
use wormhole_core::error::Error;
use wormhole_runtime::{Config, Runtime, Wormhole};
use wormhole_tests::{Servers, new_code};
use wormhole_transfer::{Content, Destination, Received, Receiver, Sender};

#[test]
fn a_conversation_can_be_spawned_on_tokio() {
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let code = new_code();
        let [one, two] = [(); 2].map(|()| tokio::spawn(talk(open(wormhole_tokio::runtime()), code.clone())));
        assert_eq!(one.await.unwrap().unwrap(), two.await.unwrap().unwrap());
        let files = Files::new();
        let sending = tokio::spawn(send(files.sender(wormhole_tokio::runtime())));
        let receiving = tokio::spawn(receive(files.receiver(wormhole_tokio::runtime()), files.to()));
        files.check(sending.await.unwrap(), receiving.await.unwrap());
    });
}

#[test]
fn a_conversation_can_be_spawned_on_async_std() {
    async_std::task::block_on(async {
        let code = new_code();
        let side = || async_std::task::spawn(talk(open(wormhole_async_std::runtime()), code.clone()));
        let (one, two) = (side(), side());
        assert_eq!(one.await.unwrap(), two.await.unwrap());
        let files = Files::new();
        let sending = async_std::task::spawn(send(files.sender(wormhole_async_std::runtime())));
        let receiving =
            async_std::task::spawn(receive(files.receiver(wormhole_async_std::runtime()), files.to()));
        files.check(sending.await, receiving.await);
    });
}

#[test]
fn a_conversation_can_be_spawned_on_smol() {
    smol::block_on(async {
        let code = new_code();
        let side = || smol::spawn(talk(open(wormhole_smol::runtime()), code.clone()));
        let (one, two) = (side(), side());
        assert_eq!(one.await.unwrap(), two.await.unwrap());
        let files = Files::new();
        let sending = smol::spawn(send(files.sender(wormhole_smol::runtime())));
        let receiving = smol::spawn(receive(files.receiver(wormhole_smol::runtime()), files.to()));
        files.check(sending.await, receiving.await);
    });
}

/// All that waits, once; answers what both sides must have alike.
async fn talk<R: Runtime>(mut wormhole: Wormhole<R>, code: String) -> Result<(String, Vec<u8>), Error> {
    wormhole.set_code(&code).await?;
    wormhole.welcome().await?;
    wormhole.code().await?;
    wormhole.unverified_key().await?;
    let verifier = wormhole.verifier().await?;
    wormhole.versions().await?;
    wormhole.next_event().await;
    wormhole.send(b"hello").await?;
    let heard = wormhole.receive().await?;
    wormhole.stored().await?;
    wormhole.close().await?;
    Ok((verifier.to_string(), heard))
}

fn open<R: Runtime>(runtime: R) -> Wormhole<R> {
    Wormhole::on(runtime, config()).unwrap()
}

async fn send<R: Runtime>(mut sender: Sender<R>) -> Result<(), wormhole_transfer::Error> {
    sender.finish().await
}

async fn receive<R: Runtime>(
    mut receiver: Receiver<R>,
    to: PathBuf,
) -> Result<Received, wormhole_transfer::Error> {
    receiver.offer().await?;
    receiver.accept(&Destination::Into(to))?;
    receiver.finish().await
}

/// A file, and where it goes to.
struct Files {
    directory: TempDir,
    code: Code,
}

const CONTENT: &[u8] = &[7; 300_000];

impl Files {
    fn new() -> Self {
        let directory = TempDir::new().unwrap();
        std::fs::write(directory.path().join("file"), CONTENT).unwrap();
        std::fs::create_dir(directory.path().join("to")).unwrap();
        Self { directory, code: Code::parse(&new_code()).unwrap() }
    }

    fn to(&self) -> PathBuf {
        self.directory.path().join("to")
    }

    fn sender<R: Runtime>(&self, runtime: R) -> Sender<R> {
        let content = Content::open(&self.directory.path().join("file")).unwrap();
        let mut sender = Sender::on(runtime, config(), content).unwrap();
        sender.set_code(self.code.clone()).unwrap();
        sender
    }

    fn receiver<R: Runtime>(&self, runtime: R) -> Receiver<R> {
        let mut receiver = Receiver::on(runtime, config()).unwrap();
        receiver.set_code(self.code.clone()).unwrap();
        receiver
    }

    fn check(
        &self,
        sent: Result<(), wormhole_transfer::Error>,
        received: Result<Received, wormhole_transfer::Error>,
    ) {
        sent.unwrap();
        assert_eq!(received, Ok(Received::Stored(self.to().join("file"))));
        assert_eq!(std::fs::read(self.to().join("file")).unwrap(), CONTENT);
    }
}

fn config() -> Config {
    Config::new("example.com/spawned").mailbox(&Servers::ours().mailbox_url()).relays::<String>([])
}
