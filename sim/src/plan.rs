//! What a world is made of: who is in it, what they do, and what goes wrong.

use std::time::Duration;

use crate::chance::Chance;
use crate::client::{FILE_LIMIT, PATIENCE, Part};
use crate::fault::{Fault, Kind, Sort};

/// One world in so many has more than one conversation.
const CROWDED: u64 = 10;
/// In one world in so many somebody vanishes while the server is away.
const VANISHING: u64 = 40;
/// What comes on top of the waits of users: dials, goodbyes, typing.
const MARGIN: Duration = Duration::from_secs(60);

/// For how long a relay that fails is tried again: one fault passes within that, and several in a row need not.
const RELAY_PATIENCE: Duration = Duration::from_secs(31);

const FIRST_RELAY: &[&str] = &["tcp:relay:4001"];
const SECOND_RELAY: &[&str] = &["tcp:relay2:4001"];
const BOTH_RELAYS: &[&str] = &["tcp:relay:4001", "tcp:relay2:4001"];

/// What the users of a conversation want.
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

    /// Within what time of the last fault everybody has an outcome. A user waits once in vain, and where content has moved
    /// meanwhile, once more.
    pub(crate) const fn bound(self) -> Duration {
        let waits = match self {
            Self::Introduction
            | Self::Records
            | Self::Text
            | Self::Refused
            | Self::TwoSenders
            | Self::TwoReceivers => 1,
            Self::File | Self::Changed | Self::WrongCode | Self::Third => 2,
        };
        PATIENCE.saturating_mul(waits).saturating_add(MARGIN)
    }

    fn draw(chance: &mut Chance) -> Self {
        let happy = chance.pick(Self::Introduction, &[Self::Records, Self::File, Self::File, Self::Text]);
        if chance.one_in(4) { chance.pick(happy, &Self::OTHERS) } else { happy }
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
    /// The conversations, which share the servers.
    pub(crate) talks: Vec<Scenario>,
    pub(crate) users: Vec<User>,
    pub(crate) sorts: Vec<Sort>,
    pub(crate) faults: Vec<Fault>,
    pub(crate) has_second_relay: bool,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct User {
    /// Which conversation.
    pub(crate) talk: usize,
    pub(crate) part: Part,
    pub(crate) starts: Duration,
    pub(crate) types: Duration,
    pub(crate) mistaken: bool,
    pub(crate) listen: bool,
    pub(crate) firewalled: bool,
    pub(crate) relays: &'static [&'static str],
}

impl Plan {
    /// Any world.
    pub(crate) fn draw(chance: &mut Chance) -> Self {
        let scenario = Scenario::draw(chance);
        let count = chance.pick(1, &[0, 1, 2, 3]);
        let sorts = (0..count).map(|_| chance.pick(Sort::Restart, &Sort::ALONE)).collect();
        let mut plan = Self::of(scenario, sorts, chance);
        plan.enlarge(&mut chance.beside());
        plan
    }

    /// A world with one conversation and these faults.
    pub(crate) fn of(scenario: Scenario, sorts: Vec<Sort>, chance: &mut Chance) -> Self {
        let (talks, users, faults) = (Vec::new(), Vec::new(), Vec::new());
        let mut plan = Self { talks, users, sorts: Vec::new(), faults, has_second_relay: false };
        plan.add(scenario, chance);
        plan.strike(sorts, chance);
        plan
    }

    fn add(&mut self, scenario: Scenario, chance: &mut Chance) {
        let talk = self.talks.len();
        self.talks.push(scenario);
        for (index, part) in scenario.parts(chance).into_iter().enumerate() {
            let bound = chance.pick(1_000, &[20_000]);
            self.users.push(User {
                talk,
                part,
                starts: Duration::ZERO,
                types: chance.millis(bound),
                mistaken: scenario == Scenario::WrongCode && index == 1,
                listen: !chance.one_in(4),
                firewalled: chance.one_in(3),
                relays: FIRST_RELAY,
            });
        }
    }

    fn strike(&mut self, sorts: Vec<Sort>, chance: &mut Chance) {
        let (clients, talks) = (self.users.len() as u64, self.talks.len() as u64);
        self.faults.extend(sorts.iter().map(|sort| sort.draw(chance, clients, talks)));
        self.sorts.extend(sorts);
    }

    /// What few worlds have: more conversations, another relay, and what takes two faults at once.
    fn enlarge(&mut self, chance: &mut Chance) {
        if chance.one_in(CROWDED) {
            self.has_second_relay = true;
            for _ in 0..=chance.below(3) {
                let scenario = Scenario::draw(chance);
                self.add(scenario, chance);
            }
            for user in &mut self.users {
                user.relays = chance.pick(FIRST_RELAY, &[SECOND_RELAY, BOTH_RELAYS]);
                let bound = chance.pick(1, &[1_000, 10_000]);
                user.starts = chance.millis(bound);
            }
            let sorts = (0..chance.below(3)).map(|_| chance.pick(Sort::Restart, &Sort::ALONE)).collect();
            self.strike(sorts, chance);
        }
        if chance.one_in(VANISHING) {
            self.strike(vec![Sort::VanishUnseen], chance);
        }
    }

    /// Whether both sides of a conversation have to succeed in spite of the faults.
    pub(crate) fn is_mended(&self) -> bool {
        let away = || self.faults.iter().filter_map(|fault| fault.away(Kind::Relay));
        let from = away().map(|(from, _)| from).min().unwrap_or_default();
        let until = away().map(|(_, until)| until).max().unwrap_or_default();
        until.saturating_since(from) < RELAY_PATIENCE && self.sorts.iter().all(|sort| sort.is_mended())
    }

    /// Within what time of the last fault everybody has an outcome.
    pub(crate) fn bound(&self) -> Duration {
        self.talks.iter().map(|talk| talk.bound()).max().unwrap_or_default()
    }
}
