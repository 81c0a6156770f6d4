//! Receives a file or a directory into the current directory, on async-std. Nothing that exists is replaced.
//!
//! ```text
//! cargo run -p wormhole-async-std --example async_std_receive_file -- [--rendezvous URL] CODE
//! ```
//!
//! The other side runs `send_file`, of this or any other adapter, or any other magic-wormhole program.

use std::env;
use std::error::Error;

use wormhole_async_std::Code;
use wormhole_async_std::transfer::{Config, Destination, Receiver};

fn main() -> Result<(), Box<dyn Error>> {
    async_std::task::block_on(run())
}

async fn run() -> Result<(), Box<dyn Error>> {
    let mut config = Config::default();
    let mut code = None;
    let mut arguments = env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--rendezvous" => config = config.mailbox(&arguments.next().ok_or("--rendezvous needs a URL")?),
            _ => code = Some(argument),
        }
    }
    let code = code.ok_or("usage: receive_file [--rendezvous URL] CODE")?;

    let mut receiver = Receiver::new(config)?;
    receiver.set_code(Code::parse(&code)?)?;
    println!("Offered: {:?}", receiver.offer().await?);
    let path = receiver.accept(&Destination::Into(".".into()))?;
    receiver.finish().await?;
    println!("Received {path:?}, {} bytes", receiver.progress().done());
    Ok(())
}
