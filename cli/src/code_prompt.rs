//! The prompt for a code, with completion of nameplates and words by the Tab key.
//!
//! The line editor blocks, so it has a thread. What it needs to know of the wormhole (the nameplates that the server
//! lists) it asks over a channel and waits for, for a bounded time. Nothing is claimed before the line is complete:
//! until then everything typed can be changed.

use std::cell::Cell;
use std::io::{self, IsTerminal};
use std::sync::mpsc;
use std::time::Duration;

use rustyline::completion::Completer;
use rustyline::error::ReadlineError;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::history::MemHistory;
use rustyline::validate::Validator;
use rustyline::{Behavior, CompletionType, Config, Context, Editor, Helper};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use wormhole_core::code::Code;
use wormhole_core::defaults::CODE_WORDS;
use wormhole_core::uri::Role;
use wormhole_core::words::complete_words;

use crate::failure::Failure;
use crate::json::Kind;
use crate::link::Invitation;
use crate::mode::mode;
use crate::prompt::{self, Question};
use crate::screen::note;
use crate::suggestion;
use crate::terminal;

const QUESTION: &str = "Enter receive wormhole code: ";

/// How long the Tab key waits for the nameplates of the server.
const COMPLETION_LIMIT: Duration = Duration::from_millis(800);

/// What comes from the prompt.
#[derive(Debug)]
pub(crate) enum Told {
    /// A whole code was typed.
    Code(Code),
    /// What was typed, where no second try makes sense, is no code.
    NoCode(Failure),
    /// The user wants the nameplates that begin like this.
    Nameplates { typed: String, answer: mpsc::Sender<Vec<String>> },
    /// The input has ended.
    Ended,
    /// Ctrl-C, which is no signal while the line is edited.
    Interrupted,
}

/// Asks for a code at this mailbox server: with an editor on a terminal, else for one line of standard input.
pub(crate) fn start(mailbox: &str) -> UnboundedReceiver<Told> {
    let (tell, told) = unbounded_channel();
    let mailbox = mailbox.to_owned();
    if io::stdin().is_terminal() && !mode().json {
        drop(prompt::on_a_thread(move || {
            let last = edit(&tell, &mailbox).unwrap_or_else(|error| Told::from(&error));
            // Nobody may be listening any more.
            let _ = tell.send(last);
        }));
    } else {
        let answer = prompt::ask(Question::new(Kind::Code, QUESTION));
        drop(prompt::on_a_thread(move || {
            let _ = tell.send(match answer.blocking_recv() {
                Ok(Some(line)) => code_of(&line, &mailbox).map_or_else(Told::NoCode, Told::Code),
                Ok(None) | Err(_) => Told::Ended,
            });
        }));
    }
    told
}

/// Edits lines until one is a code.
fn edit(tell: &UnboundedSender<Told>, mailbox: &str) -> rustyline::Result<Told> {
    let config = Config::builder()
        .behavior(Behavior::PreferTerm)
        .completion_type(CompletionType::List)
        .completion_show_all_if_ambiguous(false)
        .bracketed_paste(false)
        .build();
    let mut editor = Editor::<Completions, MemHistory>::with_history(config, MemHistory::new())?;
    editor.set_helper(Some(Completions { tell: tell.clone(), used: Cell::new(false) }));
    // What stands in the line already, to be mended.
    let mut typed = String::new();
    // Who insists on a code has made it up.
    let mut doubted = None;
    loop {
        terminal::remember();
        let line = editor.readline_with_initial(QUESTION, (&typed, ""));
        terminal::forget();
        let line = line?;
        match code_of(&line, mailbox) {
            Ok(code) => {
                let meant = suggestion::of(&code).filter(|_| doubted.as_ref() != Some(&code));
                if let Some(meant) = meant {
                    note(format_args!(" (did you mean {meant}? Press Return if so, or correct it)"));
                    typed = meant;
                    doubted = Some(code);
                    continue;
                }
                if editor.helper().is_some_and(|completions| !completions.used.get()) {
                    note(format_args!(" (note: you can use <Tab> to complete words)"));
                }
                return Ok(Told::Code(code));
            }
            Err(failure) => {
                note(format_args!(" ({})", failure.what()));
                typed = line;
            }
        }
    }
}

/// The code of what was typed: itself, or that of a link to the server at which we are already.
fn code_of(line: &str, mailbox: &str) -> Result<Code, Failure> {
    let Invitation { code, server } = Invitation::parse(line, Role::Follower)?;
    match server {
        Some(server) if server != mailbox => Err(Failure::Usage(format!(
            "this link is for the mailbox server {server}: type `wormhole receive LINK` with it"
        ))),
        Some(_) | None => Ok(code),
    }
}

impl From<&ReadlineError> for Told {
    fn from(error: &ReadlineError) -> Self {
        // Whatever else it is, no code will come from this terminal.
        if matches!(error, ReadlineError::Interrupted) { Self::Interrupted } else { Self::Ended }
    }
}

/// Completes what stands before the cursor.
struct Completions {
    tell: UnboundedSender<Told>,
    /// Whether the Tab key was found.
    used: Cell<bool>,
}

impl Completions {
    fn nameplates(&self, typed: &str) -> Vec<String> {
        let (answer, answered) = mpsc::channel();
        if self.tell.send(Told::Nameplates { typed: typed.to_owned(), answer }).is_err() {
            return Vec::new();
        }
        answered.recv_timeout(COMPLETION_LIMIT).unwrap_or_default()
    }
}

impl Completer for Completions {
    type Candidate = String;

    fn complete(&self, line: &str, pos: usize, _: &Context<'_>) -> rustyline::Result<(usize, Vec<String>)> {
        self.used.set(true);
        let typed = line.get(..pos).unwrap_or(line);
        Ok(match typed.split_once('-') {
            None => (0, self.nameplates(typed)),
            Some((nameplate, words)) => {
                // A code is written in small letters, and a Tab may as well see to that.
                (nameplate.len() + 1, complete_words(&words.to_ascii_lowercase(), CODE_WORDS))
            }
        })
    }
}

impl Helper for Completions {}
impl Highlighter for Completions {}
impl Validator for Completions {}
impl Hinter for Completions {
    type Hint = String;
}
