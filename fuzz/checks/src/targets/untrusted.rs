//! Names, paths and texts that came from elsewhere.

use wormhole_core::untrusted::{NAME_BYTES, NAME_CHARS, Name, PATH_DEPTH, SHORT_CHARS, SafePath, Text};

/// The input is the name, the path, the text.
pub fn run(data: &[u8]) {
    check_text(&Text::from_wire(data.to_vec()));
    check_name(&Name::from_wire(data.to_vec()));
    let Ok(path) = SafePath::parse(data) else { return };
    assert!(path.components().len() <= PATH_DEPTH);
    for component in path.components() {
        check_component(component.as_str());
    }
    if !path.components().is_empty() {
        let again = SafePath::parse(path.to_string().as_bytes());
        assert_eq!(again.as_ref().map(SafePath::components), Ok(path.components()));
    }
}

/// A text does nothing to a terminal.
pub fn check_text(text: &Text) {
    let shown = text.to_string();
    assert!(shown.chars().all(|char| matches!(char, '\n' | '\t') || is_harmless(char)), "{shown:?}");
    let short = text.short().to_string();
    assert!(short.chars().all(is_harmless), "{short:?}");
    // An escape makes up to ten characters of one, and the mark of the cut is one more.
    assert!(short.chars().count() <= SHORT_CHARS * 10 + 1);
    assert!(format!("{text:?}").chars().all(is_harmless));
}

/// A name is one component or none, and does nothing to a terminal.
pub fn check_name(name: &Name) {
    let shown = name.to_string();
    assert!(shown.chars().all(is_harmless), "{shown:?}");
    assert!(shown.chars().count() <= NAME_CHARS * 10 + 1);
    if let Ok(safe) = name.safe() {
        check_component(safe.as_str());
        assert_eq!(Name::from(safe.as_str()).safe(), Ok(safe));
    }
}

fn check_component(name: &str) {
    assert!((1..=NAME_BYTES).contains(&name.len()), "{name:?}");
    assert!(!matches!(name, "." | "..") && !name.contains(['/', '\\', '\0']), "{name:?}");
    assert!(name.chars().all(is_harmless), "{name:?}");
}

fn is_harmless(char: char) -> bool {
    !char.is_control() && !matches!(char, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}
