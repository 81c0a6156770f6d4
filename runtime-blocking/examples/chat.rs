//! Two people, or two programs, send lines to each other, on plain threads.
//!
//! ```text
//! cargo run -p wormhole-blocking --example blocking_chat -- [--rendezvous URL] [CODE]
//! ```
//!
//! Without a code it shows one, which the other side, a `chat` of this or any other adapter, is given. Each line is a
//! record; an empty one says that no more will come. It ends when both sides have said so.

use std::env;
use std::io::stdin;
use std::sync::mpsc::{TryRecvError, sync_channel};
use std::thread;
use std::time::Duration;

use wormhole_blocking::{Config, Error, Exchange, Wormhole};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // How long a line that is typed may have to wait for us.
    let mut config = Config::new("example.com/chat").wait_limit(Duration::from_millis(100));
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
        Some(code) => wormhole.set_code(&code)?,
        None => wormhole.allocate_code(2)?,
    }
    println!("Code: {}", patiently(|| wormhole.code())?);
    println!("Both should see: {}", patiently(|| wormhole.verifier())?);

    let (reader, typed) = sync_channel(100);
    thread::spawn(move || stdin().lines().try_for_each(|line| reader.send(line)));
    let (mut ours, mut we_talk, mut they_talk) = (None::<String>, true, true);
    while we_talk || they_talk {
        if we_talk && ours.is_none() {
            ours = match typed.try_recv() {
                Ok(line) => Some(line?),
                Err(TryRecvError::Empty) => None,
                Err(TryRecvError::Disconnected) => Some(String::new()),
            };
        }
        match wormhole.exchange(ours.as_ref().map(String::as_bytes)) {
            Ok(Exchange::Sent) => we_talk = ours.take().is_some_and(|line| !line.is_empty()),
            Ok(Exchange::Received(record)) if record.is_empty() => they_talk = false,
            Ok(Exchange::Received(record)) => {
                println!("> {}", String::from_utf8_lossy(&record).escape_debug())
            }
            Err(Error::TimedOut) => {}
            Err(error) => return Err(error.into()),
        }
    }

    patiently(|| wormhole.stored())?;
    patiently(|| wormhole.close())?;
    Ok(())
}

/// Calls again for as long as only the limit has ended it.
fn patiently<T>(mut call: impl FnMut() -> Result<T, Error>) -> Result<T, Error> {
    loop {
        match call() {
            Err(Error::TimedOut) => {}
            outcome => return outcome,
        }
    }
}
