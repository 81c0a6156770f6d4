//! Receives a file or a directory into the current directory, on tokio. Nothing that exists is replaced.
//!
//! ```text
//! cargo run -p wormhole-tokio --example tokio_receive_file -- [--rendezvous URL] CODE
//! ```
//!
//! The other side runs `send_file`, of this or any other adapter, or any other magic-wormhole program.

use std::env;
use std::error::Error;

use wormhole_tokio::Code;
use wormhole_tokio::transfer::{Config, Destination, Receiver};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
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
