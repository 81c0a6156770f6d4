//! The log, on standard error. At the default level nothing of a client is in it: no address, code, nameplate or mailbox.

use std::io;

use tracing::level_filters::LevelFilter;

use super::config::{Format, Level};

/// Begins to log.
pub(crate) fn begin(level: Level, format: Format) {
    let level = match level {
        Level::Error => LevelFilter::ERROR,
        Level::Warn => LevelFilter::WARN,
        Level::Info => LevelFilter::INFO,
        Level::Debug => LevelFilter::DEBUG,
        Level::Trace => LevelFilter::TRACE,
    };
    let log = tracing_subscriber::fmt().with_writer(io::stderr).with_max_level(level).with_target(false);
    match format {
        Format::Text => log.init(),
        Format::Json => log.json().flatten_event(true).init(),
    }
}
