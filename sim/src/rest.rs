//! What has to hold once everybody has an outcome, or time is up.

use wormhole_core::error::{Error as CoreError, PeerFault, ServerFault, TransitFault};
use wormhole_transfer::Error;

use crate::client::{Ending, Part};
use crate::fault::Sort;
use crate::plan::{Plan, Scenario};

/// What became of a user.
#[derive(Clone, Debug)]
pub(crate) struct Fate {
    /// How it ended, unless it did not.
    pub(crate) ended: Option<Ended>,
    /// Somebody has stopped the user's computer for ever.
    pub(crate) is_stopped: bool,
}

/// How and when it ended for a user.
#[derive(Clone, Debug)]
pub(crate) struct Ended {
    pub(crate) outcome: Ending,
    /// It could give back all that it had: the server has let it go, or nothing had been in the way for long.
    pub(crate) is_heard: bool,
}

/// The first thing that does not hold; `keeps` is whether the server keeps anything of anybody.
pub(crate) fn broken(plan: &Plan, fates: &[Fate], keeps: bool) -> Option<String> {
    if let Some(user) = fates.iter().position(|fate| fate.ended.is_none() && !fate.is_stopped) {
        return Some(format!("user {user} still waits {:?} after the last fault", plan.bound()));
    }
    let broken = (0..plan.talks.len()).find_map(|talk| in_talk(plan, fates, talk));
    // Of whoever is heard, neither nameplate nor mailbox is left.
    let spared = plan.sorts.iter().all(|sort| sort.spares_mailbox());
    let heard = |fate: &Fate| !fate.is_stopped && fate.ended.as_ref().is_some_and(|ended| ended.is_heard);
    broken.or_else(|| {
        (keeps && (spared || fates.iter().all(heard)))
            .then(|| "all have closed, and the server still keeps something of them".into())
    })
}

fn in_talk(plan: &Plan, fates: &[Fate], talk: usize) -> Option<String> {
    let is_happy = plan.talks.get(talk)?.is_happy();
    let all: Vec<_> =
        plan.users.iter().zip(fates).enumerate().filter(|(_, (user, _))| user.talk == talk).collect();
    let failures = || all.iter().filter_map(|(_, (_, fate))| fate.ended.as_ref()?.outcome.as_ref().err());
    // A third who comes late with a code that was used up finds whoever has its nameplate next.
    let stray = plan.talks.len() > 1 && plan.talks.contains(&Scenario::Third);
    // Whoever cannot reach the server at all is told so at once, and does not try for long.
    let mended = plan.is_mended() && !failures().any(is_unreached) && !stray;
    let stopped = all.iter().any(|(_, (_, fate))| fate.is_stopped);
    let ignorant = failures().any(|error| is_ignorant(plan, error));
    all.iter().find_map(|(index, (user, fate))| match &fate.ended.as_ref()?.outcome {
        Err(error) if is_odd(error) => Some(format!("user {index} ended with what cannot be: {error}")),
        Err(error) if is_happy && mended => Some(format!("user {index} should have succeeded: {error}")),
        Ok(()) if is_happy && is_sender(user.part) && !stopped && ignorant => {
            Some(format!("user {index} was told of a success that the other side does not know"))
        }
        Ok(()) | Err(_) => None,
    })
}

const fn is_sender(part: Part) -> bool {
    match part {
        Part::Send { .. } | Part::Say => true,
        Part::Initiate | Part::Join | Part::Begin { .. } | Part::Follow { .. } | Part::Receive { .. } => {
            false
        }
    }
}

/// Whether a user who failed so has not done it by giving up when its clock said that it had waited for long enough.
fn is_ignorant(plan: &Plan, error: &Error) -> bool {
    let is_clock = |sort: &Sort| matches!(sort, Sort::Suspend | Sort::Jump);
    let gave_up =
        matches!(error, Error::Wormhole(CoreError::TimedOut | CoreError::Server(ServerFault::Untold)));
    !gave_up || !plan.sorts.iter().any(is_clock)
}

const fn is_unreached(error: &Error) -> bool {
    matches!(error, Error::Wormhole(CoreError::Server(ServerFault::Unreachable { .. })))
}

/// Whether this can only come from one of our own machines having done what it may not: there is nobody else.
fn is_odd(error: &Error) -> bool {
    let Error::Wormhole(error) = error else { return matches!(error, Error::NoThread) };
    match error {
        CoreError::Misuse(_) => true,
        CoreError::Server(fault) => match fault {
            ServerFault::OutOfTurn
            | ServerFault::Malformed
            | ServerFault::TooLong
            | ServerFault::TooMuchWork { .. }
            | ServerFault::UnknownPermission => true,
            ServerFault::Unreachable { .. }
            | ServerFault::Said(_)
            | ServerFault::Silent
            | ServerFault::Gone
            | ServerFault::Untold => false,
        },
        CoreError::Peer(fault) => match fault {
            PeerFault::MalformedPake
            | PeerFault::BadPake
            | PeerFault::Malformed(_)
            | PeerFault::UnknownOffer
            | PeerFault::TooMuch => true,
            PeerFault::Said(_) | PeerFault::SameRole | PeerFault::Silent(_) => false,
        },
        CoreError::Transit(fault) => match fault {
            TransitFault::BadRecord
            | TransitFault::RecordTooLong
            | TransitFault::TooMuch
            | TransitFault::WrongHash
            | TransitFault::MalformedAck => true,
            TransitFault::NoContact
            | TransitFault::TimedOut
            | TransitFault::Lost { .. }
            | TransitFault::Stalled
            | TransitFault::Unacknowledged
            | TransitFault::Unconfirmed(_)
            | TransitFault::Refused(_) => false,
        },
        CoreError::WrongCode
        | CoreError::Crowded
        | CoreError::Lonely
        | CoreError::Unwelcome(_)
        | CoreError::Cancelled
        | CoreError::TimedOut
        | CoreError::Rejected
        | CoreError::VerifierRefused
        | CoreError::Failed(_) => false,
    }
}
