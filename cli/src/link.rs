//! What is given as a code: a code, or a `wormhole-transfer:` link with one in it.

use std::env;
use std::fmt::Display;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use wormhole_core::code::Code;
use wormhole_core::uri::{Role, Uri};

use crate::failure::Failure;
use crate::json::Kind;
use crate::prompt::{self, Question};
use crate::screen::{note, shown};
use crate::sides;
use crate::suggestion;

/// A code, and where both sides meet, if the link says so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Invitation {
    pub(crate) code: Code,
    pub(crate) server: Option<String>,
}

/// Names the code where the command line does not.
const VARIABLE: &str = "WORMHOLE_CODE";
/// The longest first line of a file that is read as a code.
const LINE_BYTES: u64 = 8 << 10;

/// The code or link of the command line, else of the file, else of the environment; an empty one is none, as with the
/// reference.
async fn given(typed: Option<&str>, file: Option<&Path>) -> Result<Option<String>, Failure> {
    let text = match (typed, file) {
        (Some(typed), _) => Some(typed.to_owned()),
        (None, Some(file)) => {
            let path = file.to_owned();
            // A pipe may take its time.
            let read = prompt::on_a_thread(move || first_line(&path)).await;
            let named = |why: &dyn Display| {
                Failure::Here(format!("the code cannot be read from {}: {why}", shown(file)))
            };
            let line =
                read.map_err(|_| named(&"no thread can be started"))?.map_err(|error| named(&error))?;
            if line.trim().is_empty() {
                return Err(named(&"its first line is empty"));
            }
            Some(line)
        }
        (None, None) => env::var(VARIABLE).ok(),
    };
    Ok(text.filter(|text| !text.trim().is_empty()))
}

fn first_line(path: &Path) -> io::Result<String> {
    let mut line = String::new();
    BufReader::new(File::open(path)?.take(LINE_BYTES)).read_line(&mut line)?;
    Ok(line)
}

impl Invitation {
    /// What the side with this role was given, if anything.
    pub(crate) async fn given(
        typed: Option<&str>,
        file: Option<&Path>,
        role: Role,
    ) -> Result<Option<Self>, Failure> {
        let Some(text) = given(typed, file).await? else { return Ok(None) };
        let invitation = Self::parse(&text, role)?;
        match suggestion::in_small_letters(&invitation.code) {
            Some(small) => Err(Failure::Usage(format!("codes are written in small letters, as {small}"))),
            None => Ok(Some(invitation)),
        }
    }

    /// Reads what was given to the side with this role.
    pub(crate) fn parse(text: &str, role: Role) -> Result<Self, Failure> {
        let text = text.trim();
        if !Uri::is_meant(text) {
            return Ok(Self { code: sides::code(text)?, server: None });
        }
        let uri = Uri::parse(text).map_err(|fault| Failure::Usage(fault.to_string()))?;
        if uri.role() != role {
            let wanted = match uri.role() {
                Role::Follower => "this link is for who receives: `wormhole receive LINK`",
                Role::Leader => "this link is for who sends: `wormhole send --code LINK`",
            };
            return Err(Failure::Usage(wanted.to_owned()));
        }
        Ok(Self { code: uri.code().clone(), server: uri.server().map(str::to_owned) })
    }

    /// The mailbox server to use where `ours` is what was said otherwise. One that only the link names is shown, and the user
    /// is asked, unless consent was given before.
    pub(crate) async fn mailbox(&self, ours: &str, consents: bool) -> Result<String, Failure> {
        match &self.server {
            Some(theirs) if theirs != ours => {
                note(format_args!("The link names another mailbox server: {theirs}"));
                let question = || prompt::ask(Question::new(Kind::Server, "Connect to it? (Y/n): "));
                if consents || prompt::accepts(question().await.unwrap_or_default().as_deref()) {
                    Ok(theirs.clone())
                } else {
                    Err(Failure::Here("the server of the link was refused".to_owned()))
                }
            }
            Some(_) | None => Ok(ours.to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_and_a_link_are_both_taken() {
        let plain = Invitation::parse(" 7-crossover-clockwork\n", Role::Follower).unwrap();
        let link = Invitation::parse("wormhole-transfer:7-crossover-clockwork", Role::Follower).unwrap();
        assert_eq!(plain, link);
        let link = Invitation::parse("wormhole-transfer:7-a?rendezvous=wss://h/v1", Role::Follower).unwrap();
        assert_eq!(link.server.as_deref(), Some("wss://h/v1"));
    }

    #[test]
    fn a_link_for_the_other_role_is_refused() {
        let text = "wormhole-transfer:7-a?role=leader";
        assert!(matches!(Invitation::parse(text, Role::Follower), Err(Failure::Usage(_))));
        assert!(Invitation::parse(text, Role::Leader).is_ok());
        assert!(matches!(Invitation::parse("wormhole-transfer:7-a", Role::Leader), Err(Failure::Usage(_))));
    }
}
