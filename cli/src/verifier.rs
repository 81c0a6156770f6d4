//! The verifier as two people compare it: hex, which scripts know from the reference, and words, which are easier to
//! read aloud.

use std::fmt::Write as _;

use wormhole_core::crypto::Verifier;
use wormhole_core::words::{even, odd};

use crate::json::Kind;
use crate::prompt::Question;

/// Words on one line of the screen.
const WORDS_A_LINE: usize = 4;

/// What is asked where the reference only shows the verifier.
pub(crate) fn question() -> Question {
    Question::new(Kind::Verifier, "Does the other side have the same? (yes/no): ")
}

/// All of the verifier in words, as in codes: a word a byte.
pub(crate) fn words(verifier: &Verifier) -> String {
    let mut text = "The verifier in words, to be compared with the other side's:".to_owned();
    for (index, byte) in verifier.as_bytes().iter().enumerate() {
        let word = if index % 2 == 0 { odd(*byte) } else { even(*byte) };
        let before = if index % WORDS_A_LINE == 0 { "\n  " } else { " " };
        // A `String` takes everything.
        let _ = write!(text, "{before}{word}");
    }
    text
}

/// The verifier as the reference shows it, and in words.
pub(crate) fn both(verifier: &Verifier) -> String {
    format!("{}\n{}", line(verifier), words(verifier))
}

/// The verifier as the reference shows it.
pub(crate) fn line(verifier: &Verifier) -> String {
    format!("Verifier {verifier}.")
}

#[cfg(test)]
mod tests {
    use wormhole_core::crypto::SessionKey;

    use super::*;

    #[test]
    fn each_byte_is_a_word_and_the_hex_is_the_references() {
        let verifier = SessionKey::from_bytes([7; 32]).verifier();
        let text = words(&verifier);
        let (_, shown) = text.split_once('\n').unwrap();
        assert_eq!((shown.split_whitespace().count(), shown.lines().count()), (32, 8));
        let [first, second, ..] = *verifier.as_bytes();
        assert!(shown.starts_with(&format!("  {} {} ", odd(first), even(second))), "{shown}");
        assert_eq!(line(&verifier), format!("Verifier {verifier}."));
    }
}
