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

    /// There is room for any code in use from the start: a string that grows leaves copies behind.
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

impl AsRef<str> for Code {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

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

#[cfg(test)]
mod tests {
    use alloc::format;
    use alloc::string::ToString;
    use alloc::vec::Vec;

    use data_encoding::HEXLOWER;
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;
    use crate::rng::Rng;

    #[test]
    fn words_follow_from_bytes_as_in_the_reference() {
        let vectors: Value = serde_json::from_str(include_str!("../tests/data/codes.json")).unwrap();
        for row in vectors["generation"].as_array().unwrap() {
            let bytes = HEXLOWER.decode(row["entropy_hex"].as_str().unwrap().as_bytes()).unwrap();
            let code = Code::of_bytes(&four(), bytes.into_iter());
            assert_eq!(code.to_string(), format!("4-{}", row["words"].as_str().unwrap()));
        }
    }

    #[test]
    fn a_generated_code_has_the_words_asked_for() {
        let mut rng = Rng::new([1; 32]);
        let mut of = |words| Code::generate(&four(), words, &mut rng);
        for words in 1..=WORDS {
            let code = of(words).unwrap();
            assert_eq!(code.as_str().matches('-').count(), words);
            assert_eq!(Code::parse(code.as_str()), Ok(code));
        }
        assert_eq!(of(0), Err(CodeFault::WordCount));
        assert_eq!(of(WORDS + 1), Err(CodeFault::WordCount));
        assert_ne!(of(4), of(4));
    }

    #[test]
    fn a_code_is_refused_for_what_is_wrong_with_it() {
        let long = "1".repeat(41);
        for (code, fault) in [
            ("4-foo bar", CodeFault::Space),
            (" 4-foo", CodeFault::Space),
            ("", CodeFault::Nameplate),
            ("-foo-bar", CodeFault::Nameplate),
            ("+4-foo", CodeFault::Nameplate),
            ("foo", CodeFault::Nameplate),
            ("4", CodeFault::NoDash),
            (&format!("{long}-foo"), CodeFault::NameplateTooLong),
        ] {
            assert_eq!(Code::parse(code), Err(fault), "{code:?}");
        }
        assert!(Nameplate::parse(&long[1..]).is_ok());
        assert_eq!(Code::from_parts(&four(), "foo bar"), Err(CodeFault::Space));
    }

    #[test]
    fn a_code_without_words_is_taken_and_says_so() {
        assert!(!Code::parse("4-").unwrap().has_words());
        assert!(Code::parse("4--").unwrap().has_words());
        assert_eq!(Code::from_parts(&four(), "").unwrap().as_str(), "4-");
    }

    #[test]
    fn the_nameplate_is_text() {
        let code = Code::parse("007-a-b").unwrap();
        assert_eq!(code.nameplate().as_str(), "007");
        assert_ne!(code.nameplate(), Nameplate::parse("7").unwrap());
    }

    #[test]
    fn debug_does_not_tell_the_words() {
        assert_eq!(format!("{:?}", Code::parse("4-purple-sausages").unwrap()), "Code(4-..)");
    }

    proptest! {
        #[test]
        fn a_code_is_in_normal_form_and_parses_as_itself(nameplate in "[0-9]{1,40}", words in "[^ ]{0,20}") {
            let code = Code::parse(&format!("{nameplate}-{words}")).unwrap();
            let normal: String = code.as_str().nfc().collect();
            prop_assert_eq!(code.as_str(), normal);
            prop_assert_eq!(Code::parse(code.as_str()), Ok(code.clone()));
            prop_assert_eq!(code.nameplate(), Nameplate::parse(&nameplate).unwrap());
        }

        #[test]
        fn composed_and_decomposed_codes_are_the_same(words: String) {
            let [composed, decomposed]: [String; 2] = [words.nfc().collect(), words.nfd().collect()];
            let four = four();
            prop_assert_eq!(Code::from_parts(&four, &composed), Code::from_parts(&four, &decomposed));
        }

        #[test]
        fn parsing_takes_any_text(text: String, odd in "[0-9 \\-a\n]{0,50}") {
            let _: Vec<_> = [text, odd].iter().map(|text| Code::parse(text)).collect();
        }
    }

    fn four() -> Nameplate {
        Nameplate::parse("4").unwrap()
    }
}
