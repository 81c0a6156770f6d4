//! What the mailbox server may not do, whatever its clients say: serve one that has not done its work, let more in from
//! one address than may be there, or ask more of the store for it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::Value;
use wormhole_core::crypto::hashcash::{Search, is_stamp};
use wormhole_core::driver::{Conn, Instant};
use wormhole_core::rng::Rng;
use wormhole_core::wire::server::FromServer;
use wormhole_server::limits::PerAddress;
use wormhole_server::mailbox::{Guard, Mailbox, Options};
use wormhole_server::store::{Ask, Request};

use super::FEW;
use crate::world::{World, host};

/// In which uses of most kinds are counted.
const WINDOW: Duration = Duration::from_secs(60);
/// Enough for the few bits that are asked for.
const TRIES: u32 = 1000;

/// What was promised and what was done.
#[derive(Debug)]
pub(super) struct Watch {
    /// Each address was limited all the time.
    limited: bool,
    list_pause: Duration,
    /// What was asked of those who have it still to do.
    demands: BTreeMap<Conn, (u32, String)>,
    /// When each client has had its last list.
    listed: BTreeMap<Conn, Instant>,
    /// How many lists and nameplates were asked of the store, for each address.
    lists: [u32; 4],
    allocates: [u32; 4],
    /// Those who were turned away.
    strangers: BTreeSet<Conn>,
}

impl Watch {
    pub(super) fn new(options: &Options) -> Self {
        Self {
            limited: options.guard.addresses == FEW,
            list_pause: options.bounds.list_pause,
            demands: BTreeMap::new(),
            listed: BTreeMap::new(),
            lists: [0; 4],
            allocates: [0; 4],
            strangers: BTreeSet::new(),
        }
    }

    /// There are other rules from now on.
    pub(super) fn guards(&mut self, guard: &Guard) {
        self.limited &= guard.addresses == FEW;
    }

    /// A stamp as was asked of this client, or nearly.
    pub(super) fn stamp(&self, of: Conn, kind: u8) -> Option<String> {
        let (bits, resource) = self.demands.get(&of)?;
        let mut rng = Rng::new([kind; 32]);
        let stamp = match kind & 3 {
            0 => Search::new(bits.saturating_sub(1), resource, &mut rng).go_on(TRIES)?,
            1 => Search::new(*bits, &format!("{resource}x"), &mut rng).go_on(TRIES)?,
            _ => Search::new(*bits, resource, &mut rng).go_on(TRIES)?,
        };
        Some(stamp)
    }

    pub(super) fn submits(&mut self, from: Conn, stamp: &str) {
        if self.demands.get(&from).is_some_and(|(bits, resource)| is_stamp(stamp, resource, *bits)) {
            self.demands.remove(&from);
        }
    }

    /// What a client was told.
    pub(super) fn said(&mut self, conn: Conn, message: &FromServer, said: &[u8]) {
        match message {
            FromServer::Welcome(welcome) => {
                if welcome.error.as_ref().is_some_and(|error| error.to_string().contains("too many")) {
                    self.strangers.insert(conn);
                }
                let said: Value = serde_json::from_slice(said).unwrap_or_default();
                let demand = said.pointer("/welcome/permission-required/hashcash");
                let bits = demand.and_then(|it| it.get("bits")?.as_u64());
                let resource = demand.and_then(|it| it.get("resource")?.as_str());
                if let (Some(bits), Some(resource)) = (bits, resource) {
                    self.demands.insert(conn, (u32::try_from(bits).unwrap_or(u32::MAX), resource.to_owned()));
                }
            }
            FromServer::Ack | FromServer::Pong | FromServer::Error(_) => {
                assert!(!self.strangers.contains(&conn), "{conn:?} was turned away and is answered");
            }
            FromServer::Nameplates(_)
            | FromServer::Allocated(_)
            | FromServer::Claimed(_)
            | FromServer::Released
            | FromServer::Message { .. }
            | FromServer::Closed
            | FromServer::Unknown => {
                assert!(!self.demands.contains_key(&conn), "{conn:?} has not done its work: {message:?}");
                assert!(!self.strangers.contains(&conn), "{conn:?} was turned away and is served");
            }
        }
    }

    /// What the store is asked for a client.
    pub(super) fn asked(&mut self, request: &Request, now: Instant) {
        let Request::Do { conn, member: _, ask } = request else { return };
        assert!(!self.demands.contains_key(conn), "{conn:?} has not done its work: {request:?}");
        let (counts, limit) = match ask {
            Ask::List => {
                let last = self.listed.insert(*conn, now);
                assert!(
                    last.is_none_or(|last| last.plus(self.list_pause) <= now),
                    "{conn:?} lists too often"
                );
                (&mut self.lists, FEW.lists)
            }
            Ask::Allocate => (&mut self.allocates, FEW.allocates),
            Ask::Claim { .. }
            | Ask::Release { .. }
            | Ask::Open { .. }
            | Ask::Add { .. }
            | Ask::Close { .. } => {
                return;
            }
        };
        let Some(count) = counts.get_mut(usize::from(host(*conn))) else { return };
        *count += 1;
        // No more windows can have begun.
        let windows = now.since_start().as_secs() / WINDOW.as_secs() + 1;
        assert!(
            !self.limited || u64::from(*count) <= windows.saturating_mul(limit.into()),
            "{count} in {windows} minutes: {request:?}"
        );
    }

    /// No address has more connections than it may have.
    pub(super) fn inside(&self, world: &World<Mailbox>) {
        let PerAddress { connections, .. } = FEW;
        let live = world.live();
        let served = |host_of: u8| {
            let of_host =
                live.iter().filter(move |conn| **conn != super::LISTENER && host(**conn) == host_of);
            of_host.filter(|conn| world.is_served(**conn)).count()
        };
        for host in 1..=3 {
            let count = served(host);
            assert!(!self.limited || count <= usize::try_from(connections).unwrap_or(0), "{count} of {host}");
        }
    }
}
