//! The listener: where we can be reached, and one caller after the other.
//!
//! The race tells it of every opened and closed connection, and that there is [`Room`](Input::Room) for one more
//! caller. It ends when it is stopped, breaks, or fails to accept too often.

use alloc::vec::Vec;

use crate::driver::{Address, Conn, Conns};

/// Accepts that may fail one after the other before listening is given up.
const ACCEPT_FAILURES: usize = 16;

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Input {
    /// A listener is ready.
    Listening { conn: Conn, at: Vec<Address> },
    /// A connection has come to be.
    Opened(Conn),
    /// A connection or listener has ended.
    Closed(Conn),
    /// One more caller can be heard.
    Room,
    /// Nobody is to call any longer.
    Stop,
}

/// What the race is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Output {
    /// We can be reached there; nowhere, if it is empty.
    Reachable(Vec<Address>),
    /// Wait for a caller at this listener.
    Accept { at: Conn, conn: Conn },
    /// This connection is a caller.
    Caller(Conn),
    /// Close the listener.
    Close(Conn),
}

/// Where callers come from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Listener {
    /// We do not listen, or no longer.
    #[default]
    Off,
    /// It was asked for.
    Starting { conn: Conn },
    /// It works, and waits for nobody.
    Idle { conn: Conn, failures: usize },
    /// The next caller will be `next`.
    Accepting { conn: Conn, next: Conn, failures: usize },
}

impl Listener {
    /// One input, and where it leads. A new caller gets its number from `conns`.
    pub(crate) fn step(self, input: Input, conns: &mut Conns, out: &mut Vec<Output>) -> Self {
        match self {
            Self::Off => match input {
                Input::Listening { .. } | Input::Opened(_) | Input::Closed(_) | Input::Room | Input::Stop => {
                    Self::Off
                }
            },
            Self::Starting { conn } => match input {
                Input::Listening { conn: ready, at } if ready == conn => {
                    out.push(Output::Reachable(at));
                    Self::Idle { conn, failures: 0 }
                }
                Input::Closed(closed) if closed == conn => {
                    // Nobody can call us, but we can still call.
                    out.push(Output::Reachable(Vec::new()));
                    Self::Off
                }
                Input::Stop => close(conn, out),
                Input::Listening { .. } | Input::Opened(_) | Input::Closed(_) | Input::Room => {
                    Self::Starting { conn }
                }
            },
            Self::Idle { conn, failures } => match input {
                Input::Room => {
                    let next = conns.draw();
                    out.push(Output::Accept { at: conn, conn: next });
                    Self::Accepting { conn, next, failures }
                }
                Input::Closed(closed) if closed == conn => Self::Off,
                Input::Stop => close(conn, out),
                Input::Listening { .. } | Input::Opened(_) | Input::Closed(_) => {
                    Self::Idle { conn, failures }
                }
            },
            Self::Accepting { conn, next, failures } => match input {
                Input::Opened(opened) if opened == next => {
                    out.push(Output::Caller(next));
                    Self::Idle { conn, failures: 0 }
                }
                Input::Closed(closed) if closed == next && failures >= ACCEPT_FAILURES => close(conn, out),
                Input::Closed(closed) if closed == next => {
                    Self::Idle { conn, failures: failures.saturating_add(1) }
                }
                Input::Closed(closed) if closed == conn => Self::Off,
                Input::Stop => close(conn, out),
                Input::Listening { .. } | Input::Opened(_) | Input::Closed(_) | Input::Room => {
                    Self::Accepting { conn, next, failures }
                }
            },
        }
    }
}

fn close(conn: Conn, out: &mut Vec<Output>) -> Listener {
    out.push(Output::Close(conn));
    Listener::Off
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::Table;

    #[test]
    fn it_gives_up_when_no_accept_succeeds() {
        let (mut conns, mut out) = (Conns::all(), Vec::new());
        let mut listener = Listener::Idle { conn: Conn(99), failures: 0 };
        let mut failures = 0;
        while listener != Listener::Off {
            listener = listener.step(Input::Room, &mut conns, &mut out);
            listener = listener.step(Input::Closed(Conn(failures)), &mut conns, &mut out);
            failures += 1;
        }
        assert_eq!(failures, 17);
        assert_eq!(out.last(), Some(&Output::Close(Conn(99))));
    }

    #[test]
    fn the_table_in_the_tree_is_current() {
        let (conn, next) = (Conn(1), Conn(3));
        let states = [
            ("Off", Listener::Off),
            ("Starting", Listener::Starting { conn }),
            ("Idle", Listener::Idle { conn, failures: 0 }),
            ("Accepting", Listener::Accepting { conn, next, failures: 0 }),
            ("Accepting, often failed", Listener::Accepting { conn, next, failures: ACCEPT_FAILURES }),
        ];
        let inputs = [
            ("listening", Input::Listening { conn, at: Vec::new() }),
            ("the caller opened", Input::Opened(next)),
            ("another opened", Input::Opened(Conn(5))),
            ("the caller closed", Input::Closed(next)),
            ("the listener closed", Input::Closed(conn)),
            ("another closed", Input::Closed(Conn(5))),
            ("room", Input::Room),
            ("stop", Input::Stop),
        ];
        let step = |state: Listener, input, out: &mut Vec<Output>| {
            state.step(input, &mut Conns::every(2, next.0), out)
        };
        Table {
            name: "transit-listener",
            source: "transit/listener.rs",
            about: "",
            states: states.to_vec(),
            inputs: inputs.to_vec(),
        }
        .check_named(step);
    }
}
