//! Completion in the shell, of commands, options, paths, and of codes while they are typed: the nameplates that wait at the
//! mailbox server, then words. The shell asks this program each time, by a variable of the environment.

use std::env;
use std::ffi::OsStr;
use std::io::{self, Write};
use std::time::Duration;

use clap::{CommandFactory, ValueEnum};
use clap_complete::engine::CompletionCandidate;
use clap_complete::env::{CompleteEnv, Shells};
use tokio::time::timeout;
use wormhole_core::defaults::{CODE_WORDS, MAILBOX};
use wormhole_core::words::{complete_nameplate, complete_words};
use wormhole_core::wormhole::Event as Session;
use wormhole_tokio::Nameplate;
use wormhole_tokio::transfer::{Config, Event, Receiver};

use crate::arguments::Arguments;
use crate::config;
use crate::failure::Failure;

/// By which the shell asks.
const VARIABLE: &str = "WORMHOLE_COMPLETE";
/// How long a person who pressed the Tab key waits for the server.
const PATIENCE: Duration = Duration::from_millis(1500);

/// Shells that ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Shell {
    Bash,
    Elvish,
    Fish,
    Powershell,
    Zsh,
}

impl Shell {
    const fn name(self) -> &'static str {
        match self {
            Self::Bash => "bash",
            Self::Elvish => "elvish",
            Self::Fish => "fish",
            Self::Powershell => "powershell",
            Self::Zsh => "zsh",
        }
    }
}

/// Answers the shell, and ends the program, where it is the shell that has started it.
pub(crate) fn answer() {
    if env::var_os(VARIABLE).is_some() {
        CompleteEnv::with_factory(Arguments::command).var(VARIABLE).complete();
    }
}

/// What makes a shell ask, to be read by it when it starts.
pub(crate) fn script(shell: Shell) -> Result<(), Failure> {
    let failed = |error: io::Error| Failure::Here(format!("the script cannot be written: {error}"));
    let mut script = Vec::new();
    if let Some(completer) = Shells::builtins().completer(shell.name()) {
        completer
            .write_registration(VARIABLE, "wormhole", "wormhole", "wormhole", &mut script)
            .map_err(failed)?;
    }
    let mut output = io::stdout().lock();
    output.write_all(&script).and_then(|()| output.flush()).map_err(failed)
}

/// What the code that is being typed may become.
pub(crate) fn codes(typed: &OsStr) -> Vec<CompletionCandidate> {
    let typed = typed.to_str().unwrap_or_default();
    let found = match typed.split_once('-') {
        None => {
            let known = nameplates().unwrap_or_default();
            with_next(complete_nameplate(typed, &known))
        }
        Some((nameplate, words)) => words_after(nameplate, words),
    };
    found.into_iter().map(CompletionCandidate::new).collect()
}

fn words_after(nameplate: &str, words: &str) -> Vec<String> {
    // A code is written in small letters, and a Tab may as well see to that.
    let words = words.to_ascii_lowercase();
    with_next(
        complete_words(&words, CODE_WORDS).into_iter().map(|words| format!("{nameplate}-{words}")).collect(),
    )
}

/// A shell puts a blank behind the only candidate. Where the code goes on, all that may follow stands instead of it, and the
/// shell completes as far as they agree.
fn with_next(found: Vec<String>) -> Vec<String> {
    match &found[..] {
        [only] if only.ends_with('-') => match only.split_once('-') {
            Some((nameplate, words)) => complete_words(words, CODE_WORDS)
                .into_iter()
                .map(|words| format!("{nameplate}-{words}"))
                .collect(),
            None => found,
        },
        _ => found,
    }
}

/// The nameplates that the mailbox server lists, if it does so soon.
fn nameplates() -> Option<Vec<Nameplate>> {
    let line: Vec<String> = env::args().collect();
    if is_hidden(&line, env::var_os("WORMHOLE_PROXY").is_some_and(|proxy| !proxy.is_empty())) {
        return None;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().ok()?;
    let mailbox = mailbox(&line);
    let listed = async {
        let mut receiver = Receiver::new(Config::default().mailbox(&mailbox)).ok()?;
        receiver.input_code().ok()?;
        loop {
            let event = receiver.next_event().await;
            if let Event::Session(Session::Nameplates(found)) = event {
                return Some(found);
            }
            if let Event::Closed(_) = event {
                return None;
            }
        }
    };
    runtime.block_on(async { timeout(PATIENCE, listed).await }).ok().flatten()
}

/// Whether the user wants to be seen by nobody but a proxy or Tor: then a Tab must not call the server.
fn is_hidden(line: &[String], has_proxy: bool) -> bool {
    has_proxy || line.iter().any(|argument| argument.starts_with("--tor") || argument.starts_with("--proxy"))
}

/// The mailbox server: of the line that is being typed, else of the environment, else of the files.
fn mailbox(line: &[String]) -> String {
    let typed =
        line.iter().enumerate().find_map(|(index, argument)| match argument.strip_prefix("--relay-url") {
            Some("") => line.get(index + 1).cloned(),
            Some(rest) => rest.strip_prefix('=').map(str::to_owned),
            None => None,
        });
    let default = || {
        let command = config::apply(Arguments::command()).ok()?;
        let option = command.get_arguments().find(|option| option.get_id() == "relay_url")?;
        option.get_default_values().first().map(|url| url.to_string_lossy().into_owned())
    };
    let named = typed.or_else(|| env::var("WORMHOLE_RELAY_URL").ok()).or_else(default);
    named.filter(|url| !url.is_empty()).unwrap_or_else(|| MAILBOX.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_completed_without_the_server() {
        let found = |typed: &str| {
            codes(OsStr::new(typed))
                .iter()
                .map(|one| one.get_value().to_string_lossy().into_owned())
                .collect::<Vec<_>>()
        };
        assert_eq!(found("7-ar"), ["7-armistice-", "7-article-"]);
        assert_eq!(found("7-Armistice-bab"), ["7-armistice-baboon"]);
        assert!(found("7-nothing").is_empty());
    }

    #[test]
    fn a_word_that_is_the_only_one_brings_those_that_may_follow() {
        let found = words_after("7", "armis");
        assert_eq!(found.len(), 256);
        assert!(found.iter().all(|code| code.starts_with("7-armistice-") && !code.ends_with('-')));
    }

    #[test]
    fn who_hides_is_not_given_away() {
        let line = |words: &[&str]| {
            is_hidden(&words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>(), false)
        };
        assert!(
            line(&["wormhole", "--tor", "receive", ""])
                && line(&["wormhole", "--proxy=socks5://h:1", "receive"])
        );
        assert!(!line(&["wormhole", "receive", ""]));
        assert!(is_hidden(&[], true));
    }

    #[test]
    fn the_server_is_that_of_the_line() {
        let line = |words: &[&str]| mailbox(&words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>());
        assert_eq!(line(&["wormhole", "--relay-url", "ws://h:1/v1", "receive", ""]), "ws://h:1/v1");
        assert_eq!(line(&["wormhole", "receive", "--relay-url=ws://h:2/v1"]), "ws://h:2/v1");
    }
}
