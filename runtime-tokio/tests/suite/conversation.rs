//! Whole conversations on an executor with several threads.

use wormhole_runtime::Runtime as _;
use wormhole_tokio::{Config, Error, Wormhole};

use crate::double::Double;
use crate::soon;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_conversation_can_be_spawned() {
    let url = serve().await;
    let mut alice = Wormhole::new(config(&url)).unwrap();
    alice.allocate_code(2).await.unwrap();
    let code = soon(alice.code()).await.unwrap();

    // Each half is a task of its own, on whatever thread.
    let there = tokio::spawn(async move {
        let verifier = alice.verifier().await?;
        alice.send(b"ping").await?;
        let answer = alice.receive().await?;
        let key = alice.derive_key("purpose", 16)?;
        alice.close().await?;
        Ok::<_, Error>((verifier, answer, key.as_bytes().to_vec()))
    });
    let back = tokio::spawn(async move {
        let mut bob = Wormhole::new(config(&url))?;
        bob.set_code(code.as_str()).await?;
        let verifier = bob.verifier().await?;
        let question = bob.receive().await?;
        bob.send(b"pong").await?;
        bob.stored().await?;
        let key = bob.derive_key("purpose", 16)?;
        bob.close().await?;
        Ok::<_, Error>((verifier, question, key.as_bytes().to_vec()))
    });
    let (alice, bob) = (soon(there).await.unwrap().unwrap(), soon(back).await.unwrap().unwrap());
    assert_eq!((alice.0, alice.2), (bob.0, bob.2));
    assert_eq!((alice.1.as_slice(), bob.1.as_slice()), (&b"pong"[..], &b"ping"[..]));
}

fn config(url: &str) -> Config {
    Config::new("example.com/app").mailbox(url)
}

/// A server in a task of its own.
async fn serve() -> String {
    let mut server = Double::new(wormhole_tokio::runtime());
    let listening = soon(server.runtime.next(None)).await;
    let url = server.handle(listening).unwrap();
    tokio::spawn(async move {
        loop {
            let input = server.runtime.next(None).await;
            server.handle(input);
        }
    });
    url
}
