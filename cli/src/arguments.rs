//! What can be typed behind `wormhole`, with the names, aliases and environment variables of the reference.

use std::env;
use std::ffi::OsString;
use std::path::PathBuf;

use clap::builder::{FalseyValueParser, NonEmptyStringValueParser};
use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};
use clap_complete::ArgValueCompleter;
use wormhole_core::defaults;
use wormhole_core::error::Misuse;
use wormhole_core::transfer::check_name;

use crate::completion::{self, Shell};
use crate::diagnosis::Diagnosis;
use crate::network::Network;
use crate::secret::Secret;
use crate::ssh::Ssh;
use crate::{help, qr};

/// Variable that says whether there is to be a QR code.
pub(crate) const QR_VARIABLE: &str = "WORMHOLE_QR";

/// Send text, files and directories to another computer with a short code that is read aloud.
#[derive(Debug, Parser)]
#[command(name = "wormhole", version, max_term_width = 100, disable_help_subcommand = false)]
#[command(after_long_help = help::WORMHOLE)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) common: Common,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Options of every command, before or after it.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Options of every command")]
pub(crate) struct Common {
    /// Mailbox server where both sides meet, ws://HOST:PORT/v1 or wss://HOST/v1
    #[arg(long, global = true, value_name = "URL", env = "WORMHOLE_RELAY_URL", value_parser = mailbox_url)]
    #[arg(hide_env_values = true)]
    relay_url: Option<String>,
    /// Namespace of the codes; both sides need the same
    #[arg(long, global = true, value_name = "APPID", value_parser = NonEmptyStringValueParser::new())]
    appid: Option<String>,
    #[command(flatten)]
    pub(crate) network: Network,
    #[command(flatten)]
    pub(crate) diagnosis: Diagnosis,
    /// Say nothing but the code, questions and errors
    #[arg(short, long, global = true)]
    pub(crate) quiet: bool,
    /// Say what happens in JSON, for programs
    ///
    /// Standard output has an object a line, and answers are lines of standard input. docs/json.md describes them.
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Show no progress bar
    #[arg(long, global = true)]
    pub(crate) hide_progress: bool,
    #[command(flatten)]
    pub(crate) secret: Secret,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Send a text, a file or a directory
    #[command(alias = "tx")]
    Send(Send),
    /// Receive what somebody sends
    #[command(aliases = ["rx", "recv", "recieve"])]
    Receive(Receive),
    /// Give somebody access with their SSH key, or get it with yours
    #[command(after_long_help = help::SSH)]
    Ssh(Ssh),
    /// Find out what works from here: servers, addresses, the clock
    #[command(after_long_help = help::DOCTOR)]
    Doctor,
    /// Write what makes a shell complete commands and codes
    Completions(Completions),
    /// Write a manual page
    #[command(hide = true)]
    Man(Man),
    /// Show a whole transfer on this computer, with servers of its own
    Demo(Demo),
}

/// Options of `send`.
#[derive(Debug, Args)]
#[command(after_long_help = help::SEND)]
pub(crate) struct Send {
    /// Files and directories to send; "-" is standard input. Without any and without --text, a text is asked for
    ///
    /// Several arrive as they are where the other side can do that, and in one directory elsewhere. What comes from
    /// standard input flows as it comes; where the other side must know its length, it is read into a temporary file first.
    #[arg(value_name = "PATH", conflicts_with = "text")]
    pub(crate) paths: Vec<PathBuf>,
    /// The name that it gets on the other side; of several, the directory's where one is needed
    #[arg(long, value_name = "NAME", requires = "paths", value_parser = file_name)]
    pub(crate) name: Option<String>,
    /// Text to send; "-" reads it from standard input
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    pub(crate) text: Option<OsString>,
    /// Use this code or link, made up by you or by the receiver, instead of a new code
    #[arg(long, value_name = "CODE", conflicts_with = "code_length")]
    pub(crate) code: Option<String>,
    /// Read that code from a file
    ///
    /// From its first line, so that it does not stand in the list of processes. The variable WORMHOLE_CODE does as well.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["code", "code_length"])]
    pub(crate) code_file: Option<PathBuf>,
    /// Copy the code to the clipboard
    ///
    /// By the desktop's own program (wl-copy, xclip, xsel, pbcopy, clip), else by the terminal (OSC 52).
    #[cfg(feature = "clipboard")]
    #[arg(long)]
    pub(crate) copy: bool,
    #[command(flatten)]
    pub(crate) secret: Secret,
    /// Leave out of a directory what cannot be sent, instead of sending nothing
    #[arg(long)]
    pub(crate) ignore_unsendable_files: bool,
    /// Show a QR code even where it may not look well
    ///
    /// It has the link for the other side, with the mailbox server where that is not the public one. Without this option it
    /// is shown on a terminal that is wide enough. [env: WORMHOLE_QR=true|false]
    #[arg(long, num_args = 0, default_missing_value = "1", overrides_with = "no_qr")]
    #[arg(value_parser = qr::Wish::parse)]
    qr: Option<qr::Wish>,
    /// Show no QR code
    #[arg(long, overrides_with = "qr")]
    no_qr: bool,
}

