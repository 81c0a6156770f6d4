//! A line that must come, compared byte by byte however it is cut.

use alloc::vec::Vec;
use core::fmt;

use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// What is still to come of a line that is known in advance.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Expect {
    line: Zeroizing<Vec<u8>>,
    /// Bytes of it that have come.
    come: usize,
}

/// What some bytes were.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// A part of the line; this is still to come.
    Part(Expect),
    /// All that was missing, and what followed.
    Whole {
        /// The bytes after the line.
        rest: Vec<u8>,
    },
    /// Something else, from some byte on.
    Other,
}

impl Expect {
    /// All of this line is to come.
    pub(crate) fn new(line: Vec<u8>) -> Self {
        Self { line: Zeroizing::new(line), come: 0 }
    }

    /// Takes in what came next. A line that is nearly right is wrong.
    pub(crate) fn compare(mut self, bytes: &[u8]) -> Found {
        let missing = self.line.get(self.come..).unwrap_or_default();
        let overlap = missing.len().min(bytes.len());
        let (expected, come) = (missing.get(..overlap), bytes.get(..overlap));
        // How long this takes tells nothing about where they differ.
        if !bool::from(expected.unwrap_or_default().ct_eq(come.unwrap_or_default())) {
            return Found::Other;
        }
        if overlap < missing.len() {
            self.come = self.come.saturating_add(overlap);
            return Found::Part(self);
        }
        Found::Whole { rest: bytes.get(overlap..).unwrap_or_default().to_vec() }
    }
}

impl fmt::Debug for Expect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Expect({} of {})", self.come, self.line.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_found_however_it_is_cut() {
        let line = b"transit sender ready\n\ngo\n";
        let stream = [line.as_slice(), b"rest"].concat();
        for first in 0..=stream.len() {
            for second in first..=stream.len() {
                let parts = [&stream[..first], &stream[first..second], &stream[second..]];
                let mut expect = Some(Expect::new(line.to_vec()));
                let mut rest = Vec::new();
                for part in parts {
                    match expect.take().map(|expect| expect.compare(part)) {
                        Some(Found::Part(more)) => expect = Some(more),
                        Some(Found::Whole { rest: found }) => rest.extend(found),
                        Some(Found::Other) => panic!("refused at {first}, {second}"),
                        None => rest.extend(part),
                    }
                }
                assert_eq!((expect, rest.as_slice()), (None, b"rest".as_slice()), "{first}, {second}");
            }
        }
    }

    #[test]
    fn a_wrong_byte_ends_it() {
        let line = b"ok\n";
        assert_eq!(Expect::new(line.to_vec()).compare(b"ol"), Found::Other);
        let Found::Part(rest) = Expect::new(line.to_vec()).compare(b"o") else { panic!() };
        assert_eq!(rest.clone().compare(b"K\n"), Found::Other);
        assert_eq!(rest.compare(b"k\n"), Found::Whole { rest: Vec::new() });
    }

    #[test]
    fn nothing_of_the_line_is_shown() {
        assert_eq!(alloc::format!("{:?}", Expect::new(b"secret".to_vec())), "Expect(0 of 6)");
    }
}
