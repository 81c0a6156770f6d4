//! What is said about all wormholes, as a transfer's machine takes it.

use wormhole_core::error::Misuse;
use wormhole_core::transfer;
use wormhole_runtime::Config;

/// The configuration of a machine.
pub(crate) fn machine(config: &Config) -> Result<transfer::Config, Misuse> {
    Ok(transfer::Config {
        session: config.session()?,
        relays: config.transit_relays()?,
        listen: config.listens(),
        verify: config.verifies(),
        tor: config.goes_through_tor(),
    })
}
