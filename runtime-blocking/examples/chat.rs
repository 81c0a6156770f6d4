//! Two people type lines at each other, on plain threads.
//!
//! ```text
//! cargo run -p wormhole-blocking --example blocking_chat -- [--rendezvous URL] [CODE]
//! ```
//!
//! Without a code it shows one, which the other side, a `chat` of this or any other adapter, is given. Each line is a
//! record; an empty one says that no more will come. It ends when both sides have said so. It is for people: who sends is
//! not listening meanwhile, so that two who pour in thousands of lines at once wait for each other for ever.

use std::env;
use std::io::stdin;
use std::sync::mpsc::{TryRecvError, sync_channel};
use std::thread;
use std::time::Duration;

use wormhole_blocking::{Config, Error, Wormhole};

fn main() -> Result<(), Box<dyn std::error::Error>> {
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

    let (reader, typed) = sync_channel(1);
    thread::spawn(move || stdin().lines().try_for_each(|line| reader.send(line)));
    let (mut we_talk, mut they_talk) = (true, true);
    while we_talk || they_talk {
        match typed.try_recv() {
            Err(TryRecvError::Empty) => {}
            _ if !we_talk => {}
            line => {
                let line = line.unwrap_or_else(|_| Ok(String::new()))?;
                we_talk = !line.is_empty();
                patiently(|| wormhole.send(line.as_bytes()))?;
                continue;
            }
        }
        match wormhole.receive() {
            Err(Error::TimedOut) => {}
            record => {
                let record = record?;
                they_talk = !record.is_empty();
                if they_talk {
                    println!("> {}", String::from_utf8_lossy(&record).escape_debug());
                }
            }
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
