//! Codes: what two people say to each other, `7-crossover-clockwork`.

use alloc::string::String;
use core::fmt;

use subtle::ConstantTimeEq;
use unicode_normalization::UnicodeNormalization;
use zeroize::Zeroizing;

use crate::error::CodeFault;
use crate::rng::Rng;
use crate::words;

/// The most digits of a nameplate; the reference server drops who sends more.
pub const NAMEPLATE_DIGITS: usize = 40;
/// The most words of a code that is made here.
pub const WORDS: usize = 64;

/// A well-formed code: a nameplate, a dash, and what only the two sides know.
///
/// The text is in normal form C, and the whole of it is the password of the key exchange. It is shown on purpose
/// (`Display`), but never by accident (`Debug`).
///
/// ```
/// use wormhole_core::code::Code;
///
/// let code = Code::parse("7-crossover-clockwork")?;
/// assert_eq!(code.nameplate().as_str(), "7");
/// assert_eq!(code.to_string(), "7-crossover-clockwork");
/// assert!(Code::parse("7 crossover clockwork").is_err());
/// # Ok::<(), wormhole_core::error::CodeFault>(())
/// ```
#[derive(Clone)]
pub struct Code(Zeroizing<String>);

impl Code {
    /// Takes a code as the application has it. Nothing is trimmed or changed but the normal form.
    ///
    /// White space around what a person typed is the user interface's to remove. Nothing need follow the dash:
    /// see [`Code::has_words`].
    pub fn parse(text: &str) -> Result<Self, CodeFault> {
        if text.contains(' ') {
            return Err(CodeFault::Space);
        }
        let (nameplate, words) = match text.split_once('-') {
            Some((nameplate, words)) => (nameplate, Some(words)),
            None => (text, None),
        };
        let nameplate = Nameplate::parse(nameplate)?;
        words.map_or(Err(CodeFault::NoDash), |words| Self::from_parts(&nameplate, words))
    }

    /// The code of a nameplate and what follows its dash.
    pub fn from_parts(nameplate: &Nameplate, words: &str) -> Result<Self, CodeFault> {
        if words.contains(' ') {
            return Err(CodeFault::Space);
        }
        Ok(Self::join(nameplate, words.nfc()))
    }

    /// A new code with so many words from the lists.
    pub fn generate(nameplate: &Nameplate, words: usize, rng: &mut Rng) -> Result<Self, CodeFault> {
        if !(1..=WORDS).contains(&words) {
            return Err(CodeFault::WordCount);
        }
        Ok(Self::of_bytes(nameplate, (0..words).flat_map(|_| rng.bytes::<1>())))
    }

    /// The part that the server may see.
    pub fn nameplate(&self) -> Nameplate {
        let (nameplate, _) = self.0.split_once('-').unwrap_or_default();
        Nameplate(String::from(nameplate))
    }

    /// The whole code in normal form C.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether anything follows the first dash. A code without is no secret.
    pub fn has_words(&self) -> bool {
        self.0.split_once('-').is_some_and(|(_, words)| !words.is_empty())
    }

    /// The code whose words stand for these bytes.
    fn of_bytes(nameplate: &Nameplate, bytes: impl Iterator<Item = u8>) -> Self {
        let words = bytes.enumerate().map(|(index, byte)| words::at(index, byte));
        let dashed = words.enumerate().flat_map(|(index, word)| [if index == 0 { "" } else { "-" }, word]);
        Self::join(nameplate, dashed.flat_map(str::chars))
    }

    /// Grows in place into room enough for any code in use, so that no copy is left behind by a move.
    fn join(nameplate: &Nameplate, words: impl Iterator<Item = char>) -> Self {
        let mut code = Zeroizing::new(String::with_capacity(1024));
        code.push_str(nameplate.as_str());
        code.push('-');
        code.extend(words);
        Self(code)
    }
}

impl PartialEq for Code {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_bytes().ct_eq(other.0.as_bytes()).into()
    }
}

impl Eq for Code {}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Code({}-..)", self.nameplate())
    }
}

/// The number at the beginning of a code. It is text: `007` and `7` are two nameplates.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Nameplate(String);

impl Nameplate {
    /// One to forty ASCII digits.
    pub fn parse(text: &str) -> Result<Self, CodeFault> {
        if text.contains(' ') {
            return Err(CodeFault::Space);
        }
        if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(CodeFault::Nameplate);
        }
        if text.len() > NAMEPLATE_DIGITS {
            return Err(CodeFault::NameplateTooLong);
        }
        Ok(Self(String::from(text)))
    }

    /// The digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Nameplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}
