//! Text and names that came from elsewhere. None is printed or used as a path before it passed one of these types.
//!
//! JSON can hold lone surrogates, and Python sends them in names that are not UTF-8. So what comes is kept as bytes,
//! in WTF-8, and each lone surrogate is shown as U+FFFD.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::{self, Write};
use core::str;

/// The most characters of a text in an error's one line.
pub const SHORT_CHARS: usize = 300;
/// The most characters of a name that are shown.
pub const NAME_CHARS: usize = 300;
/// The most bytes of one component of a path.
pub const NAME_BYTES: usize = 255;
/// The most bytes of a path in an archive.
pub const PATH_BYTES: usize = 4096;
/// The most components of a path in an archive.
pub const PATH_DEPTH: usize = 128;

/// A text of the peer or of a server. `Display` is the only way out to a terminal.
///
/// It keeps line ends and tabs and escapes every other control character, and those that turn the direction of
/// writing.
///
/// ```
/// use wormhole_core::untrusted::Text;
///
/// assert_eq!(Text::from("red: \x1b[31m\nnext line").to_string(), "red: \\x1b[31m\nnext line");
/// ```
#[derive(Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Text(Vec<u8>);

impl Text {
    /// Bytes as the wire had them: UTF-8, or WTF-8 where JSON held lone surrogates.
    pub const fn from_wire(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    /// The bytes as they came, which are not fit for a terminal.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The text with U+FFFD for what no string can hold, which is not fit for a terminal.
    pub fn to_unicode(&self) -> String {
        Chars(&self.0).collect()
    }

    /// The text in one line of bounded length, for an error.
    pub fn short(&self) -> Short<'_> {
        Short(self)
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Self(text.as_bytes().to_vec())
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Chars(&self.0).try_for_each(|char| match char {
            '\n' | '\t' => f.write_char(char),
            char => write_harmless(f, char),
        })
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Text(\"{}\")", self.short())
    }
}

/// A [`Text`] in one line: cut after [`SHORT_CHARS`], and line ends are spaces.
#[derive(Clone, Copy, Debug)]
pub struct Short<'a>(&'a Text);

impl fmt::Display for Short<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_cut(f, Chars(&self.0.0), SHORT_CHARS, |f, char| match char {
            '\n' | '\t' => f.write_char(' '),
            char => write_harmless(f, char),
        })
    }
}

/// The name of a file or directory, as the peer has it. Only [`Name::safe`] leads to the file system.
///
/// `Display` is fit for a terminal and for quotes: control characters, quotes and backslashes are escaped.
#[derive(Clone, PartialEq, Eq)]
pub struct Name(Vec<u8>);

impl Name {
    /// Bytes as the wire had them: UTF-8, or WTF-8 where JSON held lone surrogates.
    pub const fn from_wire(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    /// The bytes as they came.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The name with U+FFFD for what no string can hold, which is not fit for a terminal or a path.
    pub fn to_unicode(&self) -> String {
        Chars(&self.0).collect()
    }

    /// What the file or directory may be called here: the last component, whatever the separator.
    ///
    /// ```
    /// use wormhole_core::untrusted::{BadName, Name};
    ///
    /// assert_eq!(Name::from("../../etc/passwd").safe()?.as_str(), "passwd");
    /// assert_eq!(Name::from("new\nline").safe()?.as_str(), "new_line");
    /// assert_eq!(Name::from("..").safe(), Err(BadName::Dots));
    /// # Ok::<(), BadName>(())
    /// ```
    pub fn safe(&self) -> Result<SafeName, BadName> {
        let name = self.to_unicode();
        let last = name.rsplit(['/', '\\']).next().unwrap_or_default();
        SafeName::new(last, System::HERE)
    }
}

impl From<&str> for Name {
    fn from(name: &str) -> Self {
        Self(name.as_bytes().to_vec())
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_cut(f, Chars(&self.0), NAME_CHARS, |f, char| match char {
            '\'' | '"' | '\\' => write!(f, "\\{char}"),
            char => write_harmless(f, char),
        })
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Name(\"{self}\")")
    }
}

/// One component of a path, which can be created in a directory and shown on a terminal.
///
/// It is not empty, `.` or `..`, has at most [`NAME_BYTES`], and holds no separator and no control character. Where
/// the system reserves names or characters, it holds none of them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SafeName(String);

impl SafeName {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Takes one component. What can be made harmless is rewritten, with `_`; all else is refused.
    fn new(name: &str, system: System) -> Result<Self, BadName> {
        match name {
            "" => return Err(BadName::Empty),
            "." | ".." => return Err(BadName::Dots),
            _ if name.contains('\0') => return Err(BadName::Nul),
            _ => {}
        }
        let name = match system {
            System::Posix => name.replace(|char| is_harmful(char) || is_separator(char), "_"),
            System::Windows => fit_for_windows(name),
        };
        if name.len() > NAME_BYTES { Err(BadName::TooLong) } else { Ok(Self(name)) }
    }
}

impl fmt::Display for SafeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// The place of an archive's entry, below the directory that is unpacked into.
///
/// No components at all mean that directory itself. Two paths that differ may become the same by what is
/// rewritten in their names, so create without replacing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SafePath {
    components: Vec<SafeName>,
    is_directory: bool,
}

