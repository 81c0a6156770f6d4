//! Two people type lines at each other, on smol.
//!
//! ```text
//! cargo run -p wormhole-smol --example smol_chat -- [--rendezvous URL] [CODE]
//! ```
//!
//! Without a code it shows one, which the other side, a `chat` of this or any other adapter, is given. Each line is a
//! record; an empty one says that no more will come. It ends when both sides have said so. It is for people: who sends is
//! not listening meanwhile, so that two who pour in thousands of lines at once wait for each other for ever.

use std::env;
use std::error::Error;
use std::io::stdin;

use smol::Unblock;
use smol::future::{or, pending};
use smol::io::{AsyncBufReadExt, BufReader};
use smol::stream::StreamExt;
use wormhole_smol::{Config, Wormhole};

fn main() -> Result<(), Box<dyn Error>> {
    smol::block_on(run())
}

async fn run() -> Result<(), Box<dyn Error>> {
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

    let mut typed = BufReader::new(Unblock::new(stdin())).lines();
    let (mut we_talk, mut they_talk) = (true, true);
    while we_talk || they_talk {
        let hear = async {
            match they_talk {
                true => Ok(Next::Heard(wormhole.receive().await?)),
                false => pending().await,
            }
        };
        let read = async {
            match we_talk {
                true => Ok(Next::Typed(typed.next().await.transpose()?.unwrap_or_default())),
                false => pending().await,
            }
        };
        let next: Result<Next, Box<dyn Error>> = or(hear, read).await;
        match next? {
            Next::Heard(record) => {
                they_talk = !record.is_empty();
                if they_talk {
                    println!("> {}", String::from_utf8_lossy(&record).escape_debug());
                }
            }
            Next::Typed(line) => {
                we_talk = !line.is_empty();
                wormhole.send(line.as_bytes()).await?;
            }
        }
    }

    wormhole.stored().await?;
    wormhole.close().await?;
    Ok(())
}

/// What happens first.
enum Next {
    Heard(Vec<u8>),
    Typed(String),
}
