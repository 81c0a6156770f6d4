//! Sends a file or a directory to whoever types in the code, on plain threads.
//!
//! ```text
//! cargo run -p wormhole-blocking --example blocking_send_file -- [--rendezvous URL] FILE
//! ```
//!
//! The other side runs `receive_file`, of this or any other adapter, or any other magic-wormhole program.

use std::env;
use std::error::Error;

use wormhole_blocking::transfer::{Config, Content, Sender};

fn main() -> Result<(), Box<dyn Error>> {
    let mut config = Config::default();
    let mut file = None;
    let mut arguments = env::args_os().skip(1);
    while let Some(argument) = arguments.next() {
        if argument == "--rendezvous" {
            let url = arguments.next().ok_or("--rendezvous needs a URL")?;
            config = config.mailbox(&url.to_string_lossy());
        } else {
            file = Some(argument);
        }
    }
    let file = file.ok_or("usage: send_file [--rendezvous URL] FILE")?;

    let mut sender = Sender::new(config, Content::open(file.as_ref())?)?;
    sender.allocate_code(2)?;
    println!("wormhole receive {}", sender.code()?);
    sender.finish()?;
    println!("Sent {} bytes", sender.progress().done());
    Ok(())
}