impl SafePath {
    /// Takes the name of an entry. `..`, absolute names, drive letters, backslashes and empty components are refused;
    /// a slash or `.` at the end means a directory; `.` is passed over.
    pub fn parse(entry: &[u8]) -> Result<Self, BadName> {
        Self::parse_on(System::HERE, entry)
    }

    /// The components, from the top.
    pub fn components(&self) -> &[SafeName] {
        &self.components
    }

    /// Whether the entry is a directory by its name.
    pub const fn is_directory(&self) -> bool {
        self.is_directory
    }

    fn parse_on(system: System, entry: &[u8]) -> Result<Self, BadName> {
        if entry.len() > PATH_BYTES {
            return Err(BadName::TooLong);
        }
        let path: String = Chars(entry).collect();
        match path.as_bytes() {
            [] => return Err(BadName::Empty),
            [b'/', ..] => return Err(BadName::Absolute),
            _ if path.contains('\\') => return Err(BadName::Backslash),
            _ => {}
        }
        let (inner, is_directory) = path.strip_suffix('/').map_or((path.as_str(), false), |it| (it, true));
        let mut named = inner.split('/').filter(|component| *component != ".").peekable();
        if named.peek().is_some_and(|first| has_drive(first)) {
            return Err(BadName::Absolute);
        }
        let components: Vec<_> =
            named.map(|component| SafeName::new(component, system)).collect::<Result<_, _>>()?;
        if components.len() > PATH_DEPTH {
            return Err(BadName::TooDeep);
        }
        let is_directory = is_directory || inner.rsplit('/').next() == Some(".");
        Ok(Self { components, is_directory })
    }
}

impl fmt::Display for SafePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.components.iter().enumerate().try_for_each(|(index, name)| {
            let separator = if index == 0 { "" } else { "/" };
            write!(f, "{separator}{name}")
        })
    }
}

/// Why a name cannot be used here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadName {
    /// It, or a component of it, is empty.
    Empty,
    /// It, or a component of it, is `.` or `..`.
    Dots,
    /// It contains NUL.
    Nul,
    /// It is longer than a file system takes.
    TooLong,
    /// It begins at a root or a drive.
    Absolute,
    /// It contains a backslash.
    Backslash,
    /// It has too many components.
    TooDeep,
}

impl fmt::Display for BadName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "the name is empty",
            Self::Dots => "the name leads out of the directory",
            Self::Nul => "the name contains NUL",
            Self::TooLong => "the name is too long",
            Self::Absolute => "the name is absolute",
            Self::Backslash => "the name contains a backslash",
            Self::TooDeep => "the name has too many components",
        })
    }
}

impl core::error::Error for BadName {}

/// Whose rules for names hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum System {
    Posix,
    Windows,
}

impl System {
    const HERE: Self = if cfg!(windows) { Self::Windows } else { Self::Posix };
}

/// Rewrites what Windows reserves: characters, dots and spaces at the end, and the names of devices, which hold with
/// any extension.
fn fit_for_windows(name: &str) -> String {
    let reserved = |char| is_harmful(char) || is_separator(char) || "<>:\"|?*".contains(char);
    let mut fit = name.replace(reserved, "_");
    let kept = fit.trim_end_matches(['.', ' ']).len();
    let trailing = fit.len().saturating_sub(kept);
    fit.truncate(kept);
    fit.extend(core::iter::repeat_n('_', trailing));
    let stem = fit.split('.').next().unwrap_or_default().trim_end().to_uppercase();
    let numbered = ["COM", "LPT"].iter().find_map(|device| stem.strip_prefix(device));
    let is_number = |rest: &str| {
        let mut chars = rest.chars();
        chars.next().is_some_and(|char| "123456789\u{b9}\u{b2}\u{b3}".contains(char))
            && chars.next().is_none()
    };
    let is_device = ["CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$"].contains(&stem.as_str());
    if is_device || numbered.is_some_and(is_number) {
        fit.insert(0, '_');
    }
    fit
}

