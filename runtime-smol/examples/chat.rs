//! Two people, or two programs, send lines to each other, on smol.
//!
//! ```text
//! cargo run -p wormhole-smol --example smol_chat -- [--rendezvous URL] [CODE]
//! ```
//!
//! Without a code it shows one, which the other side, a `chat` of this or any other adapter, is given. Each line is a
//! record; an empty one says that no more will come. It ends when both sides have said so.

use std::env;
use std::error::Error;
use std::io::stdin;
use std::thread;

use smol::block_on;
use smol::channel::bounded;
use smol::future::{or, pending};
use wormhole_smol::{Config, Exchange, Wormhole};

fn main() -> Result<(), Box<dyn Error>> {
    block_on(chat())
}

async fn chat() -> Result<(), Box<dyn Error>> {
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

    let (reader, typed) = bounded(1);
    thread::spawn(move || stdin().lines().try_for_each(|line| reader.send_blocking(line)));
    let (mut ours, mut we_talk, mut they_talk) = (None::<String>, true, true);
    while we_talk || they_talk {
        let line = async {
            match we_talk && ours.is_none() {
                true => Next::Line(typed.recv().await.unwrap_or_else(|_| Ok(String::new()))),
                false => pending().await,
            }
        };
        let exchange = async { Next::Exchange(wormhole.exchange(ours.as_ref().map(String::as_bytes)).await) };
        match or(line, exchange).await {
            Next::Line(line) => ours = Some(line?),
            Next::Exchange(next) => match next? {
                Exchange::Sent => we_talk = ours.take().is_some_and(|line| !line.is_empty()),
                Exchange::Received(record) if record.is_empty() => they_talk = false,
                Exchange::Received(record) => {
                    println!("> {}", String::from_utf8_lossy(&record).escape_debug())
                }
            },
        }
    }

    wormhole.stored().await?;
    wormhole.close().await?;
    Ok(())
}

/// What comes first.
enum Next {
    Line(std::io::Result<String>),
    Exchange(Result<Exchange, wormhole_smol::Error>),
}
