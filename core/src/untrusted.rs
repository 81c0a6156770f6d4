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
    /// a slash at the end means a directory; `.` is passed over.
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
            [letter, b':', ..] if letter.is_ascii_alphabetic() => return Err(BadName::Absolute),
            _ if path.contains('\\') => return Err(BadName::Backslash),
            _ => {}
        }
        let (inner, is_directory) = path.strip_suffix('/').map_or((path.as_str(), false), |it| (it, true));
        let named = inner.split('/').filter(|component| *component != ".");
        let components: Vec<_> =
            named.map(|component| SafeName::new(component, system)).collect::<Result<_, _>>()?;
        if components.len() > PATH_DEPTH {
            return Err(BadName::TooDeep);
        }
        let is_directory = is_directory || components.is_empty();
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

/// Control characters (C0, DEL and C1), line and paragraph separators, and what turns the direction of writing.
fn is_harmful(char: char) -> bool {
    char.is_control() || matches!(char, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
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
