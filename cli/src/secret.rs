//! The code as the options ask for it, and how the users make sure that it was not guessed.

use clap::Args;
use wormhole_core::code::Code;
use wormhole_core::defaults;
use wormhole_core::uri::Role;

use crate::failure::Failure;
use crate::link::Invitation;

/// The code without words. It is no secret: whoever knows the server can take it.
const ZERO: &str = "0-";

/// Options about the code, before or after every command.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct Secret {
    /// Use the code "0-" on both sides, which is no secret: only for tests and for servers of your own
    #[arg(short = '0', global = true)]
    pub(crate) zero: bool,
    /// Words in a new code
    #[arg(short, long, global = true, value_name = "NUMWORDS")]
    #[arg(value_parser = clap::value_parser!(u8).range(1..=64))]
    code_length: Option<u8>,
    /// Words in a new code where -c says nothing: what a configuration file says
    #[arg(long, global = true, hide = true, value_parser = clap::value_parser!(u8).range(1..=64))]
    usual_code_length: Option<u8>,
    /// Compare a verifier with the other side before anything is sent or shown; either can refuse
    #[arg(short, long, global = true)]
    pub(crate) verify: bool,
}

impl Secret {
    /// The code that both sides know already: the one that was given, or that of `-0`.
    pub(crate) fn known(&self, given: Option<&str>, role: Role) -> Result<Option<Invitation>, Failure> {
        let usage = |why: &str| Err(Failure::Usage(why.to_owned()));
        match (self.zero, given, self.code_length) {
            (true, Some(_), _) => usage("-0 is a code already: leave the other one away"),
            (true, None, Some(_)) => usage("the code of -0 has no words: leave -c away"),
            (true, None, None) => Ok(Some(Invitation { code: Code::parse(ZERO)?, server: None })),
            (false, Some(_), Some(_)) => usage("the code has its words already: leave -c away"),
            (false, Some(code), None) => Ok(Some(Invitation::parse(code, role)?)),
            (false, None, _) => Ok(None),
        }
    }

    /// How many words a code gets that is made here.
    pub(crate) fn words(&self) -> usize {
        self.code_length.or(self.usual_code_length).map_or(defaults::CODE_WORDS, usize::from)
    }

    /// Who asks for a code makes none.
    pub(crate) fn makes_none(&self) -> Result<(), Failure> {
        match self.code_length {
            Some(_) => Err(Failure::Usage("Must use --allocate with --code-length".to_owned())),
            None => Ok(()),
        }
    }

    /// A command without a code of its own takes none of these.
    pub(crate) fn refuse(&self, command: &str) -> Result<(), Failure> {
        if self.zero || self.code_length.is_some() {
            return Err(Failure::Usage(format!("`{command}` takes neither -0 nor -c")));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_has_one_source() {
        let secret = |zero, code_length| Secret { zero, code_length, ..Secret::default() };
        for (zero, words, given) in
            [(true, None, Some("4-a")), (true, Some(2), None), (false, Some(2), Some("4-a"))]
        {
            assert!(
                matches!(secret(zero, words).known(given, Role::Follower), Err(Failure::Usage(_))),
                "{given:?}"
            );
        }
        assert_eq!(secret(true, None).known(None, Role::Leader).unwrap().unwrap().code.as_str(), "0-");
        assert_eq!(
            secret(false, None).known(Some(" 4-a"), Role::Follower).unwrap().unwrap().code.as_str(),
            "4-a"
        );
        assert_eq!(secret(false, Some(4)).known(None, Role::Leader), Ok(None));
        assert!(secret(false, Some(4)).makes_none().is_err());
        assert_eq!((secret(false, Some(4)).words(), secret(false, None).words()), (4, 2));
    }
}
