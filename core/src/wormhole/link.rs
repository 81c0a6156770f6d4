//! The connection to the mailbox server: dial, notice a loss, dial again later.
//!
//! Fed by the driver, through the composite. The first dial decides whether the server can be used at all; every
//! later loss is mended, after growing waits. It ends when it is told to stop, or when the first dial fails.

use alloc::vec::Vec;
use core::mem;
use core::time::Duration;

use crate::defaults::RECONNECT_LIMIT;
use crate::driver::{Conn, Conns, Instant, Why};
use crate::rng::Rng;

/// The wait after a loss; each failure since makes it half as long again.
const FIRST_WAIT: Duration = Duration::from_secs(1);
/// The random part of a wait, so that the clients of a server that restarts do not all come at once.
const JITTER_MS: u64 = 1000;

/// `Opened`, `Received` and `Closed` speak of [`Link::conn`]; what concerns another connection is not handed in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Input {
    /// At the start, and when somebody waits for the server: dial now.
    Dial,
    Opened,
    Received(Vec<u8>),
    Closed(Why),
    /// What was received has been worked off, and there is room for more.
    Room,
    Say(Vec<u8>),
    Tick,
    Stop,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Output {
    Open(Conn),
    Read(Conn),
    Write(Conn, Vec<u8>),
    Close(Conn),
    Up,
    Heard(Vec<u8>),
    Down(Why),
    /// The first dial failed: there will be no other.
    Failed(Why),
    Stopped,
}

/// What the other machines know of the link: whether the server can hear us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Line {
    Up,
    Down,
}

/// What a step may draw from.
#[derive(Debug)]
pub(crate) struct Context<'a> {
    pub(crate) now: Instant,
    pub(crate) rng: &'a mut Rng,
    pub(crate) conns: &'a mut Conns,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Link {
    state: State,
}

impl Link {
    pub(crate) fn handle(&mut self, input: Input, context: Context<'_>) -> Vec<Output> {
        let mut out = Vec::new();
        self.state = mem::take(&mut self.state).step(input, context, &mut out);
        out
    }

    pub(crate) const fn line(&self) -> Line {
        match self.state {
            State::Reading(_) | State::Resting(_) => Line::Up,
            State::Idle
            | State::First(_)
            | State::Waiting { .. }
            | State::Again { .. }
            | State::Stopping(_)
            | State::Stopped => Line::Down,
        }
    }

    /// The connection that is dialled, up or being closed.
    pub(crate) const fn conn(&self) -> Option<Conn> {
        match self.state {
            State::First(conn)
            | State::Reading(conn)
            | State::Resting(conn)
            | State::Again { conn, .. }
            | State::Stopping(conn) => Some(conn),
            State::Idle | State::Waiting { .. } | State::Stopped => None,
        }
    }

    /// A link of another process, whose connection this one does not have.
    #[cfg(feature = "serde")]
    pub(crate) const fn restored(reached: Reached) -> Self {
        let state = match reached {
            Reached::Never => State::Idle,
            Reached::Once => State::Waiting { until: Instant::START, failures: 0 },
            Reached::Over => State::Stopped,
        };
        Self { state }
    }

    /// How far it has come, whatever connection it has.
    #[cfg(feature = "serde")]
    pub(crate) const fn reached(&self) -> Reached {
        match self.state {
            State::Idle | State::First(_) => Reached::Never,
            State::Reading(_)
            | State::Resting(_)
            | State::Waiting { .. }
            | State::Again { .. }
            | State::Stopping(_) => Reached::Once,
            State::Stopped => Reached::Over,
        }
    }

    pub(crate) const fn deadline(&self) -> Option<Instant> {
        match self.state {
            State::Waiting { until, .. } => Some(until),
            State::Idle
            | State::First(_)
            | State::Reading(_)
            | State::Resting(_)
            | State::Again { .. }
            | State::Stopping(_)
            | State::Stopped => None,
        }
    }

    /// How it stands, for a trace.
    pub(super) fn state(&self) -> &impl core::fmt::Debug {
        &self.state
    }
}

