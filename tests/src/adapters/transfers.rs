//! A file from one side to the other, on any adapter.

use std::path::{Path, PathBuf};
use std::sync::mpsc::Sender as Tell;

use wormhole_core::code::Code;
use wormhole_runtime::Runtime;
use wormhole_transfer::{Config, Content, Destination, Error, Received, Receiver, Sender};

use super::{Adapter, Executor};

impl Adapter {
    /// Sends what is at `path`, and tells the code.
    pub fn send(self, config: Config, path: &Path, tell: Tell<Code>) -> Result<(), Error> {
        let content = Content::open(path)?;
        match self {
            Self::Tokio => {
                let executor = Executor::tokio();
                executor.run(send(config, content, wormhole_tokio::runtime(), tell))
            }
            Self::AsyncStd => {
                Executor::AsyncStd.run(send(config, content, wormhole_async_std::runtime(), tell))
            }
            Self::Smol => Executor::Smol.run(send(config, content, wormhole_smol::runtime(), tell)),
            Self::Blocking => {
                let runtime = wormhole_blocking::runtime();
                let mut sender = wormhole_blocking::transfer::Sender::new(config, content, runtime)?;
                sender.allocate_code(2)?;
                // The test may have given up.
                let _ = tell.send(sender.code()?);
                sender.finish()
            }
        }
    }

    /// Receives whatever is offered into `directory`.
    pub fn receive(self, config: Config, code: Code, directory: PathBuf) -> Result<Received, Error> {
        let to = Destination::Into(directory);
        match self {
            Self::Tokio => Executor::tokio().run(receive(config, code, wormhole_tokio::runtime, to)),
            Self::AsyncStd => Executor::AsyncStd.run(receive(config, code, wormhole_async_std::runtime, to)),
            Self::Smol => Executor::Smol.run(receive(config, code, wormhole_smol::runtime, to)),
            Self::Blocking => {
                let runtime = wormhole_blocking::runtime();
                let mut receiver = wormhole_blocking::transfer::Receiver::new(config, runtime)?;
                receiver.set_code(code)?;
                receiver.offer()?;
                receiver.accept(&to)?;
                receiver.finish()
            }
        }
    }
}

async fn send<R: Runtime>(
    config: Config,
    content: Content,
    runtime: R,
    tell: Tell<Code>,
) -> Result<(), Error> {
    let mut sender = Sender::new(config, content, runtime)?;
    sender.allocate_code(2)?;
    // The test may have given up.
    let _ = tell.send(sender.code().await?);
    sender.finish().await
}

async fn receive<R: Runtime>(
    config: Config,
    code: Code,
    runtime: impl FnOnce() -> R,
    to: Destination,
) -> Result<Received, Error> {
    let mut receiver = Receiver::new(config, runtime())?;
    receiver.set_code(code)?;
    receiver.offer().await?;
    receiver.accept(&to)?;
    receiver.finish().await
}
