//! Every name that an application may want to write down. Each adapter has all of them, so that an application depends on
//! one crate.

pub use wormhole_core::code::{Code, Nameplate};
pub use wormhole_core::crypto::{Secret, Verifier};
pub use wormhole_core::defaults::Limits;
pub use wormhole_core::driver::{Address, Why};
pub use wormhole_core::error::{
    Awaited, CodeFault, Error, Misuse, Mood, PeerFault, ServerFault, SnapshotFault, TransitFault,
};
pub use wormhole_core::transit::Path;
pub use wormhole_core::untrusted::{Name, Text};
pub use wormhole_core::wire::RawJson;
pub use wormhole_core::wire::hints::{DirectHint, Hint, Priority};
pub use wormhole_core::wire::peer::Versions;
pub use wormhole_core::wire::server::{Demand, Welcome};
pub use wormhole_core::wormhole::{Event, RECORD_BYTES};

pub use crate::config::Config;
pub use crate::network::{Network, Roots};
pub use crate::proxied::Proxy;
pub use crate::status::{CodeStatus, KeyStatus, LinkStatus, Status};
pub use crate::wormhole::Exchange;
#[cfg(feature = "serde")]
pub use crate::wormhole::Snapshot;
