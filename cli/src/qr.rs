//! A link as a QR code on the terminal, for the camera of a telephone.
//!
//! Two modules stand in one character: upper and lower half block. A terminal that knows colours is told which, so that the
//! code has the contrast that cameras want, whatever the user's theme.

use std::env;
use std::io::{self, IsTerminal};

use qrcode::{Color, EcLevel, QrCode};
use terminal_size::{Width, terminal_size_of};
use wormhole_core::uri::Uri;

/// Light modules around the code.
const BORDER: usize = 1;
/// Near black behind near white, and back to what was.
const COLOURS: (&str, &str) = ("\x1b[48;5;232m\x1b[38;5;255m", "\x1b[0m");

/// What the user wants of QR codes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Wish {
    /// Where the terminal can show it.
    #[default]
    Fitting,
    Always,
    Never,
}

impl Wish {
    /// A value of `WORMHOLE_QR`.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        match text.trim().to_ascii_lowercase().as_str() {
            "" => Ok(Self::Fitting),
            "1" | "true" | "t" | "yes" | "y" | "on" => Ok(Self::Always),
            "0" | "false" | "f" | "no" | "n" | "off" => Ok(Self::Never),
            _ => Err("it is true or false".to_owned()),
        }
    }
}

/// The QR code to show on standard error, as lines; `None` where none is wanted, or none can be shown.
pub(crate) fn of(uri: &Uri, wish: Wish) -> Option<String> {
    let look = match wish {
        Wish::Never => return None,
        Wish::Always => Look::here(),
        Wish::Fitting => Look::here().filter(|look| look.columns.is_some()),
    }?;
    let code = QrCode::with_error_correction_level(uri.to_string(), EcLevel::L).ok()?;
    if wish == Wish::Fitting && look.columns.is_some_and(|columns| code.width() + 2 * BORDER > columns) {
        return None;
    }
    Some(drawn(&code, look))
}

/// How a code is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Look {
    /// Of the terminal, if there is one that shows what it is sent.
    columns: Option<usize>,
    /// Whether it is told which colours to use.
    coloured: bool,
    /// Whether blocks are what is dark: on paper, and on a terminal that is light.
    dark_blocks: bool,
}

impl Look {
    fn here() -> Option<Self> {
        let says = |name: &str| env::var(name).ok().filter(|value| !value.is_empty());
        let is_plain = says("TERM").is_some_and(|term| term == "dumb") || !speaks_unicode(says);
        if !io::stderr().is_terminal() || is_plain {
            return Some(Self { columns: None, coloured: false, dark_blocks: true });
        }
        let columns = terminal_size_of(io::stderr()).map_or(80, |(Width(columns), _)| usize::from(columns));
        let is_light =
            says("COLORFGBG").is_some_and(|colours| matches!(colours.rsplit(';').next(), Some("7" | "15")));
        let coloured = says("NO_COLOR").is_none();
        Some(Self { columns: Some(columns), coloured, dark_blocks: is_light && !coloured })
    }
}

/// Whether what the environment says of the language includes UTF-8. Elsewhere than on Unix, all terminals speak it.
fn speaks_unicode(says: impl Fn(&str) -> Option<String>) -> bool {
    let locale = says("LC_ALL").or_else(|| says("LC_CTYPE")).or_else(|| says("LANG"));
    let named = |locale: String| {
        let locale = locale.to_ascii_lowercase();
        locale.contains("utf-8") || locale.contains("utf8")
    };
    cfg!(not(unix)) || locale.is_some_and(named)
}

fn drawn(code: &QrCode, look: Look) -> String {
    let modules = code.to_colors();
    let width = code.width();
    let is_block = |row: usize, column: usize| {
        let (row, column) = (row.checked_sub(BORDER), column.checked_sub(BORDER));
        let module = row.zip(column).filter(|(row, column)| *row < width && *column < width);
        let module = module.and_then(|(row, column)| modules.get(row * width + column));
        (module.copied().unwrap_or(Color::Light) == Color::Dark) == look.dark_blocks
    };
    let (begin, end) = if look.coloured { COLOURS } else { ("", "") };
    let side = width + 2 * BORDER;
    let line = |row: usize| {
        let character = |column| match (is_block(row, column), row + 1 < side && is_block(row + 1, column)) {
            (true, true) => '█',
            (true, false) => '▀',
            (false, true) => '▄',
            // No blank, since some terminals cut those off.
            (false, false) => '\u{a0}',
        };
        let line: String = (0..side).map(character).collect();
        format!("{begin}{line}{end}")
    };
    (0..side).step_by(2).map(line).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOOK: Look = Look { columns: Some(80), coloured: false, dark_blocks: true };

    #[test]
    fn every_module_is_drawn_with_a_border_around_all() {
        let code = QrCode::with_error_correction_level("wormhole-transfer:7-crossover-clockwork", EcLevel::L)
            .unwrap();
        let text = drawn(&code, LOOK);
        let lines: Vec<Vec<char>> = text.lines().map(|line| line.chars().collect()).collect();
        let side = code.width() + 2 * BORDER;
        assert_eq!(lines.len(), side.div_ceil(2));
        assert!(lines.iter().all(|line| line.len() == side));
        for (index, module) in code.to_colors().iter().enumerate() {
            let (row, column) = (index / code.width() + BORDER, index % code.width() + BORDER);
            let blocks = if row % 2 == 0 { ['█', '▀'] } else { ['█', '▄'] };
            assert_eq!(blocks.contains(&lines[row / 2][column]), *module == Color::Dark, "{row}, {column}");
        }
    }

    #[test]
    fn a_code_with_words_of_the_longest_fits_into_forty_columns() {
        let code = QrCode::with_error_correction_level(
            "wormhole-transfer:1234-belowground-stethoscope?rendezvous=wss%3A%2F%2Fexample.com%2Fv1",
            EcLevel::L,
        );
        assert!(code.unwrap().width() + 2 * BORDER <= 40);
    }

    #[test]
    fn colours_surround_each_line() {
        let code = QrCode::with_error_correction_level("x", EcLevel::L).unwrap();
        for line in drawn(&code, Look { coloured: true, ..LOOK }).lines() {
            assert!(line.starts_with("\x1b[48;5;232m\x1b[38;5;255m") && line.ends_with("\x1b[0m"));
        }
    }

    #[test]
    fn a_locale_without_unicode_shows_no_blocks() {
        let of = |variable: &'static str, value: &'static str| {
            speaks_unicode(move |name| (name == variable).then(|| value.to_owned()))
        };
        assert!(of("LANG", "de_DE.UTF-8") && of("LC_ALL", "C.utf8"));
        assert!(!of("LANG", "C") || cfg!(not(unix)));
        assert!(!of("TERM", "xterm") || cfg!(not(unix)));
    }

    #[test]
    fn the_variable_knows_yes_and_no() {
        assert_eq!(Wish::parse("0"), Ok(Wish::Never));
        assert_eq!(Wish::parse("True"), Ok(Wish::Always));
        assert_eq!(Wish::parse(""), Ok(Wish::Fitting));
        assert!(Wish::parse("perhaps").is_err());
    }
}
