//! Takes a code, and exchanges one small message with whoever shows it, on plain threads.
//!
//! ```text
//! cargo run -p wormhole-blocking --example blocking_transcribe_receiver -- [--rendezvous URL] CODE
//! ```
//!
//! The other side runs `transcribe_initiator`, of this or any other adapter.

use std::env;
use std::error::Error;

use wormhole_blocking::Config;
use wormhole_blocking::transcribe::Receiver;

fn main() -> Result<(), Box<dyn Error>> {
    let mut config = Config::new("example.com/transcribe");
    let mut code = None;
    let mut arguments = env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--rendezvous" => config = config.mailbox(&arguments.next().ok_or("--rendezvous needs a URL")?),
            _ => code = Some(argument),
        }
    }
    let code = code.ok_or("usage: transcribe_receiver [--rendezvous URL] CODE")?;

    let mut receiver = Receiver::with(config, code, b"hello from the receiver")?;
    let theirs = receiver.finish()?;
    println!("The other side says: {:?}", String::from_utf8_lossy(&theirs));
    Ok(())
}
