//! How the program speaks: to people, quietly, or to programs. Said once, before anything else.

use std::sync::OnceLock;

static MODE: OnceLock<Mode> = OnceLock::new();

/// How the program speaks.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Mode {
    /// Nothing is said but what the user has to know.
    pub(crate) quiet: bool,
    /// Standard output is for programs, an object of JSON in each line.
    pub(crate) json: bool,
}

/// Decides it. Only the first decision counts.
pub(crate) fn choose(mode: Mode) {
    let _ = MODE.set(mode);
}

/// What was decided.
pub(crate) fn mode() -> Mode {
    MODE.get().copied().unwrap_or_default()
}
