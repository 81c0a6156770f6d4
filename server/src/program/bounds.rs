//! The limits, as they are configured.

use std::time::Duration;

use wormhole_core::driver::Terms;
use wormhole_core::rng::{Rng, Seed};
use wormhole_server::limits::{Bounds, COMMAND_BYTES, PerAddress};
use wormhole_server::mailbox::{Guard, Work};
use wormhole_server::store::Limits;

use super::config::Reader;
use super::settings::Fault;

/// No stamp of more bits is found in a day.
const MOST_BITS: u32 = 32;
/// The most digits of a number that is counted with.
const MOST_DIGITS: u32 = 18;

/// Who is let in; it can change while the program runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Guarding {
    /// Attack mode.
    pub(crate) attack: bool,
    attack_bits: u32,
    permission_bits: u32,
    mailbox: PerAddress,
    relay: PerAddress,
}

impl Guarding {
    pub(crate) fn new(said: &Reader<'_>) -> Result<Self, Fault> {
        let bits = |name| said.within(name, 0..=MOST_BITS);
        Ok(Self {
            attack: said.need("attack")?,
            attack_bits: bits("attack-bits")?,
            permission_bits: bits("permission-bits")?,
            mailbox: PerAddress {
                connections: said.limit("address-connections")?,
                connects: said.limit("address-connects")?,
                allocates: said.limit("address-allocates")?,
                claims: said.limit("address-claims")?,
                joins: said.limit("address-joins")?,
                lists: said.limit("address-lists")?,
            },
            relay: PerAddress {
                connections: said.limit("relay-address-connections")?,
                ..PerAddress::default()
            },
        })
    }

    /// Who is let in to the mailbox server; what is asked of clients is drawn from the seed.
    pub(crate) fn mailbox(&self, seed: Seed) -> Guard {
        let bits =
            if self.attack { self.attack_bits.max(self.permission_bits) } else { self.permission_bits };
        Guard {
            addresses: self.of(&self.mailbox),
            work: (bits > 0).then(|| Work { bits, chance: Rng::new(seed) }),
        }
    }

    /// Who is let in to the relay.
    pub(crate) fn relay(&self) -> PerAddress {
        self.of(&self.relay)
    }

    fn of(&self, addresses: &PerAddress) -> PerAddress {
        if self.attack { addresses.tightened() } else { addresses.clone() }
    }
}

/// What one connection to the mailbox server may cost.
pub(crate) fn bounds(said: &Reader<'_>) -> Result<Bounds, Fault> {
    let most = u32::try_from(COMMAND_BYTES).unwrap_or(u32::MAX);
    let message = said.within("message-bytes", 0..=most)?;
    Ok(Bounds {
        // More than this does not come in at all.
        command_bytes: if message == 0 { COMMAND_BYTES } else { count(message) },
        name_bytes: count(said.limit("name-bytes")?),
        id_bytes: count(said.limit("id-bytes")?),
        nesting: count(said.limit("nesting")?),
        orig_bytes: count(said.limit("orig-bytes")?),
        queue_bytes: count(said.limit("send-buffer")?),
        list_pause: said.seconds("list-pause")?,
    })
}

/// What the store of the mailbox server holds.
pub(crate) fn store(said: &Reader<'_>) -> Result<Limits, Fault> {
    Ok(Limits {
        nameplates: count(said.limit("app-nameplates")?),
        mailboxes: count(said.limit("all-mailboxes")?),
        bytes: match said.need::<u64>("all-bytes")? {
            0 => usize::MAX,
            bytes => usize::try_from(bytes).unwrap_or(usize::MAX),
        },
        nameplate_digits: said.within("nameplate-digits", 1..=MOST_DIGITS)?,
        nameplate_rest: said.seconds("nameplate-rest")?,
        mailbox_messages: count(said.limit("mailbox-messages")?),
        mailbox_bytes: count(said.limit("mailbox-bytes")?),
        expiry: said.some_seconds("mailbox-expiry")?,
    })
}

/// What the relay grants a pair.
pub(crate) fn terms(said: &Reader<'_>) -> Result<Terms, Fault> {
    let some = |count: u64| (count > 0).then_some(count);
    Ok(Terms {
        idle: Some(said.seconds("relay-idle-timeout")?).filter(|idle| !idle.is_zero()),
        bytes_per_second: some(said.need("relay-pair-rate")?),
        bytes: some(said.need("relay-pair-bytes")?),
    })
}

/// A time after which something ends; of nothing, it never does.
pub(crate) fn time(said: &Reader<'_>, name: &str) -> Result<Duration, Fault> {
    let seconds = said.seconds(name)?;
    Ok(if seconds.is_zero() { Duration::MAX } else { seconds })
}

/// How many clients of one side may wait with one token.
pub(crate) fn waiters(said: &Reader<'_>) -> Result<usize, Fault> {
    said.limit("relay-waiters").map(count)
}

/// What is no limit in the one type is none in the other.
fn count(limit: u32) -> usize {
    if limit == u32::MAX { usize::MAX } else { usize::try_from(limit).unwrap_or(usize::MAX) }
}