/// What a link is to another process that goes on with it.
#[cfg(feature = "serde")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) enum Reached {
    /// The server was never reached.
    Never,
    /// It was, and may be again.
    Once,
    /// It is over.
    Over,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Idle,
    /// The first dial.
    First(Conn),
    /// Up, and a read is under way.
    Reading(Conn),
    /// Up, and nothing is read until there is room.
    Resting(Conn),
    /// Lost; so many dials have failed since it was up.
    Waiting {
        until: Instant,
        failures: u32,
    },
    /// A later dial.
    Again {
        conn: Conn,
        failures: u32,
    },
    Stopping(Conn),
    Stopped,
}

impl State {
    fn step(self, input: Input, context: Context<'_>, out: &mut Vec<Output>) -> Self {
        match self {
            Self::Idle => match input {
                Input::Dial => Self::First(open(context, out)),
                Input::Stop => stopped(out),
                Input::Opened
                | Input::Received(_)
                | Input::Closed(_)
                | Input::Room
                | Input::Say(_)
                | Input::Tick => Self::Idle,
            },
            Self::First(conn) => match input {
                Input::Opened => up(conn, out),
                Input::Closed(why) => {
                    out.push(Output::Failed(why));
                    Self::Stopped
                }
                Input::Stop => stop(conn, out),
                Input::Dial | Input::Received(_) | Input::Room | Input::Say(_) | Input::Tick => {
                    Self::First(conn)
                }
            },
            Self::Reading(conn) | Self::Resting(conn) => self.while_up(conn, input, context, out),
            Self::Waiting { until, failures } => match input {
                Input::Dial => Self::Again { conn: open(context, out), failures },
                Input::Tick if context.now >= until => Self::Again { conn: open(context, out), failures },
                Input::Stop => stopped(out),
                Input::Opened
                | Input::Received(_)
                | Input::Closed(_)
                | Input::Room
                | Input::Say(_)
                | Input::Tick => Self::Waiting { until, failures },
            },
            Self::Again { conn, failures } => match input {
                Input::Opened => up(conn, out),
                Input::Closed(_) => wait(failures.saturating_add(1), context),
                Input::Stop => stop(conn, out),
                Input::Dial | Input::Received(_) | Input::Room | Input::Say(_) | Input::Tick => {
                    Self::Again { conn, failures }
                }
            },
            Self::Stopping(conn) => match input {
                Input::Closed(_) => stopped(out),
                Input::Dial
                | Input::Opened
                | Input::Received(_)
                | Input::Room
                | Input::Say(_)
                | Input::Tick
                | Input::Stop => Self::Stopping(conn),
            },
            Self::Stopped => {
                if input == Input::Stop {
                    out.push(Output::Stopped);
                }
                Self::Stopped
            }
        }
    }

    fn while_up(self, conn: Conn, input: Input, context: Context<'_>, out: &mut Vec<Output>) -> Self {
        match input {
            Input::Received(bytes) => {
                out.push(Output::Heard(bytes));
                Self::Resting(conn)
            }
            Input::Room if self == Self::Resting(conn) => {
                out.push(Output::Read(conn));
                Self::Reading(conn)
            }
            Input::Say(bytes) => {
                out.push(Output::Write(conn, bytes));
                self
            }
            Input::Closed(why) => {
                out.push(Output::Down(why));
                wait(0, context)
            }
            Input::Stop => stop(conn, out),
            Input::Dial | Input::Opened | Input::Room | Input::Tick => self,
        }
    }
}

fn open(context: Context<'_>, out: &mut Vec<Output>) -> Conn {
    let conn = context.conns.draw();
    out.push(Output::Open(conn));
    conn
}

fn up(conn: Conn, out: &mut Vec<Output>) -> State {
    out.push(Output::Up);
    State::Resting(conn)
}

fn stop(conn: Conn, out: &mut Vec<Output>) -> State {
    out.push(Output::Close(conn));
    State::Stopping(conn)
}

fn stopped(out: &mut Vec<Output>) -> State {
    out.push(Output::Stopped);
    State::Stopped
}

/// `min(1.5^failures, 60)` seconds, and up to one more (`docs/server-protocol.md`, "Reconnection").
fn wait(failures: u32, context: Context<'_>) -> State {
    let mut wait = FIRST_WAIT;
    for _ in 0..failures {
        if wait >= RECONNECT_LIMIT {
            break;
        }
        wait = wait.saturating_mul(3) / 2;
    }
    let jitter = Duration::from_millis(context.rng.below(JITTER_MS));
    State::Waiting { until: context.now.plus(wait.min(RECONNECT_LIMIT).saturating_add(jitter)), failures }
}

