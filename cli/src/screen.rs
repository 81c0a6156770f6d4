//! What the user sees: results on standard output, everything else on standard error.
//!
//! A stream that nobody reads any more is no reason to stop a transfer, so what cannot be written to standard error is
//! passed over. Where a progress bar is drawn, lines go above it.

use std::fmt::{Arguments, Display};
use std::io::{self, IsTerminal, Write};
use std::path::Path;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use terminal_size::{Width, terminal_size_of};
use wormhole_core::untrusted::Text;

use crate::json::{self, Line};
use crate::mode::mode;
use crate::sizes::Bytes;

/// Line of a progress bar, close to the reference's.
const BAR: &str = "{prefix}{percent:>3}%|{wide_bar}| {decimal_bytes}/{decimal_total_bytes} \
                   [{elapsed_precise}<{eta_precise}, {decimal_bytes_per_sec}]";

/// As [`BAR`], where only the end shows how much there is.
const UNBOUNDED: &str = "{prefix}{decimal_bytes} [{elapsed_precise}, {decimal_bytes_per_sec}]";

/// Where one side of a transfer shows itself.
pub(crate) struct Screen {
    /// Stands before each line, where one screen shows several sides.
    prefix: &'static str,
    bars: MultiProgress,
    meter: Meter,
}

/// How progress is shown.
enum Meter {
    /// Not at all.
    Hidden,
    /// As a bar that is redrawn, while there is something to show.
    Bar(Option<ProgressBar>),
    /// As a line at each quarter, for where nothing can be redrawn.
    Lines { quarters: u64 },
}

impl Screen {
    /// The screen of a program with one side. Only a terminal gets a bar.
    pub(crate) fn new(hide_progress: bool) -> Self {
        let bars = MultiProgress::with_draw_target(ProgressDrawTarget::stderr());
        let meter =
            if hide_progress || mode().quiet || bars.is_hidden() { Meter::Hidden } else { Meter::Bar(None) };
        Self { prefix: "", bars, meter }
    }

    /// The screen of one of several sides, who share `bars`. Progress is also shown where there is no terminal.
    pub(crate) fn shared(prefix: &'static str, bars: &MultiProgress, hide_progress: bool) -> Self {
        let meter = match (hide_progress, bars.is_hidden()) {
            (true, _) => Meter::Hidden,
            (false, true) => Meter::Lines { quarters: 0 },
            (false, false) => Meter::Bar(None),
        };
        Self { prefix, bars: bars.clone(), meter }
    }

    /// Shows text on standard error, each of its lines behind the prefix; not where the user wants quiet.
    pub(crate) fn note(&self, text: impl Display) {
        if !mode().quiet {
            self.say(text);
        }
    }

    /// Shows what the user has to know, as [`Screen::note`] does.
    pub(crate) fn say(&self, text: impl Display) {
        let text = text.to_string();
        self.bars.suspend(|| {
            for line in text.split('\n') {
                note(format_args!("{}{line}", self.prefix));
            }
        });
    }

    /// Writes a line to standard output that is no result.
    pub(crate) fn aside(&self, line: impl Display) -> io::Result<()> {
        if mode().quiet || mode().json { Ok(()) } else { self.result(line) }
    }

    /// Writes a line to standard output.
    pub(crate) fn result(&self, line: impl Display) -> io::Result<()> {
        if mode().json {
            return json::tell(&Line::Output { text: line.to_string() });
        }
        self.bars.suspend(|| {
            let mut output = io::stdout().lock();
            writeln!(output, "{}{line}", self.prefix)?;
            output.flush()
        })
    }

    /// Content begins to flow.
    pub(crate) fn begin(&mut self, total: u64) {
        if let Meter::Bar(bar) = &mut self.meter {
            let new = self.bars.add(ProgressBar::new(total).with_prefix(self.prefix));
            let template = if total == 0 { UNBOUNDED } else { BAR };
            // The template is a constant; a bar without it is a bar all the same.
            if let Ok(style) = ProgressStyle::with_template(template) {
                new.set_style(style.progress_chars("█▌ "));
            }
            *bar = Some(new);
        }
    }

    /// So much of the content has flown.
    pub(crate) fn at(&mut self, done: u64, total: u64) {
        match &mut self.meter {
            Meter::Hidden => {}
            Meter::Bar(bar) => {
                if let Some(bar) = bar {
                    bar.set_position(done);
                }
            }
            Meter::Lines { quarters } => {
                let now = done.saturating_mul(4).checked_div(total).unwrap_or_default();
                if now > *quarters {
                    *quarters = now;
                    self.note(format_args!("{}% of {}", now * 25, Bytes(total)));
                }
            }
        }
    }

    /// No more content will flow; the last state of a bar stays on the screen.
    pub(crate) fn end(&mut self) {
        if let Meter::Bar(bar) = &mut self.meter
            && let Some(bar) = bar.take()
        {
            bar.abandon();
        }
    }
}

/// Shows a line on standard error.
pub(crate) fn note(line: Arguments<'_>) {
    // Nobody is left to be told.
    let _ = writeln!(io::stderr().lock(), "{line}");
}

/// Text broken between words where the terminal would break it within one. What is no terminal gets it as it is.
pub(crate) fn wrapped(text: &str) -> String {
    match terminal_size_of(io::stderr()).filter(|_| io::stderr().is_terminal()) {
        Some((Width(columns), _)) => broken(text, usize::from(columns)),
        None => text.to_owned(),
    }
}

fn broken(text: &str, columns: usize) -> String {
    let mut broken = String::with_capacity(text.len() + 8);
    let mut at = 0;
    for piece in text.split_inclusive([' ', '\n']) {
        let length = piece.trim_end_matches([' ', '\n']).chars().count();
        if at > 0 && at + length > columns {
            broken.truncate(broken.trim_end_matches(' ').len());
            broken.push('\n');
            at = 0;
        }
        broken.push_str(piece);
        at = if piece.ends_with('\n') { 0 } else { at + piece.chars().count() };
    }
    broken
}

/// A path of this computer, fit for a terminal in one line.
pub(crate) fn shown(path: &Path) -> String {
    let text = Text::from(path.to_string_lossy().as_ref()).to_string();
    text.replace('\n', "\\n").replace('\t', "\\t")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_broken_between_words_and_a_longer_word_is_left_to_the_terminal() {
        assert_eq!(broken("one two three", 8), "one two\nthree");
        assert_eq!(broken("one two three", 7), "one two\nthree");
        assert_eq!(broken("one\ntwo three", 9), "one\ntwo three");
        assert_eq!(broken("ws://localhost:4000/v1 is away", 10), "ws://localhost:4000/v1\nis away");
        assert_eq!(broken("one ", 80), "one ");
    }

    #[test]
    fn a_path_cannot_steer_the_terminal() {
        let shown = shown(Path::new("/tmp/\x1b[31mred\nline"));
        assert!(!shown.contains(['\x1b', '\n']), "{shown:?}");
        assert!(shown.contains("red"));
    }
}
