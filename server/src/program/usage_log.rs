//! What the relay has carried, a line of JSON each, as Python's relay writes it.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

use serde::Serialize;
use wormhole_server::usage::{Usage, blurred};

/// The file that lines are added to.
#[derive(Debug)]
pub(crate) struct UsageLog {
    file: File,
    /// Moments are rounded down to a multiple of so many seconds, and sizes up; none where it is zero.
    blur: u64,
    failing: bool,
}

#[derive(Serialize)]
struct Line {
    started: f64,
    total_time: f64,
    waiting_time: Option<f64>,
    total_bytes: u64,
    mood: &'static str,
}

impl UsageLog {
    pub(crate) fn open(path: &Path, blur: u64) -> io::Result<Self> {
        let file = OpenOptions::new().append(true).create(true).open(path)?;
        Ok(Self { file, blur, failing: false })
    }

    /// Adds a line, if this is for this log.
    pub(crate) fn note(&mut self, usage: &Usage) {
        let Usage::Transit { span, bytes, mood } = usage else { return };
        let started = span.started.seconds();
        let line = Line {
            started: if self.blur == 0 { started } else { started - started % self.step() },
            total_time: span.total.as_secs_f64(),
            waiting_time: span.waiting.map(|waiting| waiting.as_secs_f64()),
            total_bytes: if self.blur == 0 { *bytes } else { blurred(*bytes) },
            mood: mood.as_str(),
        };
        // Numbers and a word can always be written down.
        let mut text = serde_json::to_string(&line).unwrap_or_default();
        text.push('\n');
        let written = self.file.write_all(text.as_bytes());
        if let Err(error) = &written
            && !self.failing
        {
            tracing::warn!(%error, "the usage log of the relay cannot be written");
        }
        self.failing = written.is_err();
    }

    const fn step(&self) -> f64 {
        std::time::Duration::from_secs(self.blur).as_secs_f64()
    }
}
