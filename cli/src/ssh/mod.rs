//! `wormhole ssh`: one side invites, the other accepts by giving it a public key, which lets it in from then on.
//!
//! On the wire it is the transfer of a text under an application id of its own, so that `wormhole receive` cannot take
//! the key.

mod accept;
#[cfg(unix)]
mod authorized;
#[cfg(unix)]
mod invite;
mod key;
mod people;

use std::path::PathBuf;

use clap::{Args, Subcommand};
use wormhole_tokio::transfer::Config;

use crate::arguments::Common;
use crate::failure::Failure;
use crate::interrupts::Interrupts;
use crate::secret::Secret;
use crate::sides::{self, or_interrupted};

const APPID: &str = "lothar.com/wormhole/ssh-add";

/// Options of `ssh`.
#[derive(Debug, Args)]
pub(crate) struct Ssh {
    #[command(subcommand)]
    command: Command,
}

/// Which side of the exchange.
#[derive(Debug, Subcommand)]
enum Command {
    /// Let somebody in: take a public key, and add it to the authorized keys of this computer
    Invite(Invite),
    /// Be let in: send a public key to who has invited you
    Accept(Accept),
}

/// Options of `ssh invite`.
#[derive(Debug, Args)]
struct Invite {
    /// Whose authorized keys; your own, without it
    #[arg(short, long, value_name = "USER")]
    user: Option<String>,
    /// Add the key without asking
    #[arg(short, long)]
    yes: bool,
    #[command(flatten)]
    secret: Secret,
}

/// Options of `ssh accept`.
#[derive(Debug, Args)]
struct Accept {
    /// The code of the invitation
    #[arg(value_name = "CODE")]
    code: Option<String>,
    /// The public key, or a directory with public keys; ~/.ssh, without it
    #[arg(short = 'F', long, value_name = "PATH")]
    key_file: Option<PathBuf>,
    /// Send the key without asking
    #[arg(short, long)]
    yes: bool,
    #[command(flatten)]
    secret: Secret,
}

/// `wormhole ssh`.
pub(crate) async fn run(common: &Common, options: &Ssh, interrupts: &mut Interrupts) -> Result<(), Failure> {
    match &options.command {
        #[cfg(unix)]
        Command::Invite(options) => invite::run(common, options, interrupts).await,
        #[cfg(not(unix))]
        Command::Invite(_) => Err(Failure::Here(
            "who may come in is listed in another way on this system: only others can invite".to_owned(),
        )),
        Command::Accept(options) => accept::run(common, options, interrupts).await,
    }
}

async fn config(common: &Common, secret: &Secret, interrupts: &mut Interrupts) -> Result<Config, Failure> {
    or_interrupted(interrupts, sides::config(common, common.appid_or(APPID), secret.verify)).await?
}
