//! Shows a code, and exchanges one small message with whoever types it in, on async-std.
//!
//! ```text
//! cargo run -p wormhole-async-std --example async_std_transcribe_initiator -- [--rendezvous URL]
//! ```
//!
//! The other side runs `transcribe_receiver`, of this or any other adapter.

use std::env;
use std::error::Error;

use wormhole_async_std::transcribe::Initiator;

fn main() -> Result<(), Box<dyn Error>> {
    async_std::task::block_on(run())
}

async fn run() -> Result<(), Box<dyn Error>> {
    let mut initiator = Initiator::new("example.com/transcribe", b"hello from the initiator")?;
    let mut arguments = env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--rendezvous" => {
                initiator = initiator.rendezvous(&arguments.next().ok_or("--rendezvous needs a URL")?);
            }
            _ => return Err("usage: transcribe_initiator [--rendezvous URL]".into()),
        }
    }

    println!("Invitation Code: {}", initiator.start().await?);
    let theirs = initiator.finish().await?;
    println!("The other side says: {:?}", String::from_utf8_lossy(&theirs));
    Ok(())
}