#[cfg(test)]
mod tests {
    use alloc::format;
    use alloc::vec;

    use super::*;
    use crate::table::Table;
    use crate::wormhole::samples::rng;

    const CONN: Conn = Conn(7);

    #[test]
    fn the_table_is_as_written() {
        let inputs = vec![
            Input::Dial,
            Input::Opened,
            Input::Received(b"{}".to_vec()),
            Input::Closed(Why::Reset),
            Input::Room,
            Input::Say(b"{}".to_vec()),
            Input::Tick,
            Input::Stop,
        ];
        let states = [
            State::Idle,
            State::First(CONN),
            State::Reading(CONN),
            State::Resting(CONN),
            State::Waiting { until: after(1), failures: 2 },
            State::Waiting { until: after(100), failures: 2 },
            State::Again { conn: CONN, failures: 2 },
            State::Stopping(CONN),
            State::Stopped,
        ];
        Table {
            name: "link",
            source: "wormhole/link.rs",
            about: "The clock stands at 10 s. Waits have a random part of up to a second.",
            states: states.map(|state| Link { state }).to_vec(),
            inputs,
        }
        .check(
            |it| format!("{:?}", it.state),
            |input| format!("{input:?}"),
            |it, input| step(it, input, 10),
        );
    }

    #[test]
    fn the_first_dial_decides_and_is_not_repeated() {
        let mut link = Link::default();
        assert_eq!(step(&mut link, Input::Dial, 0), [Output::Open(Conn(0))]);
        assert_eq!(step(&mut link, Input::Closed(Why::Refused), 1), [Output::Failed(Why::Refused)]);
        assert_eq!(link.deadline(), None);
        assert_eq!(step(&mut link, Input::Stop, 2), [Output::Stopped]);
    }

    #[test]
    fn waits_grow_to_a_minute_and_begin_anew_after_a_success() {
        let mut link = Link { state: State::Reading(CONN) };
        let mut now = 0;
        let mut waits = Vec::new();
        for _ in 0..14 {
            step(&mut link, Input::Closed(Why::Reset), now);
            let wait = link.deadline().unwrap().saturating_since(after(now));
            waits.push(wait.as_millis());
            assert_eq!(step(&mut link, Input::Tick, now), []);
            now += wait.as_secs() + 1;
            assert_eq!(step(&mut link, Input::Tick, now), [Output::Open(Conn(0))]);
        }
        let least = [1000, 1500, 2250, 3375, 5062, 7593, 11390, 17085, 25628, 38443, 57665, 60000, 60000];
        for (wait, least) in waits.into_iter().zip(least) {
            assert!((least..=least + 1000).contains(&wait), "{wait} ms instead of {least}");
        }
        assert_eq!(step(&mut link, Input::Opened, now), [Output::Up]);
        step(&mut link, Input::Closed(Why::Reset), now);
        assert!(link.deadline().unwrap() <= after(now + 2));
    }

    #[test]
    fn nothing_is_read_until_there_is_room() {
        let mut link = Link { state: State::Reading(CONN) };
        let heard = step(&mut link, Input::Received(b"{}".to_vec()), 0);
        assert_eq!(heard, [Output::Heard(b"{}".to_vec())]);
        assert_eq!(step(&mut link, Input::Tick, 1), []);
        assert_eq!(step(&mut link, Input::Room, 1), [Output::Read(CONN)]);
        assert_eq!(step(&mut link, Input::Room, 1), []);
    }

    #[test]
    fn a_stopped_link_is_not_mended() {
        let mut link = Link { state: State::Waiting { until: after(5), failures: 1 } };
        assert_eq!(step(&mut link, Input::Stop, 1), [Output::Stopped]);
        assert_eq!(step(&mut link, Input::Tick, 9), []);

        let mut link = Link { state: State::Reading(CONN) };
        assert_eq!(step(&mut link, Input::Stop, 1), [Output::Close(CONN)]);
        assert_eq!(step(&mut link, Input::Closed(Why::Asked), 1), [Output::Stopped]);
    }

    fn step(link: &mut Link, input: Input, now: u64) -> Vec<Output> {
        let context = Context { now: after(now), rng: &mut rng(), conns: &mut Conns::all() };
        link.handle(input, context)
    }

    fn after(seconds: u64) -> Instant {
        Instant::after_start(Duration::from_secs(seconds))
    }
}
