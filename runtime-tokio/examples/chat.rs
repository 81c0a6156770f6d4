//! Two people, or two programs, send lines to each other, on tokio.
//!
//! ```text
//! cargo run -p wormhole-tokio --example tokio_chat -- [--rendezvous URL] [CODE]
//! ```
//!
//! Without a code it shows one, which the other side, a `chat` of this or any other adapter, is given. Each line is a
//! record; an empty one says that no more will come. It ends when both sides have said so.

use std::env;
use std::error::Error;
use std::io::stdin;
use std::thread;

use tokio::sync::mpsc::channel;
use wormhole_tokio::{Config, Exchange, Wormhole};

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

    let (reader, mut typed) = channel(1);
    thread::spawn(move || stdin().lines().try_for_each(|line| reader.blocking_send(line)));
    let (mut ours, mut we_talk, mut they_talk) = (None::<String>, true, true);
    while we_talk || they_talk {
        tokio::select! {
            line = typed.recv(), if we_talk && ours.is_none() => ours = Some(line.transpose()?.unwrap_or_default()),
            next = wormhole.exchange(ours.as_ref().map(String::as_bytes)) => match next? {
                Exchange::Sent => we_talk = ours.take().is_some_and(|line| !line.is_empty()),
                Exchange::Received(record) if record.is_empty() => they_talk = false,
                Exchange::Received(record) => println!("> {}", String::from_utf8_lossy(&record).escape_debug()),
            }
        }
    }

    wormhole.stored().await?;
    wormhole.close().await?;
    Ok(())
}
