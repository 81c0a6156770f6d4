//! Ctrl-C, and the signals that ask a program to leave.

#[cfg(unix)]
use std::fs;
use std::future::pending;
#[cfg(unix)]
use std::future::poll_fn;
use std::io;
#[cfg(unix)]
use std::task::Poll;

#[cfg(unix)]
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::failure::Failure;

/// Wakes whoever waits when the user, or the system, wants the program to end.
pub(crate) struct Interrupts {
    signals: Option<Signals>,
    /// Which signal came first.
    first: Option<Kind>,
}

/// A signal that asks the program to leave.
#[derive(Clone, Copy)]
enum Kind {
    /// Ctrl-C, or the terminal is gone.
    Interrupt,
    /// What an administrator sends.
    #[cfg(unix)]
    Terminate,
}

impl Interrupts {
    /// From now on the signals do not kill the program, but are told here.
    pub(crate) fn listen() -> io::Result<Self> {
        Signals::listen().map(|signals| Self { signals: Some(signals), first: None })
    }

    /// None ever comes: for who is dropped to be ended.
    pub(crate) const fn never() -> Self {
        Self { signals: None, first: None }
    }

    /// Waits for the next one. May be dropped half-way: none is lost.
    pub(crate) async fn next(&mut self) {
        let Some(signals) = &mut self.signals else { return pending().await };
        let kind = signals.next().await;
        self.first.get_or_insert(kind);
    }

    /// The failure, by the name of the signal where one is the reason.
    pub(crate) fn name(&self, failure: Failure) -> Failure {
        match (failure, self.first) {
            #[cfg(unix)]
            (Failure::Interrupted, Some(Kind::Terminate)) => Failure::Terminated,
            (failure, _) => failure,
        }
    }
}

#[cfg(unix)]
struct Signals(Vec<(Signal, Kind)>);

#[cfg(unix)]
impl Signals {
    fn listen() -> io::Result<Self> {
        let mut signals = vec![
            (signal(SignalKind::interrupt())?, Kind::Interrupt),
            (signal(SignalKind::terminate())?, Kind::Terminate),
        ];
        if !outlives_terminal() {
            signals.push((signal(SignalKind::hangup())?, Kind::Interrupt));
        }
        Ok(Self(signals))
    }

    async fn next(&mut self) -> Kind {
        poll_fn(|cx| {
            let called =
                self.0.iter_mut().find_map(|(signal, kind)| signal.poll_recv(cx).is_ready().then_some(*kind));
            called.map_or(Poll::Pending, Poll::Ready)
        })
        .await
    }
}

/// Whether we were started with `nohup`, to go on when the terminal is closed. Where the system does not tell, it may
/// have been so.
#[cfg(unix)]
fn outlives_terminal() -> bool {
    let Ok(status) = fs::read_to_string("/proc/self/status") else { return true };
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or_default();
    ignored >> (SignalKind::hangup().as_raw_value() - 1) & 1 == 1
}

/// Elsewhere there is only Ctrl-C.
#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn listen() -> io::Result<Self> {
        Ok(Self)
    }

    async fn next(&mut self) -> Kind {
        if tokio::signal::ctrl_c().await.is_err() {
            pending::<()>().await;
        }
        Kind::Interrupt
    }
}
