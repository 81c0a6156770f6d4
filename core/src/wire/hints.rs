//! Where a side can be reached, and what it can do: told to the other side before a connection is made.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::cmp::Ordering;
use core::net::Ipv6Addr;

use serde_json::{Map, Value};

use super::json::Json;
use crate::defaults::{DIRECT_HINTS, RELAY_HINTS};
use crate::driver::Address;
use crate::error::Misuse;

/// The most abilities that are read from a peer.
pub const ABILITIES: usize = 16;
/// The most addresses of one relay that are read from a peer.
pub const RELAY_ADDRESSES: usize = 8;
/// The most bytes of a host in a hint.
pub const HOST_BYTES: usize = 255;

/// A way in which a side can make a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ability {
    /// TCP to an address.
    DirectTcp,
    /// TCP through Tor.
    TorTcp,
    /// TCP to a relay.
    Relay,
    /// Something that we do not know. It is never written.
    Other,
}

/// How much a hint is preferred: the greater, the earlier. Never infinite, and always a number.
#[derive(Clone, Copy, Debug, Default)]
pub struct Priority(f64);

impl Priority {
    /// The priority, where this is a finite number.
    pub fn new(priority: f64) -> Option<Self> {
        // Adding zero makes the negative zero positive, so that equal numbers are equal.
        priority.is_finite().then_some(Self(priority + 0.0))
    }

    /// The number.
    pub const fn get(self) -> f64 {
        self.0
    }
}

impl Ord for Priority {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.total_cmp(&other.0)
    }
}

impl PartialOrd for Priority {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Priority {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Priority {}

/// A TCP address.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DirectHint {
    /// Where: printable ASCII, and a port that can be dialled, in what was read.
    pub address: Address,
    /// How much it is preferred.
    pub priority: Priority,
}

/// A place where a side can be reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hint {
    /// By TCP.
    Direct(DirectHint),
    /// By TCP through Tor.
    Tor(DirectHint),
    /// At a relay, which may have several addresses.
    Relay(Vec<DirectHint>),
}

/// What a side can do and where it can be reached.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TransitInfo {
    /// What it can do.
    pub abilities: Vec<Ability>,
    /// Where it can be reached.
    pub hints: Vec<Hint>,
}

impl TransitInfo {
    /// Reads the value of `transit`. What is not usable in it is passed over, and so is what exceeds the bounds.
    pub(crate) fn decode(value: Json<'_>) -> Option<Self> {
        let [abilities, hints] = value.fields(["abilities-v1", "hints-v1"])?;
        let mut info = Self::default();
        if let Some(list) = abilities {
            list.each(|item| {
                if info.abilities.len() < ABILITIES {
                    info.abilities.extend(ability(item));
                }
            });
        }
        if let Some(list) = hints {
            info.hints = read_hints(list);
        }
        Some(info)
    }

    /// The value of `transit`.
    pub(crate) fn encode(&self) -> Value {
        let abilities = self.abilities.iter().filter_map(|ability| {
            let kind = match ability {
                Ability::DirectTcp => "direct-tcp-v1",
                Ability::TorTcp => "tor-tcp-v1",
                Ability::Relay => "relay-v1",
                Ability::Other => return None,
            };
            Some(object([("type", kind.into())]))
        });
        let hints = self.hints.iter().map(Hint::encode);
        object([("abilities-v1", abilities.collect()), ("hints-v1", hints.collect())])
    }
}

impl Hint {
    fn encode(&self) -> Value {
        match self {
            Self::Direct(hint) => hint.encode("direct-tcp-v1"),
            Self::Tor(hint) => hint.encode("tor-tcp-v1"),
            Self::Relay(addresses) => {
                let addresses = addresses.iter().map(|hint| hint.encode("direct-tcp-v1"));
                object([("type", "relay-v1".into()), ("hints", addresses.collect())])
            }
        }
    }
}

impl DirectHint {
    fn encode(&self, kind: &str) -> Value {
        object([
            ("type", kind.into()),
            ("priority", self.priority.get().into()),
            ("hostname", self.address.host.as_str().into()),
            ("port", self.address.port.into()),
        ])
    }
}

