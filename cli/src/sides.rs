//! What the sending and the receiving side share: their configuration, and how they leave.

use std::future::Future;
use std::time::Duration;

use wormhole_core::wormhole;
use wormhole_tokio::transfer::Config;

use crate::arguments::Common;
use crate::failure::Failure;
use crate::interrupts::Interrupts;

/// How long a side that was interrupted may say goodbye. A second is what a user waits for.
pub(crate) const LEAVE_LIMIT: Duration = Duration::from_millis(700);

/// The command line as the transfer takes it.
pub(crate) fn config(common: &Common, verify: bool) -> Result<Config, Failure> {
    let session = wormhole::Config::new(&common.appid).map_err(|fault| Failure::Usage(fault.to_string()))?;
    let relay = common.relay().map_err(Failure::Usage)?;
    Ok(Config {
        session: session.mailbox(common.mailbox()),
        relays: relay.into_iter().collect(),
        listen: !common.no_listen,
        verify,
    })
}

/// What the future comes to, unless the user wants to leave first.
pub(crate) async fn or_interrupted<T>(
    interrupts: &mut Interrupts,
    work: impl Future<Output = T>,
) -> Result<T, Failure> {
    tokio::select! {
        biased;
        () = interrupts.next() => Err(Failure::Interrupted),
        result = work => Ok(result),
    }
}