/// Options of `receive`.
#[derive(Clone, Debug, Args)]
#[command(after_long_help = help::RECEIVE)]
pub(crate) struct Receive {
    /// The sender's code or link (wormhole-transfer:...); without it, it is asked for
    #[arg(value_name = "CODE", add = ArgValueCompleter::new(completion::codes))]
    pub(crate) code: Option<String>,
    /// Read the code or link from a file
    ///
    /// From its first line, so that it does not stand in the list of processes. The variable WORMHOLE_CODE does as well.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["code", "allocate"])]
    pub(crate) code_file: Option<PathBuf>,
    /// Take a file or directory without asking
    #[arg(long, env = "WORMHOLE_ACCEPT_FILE", value_parser = FalseyValueParser::new(), action = ArgAction::SetTrue)]
    #[arg(hide_env_values = true)]
    pub(crate) accept_file: bool,
    /// Where to put it: a new name, a directory (DIR/) to put it into, a file to replace, or "-" for standard output
    ///
    /// A directory goes to standard output as the zip archive that it travels as, and a text byte for byte.
    #[arg(short, long, value_name = "PATH")]
    pub(crate) output_file: Option<PathBuf>,
    /// What to do where something of that name exists: ask, rename, overwrite or refuse
    ///
    /// `rename` puts a number into the new name, as `name (1).ext`. `overwrite` replaces a file by a file, once the new one is
    /// complete, and never a directory. Without this option a file named with -o is replaced, and otherwise you are
    /// asked; with --accept-file only on a terminal, and elsewhere what exists stays and the offer is refused.
    #[arg(long, value_name = "WHAT")]
    pub(crate) on_conflict: Option<Conflict>,
    /// Make the code on this side; the sender gives it to `send --code`
    #[arg(short, long, conflicts_with = "code")]
    pub(crate) allocate: bool,
    #[command(flatten)]
    pub(crate) secret: Secret,
    /// Take a text only, and refuse files and directories
    #[arg(short = 't', long)]
    pub(crate) only_text: bool,
}

/// What to do where something of that name exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Conflict {
    /// Ask
    Ask,
    /// Put a number into the new name
    Rename,
    /// Replace a file by a file, once the new one is complete
    Overwrite,
    /// Refuse what is offered
    Refuse,
}

/// Options of `completions`.
#[derive(Debug, Args)]
#[command(after_long_help = help::COMPLETIONS)]
pub(crate) struct Completions {
    /// The shell
    #[arg(value_name = "SHELL")]
    pub(crate) shell: Shell,
}

/// Options of `man`.
#[derive(Debug, Args)]
pub(crate) struct Man {
    /// The command that it describes; without it, the whole program
    #[arg(value_name = "COMMAND")]
    pub(crate) of: Option<String>,
}

/// Options of `demo`.
#[derive(Debug, Args)]
pub(crate) struct Demo {
    /// File or directory to send; without it, a file of 256 MiB is made up
    #[arg(value_name = "PATH")]
    pub(crate) path: Option<PathBuf>,
}

