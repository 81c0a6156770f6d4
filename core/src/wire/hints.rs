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

/// The addresses of a relay, where there are any. A relay within a relay is none, so that no nesting is followed.
fn relay(list: Json<'_>) -> Option<Hint> {
    let mut addresses = Vec::new();
    list.each(|item| {
        if addresses.len() < RELAY_ADDRESSES {
            addresses.extend(relay_address(item));
        }
    })?;
    (!addresses.is_empty()).then_some(Hint::Relay(addresses))
}

fn relay_address(item: Json<'_>) -> Option<DirectHint> {
    let [kind] = item.fields(["type"])?;
    match kind?.bytes()?.as_slice() {
        b"direct-tcp-v1" | b"tor-tcp-v1" => address(item),
        _ => None,
    }
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

#[cfg(test)]
mod tests {
    use alloc::string::ToString;
    use alloc::vec;

    use proptest::prelude::*;

    use super::*;
    use crate::wire::json;

    #[test]
    fn at_most_so_many_hints_are_believed() {
        let direct = r#"{"type": "direct-tcp-v1", "hostname": "h", "port": 1}"#;
        let tor = r#"{"type": "tor-tcp-v1", "hostname": "h.onion", "port": 1}"#;
        let many = |item: &str, count: usize| vec![item; count].join(",");
        let relay = format!(r#"{{"type": "relay-v1", "hints": [{}]}}"#, many(direct, 20));
        let unknown = r#"{"type": "other"}, 5, {"type": "direct-tcp-v1"}"#;
        let list = [many(unknown, 100), many(&relay, 10), many(direct, 40), many(tor, 40)].join(",");
        let abilities = many(r#"{"type": "x"}"#, 100);
        let info = decode(&format!(r#"{{"abilities-v1": [{abilities}], "hints-v1": [{list}]}}"#)).unwrap();
        assert_eq!(info.abilities, [Ability::Other; ABILITIES]);
        let relays: Vec<_> = info.hints.iter().filter(|hint| matches!(hint, Hint::Relay(_))).collect();
        assert_eq!(relays.len(), RELAY_HINTS);
        assert!(relays.iter().all(|hint| matches!(hint, Hint::Relay(all) if all.len() == RELAY_ADDRESSES)));
        assert_eq!(info.hints.len(), RELAY_HINTS + DIRECT_HINTS);
    }

    #[test]
    fn what_is_missing_or_odd_is_passed_over() {
        let empty = Some(TransitInfo::default());
        for text in
            ["{}", r#"{"abilities-v1": null, "hints-v1": null}"#, r#"{"hints-v1": {"type": "relay-v1"}}"#]
        {
            assert_eq!(decode(text), empty, "{text}");
        }
        for hint in [
            r#"{"type": "direct-tcp-v1", "hostname": "h", "port": 0}"#,
            r#"{"type": "direct-tcp-v1", "hostname": "h", "port": 65536}"#,
            r#"{"type": "direct-tcp-v1", "hostname": "h", "port": -1}"#,
            r#"{"type": "direct-tcp-v1", "hostname": "h", "port": 1.0}"#,
            r#"{"type": "direct-tcp-v1", "hostname": "", "port": 1}"#,
            r#"{"type": "direct-tcp-v1", "hostname": "a b", "port": 1}"#,
            r#"{"type": "direct-tcp-v1", "hostname": "\u001b[31m", "port": 1}"#,
            r#"{"type": "direct-tcp-v1", "hostname": "\ud800", "port": 1}"#,
            r#"{"type": "relay-v1", "hints": null}"#,
            r#"{"type": "relay-v1", "hints": [{"type": "relay-v1", "hints": []}]}"#,
        ] {
            assert_eq!(decode(&format!(r#"{{"hints-v1": [{hint}]}}"#)), empty, "{hint}");
        }
        assert_eq!(decode("[]"), None);
        assert_eq!(decode("null"), None);
    }

    #[test]
    fn relays_within_relays_are_not_followed() {
        let mut hint = String::from(r#"{"type": "direct-tcp-v1", "hostname": "h", "port": 1}"#);
        let inner = format!(r#"{{"type": "relay-v1", "hints": [{hint}]}}"#);
        assert_eq!(
            decode(&format!(r#"{{"hints-v1": [{{"type": "relay-v1", "hints": [{inner}]}}]}}"#)),
            Some(TransitInfo::default())
        );
        let depth = 20_000;
        hint = [r#"{"type":"relay-v1","hints":["#.repeat(depth), hint, "]}".repeat(depth)].concat();
        assert_eq!(decode(&format!(r#"{{"hints-v1": [{hint}]}}"#)), Some(TransitInfo::default()));
    }

    #[test]
    fn an_odd_priority_is_none() {
        for priority in ["null", "\"1\"", "1e999", "true", "-0.0"] {
            let hint =
                format!(r#"{{"type": "direct-tcp-v1", "hostname": "h", "port": 1, "priority": {priority}}}"#);
            let info = decode(&format!(r#"{{"hints-v1": [{hint}]}}"#)).unwrap();
            assert_eq!(info.hints, [Hint::Direct(direct("h", 1, 0.0))], "{priority}");
        }
    }

    #[test]
    fn hints_are_written_with_every_key() {
        let info = TransitInfo {
            abilities: vec![Ability::DirectTcp, Ability::Relay, Ability::Other],
            hints: vec![Hint::Direct(direct("::1", 7, 0.0)), Hint::Relay(vec![direct("r", 4001, 2.5)])],
        };
        assert_eq!(
            info.encode(),
            serde_json::json!({
                "abilities-v1": [{"type": "direct-tcp-v1"}, {"type": "relay-v1"}],
                "hints-v1": [
                    {"type": "direct-tcp-v1", "priority": 0.0, "hostname": "::1", "port": 7},
                    {"type": "relay-v1", "hints": [
                        {"type": "direct-tcp-v1", "priority": 2.5, "hostname": "r", "port": 4001}
                    ]}
                ]
            })
        );
    }

    #[test]
    fn a_relay_argument_is_refused_with_what_is_wrong_with_it() {
        for (text, why) in [
            ("tcp:[::1]4001", "the port is missing"),
            ("tcp:[::1", "a bracket is missing"),
            ("tcp:h:0", "the port is no number from 1 to 65535"),
            ("tcp:h:65536", "the port is no number from 1 to 65535"),
            ("tcp::4001", "this is no name or address of a host"),
            ("tcp:a b:4001", "this is no name or address of a host"),
            ("tcp:h:1:priority=nan", "the priority is no number"),
            ("tcp:h:1:priority=inf", "the priority is no number"),
            ("ws://h:1", "a relay begins with `tcp:`"),
        ] {
            let expected = Misuse::Address(format!("{text:?}: {why}"));
            assert_eq!(parse_relay_argument(text), Err(expected));
        }
    }

    #[test]
    fn priorities_are_ordered_and_finite() {
        let [low, high] = [-1.5, 2.0].map(|number| Priority::new(number).unwrap());
        assert!(low < Priority::default() && Priority::default() < high);
        assert_eq!(Priority::new(-0.0), Some(Priority::default()));
        assert_eq!([f64::NAN, f64::INFINITY, f64::NEG_INFINITY].map(Priority::new), [None; 3]);
    }

    proptest! {
        #[test]
        fn hints_are_read_as_they_were_written(
            hosts in prop::collection::vec(("[!-~]{1,20}", 1_u16.., -1e9..1e9_f64, 0..3), 0..5),
        ) {
            let hints = hosts.iter().map(|(host, port, priority, kind)| {
                let hint = direct(host, *port, *priority);
                match kind {
                    0 => Hint::Direct(hint),
                    1 => Hint::Tor(hint),
                    _ => Hint::Relay(vec![hint.clone(), hint]),
                }
            });
            let hints: Vec<_> = hints.filter({
                let mut relays = 0;
                move |hint| {
                    relays += usize::from(matches!(hint, Hint::Relay(_)));
                    relays <= RELAY_HINTS
                }
            }).collect();
            let info = TransitInfo { abilities: vec![Ability::TorTcp, Ability::Relay], hints };
            let written = json::encode(&info.encode());
            prop_assert_eq!(TransitInfo::decode(Json::parse(&written).unwrap()), Some(info));
        }

        #[test]
        fn a_relay_argument_is_what_it_says(host in "[a-z.]{1,9}", port in 1_u16.., priority in -1e9..1e9_f64) {
            let hint = parse_relay_argument(&format!("tcp:{host}:{port}:priority={priority}")).unwrap().unwrap();
            prop_assert_eq!(hint, direct(&host, port, priority));
        }

        #[test]
        fn any_relay_argument_is_taken_or_refused(text: String, odd in "tcp:[\\[\\]:a0-9=.]{0,20}") {
            let _ = (parse_relay_argument(&text), parse_relay_argument(&odd));
        }
    }

    fn decode(text: &str) -> Option<TransitInfo> {
        TransitInfo::decode(Json::parse(text.as_bytes()).unwrap())
    }

    fn direct(host: &str, port: u16, priority: f64) -> DirectHint {
        DirectHint {
            address: Address::new(host.to_string(), port),
            priority: Priority::new(priority).unwrap(),
        }
    }
}
