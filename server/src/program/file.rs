//! The file of settings: TOML, one table, the names of the flags as keys.

use std::fs;
use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::settings::{self, Fault, Given, Kind, Said, Source};

/// The longest file that is read.
const FILE_BYTES: u64 = 1 << 20;

/// Reads a file of settings.
pub(crate) fn read(path: &Path) -> Result<Said, Fault> {
    let unread = |why: &dyn std::fmt::Display| Fault::alone(format!("{}: {why}", path.display()));
    let length = fs::metadata(path).map_err(|error| unread(&error))?.len();
    if length > FILE_BYTES {
        return Err(unread(&"too long for a configuration"));
    }
    let text = fs::read_to_string(path).map_err(|error| unread(&error))?;
    parse(path, &text)
}

fn parse(path: &Path, text: &str) -> Result<Said, Fault> {
    let at = |offset: usize| Source::File { path: path.into(), line: line(text, offset) };
    let table = DeTable::parse(text).map_err(|error| {
        Fault::new(at(error.span().map_or(0, |span| span.start)), error.message().to_owned())
    })?;
    let mut said = Said::new();
    for (key, value) in table.get_ref() {
        let source = at(key.span().start);
        let Some(setting) = settings::named(key.get_ref()) else {
            return Err(Fault::new(source, format!("there is no setting {:?}", key.get_ref())));
        };
        let bad = |want: &str| Fault::new(at(value.span().start), format!("{} must be {want}", setting.name));
        let values = match setting.kind {
            Kind::Switch => match value.get_ref().as_bool() {
                Some(switch) => vec![switch.to_string()],
                None => return Err(bad("true or false")),
            },
            Kind::One(_) => vec![scalar(value).ok_or_else(|| bad("a string or a number"))?],
            Kind::Many(_) => match value.get_ref().as_array() {
                Some(array) => array.iter().map(scalar).collect::<Option<_>>(),
                None => scalar(value).map(|value| vec![value]),
            }
            .ok_or_else(|| bad("a string, or a list of them"))?,
        };
        said.insert(setting.name, Given { values, source });
    }
    Ok(said)
}

fn scalar(value: &Spanned<DeValue<'_>>) -> Option<String> {
    match value.get_ref() {
        DeValue::String(text) => Some(text.clone().into_owned()),
        DeValue::Integer(number) => {
            i64::from_str_radix(number.as_str(), number.radix()).ok().map(|number| number.to_string())
        }
        DeValue::Float(number) => Some(number.as_str().to_owned()),
        DeValue::Boolean(_) | DeValue::Datetime(_) | DeValue::Array(_) | DeValue::Table(_) => None,
    }
}

/// The line of a byte, counted from one.
fn line(text: &str, offset: usize) -> usize {
    text.bytes().take(offset).filter(|byte| *byte == b'\n').count() + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_every_kind_are_read_with_their_lines() {
        let text = "motd = \"hello\"\nmailbox = [\"localhost:0\", \"unix:/x\"]\n\ndrain-limit = 1_0\nrelay = \"a:1\"\n\
                    disallow-list = true\n";
        let said = parse(Path::new("f"), text).unwrap();
        let given = |name: &str| {
            let Given { values, source } = &said[name];
            (values.iter().map(String::as_str).collect::<Vec<_>>(), source.to_string())
        };
        assert_eq!(given("motd"), (vec!["hello"], "f:1".into()));
        assert_eq!(given("mailbox"), (vec!["localhost:0", "unix:/x"], "f:2".into()));
        assert_eq!(given("drain-limit"), (vec!["10"], "f:4".into()));
        assert_eq!(given("relay"), (vec!["a:1"], "f:5".into()));
        assert_eq!(given("disallow-list"), (vec!["true"], "f:6".into()));
    }

    #[test]
    fn what_cannot_be_is_told_with_its_line() {
        for (text, fault) in [
            ("motd = \"a\"\nmotto = 1\n", "f:2: there is no setting \"motto\""),
            ("\n\n[mailbox]\nport = 1\n", "f:3: mailbox must be a string, or a list of them"),
            ("disallow-list = \"yes\"", "f:1: disallow-list must be true or false"),
            ("motd = []", "f:1: motd must be a string or a number"),
        ] {
            assert_eq!(parse(Path::new("f"), text).unwrap_err().to_string(), fault);
        }
        let broken = parse(Path::new("f"), "motd = \"a\"\nmotd = \"b\"\n").unwrap_err().to_string();
        assert!(broken.starts_with("f:2: "), "{broken}");
        let broken = parse(Path::new("f"), "\n\nmotd = = 1\n").unwrap_err().to_string();
        assert!(broken.starts_with("f:3: "), "{broken}");
    }
}
