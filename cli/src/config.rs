//! Files of settings: TOML with the names of options as keys. They say what holds where neither an option nor a variable of
//! the environment says otherwise; the user's file goes before the system's.

use std::env;
use std::fs;
use std::io::{ErrorKind, Read};
use std::ops::Range;
use std::path::{Path, PathBuf};

use clap::Command;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::arguments::QR_VARIABLE;
use crate::network::HELPER_VARIABLE;

/// The longest file that is read.
const FILE_BYTES: u64 = 64 << 10;
/// Where it lies in a directory of configurations.
const PLACE: &str = "wormhole/config.toml";
/// Names the user's file; nothing, for none at all.
const VARIABLE: &str = "WORMHOLE_CONFIG";

/// Variables that are no part of their option, and go before the file all the same.
const VARIABLES: [(&str, &str); 2] = [("transit_helper", HELPER_VARIABLE), ("qr", QR_VARIABLE)];

/// A key of the file, and the option whose default it is.
struct Setting {
    /// The table in which it stands, and so the command; the file itself for all of them.
    table: &'static str,
    key: &'static str,
    /// How the option is called inside.
    option: &'static str,
    kind: Kind,
}

#[derive(Clone, Copy)]
enum Kind {
    /// A text.
    Text,
    /// A whole number.
    Number,
    /// `true` or `false`, as the option has it.
    Switch,
    /// `true` or `false`, where the option says the opposite.
    Opposite,
}

const fn setting(table: &'static str, key: &'static str, option: &'static str, kind: Kind) -> Setting {
    Setting { table, key, option, kind }
}

/// All settings.
const SETTINGS: &[Setting] = &[
    setting("", "relay-url", "relay_url", Kind::Text),
    setting("", "transit-helper", "transit_helper", Kind::Text),
    setting("", "appid", "appid", Kind::Text),
    setting("", "proxy", "proxy", Kind::Text),
    setting("", "tor", "tor", Kind::Switch),
    setting("", "listen", "no_listen", Kind::Opposite),
    setting("", "hide-progress", "hide_progress", Kind::Switch),
    setting("", "quiet", "quiet", Kind::Switch),
    setting("send", "code-length", "code_length", Kind::Number),
    setting("send", "verify", "verify", Kind::Switch),
    setting("send", "qr", "qr", Kind::Switch),
    #[cfg(feature = "clipboard")]
    setting("send", "copy", "copy", Kind::Switch),
    setting("receive", "verify", "verify", Kind::Switch),
    setting("receive", "accept-file", "accept_file", Kind::Switch),
    setting("receive", "output-file", "output_file", Kind::Text),
    setting("receive", "on-conflict", "on_conflict", Kind::Text),
];

/// Gives the options the defaults that the files say. An error names the file and the line.
pub(crate) fn apply(command: Command) -> Result<Command, String> {
    let mut command = command;
    // The user's comes last, and so replaces what the system's says.
    for path in system().into_iter().rev().chain(user()) {
        for given in read(&path)? {
            command = given.apply(command);
        }
    }
    Ok(command)
}

/// The system's files, the most important one first.
fn system() -> Vec<PathBuf> {
    if cfg!(windows) {
        return env::var_os("PROGRAMDATA").map(|root| PathBuf::from(root).join(PLACE)).into_iter().collect();
    }
    let roots = env::var_os("XDG_CONFIG_DIRS").filter(|roots| !roots.is_empty());
    let roots = roots.unwrap_or_else(|| "/etc/xdg".into());
    env::split_paths(&roots).filter(|root| root.is_absolute()).map(|root| root.join(PLACE)).collect()
}

/// The user's file.
fn user() -> Option<PathBuf> {
    if let Some(path) = env::var_os(VARIABLE) {
        return Some(PathBuf::from(path)).filter(|path| !path.as_os_str().is_empty());
    }
    let named = |variable| env::var_os(variable).map(PathBuf::from).filter(|path| path.is_absolute());
    let root = if cfg!(windows) {
        named("APPDATA")
    } else {
        named("XDG_CONFIG_HOME").or_else(|| named("HOME").map(|home| home.join(".config")))
    };
    root.map(|root| root.join(PLACE))
}

/// A setting with its value, as the option takes it.
struct Given {
    setting: &'static Setting,
    value: String,
}

impl Given {
    fn apply(self, command: Command) -> Command {
        let Self { setting, value } = self;
        let is_said = |variable| env::var_os(variable).is_some_and(|value| !value.is_empty());
        if VARIABLES.iter().any(|(option, variable)| *option == setting.option && is_said(variable)) {
            return command;
        }
        match setting.table {
            "" => command.mut_arg(setting.option, |option| option.default_value(value)),
            table => command.mut_subcommand(table, |command| {
                command.mut_arg(setting.option, |option| option.default_value(value))
            }),
        }
    }
}