const fn is_separator(char: char) -> bool {
    matches!(char, '/' | '\\')
}

const fn has_drive(path: &str) -> bool {
    matches!(path.as_bytes(), [letter, b':', ..] if letter.is_ascii_alphabetic())
}

/// Control characters (C0, DEL and C1), line and paragraph separators, and what turns the direction of writing or marks it:
/// with any of these a line on a terminal can show something else than it is.
pub fn is_harmful(char: char) -> bool {
    let turns = matches!(char, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    turns || char.is_control() || matches!(char, '\u{2028}' | '\u{2029}')
}

/// Writes a character, or its escape where it could do harm.
fn write_harmless(f: &mut fmt::Formatter<'_>, char: char) -> fmt::Result {
    match char {
        '\n' => f.write_str("\\n"),
        '\r' => f.write_str("\\r"),
        '\t' => f.write_str("\\t"),
        _ if !is_harmful(char) => f.write_char(char),
        '\0'..='\u{ff}' => write!(f, "\\x{:02x}", u32::from(char)),
        _ => write!(f, "\\u{:04x}", u32::from(char)),
    }
}

/// Writes at most `limit` characters, and an ellipsis where there are more.
fn write_cut(
    f: &mut fmt::Formatter<'_>,
    mut chars: Chars<'_>,
    limit: usize,
    mut write: impl FnMut(&mut fmt::Formatter<'_>, char) -> fmt::Result,
) -> fmt::Result {
    chars.by_ref().take(limit).try_for_each(|char| write(f, char))?;
    if chars.next().is_some() { f.write_char('\u{2026}') } else { Ok(()) }
}

/// The characters of WTF-8, with U+FFFD for each lone surrogate and each byte that fits nowhere.
struct Chars<'a>(&'a [u8]);

impl Iterator for Chars<'_> {
    type Item = char;

    fn next(&mut self) -> Option<char> {
        let (first, _) = self.0.split_first()?;
        let length = match first {
            0x00..=0x7f => 1,
            0x80..=0xdf => 2,
            0xe0..=0xef => 3,
            0xf0..=0xff => 4,
        };
        let valid = self.0.split_at_checked(length).and_then(|(char, rest)| {
            let char = str::from_utf8(char).ok()?.chars().next()?;
            Some((char, rest))
        });
        let (char, rest) = match (valid, self.0) {
            (Some(valid), _) => valid,
            (None, [0xed, 0xa0..=0xbf, 0x80..=0xbf, rest @ ..]) => (char::REPLACEMENT_CHARACTER, rest),
            (None, [_, rest @ ..]) => (char::REPLACEMENT_CHARACTER, rest),
            (None, []) => return None,
        };
        self.0 = rest;
        Some(char)
    }
}

#[cfg(test)]
mod tests {
    use alloc::format;
    use alloc::string::ToString;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_text_keeps_lines_and_escapes_what_a_terminal_would_obey() {
        let text = Text::from(
            "a\tb\n\x1b[31mred\r\x07\u{7f}\u{9b}0m \u{202e}evil\u{2069} \0 \u{2028} é 你 🙈 \\ \"",
        );
        assert_eq!(
            text.to_string(),
            "a\tb\n\\x1b[31mred\\r\\x07\\x7f\\x9b0m \\u202eevil\\u2069 \\x00 \\u2028 é 你 🙈 \\ \""
        );
    }

    #[test]
    fn lone_surrogates_and_stray_bytes_are_shown_as_one_character_each() {
        let wtf8 = [b"a\xed\xb3\xbf".as_slice(), b"b\xed\xa0\x80", "é".as_bytes(), b"\xff\xe2\x82", b"c\xf0"]
            .concat();
        let text = Text::from_wire(wtf8);
        assert_eq!(text.to_string(), "a\u{fffd}b\u{fffd}é\u{fffd}\u{fffd}\u{fffd}c\u{fffd}");
        assert_eq!(text.to_unicode(), text.to_string());
        // Two surrogates in WTF-8 that would be a pair are not one: JSON has put pairs together already.
        assert_eq!(Text::from_wire(b"\xed\xa0\xbd\xed\xb9\x88".to_vec()).to_string(), "\u{fffd}\u{fffd}");
    }

