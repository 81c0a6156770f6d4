//! The terminal's settings while a line is edited, kept so that they can be given back.
//!
//! A prompt with completion switches the terminal to raw mode from a thread that may never come back. Whoever leaves the
//! program calls [`restore`] first. Only Unix has these settings; elsewhere there is nothing to restore. Nothing is
//! touched but for such a prompt: a program in the background that sets the terminal is stopped for it.

#[cfg(unix)]
pub(crate) use unix::{forget, remember, restore};

#[cfg(unix)]
mod unix {
    use std::fs::{File, OpenOptions};
    use std::sync::{Mutex, MutexGuard, PoisonError};

    use rustix::termios::{OptionalActions, Termios, tcgetattr, tcsetattr};

    /// The terminal as it was found, while a line is edited.
    static FOUND: Mutex<Option<(File, Termios)>> = Mutex::new(None);

    /// A line will be edited: remembers the settings of the terminal that the program runs in.
    pub(crate) fn remember() {
        let tty = OpenOptions::new().read(true).write(true).open("/dev/tty").ok();
        *found() = tty.and_then(|tty| tcgetattr(&tty).ok().map(|settings| (tty, settings)));
    }

    /// The line is there, and the editor has given the terminal back.
    pub(crate) fn forget() {
        *found() = None;
    }

    /// Gives the terminal its settings back at once, if a line is still edited.
    pub(crate) fn restore() {
        if let Some((tty, settings)) = &*found() {
            // Nothing can be done about a terminal that has gone away.
            let _ = tcsetattr(tty, OptionalActions::Now, settings);
        }
    }

    fn found() -> MutexGuard<'static, Option<(File, Termios)>> {
        FOUND.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(not(unix))]
pub(crate) const fn remember() {}

#[cfg(not(unix))]
pub(crate) const fn forget() {}

#[cfg(not(unix))]
pub(crate) const fn restore() {}
