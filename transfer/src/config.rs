//! What is said about all wormholes, as a transfer's machine takes it.

use wormhole_core::error::Misuse;
use wormhole_core::transfer;
use wormhole_core::transit::Role;
use wormhole_core::wire::peer::Extras;
use wormhole_runtime::Config;

/// The configuration of a machine with this role, and what this side can do. An application that says that itself in its
/// `app_versions` decides about it; beside anything else it is added.
pub(crate) fn machine(config: &Config, role: Role) -> Result<(transfer::Config, Extras), Misuse> {
    let mut session = config.session()?;
    let told = &session.told().app_versions;
    let ours = match Extras::declared_in(told) {
        Some(ours) => ours.and(Extras::ALL),
        None => {
            let all = Extras::all_added_to(told.as_str(), role);
            session = session.app_versions(&all)?;
            Extras::declared_in(&session.told().app_versions).unwrap_or_default()
        }
    };
    let config = transfer::Config {
        session,
        relays: config.transit_relays()?,
        listen: config.listens(),
        verify: config.verifies(),
        tor: config.goes_through_tor(),
    };
    Ok((config, ours))
}
