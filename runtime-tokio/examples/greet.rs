//! Two users compare verifiers, and their computers agree on a key: `tokio_greet [--rendezvous URL] [CODE]`.

use std::{env, error::Error, io};

use wormhole_tokio::{Config, Wormhole};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args().skip(1).peekable();
    let mut config = Config::new("example.com/greet");
    if arguments.next_if(|it| it == "--rendezvous").is_some() {
        config = config.mailbox(&arguments.next().ok_or("--rendezvous needs a URL")?);
    }
    let mut wormhole = Wormhole::new(config)?;
    match arguments.next() {
        Some(code) => wormhole.set_code(&code).await?,
        None => wormhole.allocate_code(2).await?,
    }
    println!("Code: {}", wormhole.code().await?);
    println!("Does the other side see {}? [y/N]", wormhole.verifier().await?);
    let is_same = io::stdin().lines().next().transpose()?.is_some_and(|line| line == "y");
    wormhole.send(if is_same { b"same" } else { b"diff" }).await?;
    wormhole.stored().await?;
    let is_agreed = is_same && wormhole.receive().await? == b"same";
    wormhole.close().await?;
    let key = wormhole.derive_key("example.com/greet/key", 32)?;
    println!("A key of {} bytes is agreed: {is_agreed}", key.as_bytes().len());
    Ok(())
}
