//! Codes and nameplates as people type them, and the completion of what they have typed.

use wormhole_core::code::{Code, Nameplate};
use wormhole_core::words::{complete_nameplate, complete_words};

/// The input is what was typed.
pub fn run(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else { return };
    if let Ok(code) = Code::parse(text) {
        assert_eq!(Code::parse(code.as_str()).as_ref(), Ok(&code));
        let nameplate = code.nameplate();
        assert_eq!(Nameplate::parse(nameplate.as_str()), Ok(nameplate.clone()));
        let words = code.as_str().strip_prefix(nameplate.as_str()).and_then(|rest| rest.strip_prefix('-'));
        assert!(words.is_some_and(|words| code.has_words() != words.is_empty()));
        assert_eq!(Code::from_parts(&nameplate, words.unwrap_or_default()), Ok(code.clone()));
        assert!(!code.as_str().contains(' '));
        assert_eq!(format!("{code:?}"), format!("Code({nameplate}-..)"), "a code is a secret");
    }
    for expected in [0, 2, 3] {
        for whole in complete_words(text, expected) {
            assert!(whole.starts_with(text));
        }
    }
    let known: Vec<Nameplate> = text.split(' ').filter_map(|text| Nameplate::parse(text).ok()).collect();
    for whole in complete_nameplate(text, &known) {
        assert!(whole.starts_with(text) && whole.ends_with('-'));
    }
}
