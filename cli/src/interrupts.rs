//! Ctrl-C, and the signals that ask a program to leave.

use std::future::pending;
use std::io;

#[cfg(unix)]
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Wakes whoever waits when the user, or the system, wants the program to end.
pub(crate) struct Interrupts(Option<Signals>);

impl Interrupts {
    /// From now on the signals do not kill the program, but are told here.
    pub(crate) fn listen() -> io::Result<Self> {
        Signals::listen().map(|signals| Self(Some(signals)))
    }

    /// None ever comes: for who is dropped to be ended.
    pub(crate) const fn never() -> Self {
        Self(None)
    }

    /// Waits for the next one. May be dropped half-way: none is lost.
    pub(crate) async fn next(&mut self) {
        match &mut self.0 {
            Some(signals) => signals.next().await,
            None => pending().await,
        }
    }
}

#[cfg(unix)]
struct Signals([Signal; 3]);

#[cfg(unix)]
impl Signals {
    fn listen() -> io::Result<Self> {
        Ok(Self([
            signal(SignalKind::interrupt())?,
            signal(SignalKind::terminate())?,
            signal(SignalKind::hangup())?,
        ]))
    }

    async fn next(&mut self) {
        let [interrupt, terminate, hangup] = &mut self.0;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
    }
}

/// Elsewhere there is only Ctrl-C.
#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn listen() -> io::Result<Self> {
        Ok(Self)
    }

    async fn next(&mut self) {
        if tokio::signal::ctrl_c().await.is_err() {
            pending::<()>().await;
        }
    }
}
