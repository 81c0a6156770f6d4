//! Those who do not keep to the rules: a peer that knows the code, a server, and addresses that were named by somebody else.

mod peer;
mod room;
mod server;
mod victim;

pub use peer::{Foe, Stream};
pub use room::{Loses, room};
pub use server::{Client, LyingServer};
pub use victim::Victim;
