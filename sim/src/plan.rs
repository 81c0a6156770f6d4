//! What a world is made of: who is in it, what they do, and what goes wrong.

use std::time::Duration;

use crate::chance::Chance;
use crate::client::{FILE_LIMIT, Part};
use crate::fault::{Fault, Sort};

/// What the users of a world want.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scenario {
    /// A blob each way.
    Introduction,
    /// Records each way.
    Records,
    /// A file.
    File,
    /// A text.
    Text,
    /// A file that is not wanted.
    Refused,
    /// A file that is not as long as was said.
    Changed,
    /// Two who want to send.
    TwoSenders,
    /// Two who want to receive.
    TwoReceivers,
    /// One who is mistaken about the code.
    WrongCode,
    /// A third who has the code, too.
    Third,
}

impl Scenario {
    const OTHERS: [Self; 6] =
        [Self::Refused, Self::Changed, Self::TwoSenders, Self::TwoReceivers, Self::WrongCode, Self::Third];

    /// Whether both should succeed if nothing goes wrong.
    pub(crate) const fn is_happy(self) -> bool {
        matches!(self, Self::Introduction | Self::Records | Self::File | Self::Text)
    }

    fn parts(self, chance: &mut Chance) -> Vec<Part> {
        let bound = chance.pick(2_000, &[FILE_LIMIT]);
        let size = chance.below(bound);
        let sends = |allocate| Part::Send { allocate, size, gives: size };
        let receives = |allocate| Part::Receive { allocate, accept: true };
        match self {
            Self::Introduction => vec![Part::Initiate, Part::Join],
            Self::WrongCode => {
                let both = [[Part::Initiate, Part::Join], [sends(true), receives(false)]];
                chance.pick(both[0], &[both[1]]).to_vec()
            }
            Self::Records => {
                let records = u32::try_from(chance.below(12)).unwrap_or(0) + 1;
                vec![Part::Begin { records }, Part::Follow { records }]
            }
            Self::File => {
                let allocate = !chance.one_in(4);
                vec![sends(allocate), receives(!allocate)]
            }
            Self::Text => vec![Part::Say, receives(false)],
            Self::Refused => vec![sends(true), Part::Receive { allocate: false, accept: false }],
            Self::Changed => {
                let gives = if chance.one_in(2) { size } else { size + 2 };
                vec![Part::Send { allocate: true, size: size + 1, gives }, receives(false)]
            }
            Self::TwoSenders => vec![sends(true), sends(false)],
            Self::TwoReceivers => vec![receives(true), receives(false)],
            Self::Third => vec![sends(true), receives(false), receives(false)],
        }
    }
}

/// What a world is made of.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) scenario: Scenario,
    pub(crate) users: Vec<User>,
    pub(crate) sorts: Vec<Sort>,
    pub(crate) faults: Vec<Fault>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct User {
    pub(crate) part: Part,
    pub(crate) types: Duration,
    pub(crate) mistaken: bool,
    pub(crate) listen: bool,
    pub(crate) firewalled: bool,
}

impl Plan {
    /// Any world.
    pub(crate) fn draw(chance: &mut Chance) -> Self {
        let happy = chance.pick(
            Scenario::Introduction,
            &[Scenario::Records, Scenario::File, Scenario::File, Scenario::Text],
        );
        let scenario = if chance.one_in(4) { chance.pick(happy, &Scenario::OTHERS) } else { happy };
        let count = chance.pick(1, &[0, 1, 2, 3]);
        let sorts = (0..count).map(|_| chance.pick(Sort::Restart, &Sort::ALL)).collect();
        Self::of(scenario, sorts, chance)
    }

    /// A world with this scenario and these faults.
    pub(crate) fn of(scenario: Scenario, sorts: Vec<Sort>, chance: &mut Chance) -> Self {
        let parts = scenario.parts(chance);
        let count = parts.len();
        let mut users = Vec::new();
        for (index, part) in parts.into_iter().enumerate() {
            let bound = chance.pick(1_000, &[20_000]);
            users.push(User {
                part,
                types: chance.millis(bound),
                mistaken: scenario == Scenario::WrongCode && index == 1,
                listen: !chance.one_in(4),
                firewalled: chance.one_in(3),
            });
        }
        let faults = sorts.iter().map(|sort| sort.draw(chance, count as u64)).collect();
        Self { scenario, users, sorts, faults }
    }
}
