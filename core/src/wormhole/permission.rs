//! The permission: what stands between a connection and `bind`, the server's welcome and the work that it may ask for.
//!
//! Fed by the link and the server. The work is a search in slices, one a tick, so that everything else goes on meanwhile.
//! It ends with its connection, and begins anew with the next one.

use alloc::string::String;
use alloc::vec::Vec;
use core::mem;
use core::time::Duration;

use super::link::Line;
use crate::crypto::hashcash::Search;
use crate::defaults::WORK_BITS;
use crate::driver::Instant;
use crate::error::ServerFault;
use crate::rng::Rng;
use crate::wire::server::Demand;

/// Stamps that are tried in one go: some milliseconds of work.
const SLICE: u32 = 1 << 15;
/// What all else has between two slices, so that it does not starve.
const PAUSE: Duration = Duration::from_millis(1);

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Input {
    LinkUp,
    LinkDown,
    /// The welcome of the server, with what it asks for.
    Welcome(Option<Demand>),
    Tick,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Output {
    Submit(String),
    /// From now on the server listens.
    Granted,
    /// It asks for something that we do not do.
    Impossible(ServerFault),
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Permission {
    state: State,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
enum State {
    /// There is no connection, or none that leads anywhere.
    #[default]
    Away,
    /// The welcome has not come.
    Strange,
    /// The next slice begins then.
    Working(Search, Instant),
    Granted,
}

impl Permission {
    pub(crate) fn handle(&mut self, input: Input, now: Instant, rng: &mut Rng) -> Vec<Output> {
        let mut out = Vec::new();
        self.state = mem::take(&mut self.state).step(input, now, rng, &mut out);
        out
    }

    /// Whether the server listens to commands.
    pub(crate) const fn line(&self) -> Line {
        match self.state {
            State::Granted => Line::Up,
            State::Away | State::Strange | State::Working(..) => Line::Down,
        }
    }

    /// When it goes on with its work, if it is at work.
    pub(crate) const fn deadline(&self) -> Option<Instant> {
        match self.state {
            State::Working(_, at) => Some(at),
            State::Away | State::Strange | State::Granted => None,
        }
    }

    /// How it stands, for a trace.
    pub(super) fn state(&self) -> &impl core::fmt::Debug {
        &self.state
    }
}

impl State {
    fn step(self, input: Input, now: Instant, rng: &mut Rng, out: &mut Vec<Output>) -> Self {
        match self {
            Self::Away => match input {
                Input::LinkUp => Self::Strange,
                Input::LinkDown | Input::Welcome(_) | Input::Tick => Self::Away,
            },
            Self::Strange => match input {
                Input::Welcome(None) => granted(out),
                Input::Welcome(Some(Demand::Hashcash { bits, resource })) if bits <= WORK_BITS => {
                    Self::Working(Search::new(bits, &resource, rng), now)
                }
                Input::Welcome(Some(demand)) => {
                    out.push(Output::Impossible(match demand {
                        Demand::Hashcash { bits, resource: _ } => ServerFault::TooMuchWork { bits },
                        Demand::Other => ServerFault::UnknownPermission,
                    }));
                    Self::Away
                }
                Input::LinkDown => Self::Away,
                Input::LinkUp | Input::Tick => Self::Strange,
            },
            Self::Working(mut search, at) => match input {
                Input::Tick if at <= now => match search.go_on(SLICE) {
                    Some(stamp) => {
                        out.push(Output::Submit(stamp));
                        granted(out)
                    }
                    None => Self::Working(search, now.plus(PAUSE)),
                },
                Input::LinkDown => Self::Away,
                Input::LinkUp => Self::Strange,
                Input::Welcome(_) | Input::Tick => Self::Working(search, at),
            },
            Self::Granted => match input {
                Input::LinkUp => Self::Strange,
                Input::LinkDown => Self::Away,
                Input::Welcome(_) | Input::Tick => Self::Granted,
            },
        }
    }
}

fn granted(out: &mut Vec<Output>) -> State {
    out.push(Output::Granted);
    State::Granted
}

#[cfg(test)]
mod tests {
    use alloc::format;
    use alloc::vec;

    use super::*;
    use crate::crypto::hashcash::is_stamp;
    use crate::table::Table;
    use crate::wormhole::samples::rng;

    #[test]
    fn the_table_is_as_written() {
        let inputs = vec![
            Input::LinkUp,
            Input::LinkDown,
            Input::Welcome(None),
            Input::Welcome(Some(hashcash(1))),
            Input::Welcome(Some(hashcash(WORK_BITS + 1))),
            Input::Welcome(Some(Demand::Other)),
            Input::Tick,
        ];
        let states = [State::Away, State::Strange, working(1, 10), working(1, 11), State::Granted];
        Table {
            name: "permission",
            source: "wormhole/permission.rs",
            about: "The clock stands at 10 s. The work is one bit, which one slice is enough for.",
            states: states.map(|state| Permission { state }).to_vec(),
            inputs,
        }
        .check(show_state, |input| format!("{input:?}"), |it, input| step(it, input, 10));
    }

    #[test]
    fn the_work_goes_on_slice_by_slice_and_all_else_has_its_time_between() {
        let mut machine = Permission { state: State::Strange };
        assert_eq!(step(&mut machine, Input::Welcome(Some(hashcash(19))), 1), []);
        let mut slices = 0;
        let stamp = loop {
            let now = machine.deadline().unwrap();
            slices += 1;
            match &*machine.handle(Input::Tick, now, &mut rng()) {
                [] => assert_eq!(machine.deadline(), Some(now.plus(PAUSE))),
                [Output::Submit(stamp), Output::Granted] => break stamp.clone(),
                other => panic!("{other:?}"),
            }
            assert_eq!(machine.handle(Input::Tick, now, &mut rng()), [], "too early");
        };
        assert!(is_stamp(&stamp, "resource", 19) && slices > 1, "{stamp} {slices}");
        assert_eq!((machine.line(), machine.deadline()), (Line::Up, None));
    }

    #[test]
    fn work_for_a_connection_that_is_gone_is_given_up() {
        let mut machine = Permission { state: working(20, 0) };
        assert_eq!(step(&mut machine, Input::LinkDown, 1), []);
        assert_eq!((machine.line(), machine.deadline()), (Line::Down, None));
    }

    fn show_state(machine: &Permission) -> String {
        match &machine.state {
            State::Working(_, at) => format!("Working, on at {} s", at.since_start().as_secs()),
            state @ (State::Away | State::Strange | State::Granted) => format!("{state:?}"),
        }
    }

    fn hashcash(bits: u32) -> Demand {
        Demand::Hashcash { bits, resource: "resource".into() }
    }

    fn working(bits: u32, at: u64) -> State {
        State::Working(Search::new(bits, "resource", &mut rng()), after(at))
    }

    fn step(machine: &mut Permission, input: Input, now: u64) -> Vec<Output> {
        machine.handle(input, after(now), &mut rng())
    }

    fn after(seconds: u64) -> Instant {
        Instant::after_start(Duration::from_secs(seconds))
    }
}
