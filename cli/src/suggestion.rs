//! What a mistyped code may have been meant to be.

use strsim::damerau_levenshtein;
use wormhole_core::code::Code;
use wormhole_core::words::{even, odd};

/// The most mistakes in one word that are taken for mistakes.
const MISTAKES: usize = 2;

/// The code in which each word that is not in its list is the one there that it resembles; `None` where there is no reason to
/// doubt. A word that resembles nothing was made up by the two people, and so were all of them.
pub(crate) fn of(code: &Code) -> Option<String> {
    let (nameplate, words) = code.as_str().split_once('-')?;
    let mended: Vec<String> =
        words.split('-').enumerate().map(|(index, word)| nearest(index, word)).collect::<Option<_>>()?;
    let mended = format!("{nameplate}-{}", mended.join("-"));
    (mended != code.as_str()).then_some(mended)
}

/// The code in small letters, where these would be words of the lists: nobody makes up such words in capitals.
pub(crate) fn in_small_letters(code: &Code) -> Option<String> {
    of(code).filter(|meant| *meant == code.as_str().to_lowercase())
}

/// The only word of the list for this place that is nearest to what was typed, if any is near; itself, where it is there.
fn nearest(index: usize, typed: &str) -> Option<String> {
    let of: fn(u8) -> &'static str = if index.is_multiple_of(2) { odd } else { even };
    let small = typed.to_lowercase();
    let near = MISTAKES.min(small.chars().count() / 3);
    let all = (0..=u8::MAX).map(|byte| (damerau_levenshtein(&small, of(byte)), of(byte)));
    let (distance, word) = all.clone().min()?;
    let is_only = all.filter(|(other, _)| *other == distance).count() == 1;
    (distance <= near && is_only).then(|| word.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mistyped_word_is_mended() {
        for (typed, meant) in [
            ("7-armistce-baboon", "7-armistice-baboon"),
            ("7-armistice-babboon", "7-armistice-baboon"),
            ("7-Armistice-BABOON", "7-armistice-baboon"),
            ("7-corssover-clokwork", "7-crossover-clockwork"),
        ] {
            assert_eq!(of(&Code::parse(typed).unwrap()).as_deref(), Some(meant), "{typed}");
        }
    }

    #[test]
    fn capitals_are_seen_where_the_words_are_those_of_the_lists() {
        let of = |typed| in_small_letters(&Code::parse(typed).unwrap());
        assert_eq!(of("7-ARMISTICE-Baboon").as_deref(), Some("7-armistice-baboon"));
        for typed in ["7-armistice-baboon", "7-armistce-baboon", "7-Mein-Wort", "7-X"] {
            assert_eq!(of(typed), None, "{typed}");
        }
    }

    #[test]
    fn what_resembles_nothing_is_left_alone() {
        for typed in
            ["7-armistice-baboon", "913-166532", "7-x", "7-correct-horse-battery-staple", "8-🙈-🙉-🙊"]
        {
            assert_eq!(of(&Code::parse(typed).unwrap()), None, "{typed}");
        }
    }
}
