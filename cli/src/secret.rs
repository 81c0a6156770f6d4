//! The code as the options ask for it, and how the users make sure that it was not guessed.

use clap::Args;
use wormhole_core::code::Code;
use wormhole_core::defaults;

use crate::failure::Failure;

/// The code without words. It is no secret: whoever knows the server can take it.
const ZERO: &str = "0-";

/// Options about the code, which may stand before a command or behind it.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct Secret {
    /// Use the code "0-" on both sides, which is no secret
    ///
    /// Only for tests, and for mailbox servers that nobody else uses.
    #[arg(short = '0', conflicts_with = "code_length")]
    pub(crate) zero: bool,
    /// Words in a new code
    #[arg(short, long, value_name = "NUMWORDS", value_parser = clap::value_parser!(u8).range(1..=64))]
    code_length: Option<u8>,
    /// Compare a verifier with the other side before anything is sent or shown
    ///
    /// It is shown in hex and in words. Either side can refuse.
    #[arg(short, long)]
    pub(crate) verify: bool,
}

impl Secret {
    /// What stands behind the command, together with what stands before it.
    pub(crate) fn with(&self, before: &Self) -> Self {
        Self {
            zero: self.zero || before.zero,
            code_length: before.code_length.or(self.code_length),
            verify: self.verify || before.verify,
        }
    }

    /// The code of `-0`, if that is wanted. Where a code is given, nothing may be said of another one `before` the
    /// command; what stands behind it was looked at with the command line.
    pub(crate) fn zero_code(&self, before: &Self, is_given: bool) -> Result<Option<Code>, Failure> {
        let usage = |why: &str| Err(Failure::Usage(why.to_owned()));
        match (self.zero, is_given, before.code_length) {
            (true, true, _) => usage("-0 is a code already: leave the other one away"),
            (true, false, Some(_)) => usage("the code of -0 has no words: leave -c away"),
            (true, false, None) => Ok(Some(Code::parse(ZERO)?)),
            (false, _, _) => Ok(None),
        }
    }

    /// How many words a code gets that is made here.
    pub(crate) fn words(&self) -> usize {
        self.code_length.map_or(defaults::CODE_WORDS, usize::from)
    }

    /// Whether it is said how many words a code gets.
    pub(crate) const fn has_length(&self) -> bool {
        self.code_length.is_some()
    }

    /// Who has a code, or asks for one, makes none.
    pub(crate) fn makes_none(&self) -> Result<(), Failure> {
        match self.code_length {
            Some(_) => Err(Failure::Usage("Must use --allocate with --code-length".to_owned())),
            None => Ok(()),
        }
    }

    /// A command without a code takes none of these.
    pub(crate) fn refuse(&self, command: &str) -> Result<(), Failure> {
        if self.zero || self.code_length.is_some() || self.verify {
            return Err(Failure::Usage(format!("`{command}` takes none of -0, -c and -v")));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_has_one_source() {
        let secret = |zero, code_length| Secret { zero, code_length, verify: false };
        let nothing = Secret::default();
        assert!(matches!(secret(true, None).zero_code(&nothing, true), Err(Failure::Usage(_))));
        assert!(matches!(
            secret(true, None).zero_code(&secret(false, Some(3)), false),
            Err(Failure::Usage(_))
        ));
        let code = secret(true, None).zero_code(&nothing, false).unwrap().unwrap();
        assert_eq!(code.as_str(), "0-");
        assert_eq!(secret(false, Some(4)).zero_code(&nothing, true), Ok(None));
        assert!(secret(false, Some(4)).makes_none().is_err());
        assert_eq!((secret(false, Some(4)).words(), nothing.words()), (4, 2));
    }

    #[test]
    fn what_stands_before_the_command_counts_as_well() {
        let before = Secret { zero: true, code_length: Some(3), verify: false };
        let behind = Secret { zero: false, code_length: Some(5), verify: true };
        let both = behind.with(&before);
        assert_eq!((both.zero, both.words(), both.verify), (true, 3, true));
        assert!(both.refuse("demo").is_err() && Secret::default().refuse("demo").is_ok());
    }
}