impl Command {
    /// As it is typed.
    pub(crate) const fn name(&self) -> &'static str {
        match self {
            Self::Send(_) => "send",
            Self::Receive(_) => "receive",
            Self::Ssh(_) => "ssh",
            Self::Doctor => "doctor",
            Self::Completions(_) => "completions",
            Self::Man(_) => "man",
            Self::Demo(_) => "demo",
        }
    }
}

impl Send {
    /// Whether a QR code is wanted: an option goes before the environment.
    pub(crate) fn qr(&self) -> Result<qr::Wish, String> {
        match (self.no_qr, self.qr) {
            (true, _) => Ok(qr::Wish::Never),
            (false, Some(wish)) => Ok(wish),
            (false, None) => qr::Wish::parse(&env::var(QR_VARIABLE).unwrap_or_default())
                .map_err(|why| format!("the variable {QR_VARIABLE}: {why}")),
        }
    }
}

impl Common {
    /// The same, where both sides meet at this mailbox server.
    pub(crate) fn at(&self, mailbox: String) -> Self {
        Self { relay_url: Some(mailbox), ..self.clone() }
    }

    /// The mailbox server; an empty value is none.
    pub(crate) fn mailbox(&self) -> &str {
        self.relay_url.as_deref().filter(|url| !url.is_empty()).unwrap_or(defaults::MAILBOX)
    }

    /// The namespace of text, files and directories.
    pub(crate) fn appid(&self) -> &str {
        self.appid_or(defaults::TRANSFER_APPID)
    }

    /// The namespace that is asked for, or this one.
    pub(crate) fn appid_or<'a>(&'a self, default: &'a str) -> &'a str {
        self.appid.as_deref().unwrap_or(default)
    }
}

/// A name as the other side can use it.
fn file_name(text: &str) -> Result<String, Misuse> {
    check_name(text).map(|()| text.to_owned())
}

fn mailbox_url(text: &str) -> Result<String, String> {
    let scheme = text.split(':').next().unwrap_or_default().to_ascii_lowercase();
    match scheme.as_str() {
        "" | "ws" | "wss" => Ok(text.to_owned()),
        "tcp" => Err("this is a transit relay: give it to --transit-helper. --relay-url names the mailbox \
                      server and begins with ws:// or wss://"
            .to_owned()),
        _ => Err("a mailbox server begins with ws:// or wss://".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;
    use clap::error::ErrorKind;

    use super::*;

    #[test]
    fn the_definition_is_sound() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn global_options_stand_before_or_after_the_command() {
        for line in [
            ["wormhole", "--relay-url", "ws://h:1/v1", "send", "f"],
            ["wormhole", "send", "--relay-url", "ws://h:1/v1", "f"],
            ["wormhole", "send", "f", "--relay-url", "ws://h:1/v1"],
        ] {
            assert_eq!(parse(&line).unwrap().common.mailbox(), "ws://h:1/v1");
        }
    }

    #[test]
    fn aliases_of_the_reference_are_known() {
        assert!(matches!(parse(&["wormhole", "tx", "f"]).unwrap().command, Command::Send(_)));
        for alias in ["rx", "recv", "recieve", "receive"] {
            assert!(matches!(parse(&["wormhole", alias]).unwrap().command, Command::Receive(_)));
        }
    }

    #[test]
    fn a_relay_given_as_mailbox_server_is_told_apart() {
        let error = parse(&["wormhole", "--relay-url", "tcp:h:4001", "receive"]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ValueValidation);
        assert!(error.to_string().contains("--transit-helper"));
    }

    #[test]
    fn an_empty_mailbox_server_is_the_default() {
        assert_eq!(
            parse(&["wormhole", "--relay-url", "", "send"]).unwrap().common.mailbox(),
            defaults::MAILBOX
        );
    }

    #[test]
    fn a_code_needs_words() {
        for words in ["0", "-1", "x", "65"] {
            assert!(parse(&["wormhole", "send", "-c", words, "f"]).is_err());
        }
    }

    #[test]
    fn text_and_path_exclude_each_other() {
        let error = parse(&["wormhole", "send", "--text", "hi", "f"]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ArgumentConflict);
    }

    fn parse(line: &[&str]) -> Result<Arguments, clap::Error> {
        Arguments::try_parse_from(line)
    }
}