    #[test]
    fn a_short_text_is_one_line_and_cut() {
        assert_eq!(Text::from("two\nlines\x1b").short().to_string(), "two lines\\x1b");
        let long = Text::from("é".repeat(SHORT_CHARS + 1).as_str());
        assert_eq!(long.short().to_string(), format!("{}…", "é".repeat(SHORT_CHARS)));
        let fits = Text::from("é".repeat(SHORT_CHARS).as_str());
        assert_eq!(fits.short().to_string(), fits.to_string());
        assert!(!format!("{long:?}\n{:?}", Text::from("\x1b")).contains('\x1b'));
    }

    #[test]
    fn a_name_is_shown_in_one_line_that_fits_in_quotes() {
        assert_eq!(Name::from("it's\n\"a\\b\"\t\x1b").to_string(), r#"it\'s\n\"a\\b\"\t\x1b"#);
        assert_eq!(Name::from("n".repeat(400).as_str()).to_string(), format!("{}…", "n".repeat(NAME_CHARS)));
        assert_eq!(format!("{:?}", Name::from("a\nb")), r#"Name("a\nb")"#);
    }

    #[test]
    fn only_the_last_component_of_a_name_is_used() {
        for (name, expected) in [
            ("a.txt", "a.txt"),
            ("../../etc/passwd", "passwd"),
            ("/etc/passwd", "passwd"),
            ("a\\b", "b"),
            ("C:\\windows\\x.dll", "x.dll"),
            ("..\\/..\\x", "x"),
            (".hidden", ".hidden"),
            ("...", "..."),
            ("~", "~"),
            ("-rf", "-rf"),
            (" ", " "),
            ("é 你 🙈", "é 你 🙈"),
            ("new\nline", "new_line"),
            ("\x1b[2J", "_[2J"),
            ("exe.\u{202e}txt", "exe._txt"),
            ("\u{9b}", "_"),
        ] {
            assert_eq!(Name::from(name).safe().unwrap().as_str(), expected);
        }
    }

    #[test]
    fn names_that_lead_elsewhere_are_refused() {
        for (name, fault) in [
            ("", BadName::Empty),
            ("/", BadName::Empty),
            ("dir/", BadName::Empty),
            ("dir\\", BadName::Empty),
            (".", BadName::Dots),
            ("..", BadName::Dots),
            ("a/..", BadName::Dots),
            ("a\\..", BadName::Dots),
            ("a\0b", BadName::Nul),
            ("\0", BadName::Nul),
        ] {
            assert_eq!(Name::from(name).safe(), Err(fault), "{name:?}");
        }
    }

    #[test]
    fn a_name_has_at_most_255_bytes() {
        let name = |bytes: usize| Name::from("é".repeat(bytes / 2).as_str());
        assert_eq!(name(254).safe().unwrap().as_str().len(), 254);
        assert_eq!(name(256).safe(), Err(BadName::TooLong));
    }

    #[test]
    fn lone_surrogates_in_names_are_replaced() {
        let name = Name::from_wire(b"caf\xed\xb3\xa9.txt".to_vec());
        assert_eq!(name.safe().unwrap().as_str(), "caf\u{fffd}.txt");
        assert_eq!(name.to_string(), "caf\u{fffd}.txt");
    }

    #[test]
    fn what_windows_reserves_is_rewritten_there_only() {
        for (name, expected) in [
            ("con", "_con"),
            ("NUL.tar.gz", "_NUL.tar.gz"),
            ("aux .txt", "_aux .txt"),
            ("Com1", "_Com1"),
            ("LPT\u{b9}.x", "_LPT\u{b9}.x"),
            ("com10", "com10"),
            ("com0", "com0"),
            ("console", "console"),
            ("COM", "COM"),
            ("a:b", "a_b"),
            ("<>:\"|?*", "_______"),
            ("dots...", "dots___"),
            ("space ", "space_"),
            ("...", "___"),
            ("ok.txt", "ok.txt"),
        ] {
            assert_eq!(SafeName::new(name, System::Windows).unwrap().as_str(), expected);
            assert_eq!(SafeName::new(name, System::Posix).unwrap().as_str(), name);
        }
    }

    #[test]
    fn entries_of_an_archive_stay_below_its_directory() {
        for (entry, components, is_directory) in [
            ("ok.txt", &["ok.txt"][..], false),
            ("sub/x.sh", &["sub", "x.sh"], false),
            ("dir/", &["dir"], true),
            ("a/b/c/", &["a", "b", "c"], true),
            ("./", &[], true),
            (".", &[], true),
            ("./a/./b", &["a", "b"], false),
            ("a/.", &["a"], true),
            ("a/...", &["a", "..."], false),
            ("a\nb/c", &["a_b", "c"], false),
            ("a/C:", &["a", "C:"], false),
        ] {
            let path = SafePath::parse_on(System::Posix, entry.as_bytes()).unwrap();
            let found: Vec<_> = path.components().iter().map(SafeName::as_str).collect();
            assert_eq!((found.as_slice(), path.is_directory()), (components, is_directory), "{entry:?}");
            assert_eq!(path.to_string(), components.join("/"));
        }
    }

    #[test]
    fn entries_that_lead_out_of_the_directory_are_refused() {
        for (entry, fault) in [
            ("", BadName::Empty),
            ("a//b", BadName::Empty),
            ("a//", BadName::Empty),
            ("/", BadName::Absolute),
            ("/abs", BadName::Absolute),
            ("//server/share", BadName::Absolute),
            ("C:x", BadName::Absolute),
            ("c:/x", BadName::Absolute),
            ("./C:x", BadName::Absolute),
            ("../evil", BadName::Dots),
            ("..", BadName::Dots),
            ("../", BadName::Dots),
            ("a/../b.txt", BadName::Dots),
            ("a/..", BadName::Dots),
            ("./..", BadName::Dots),
            ("a\\b", BadName::Backslash),
            ("..\\b", BadName::Backslash),
            ("a/b\0", BadName::Nul),
        ] {
            for system in [System::Posix, System::Windows] {
                assert_eq!(SafePath::parse_on(system, entry.as_bytes()), Err(fault), "{entry:?}");
            }
        }
    }

    #[test]
    fn paths_are_bounded_in_length_and_depth() {
        let deep = |depth: usize| ["d"].repeat(depth).join("/");
        assert!(SafePath::parse(deep(PATH_DEPTH).as_bytes()).is_ok());
        assert_eq!(SafePath::parse(deep(PATH_DEPTH + 1).as_bytes()), Err(BadName::TooDeep));
        assert_eq!(SafePath::parse("x/".repeat(PATH_BYTES).as_bytes()), Err(BadName::TooLong));
    }

    proptest! {
        #[test]
        fn no_text_puts_a_control_character_on_the_terminal(bytes: Vec<u8>) {
            let shown = Text::from_wire(bytes.clone()).to_string();
            prop_assert!(!shown.chars().any(|char| is_harmful(char) && !"\n\t".contains(char)));
            let shown = format!("{}{}", Text::from_wire(bytes.clone()).short(), Name::from_wire(bytes));
            prop_assert!(!shown.chars().any(is_harmful));
        }

        #[test]
        fn valid_text_comes_through_whole(text: String) {
            prop_assert_eq!(Text::from(text.as_str()).to_unicode(), text);
        }

        #[test]
        fn characters_are_those_of_the_standard_library_but_for_surrogates(bytes: Vec<u8>) {
            let ours: String = Chars(&bytes).filter(|char| *char != char::REPLACEMENT_CHARACTER).collect();
            let theirs = String::from_utf8_lossy(&bytes).replace(char::REPLACEMENT_CHARACTER, "");
            prop_assert_eq!(ours, theirs);
        }

        #[test]
        fn a_safe_name_is_one_component_on_every_system(name in ".{0,8}|[./\\\\a:\0 ]{0,6}") {
            for system in [System::Posix, System::Windows] {
                if let Ok(safe) = SafeName::new(&name, system) {
                    prop_assert!(!safe.as_str().is_empty() && safe.as_str().len() <= NAME_BYTES);
                    prop_assert!(!safe.as_str().contains(['/', '\\', '\0']));
                    prop_assert!(safe.as_str() != "." && safe.as_str() != "..");
                    prop_assert_eq!(SafeName::new(safe.as_str(), system), Ok(safe));
                }
            }
        }

        #[test]
        fn a_safe_path_parses_as_itself(entry in "[./\\\\ab:]{0,12}") {
            if let Ok(path) = SafePath::parse(entry.as_bytes()) {
                prop_assert!(path.components().iter().all(|name| !["", ".", ".."].contains(&name.as_str())));
                if !path.components().is_empty() {
                    let again = SafePath::parse(path.to_string().as_bytes()).unwrap();
                    prop_assert_eq!(again.components(), path.components());
                }
            }
        }
    }
}
