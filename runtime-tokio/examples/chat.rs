//! Two people type lines at each other, on tokio.
//!
//! ```text
//! cargo run -p wormhole-tokio --example tokio_chat -- [--rendezvous URL] [CODE]
//! ```
//!
//! Without a code it shows one, which the other side, a `chat` of this or any other adapter, is given. Each line is a
//! record; an empty one says that no more will come. It ends when both sides have said so. It is for people: who sends is
//! not listening meanwhile, so that two who pour in thousands of lines at once wait for each other for ever.

use std::env;
use std::error::Error;
use std::io;

use tokio::task::spawn_blocking;
use wormhole_tokio::{Config, Wormhole};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut config = Config::new("example.com/chat");
    let mut code = None;
    let mut arguments = env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--rendezvous" => config = config.mailbox(&arguments.next().ok_or("--rendezvous needs a URL")?),
            _ => code = Some(argument),
        }
    }

    let mut wormhole = Wormhole::new(config)?;
    match code {
        Some(code) => wormhole.set_code(&code).await?,
        None => wormhole.allocate_code(2).await?,
    }
    println!("Code: {}", wormhole.code().await?);
    println!("Both should see: {}", wormhole.verifier().await?);

    let mut typed = spawn_blocking(|| io::stdin().lines().next().transpose());
    let (mut we_talk, mut they_talk) = (true, true);
    while we_talk || they_talk {
        tokio::select! {
            biased;
            record = wormhole.receive(), if they_talk => {
                let record = record?;
                they_talk = !record.is_empty();
                if they_talk {
                    println!("> {}", String::from_utf8_lossy(&record).escape_debug());
                }
            }
            line = &mut typed, if we_talk => {
                let line = line??.unwrap_or_default();
                we_talk = !line.is_empty();
                wormhole.send(line.as_bytes()).await?;
                if we_talk {
                    typed = spawn_blocking(|| io::stdin().lines().next().transpose());
                }
            }
        }
    }

    wormhole.stored().await?;
    wormhole.close().await?;
    Ok(())
}
