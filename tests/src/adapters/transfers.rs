//! What an adapter does beside a wormhole: a file, or a blob, from one side to the other.

use std::io::Cursor;
use std::path::{Path, PathBuf};
use std::sync::mpsc::Sender as Tell;

use wormhole_core::code::Code;
use wormhole_core::error::Error as CoreError;
use wormhole_runtime::{OnNetwork, transcribe};
use wormhole_transfer::{Config, Content, Destination, Error, Received, Receiver, Sender};

use super::{Adapter, Executor};

impl Adapter {
    /// Sends what is at `path`, and tells the code.
    pub fn send(self, config: Config, path: &Path, tell: Tell<Code>) -> Result<(), Error> {
        self.send_content(config, Content::open(path)?, tell)
    }

    fn send_content(self, config: Config, content: Content, tell: Tell<Code>) -> Result<(), Error> {
        match self {
            Self::Tokio => Executor::tokio().run(send::<wormhole_tokio::Runtime>(config, content, tell)),
            Self::AsyncStd => {
                Executor::AsyncStd.run(send::<wormhole_async_std::Runtime>(config, content, tell))
            }
            Self::Smol => Executor::Smol.run(send::<wormhole_smol::Runtime>(config, content, tell)),
            Self::Blocking => {
                let mut sender = wormhole_blocking::transfer::Sender::new(config, content)?;
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
            Self::Tokio => Executor::tokio().run(receive::<wormhole_tokio::Runtime>(config, code, to)),
            Self::AsyncStd => {
                Executor::AsyncStd.run(receive::<wormhole_async_std::Runtime>(config, code, to))
            }
            Self::Smol => Executor::Smol.run(receive::<wormhole_smol::Runtime>(config, code, to)),
            Self::Blocking => {
                let mut receiver = wormhole_blocking::transfer::Receiver::new(config)?;
                receiver.set_code(code)?;
                receiver.offer()?;
                receiver.accept(&to)?;
                receiver.finish()
            }
        }
    }

    /// Sends these bytes as a file that a reader gives, and tells the code.
    pub fn send_from_reader(self, config: Config, bytes: Vec<u8>, tell: Tell<Code>) -> Result<(), Error> {
        let content = Content::reader("a", bytes.len() as u64, Cursor::new(bytes));
        self.send_content(config, content, tell)
    }

    /// Receives the file that is offered into memory.
    pub fn receive_in_memory(self, config: Config, code: Code) -> Result<Received, Error> {
        match self {
            Self::Tokio => Executor::tokio().run(in_memory::<wormhole_tokio::Runtime>(config, code)),
            Self::AsyncStd => Executor::AsyncStd.run(in_memory::<wormhole_async_std::Runtime>(config, code)),
            Self::Smol => Executor::Smol.run(in_memory::<wormhole_smol::Runtime>(config, code)),
            Self::Blocking => {
                let mut receiver = wormhole_blocking::transfer::Receiver::new(config)?;
                receiver.set_code(code)?;
                receiver.offer()?;
                receiver.accept_memory()?;
                receiver.finish()
            }
        }
    }

    /// Begins an introduction with this blob, tells the code, and answers the other side's blob.
    pub fn initiate(self, config: Config, blob: &[u8], tell: Tell<Code>) -> Result<Vec<u8>, CoreError> {
        match self {
            Self::Tokio => Executor::tokio().run(initiate::<wormhole_tokio::Runtime>(config, blob, tell)),
            Self::AsyncStd => {
                Executor::AsyncStd.run(initiate::<wormhole_async_std::Runtime>(config, blob, tell))
            }
            Self::Smol => Executor::Smol.run(initiate::<wormhole_smol::Runtime>(config, blob, tell)),
            Self::Blocking => {
                let mut initiator = wormhole_blocking::transcribe::Initiator::with(config, blob)?;
                // The test may have given up.
                let _ = tell.send(initiator.start()?);
                initiator.finish()
            }
        }
    }

    /// Begins an introduction, as far as the code.
    pub fn invite(self, config: Config) -> Result<Code, CoreError> {
        match self {
            Self::Tokio => Executor::tokio().run(invite::<wormhole_tokio::Runtime>(config)),
            Self::AsyncStd => Executor::AsyncStd.run(invite::<wormhole_async_std::Runtime>(config)),
            Self::Smol => Executor::Smol.run(invite::<wormhole_smol::Runtime>(config)),
            Self::Blocking => wormhole_blocking::transcribe::Initiator::with(config, b"")?.start(),
        }
    }

    /// Answers an introduction with this blob; answers the other side's.
    pub fn answer(self, config: Config, code: &Code, blob: &[u8]) -> Result<Vec<u8>, CoreError> {
        match self {
            Self::Tokio => Executor::tokio().run(answer::<wormhole_tokio::Runtime>(config, code, blob)),
            Self::AsyncStd => {
                Executor::AsyncStd.run(answer::<wormhole_async_std::Runtime>(config, code, blob))
            }
            Self::Smol => Executor::Smol.run(answer::<wormhole_smol::Runtime>(config, code, blob)),
            Self::Blocking => wormhole_blocking::transcribe::Receiver::with(config, code, blob)?.finish(),
        }
    }
}

async fn send<R: OnNetwork>(config: Config, content: Content, tell: Tell<Code>) -> Result<(), Error> {
    let mut sender = Sender::<R>::new(config, content)?;
    sender.allocate_code(2)?;
    // The test may have given up.
    let _ = tell.send(sender.code().await?);
    sender.finish().await
}

async fn receive<R: OnNetwork>(config: Config, code: Code, to: Destination) -> Result<Received, Error> {
    let mut receiver = Receiver::<R>::new(config)?;
    receiver.set_code(code)?;
    receiver.offer().await?;
    receiver.accept(&to)?;
    receiver.finish().await
}

async fn in_memory<R: OnNetwork>(config: Config, code: Code) -> Result<Received, Error> {
    let mut receiver = Receiver::<R>::new(config)?;
    receiver.set_code(code)?;
    receiver.offer().await?;
    receiver.accept_memory()?;
    receiver.finish().await
}

async fn initiate<R: OnNetwork>(config: Config, blob: &[u8], tell: Tell<Code>) -> Result<Vec<u8>, CoreError> {
    let mut initiator = transcribe::Initiator::<R>::with(config, blob)?;
    // The test may have given up.
    let _ = tell.send(initiator.start().await?);
    initiator.finish().await
}

async fn invite<R: OnNetwork>(config: Config) -> Result<Code, CoreError> {
    transcribe::Initiator::<R>::with(config, b"")?.start().await
}

async fn answer<R: OnNetwork>(config: Config, code: &Code, blob: &[u8]) -> Result<Vec<u8>, CoreError> {
    transcribe::Receiver::<R>::with(config, code, blob)?.finish().await
}
