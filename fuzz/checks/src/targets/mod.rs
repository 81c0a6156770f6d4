//! The targets, a file each.

use wormhole_core::driver::Conn;
use wormhole_core::{transfer as exchange, transit, wormhole as session};
use wormhole_server::Event as ServerEvent;

use crate::world::Told;

pub mod addresses;
pub mod archive;
pub mod arrival;
pub mod code;
pub mod command;
pub mod handshake;
pub mod mailbox_server;
pub mod message_from_peer;
pub mod message_from_server;
pub mod proxy;
pub mod race;
pub mod record;
pub mod relay_line;
pub mod relay_pair;
pub mod relay_server;
pub mod schedule;
pub mod snapshot;
pub mod tls;
pub mod transcribe;
pub mod transfer;
pub mod untrusted;
pub mod upgrade;
pub mod uri;
pub mod websocket;
pub mod wormhole;

impl Told for session::Event {
    const QUIET_AT_LAST: bool = true;

    fn is_last(&self) -> bool {
        matches!(self, Self::Closed(_))
    }
}

impl Told for exchange::Event {
    const QUIET_AT_LAST: bool = true;

    fn gives_away(&self) -> Option<Conn> {
        if let Self::Settled(settled) = self { Some(settled.conn) } else { None }
    }

    fn is_last(&self) -> bool {
        matches!(self, Self::Closed(_))
    }
}

impl Told for transit::race::Event {
    const QUIET_AT_LAST: bool = true;

    fn gives_away(&self) -> Option<Conn> {
        if let Self::Settled(settled) = self { Some(settled.conn) } else { None }
    }

    fn is_last(&self) -> bool {
        matches!(self, Self::Settled(_) | Self::Failed(_))
    }
}

impl Told for ServerEvent {
    /// Who is inside is served until it leaves.
    const QUIET_AT_LAST: bool = false;

    /// What it counts is told after it has failed, too.
    fn is_last(&self) -> bool {
        match self {
            Self::Listening(_) | Self::Failed(_) | Self::Used(_) | Self::Store(_) => false,
        }
    }
}
