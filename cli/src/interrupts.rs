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
struct Signals(Vec<Signal>);

#[cfg(unix)]
impl Signals {
    fn listen() -> io::Result<Self> {
        let mut signals = vec![signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?];
        if !outlives_terminal() {
            signals.push(signal(SignalKind::hangup())?);
        }
        Ok(Self(signals))
    }

    async fn next(&mut self) {
        poll_fn(|cx| {
            let called = self.0.iter_mut().any(|signal| signal.poll_recv(cx).is_ready());
            if called { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
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

    async fn next(&mut self) {
        if tokio::signal::ctrl_c().await.is_err() {
            pending::<()>().await;
        }
    }
}