fn read(path: &Path) -> Result<Vec<Given>, String> {
    let mut text = String::new();
    let opened = fs::File::open(path).and_then(|file| file.take(FILE_BYTES + 1).read_to_string(&mut text));
    match opened {
        // No file is no setting; and what the user must not look into is none of theirs.
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            Ok(Vec::new())
        }
        Err(error) => Err(format!("{}: {error}", path.display())),
        Ok(_) if text.len() as u64 > FILE_BYTES => {
            Err(format!("{}: too long for a configuration", path.display()))
        }
        Ok(_) => parse(&text).map_err(|(at, why)| format!("{}:{}: {why}", path.display(), line(&text, at))),
    }
}

/// The settings of a file, or the byte where it is wrong, and why.
fn parse(text: &str) -> Result<Vec<Given>, (usize, String)> {
    let file = DeTable::parse(text)
        .map_err(|error| (error.span().map_or(0, |Range { start, .. }| start), error.message().to_owned()))?;
    let mut found = Vec::new();
    for (key, value) in file.get_ref() {
        let name: &str = key.get_ref();
        match value.get_ref().as_table() {
            Some(table)
                if SETTINGS.iter().any(|setting| !setting.table.is_empty() && setting.table == name) =>
            {
                for (key, value) in table {
                    found.push(one(name, key.get_ref(), key.span().start, value)?);
                }
            }
            Some(_) => return Err((key.span().start, format!("there is no table [{name}]"))),
            None => found.push(one("", name, key.span().start, value)?),
        }
    }
    Ok(found)
}

fn one(table: &str, key: &str, at: usize, value: &Spanned<DeValue<'_>>) -> Result<Given, (usize, String)> {
    let Some(setting) = SETTINGS.iter().find(|setting| setting.table == table && setting.key == key) else {
        let place = if table.is_empty() { String::new() } else { format!(" in [{table}]") };
        return Err((at, format!("there is no setting '{key}'{place}")));
    };
    let bad = |wanted: &str| (value.span().start, format!("{key} must be {wanted}"));
    let value = value.get_ref();
    let value = match setting.kind {
        Kind::Text => value.as_str().map(str::to_owned).ok_or_else(|| bad("a string"))?,
        Kind::Number => match value {
            DeValue::Integer(number) => number.as_str().to_owned(),
            DeValue::String(_)
            | DeValue::Float(_)
            | DeValue::Boolean(_)
            | DeValue::Datetime(_)
            | DeValue::Array(_)
            | DeValue::Table(_) => return Err(bad("a number")),
        },
        Kind::Switch => value.as_bool().ok_or_else(|| bad("true or false"))?.to_string(),
        Kind::Opposite => (!value.as_bool().ok_or_else(|| bad("true or false"))?).to_string(),
    };
    Ok(Given { setting, value })
}

/// The line of a byte, counted from one.
fn line(text: &str, at: usize) -> usize {
    text.bytes().take(at).filter(|byte| *byte == b'\n').count() + 1
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;
    use crate::arguments::Arguments;
    use crate::manual::MORE;

    #[test]
    fn every_setting_is_an_option() {
        let command = Arguments::command();
        for setting in SETTINGS {
            let of = match setting.table {
                "" => &command,
                table => command.find_subcommand(table).unwrap(),
            };
            let option = of.get_arguments().find(|option| option.get_id() == setting.option).unwrap();
            assert!(matches!(setting.kind, Kind::Opposite) || option.get_long() == Some(setting.key));
            assert!(MORE.contains(&setting.key.replace('-', "\\-")), "{} is not in the manual", setting.key);
        }
    }

    #[test]
    fn settings_are_read_as_the_options_take_them() {
        let text = "relay-url = \"ws://h/v1\"\nlisten = false\n[send]\ncode-length = 3\nqr = false\n";
        let found: Vec<_> =
            parse(text).unwrap().into_iter().map(|given| (given.setting.option, given.value)).collect();
        for wanted in
            [("relay_url", "ws://h/v1"), ("no_listen", "true"), ("code_length", "3"), ("qr", "false")]
        {
            assert!(found.contains(&(wanted.0, wanted.1.to_owned())), "{found:?}");
        }
        assert_eq!(found.len(), 4);
    }

    #[test]
    fn what_cannot_be_is_told_with_its_line() {
        for (text, number, why) in [
            ("quiet = true\n\ncolour = 1\n", 3, "there is no setting 'colour'"),
            ("[send]\naccept-file = true\n", 2, "there is no setting 'accept-file' in [send]"),
            ("\n[sending]\n", 2, "there is no table [sending]"),
            ("quiet = \"yes\"", 1, "quiet must be true or false"),
            ("[send]\n\ncode-length = \"3\"", 3, "code-length must be a number"),
            ("relay-url = 7", 1, "relay-url must be a string"),
        ] {
            let (at, fault) = parse(text).err().unwrap();
            assert_eq!((line(text, at), fault.as_str()), (number, why), "{text}");
        }
        assert_eq!(parse("\n\nquiet = = 1").err().map(|(at, _)| line("\n\nquiet = = 1", at)), Some(3));
    }
}
