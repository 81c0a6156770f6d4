//! Text, a file or a directory, from one [`Sender`] to one [`Receiver`]: the conversation about it, and the way to
//! the connection on which the content flows. The content itself is the business of whoever drives these machines.
//!
//! ```text
//! sender                                       receiver
//!   code, key, verifier        <---------->      code, key, verifier
//!   transit, offer             ---------->       Offered
//!                              <----------       transit, accept() -> answer
//!   Answered
//!   Settled                    ==========>       Settled        content, as transit records
//!   finish(Ok)                 <==========       finish(Ok)     acknowledgement
//!   Closed                                       Closed
//! ```
//!
//! # How it ends
//!
//! [`Event::Closed`] is the last event and comes exactly once. The first verdict counts:
//!
//! - The peer's `error`, at any time, also while content flows.
//! - Whatever ends it on our side is said to the peer first, provided that its key is confirmed, and for a bounded
//!   time we wait until the server has stored it. Where all we know is that the connection is gone, we also wait a
//!   moment for the peer's own words, and take them instead.
//! - **Once the connection has settled, the mailbox is a convenience.** If its server goes away, or fails for good,
//!   the content goes on and `finish` decides; what was acknowledged is a success even if nobody is left to say
//!   goodbye to. Before that, a server that fails for good ends the transfer.
//! - Nothing waits for ever but for the peer's coming, its user's decision, and ours.

mod ending;
mod exchange;
mod offer;
mod receiver;
mod sender;

use alloc::vec::Vec;

pub use self::offer::{Offer, check_name};
pub use self::receiver::Receiver;
pub use self::sender::Sender;
use crate::defaults;
use crate::error::{Error, Misuse};
use crate::transit::Settled;
use crate::wire::hints::{DirectHint, TransitInfo, parse_relay_argument};
use crate::wire::peer;
use crate::wormhole;

/// How a transfer is to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The session: application id, mailbox server, what we say about ourselves.
    pub session: wormhole::Config,
    /// Our transit relays. None of our own still leaves us those of the peer.
    pub relays: Vec<DirectHint>,
    /// Whether we listen for the peer.
    pub listen: bool,
    /// Whether our user compares verifiers before anything is offered, shown or answered.
    pub verify: bool,
    /// Whether whoever dials for us goes through Tor.
    pub tor: bool,
}

impl Config {
    /// The public servers, listening, no comparison of verifiers.
    pub fn new() -> Result<Self, Misuse> {
        Ok(Self {
            session: wormhole::Config::new(defaults::TRANSFER_APPID)?,
            relays: parse_relay_argument(defaults::RELAY)?.into_iter().collect(),
            listen: true,
            verify: false,
            tor: false,
        })
    }
}

/// What a transfer tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// What the session tells: all but its records and its end. With [`Config::verify`],
    /// [`Verifier`](wormhole::Event::Verifier) asks for `confirm_verifier`.
    Session(wormhole::Event),
    /// Receiver: this is offered; `accept` or `refuse`.
    Offered(peer::Offer),
    /// Sender: the peer accepts.
    Answered,
    /// Where the peer is told that we can be reached.
    OurHints(TransitInfo),
    /// Where the peer says that it can be reached.
    TheirHints(TransitInfo),
    /// Content may flow. The driver takes the connection; the machine never touches it again.
    Settled(Settled),
    /// The last event.
    Closed(Result<(), Error>),
}
