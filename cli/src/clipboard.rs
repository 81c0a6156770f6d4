//! The code in the clipboard, so that it can be pasted into a message.
//!
//! A library for clipboards keeps its own connection to the display server and must outlive the program's end for others to
//! paste; the desktop's own programs do that already. Over a remote shell there is none, but the terminal itself takes text
//! for the clipboard (OSC 52). The text goes by standard input, never into the list of processes.

use std::env;
use std::io::{self, IsTerminal, Write};
use std::process::{Command, Stdio};

use data_encoding::BASE64;

use crate::prompt;
use crate::screen::note;

/// Copies the text, without holding anybody up; says so if it cannot.
pub(crate) fn copy(text: String) {
    // What becomes of it is said there.
    drop(prompt::on_a_thread(move || {
        if !by_program(&text) && !by_terminal(&text) {
            note(format_args!("No clipboard was found, so nothing was copied."));
        }
    }));
}

/// The programs that own the clipboard of this desktop.
fn programs() -> Vec<&'static [&'static str]> {
    let has = |variable| env::var_os(variable).is_some_and(|value| !value.is_empty());
    if cfg!(target_os = "macos") {
        return vec![&["pbcopy"]];
    }
    if cfg!(windows) {
        return vec![&["clip"]];
    }
    let mut found: Vec<&[&str]> = Vec::new();
    if has("WAYLAND_DISPLAY") {
        found.push(&["wl-copy"]);
    }
    if has("DISPLAY") {
        found.push(&["xclip", "-selection", "clipboard"]);
        found.push(&["xsel", "--clipboard", "--input"]);
    }
    found
}

fn by_program(text: &str) -> bool {
    programs().into_iter().any(|line| {
        let Some((program, arguments)) = line.split_first() else { return false };
        given(Command::new(program).args(arguments), text).unwrap_or(false)
    })
}

fn given(command: &mut Command, text: &str) -> io::Result<bool> {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    if let Some(mut input) = child.stdin.take() {
        input.write_all(text.as_bytes())?;
    }
    Ok(child.wait()?.success())
}

/// The terminal's own way, which works over any distance. Whether it listens cannot be known.
fn by_terminal(text: &str) -> bool {
    let mut error = io::stderr().lock();
    if !error.is_terminal() {
        return false;
    }
    write!(error, "\x1b]52;c;{}\x07", BASE64.encode(text.as_bytes())).and_then(|()| error.flush()).is_ok()
}