/// Reads a relay as users write it: `tcp:HOST:PORT` or `tcp:HOST:PORT:priority=NUMBER`, an IPv6 address in brackets.
/// The empty text means no relay.
///
/// ```
/// use wormhole_core::wire::hints::parse_relay_argument;
///
/// let relay = parse_relay_argument("tcp:[::1]:4001:priority=2")?.unwrap();
/// assert_eq!(relay.address.to_string(), "[::1]:4001");
/// assert_eq!(relay.priority.get(), 2.0);
/// assert_eq!(parse_relay_argument("")?, None);
/// # Ok::<(), wormhole_core::error::Misuse>(())
/// ```
pub fn parse_relay_argument(text: &str) -> Result<Option<DirectHint>, Misuse> {
    if text.is_empty() {
        return Ok(None);
    }
    let refuse = |why: &str| Misuse::Address(format!("{text:?}: {why}"));
    let rest = text.strip_prefix("tcp:").ok_or_else(|| refuse("a relay begins with `tcp:`"))?;
    let (host, rest) = match rest.strip_prefix('[') {
        Some(bracketed) => {
            let (host, rest) = bracketed.split_once(']').ok_or_else(|| refuse("a bracket is missing"))?;
            host.parse::<Ipv6Addr>().map_err(|_| refuse("no IPv6 address stands in the brackets"))?;
            (host, rest.strip_prefix(':').ok_or_else(|| refuse("the port is missing"))?)
        }
        None => rest.split_once(':').ok_or_else(|| refuse("the port is missing"))?,
    };
    let mut parts = rest.split(':');
    let port = parts.next().and_then(|port| port.parse().ok()).filter(|port| *port != 0);
    let port = port.ok_or_else(|| refuse("the port is no number from 1 to 65535"))?;
    let host = usable_host(host).ok_or_else(|| refuse("this is no name or address of a host"))?;
    let mut priority = Priority::default();
    for number in parts.filter_map(|part| part.strip_prefix("priority=")) {
        let number = number.parse().ok().and_then(Priority::new);
        priority = number.ok_or_else(|| refuse("the priority is no number"))?;
    }
    Ok(Some(DirectHint { address: Address::new(host, port), priority }))
}

fn ability(item: Json<'_>) -> Option<Ability> {
    let [kind] = item.fields(["type"])?;
    Some(match kind?.bytes()?.as_slice() {
        b"direct-tcp-v1" => Ability::DirectTcp,
        b"tor-tcp-v1" => Ability::TorTcp,
        b"relay-v1" => Ability::Relay,
        _ => Ability::Other,
    })
}

fn read_hints(list: Json<'_>) -> Vec<Hint> {
    let mut hints = Vec::new();
    let (mut direct, mut relays) = (0_usize, 0_usize);
    list.each(|item| match hint(item) {
        Some(hint @ (Hint::Direct(_) | Hint::Tor(_))) if direct < DIRECT_HINTS => {
            direct = direct.saturating_add(1);
            hints.push(hint);
        }
        Some(hint @ Hint::Relay(_)) if relays < RELAY_HINTS => {
            relays = relays.saturating_add(1);
            hints.push(hint);
        }
        Some(Hint::Direct(_) | Hint::Tor(_) | Hint::Relay(_)) | None => {}
    });
    hints
}

fn hint(item: Json<'_>) -> Option<Hint> {
    let [kind, hints] = item.fields(["type", "hints"])?;
    match kind?.bytes()?.as_slice() {
        b"direct-tcp-v1" => address(item).map(Hint::Direct),
        b"tor-tcp-v1" => address(item).map(Hint::Tor),
        b"relay-v1" => relay(hints?),
        _ => None,
    }
}

/// The addresses of a relay, where there are any.
fn relay(list: Json<'_>) -> Option<Hint> {
    let mut addresses = Vec::new();
    list.each(|item| match hint(item) {
        Some(Hint::Direct(hint) | Hint::Tor(hint)) if addresses.len() < RELAY_ADDRESSES => {
            addresses.push(hint);
        }
        Some(Hint::Direct(_) | Hint::Tor(_) | Hint::Relay(_)) | None => {}
    })?;
    (!addresses.is_empty()).then_some(Hint::Relay(addresses))
}

fn address(item: Json<'_>) -> Option<DirectHint> {
    let [host, port, priority] = item.fields(["hostname", "port", "priority"])?;
    let host = host?.string()?;
    let port = u16::try_from(port?.number()?).ok().filter(|port| *port != 0)?;
    let priority = priority.and_then(Json::float).and_then(Priority::new).unwrap_or_default();
    Some(DirectHint { address: Address::new(usable_host(&host)?, port), priority })
}

/// A host is dialled and shown, so it is made of printable ASCII and not too long.
fn usable_host(host: &str) -> Option<&str> {
    let printable = host.bytes().all(|byte| byte.is_ascii_graphic());
    (printable && (1..=HOST_BYTES).contains(&host.len())).then_some(host)
}

/// A JSON object.
pub(crate) fn object<const N: usize>(fields: [(&str, Value); N]) -> Value {
    let fields = fields.into_iter().map(|(name, value)| (String::from(name), value));
    Value::Object(Map::from_iter(fields))
}
