//! The line that a client of the relay begins with (`docs/transit.md`, "The relay").

/// A token that both partners know.
pub(crate) type Token = [u8; 64];
/// Which of the partners a client is.
pub(crate) type Side = [u8; 16];

/// What a client asks for. The old form has no side and goes with everybody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) token: Token,
    pub(crate) side: Option<Side>,
}

impl Line {
    /// Reads a line without its end. Token and side are any word characters, compared as bytes.
    pub(crate) fn parse(line: &[u8]) -> Option<Self> {
        let rest = line.strip_prefix(b"please relay ")?;
        let (token, rest) = rest.split_first_chunk::<64>()?;
        let side = match rest {
            [] => None,
            _ => Some(*rest.strip_prefix(b" for side ")?.as_array::<16>()?),
        };
        let sound = is_word(token) && side.as_ref().is_none_or(|side| is_word(side));
        sound.then_some(Self { token: *token, side })
    }
}

/// Whether two clients with the same token are partners.
pub(crate) fn is_pair(one: Option<Side>, other: Option<Side>) -> bool {
    one.is_none() || other.is_none() || one != other
}

fn is_word(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'_')
}

#[cfg(test)]
mod tests {
    use alloc::format;
    use alloc::string::String;

    use super::*;

    #[test]
    fn both_forms_are_read() {
        let token = "0123456789abcdefXYZ_".repeat(4)[..64].to_owned();
        let old = Line::parse(format!("please relay {token}").as_bytes()).unwrap();
        assert_eq!((old.token.as_slice(), old.side), (token.as_bytes(), None));
        let new = Line::parse(format!("please relay {token} for side 0123456789ABCDE_").as_bytes()).unwrap();
        assert_eq!(new.side, Some(*b"0123456789ABCDE_"));
    }

    #[test]
    fn everything_else_is_refused() {
        let line = |token: usize, side: usize| {
            format!("please relay {} for side {}", "a".repeat(token), "1".repeat(side))
        };
        let good = line(64, 16);
        let mut bad: Vec<String> = vec!["".into(), "hello".into(), "please relay ".into(), "GET /\r".into()];
        bad.extend([line(63, 16), line(65, 16), line(64, 15), line(64, 17), line(64, 0)]);
        bad.extend([format!("{good}\r"), format!("{good} "), format!(" {good}"), good.to_uppercase()]);
        bad.push(good.replace("aaaa", "a-aa"));
        bad.push(good.replace("1111", "1é1"));
        for line in bad {
            assert_eq!(Line::parse(line.as_bytes()), None, "{line:?}");
        }
    }
}
