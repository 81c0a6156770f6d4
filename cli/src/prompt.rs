//! Questions to the user. Each is asked on a plain thread of its own, so that the conversation with the other side goes
//! on meanwhile and the program can leave while nobody answers.

use std::fs::OpenOptions;
use std::future::pending;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::thread;

use tokio::sync::oneshot;

use crate::json::{self, Kind};
use crate::mode::mode;

/// The longest line that is taken as an answer.
const LINE_LIMIT: u64 = 1 << 20;

/// The terminal of the user, whatever the standard streams are.
const TERMINAL: &str = if cfg!(windows) { "CON" } else { "/dev/tty" };

/// An answer that is awaited: the line without its end, or `None` where the input has ended.
pub(crate) type Answer = oneshot::Receiver<Option<String>>;

/// A question, as people see it, and what it is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Question {
    kind: Kind,
    text: String,
}

impl Question {
    pub(crate) fn new(kind: Kind, text: impl Into<String>) -> Self {
        Self { kind, text: text.into() }
    }
}

impl From<String> for Question {
    fn from(text: String) -> Self {
        Self::new(Kind::Other, text)
    }
}

/// Asks on standard error, where no result is written, and reads one line of standard input. A program is asked, and
/// answers, in JSON.
pub(crate) fn ask(question: impl Into<Question>) -> Answer {
    let Question { kind, text } = question.into();
    on_a_thread(move || {
        if mode().json {
            return json::ask(kind, text.trim_end(), LINE_LIMIT);
        }
        let mut error = io::stderr().lock();
        // A question that nobody can see is still answered by a pipe.
        let _ = write!(error, "{text}").and_then(|()| error.flush());
        drop(error);
        line()
    })
}

/// Asks on the terminal of the user, where standard input is for something else.
pub(crate) fn ask_terminal(question: impl Into<Question>) -> Answer {
    let Question { text, .. } = question.into();
    on_a_thread(move || {
        let mut terminal = OpenOptions::new().read(true).write(true).open(TERMINAL).ok()?;
        write!(terminal, "{text}").ok()?;
        line_of(&mut BufReader::new(terminal))
    })
}

/// Whether there is a terminal to ask on.
pub(crate) fn has_terminal() -> bool {
    OpenOptions::new().read(true).write(true).open(TERMINAL).is_ok()
}

/// Runs what may block for ever on a thread that nobody waits for. Its end without a result closes the channel.
pub(crate) fn on_a_thread<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> oneshot::Receiver<T> {
    let (done, result) = oneshot::channel();
    let work = move || {
        // Nobody may be listening any more.
        let _ = done.send(work());
    };
    // Where no thread can be had, the channel closes, which reads as the end of the input.
    drop(thread::Builder::new().name("prompt".to_owned()).spawn(work));
    result
}

/// Waits for the answer to what was asked; for ever where nothing was. May be dropped half-way.
pub(crate) async fn answered(asked: &mut Option<Answer>) -> Option<String> {
    let Some(answer) = asked else { return pending().await };
    // A thread that cannot answer is the end of the input.
    let line = answer.await.unwrap_or_default();
    *asked = None;
    line
}

/// The next line of standard input.
fn line() -> Option<String> {
    line_of(&mut io::stdin().lock())
}

fn line_of(input: &mut impl BufRead) -> Option<String> {
    let mut bytes = Vec::new();
    let read = input.take(LINE_LIMIT).read_until(b'\n', &mut bytes).ok()?;
    if read == 0 {
        return None;
    }
    let text = String::from_utf8(bytes).ok()?;
    Some(text.trim_end_matches(['\n', '\r']).to_owned())
}

/// What an answer to `ok? [y/N]` means.
pub(crate) fn agrees(line: Option<&str>) -> bool {
    line.is_some_and(|line| ["y", "yes"].contains(&line.trim().to_ascii_lowercase().as_str()))
}

/// What an answer to `ok? (Y/n)` means.
pub(crate) fn accepts(answer: Option<&str>) -> bool {
    answer.is_some_and(|line| {
        let line = line.trim();
        line.is_empty() || line.starts_with(['y', 'Y'])
    })
}

/// What an answer to `(yes/no)` means; `None` where it has to be asked again.
pub(crate) fn confirms(answer: Option<&str>) -> Option<bool> {
    let Some(line) = answer else { return Some(false) };
    match line.trim().to_ascii_lowercase().as_str() {
        "yes" => Some(true),
        "no" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_line_and_every_word_with_y_accept() {
        for line in ["", " ", "y", "Y", "yes", "Yep"] {
            assert!(accepts(Some(line)), "{line:?}");
        }
    }

    #[test]
    fn everything_else_and_the_end_of_the_input_refuse() {
        for line in [Some("n"), Some("no"), Some("ok"), Some("q"), None] {
            assert!(!accepts(line), "{line:?}");
        }
    }

    #[test]
    fn what_is_dangerous_needs_a_plain_yes() {
        assert!(agrees(Some("y")) && agrees(Some(" YES ")));
        assert!([Some(""), Some("yep"), Some("n"), None].iter().all(|line| !agrees(*line)));
    }

    #[test]
    fn a_verifier_needs_a_whole_word() {
        assert_eq!(confirms(Some("YES ")), Some(true));
        assert_eq!(confirms(Some("no")), Some(false));
        assert_eq!(confirms(Some("y")), None);
        assert_eq!(confirms(Some("")), None);
        assert_eq!(confirms(None), Some(false));
    }
}
