//! The terminal's settings, kept so that they can be given back.
//!
//! A prompt with completion switches the terminal to raw mode from a thread that may never come back. Whoever leaves
//! the program calls [`Terminal::restore`] first. Only Unix has these settings; elsewhere there is nothing to restore.

#[cfg(unix)]
pub(crate) use unix::Terminal;

#[cfg(unix)]
mod unix {
    use std::fs::{File, OpenOptions};

    use rustix::termios::{OptionalActions, Termios, tcgetattr, tcsetattr};

    /// The terminal as it was found.
    pub(crate) struct Terminal(Option<(File, Termios)>);

    impl Terminal {
        /// Remembers the settings of the terminal that the program runs in, if there is one.
        pub(crate) fn remember() -> Self {
            let found = OpenOptions::new().read(true).write(true).open("/dev/tty").ok();
            Self(found.and_then(|tty| tcgetattr(&tty).ok().map(|settings| (tty, settings))))
        }

        /// Gives the terminal its settings back, at once.
        pub(crate) fn restore(&self) {
            if let Some((tty, settings)) = &self.0 {
                // Nothing can be done about a terminal that has gone away.
                let _ = tcsetattr(tty, OptionalActions::Now, settings);
            }
        }
    }
}

/// Nothing to remember on this system.
#[cfg(not(unix))]
pub(crate) struct Terminal;

#[cfg(not(unix))]
impl Terminal {
    pub(crate) fn remember() -> Self {
        Self
    }

    pub(crate) fn restore(&self) {}
}
