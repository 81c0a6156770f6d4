//! Whether what is offered may come, and where it goes: what is said about it, what is asked, and what the answers mean.
//!
//! Nothing here waits. The conversation carries out each [`Step`] and tells what came of it.

use std::fs;
use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};

use wormhole_tokio::transfer::{Destination, Error, Incoming, Offer, OnConflict};

use crate::arguments::{Conflict, Receive};
use crate::failure::Failure;
use crate::json::Kind;
use crate::mode::mode;
use crate::prompt::{self, Question};
use crate::screen::shown;
use crate::sizes::Bytes;

/// What stands for standard output.
const OUTPUT: &str = "-";

/// What the user said beforehand.
#[derive(Clone, Debug)]
pub(crate) struct Wishes {
    /// Takes a file or directory without asking.
    pub(crate) accept: bool,
    /// Where to put it.
    pub(crate) destination: Destination,
    /// It goes to standard output instead.
    pub(crate) to_output: bool,
    /// What to do about what is there already; nothing said is `None`.
    pub(crate) on_conflict: Option<Conflict>,
    /// What is done there where nothing is said.
    usual: OnConflict,
    /// Whether a person can answer.
    pub(crate) is_terminal: bool,
}

/// What to do next.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Find out with [`find`] whether this place is free.
    Look(Destination, OnConflict),
    /// Say this, and ask that.
    Ask(String, Question),
    /// Say this, and accept.
    Accept(String, Destination, OnConflict),
    /// Say this, and accept to standard output.
    Write(String),
    /// Our user does not want it.
    Refuse,
}

/// What looking for a place came to.
#[derive(Debug)]
pub(crate) struct Found {
    at: Result<PathBuf, Error>,
    /// Where something is in the way: the next free name, and whether it is a file that could be replaced.
    instead: Option<(PathBuf, bool)>,
}

/// The question of one offer.
#[derive(Debug)]
pub(crate) struct Consent {
    offer: Offer,
    wishes: Wishes,
    on_conflict: OnConflict,
    /// What was asked last.
    asked: Asked,
    /// The user has said yes in one way or another.
    is_given: bool,
    is_announced: bool,
}

#[derive(Debug)]
enum Asked {
    Whether,
    /// With what could be done, as it was asked.
    Instead {
        line: String,
        is_replaceable: bool,
    },
    Elsewhere,
}

impl Wishes {
    /// As the command line says. A place that cannot be is found out before the code is used, on a disk that may take its
    /// time.
    pub(crate) fn of(options: &Receive) -> Result<Self, Failure> {
        let to_output = is_output(options)?;
        let path = options.output_file.as_deref().filter(|_| !to_output);
        // The empty path is the directory that the program runs in, and leaves the name alone.
        let destination = path.map_or_else(|| Destination::Into(PathBuf::new()), destination);
        path.map_or(Ok(()), check).map_err(Failure::Here)?;
        Ok(Self {
            accept: options.accept_file,
            usual: destination.usual(),
            destination,
            to_output,
            on_conflict: options.on_conflict,
            is_terminal: io::stdin().is_terminal(),
        })
    }

    /// Takes everything into this directory and asks nothing.
    pub(crate) fn into_directory(directory: &Path) -> Self {
        let (destination, usual) = (Destination::Into(directory.to_owned()), OnConflict::Refuse);
        Self { accept: true, destination, to_output: false, on_conflict: None, usual, is_terminal: false }
    }

    /// What is done without a question.
    const fn policy(&self) -> OnConflict {
        match self.on_conflict {
            Some(Conflict::Rename) => OnConflict::Rename,
            Some(Conflict::Overwrite) => OnConflict::Overwrite,
            Some(Conflict::Refuse | Conflict::Ask) => OnConflict::Refuse,
            None => self.usual,
        }
    }

    /// Whether somebody can be asked about what is in the way.
    fn asks(&self) -> bool {
        match self.on_conflict {
            Some(Conflict::Ask) => true,
            Some(Conflict::Rename | Conflict::Overwrite | Conflict::Refuse) => false,
            None => !self.accept || self.is_terminal,
        }
    }
}

impl Consent {
    /// The first step.
    pub(crate) fn begin(offer: Offer, wishes: Wishes) -> (Self, Step) {
        let on_conflict = wishes.policy();
        let is_given = wishes.accept;
        let step = Step::Look(wishes.destination.clone(), on_conflict);
        let asked = Asked::Whether;
        let mut consent = Self { offer, wishes, on_conflict, asked, is_given, is_announced: false };
        let step = match (consent.wishes.to_output, is_given) {
            (false, _) => step,
            (true, true) => Step::Write(consent.announcement(Path::new(OUTPUT))),
            (true, false) => consent.whether(Path::new(OUTPUT)),
        };
        (consent, step)
    }

    fn whether(&mut self, at: &Path) -> Step {
        self.asked = Asked::Whether;
        let hint = if self.wishes.is_terminal { "\n(or another place: a path with a slash)" } else { "" };
        let said = self.announcement(at);
        Step::Ask(format!("{said}{hint}"), Question::new(Kind::Accept, "ok? (Y/n): "))
    }

    fn where_else(&mut self, why: String) -> Step {
        self.asked = Asked::Elsewhere;
        Step::Ask(why, Question::new(Kind::Place, "Another place, or nothing to refuse: "))
    }

    /// A place was looked for, or what is offered could not be put there.
    pub(crate) fn found(&mut self, found: Found) -> Step {
        match (found.at, found.instead) {
            (Ok(path), _) => {
                if !self.is_given {
                    return self.whether(&path);
                }
                let said = self.announcement(&path);
                Step::Accept(said, self.wishes.destination.clone(), self.on_conflict)
            }
            // To accept it is to have it refused with the reason.
            (Err(_), _) if !self.wishes.asks() => {
                Step::Accept(String::new(), self.wishes.destination.clone(), self.on_conflict)
            }
            (Err(Error::Exists { path }), Some((free, is_replaceable))) => {
                let overwrite = if is_replaceable { "(o)verwrite it, " } else { "" };
                let rename = match (&self.offer, free.file_name()) {
                    // Each gets a number that needs one.
                    (Offer::Several { .. }, _) | (_, None) => "the new one".to_owned(),
                    (_, Some(free)) => format!("the new one to '{}'", shown(Path::new(free))),
                };
                let line = format!("{overwrite}(R)ename {rename}, or (n)o? ");
                self.asked = Asked::Instead { line: line.clone(), is_replaceable };
                let head = if self.is_announced { String::new() } else { self.announcement(&path) + "\n" };
                let said = format!("{head}'{}' exists already.", shown(&path));
                Step::Ask(said, Question::new(Kind::Conflict, line))
            }
            (Err(error), _) => self.where_else(format!("There is no place for it: {error}.")),
        }
    }

    /// The user's answer; `None` where the input has ended.
    pub(crate) fn answered(&mut self, line: Option<&str>) -> Step {
        let Some(line) = line else { return Step::Refuse };
        let typed = line.trim();
        let is_path = typed.contains(std::path::is_separator);
        match &self.asked {
            Asked::Whether if is_path => self.elsewhere(typed),
            Asked::Whether if prompt::accepts(Some(line)) && self.wishes.to_output => {
                Step::Write(String::new())
            }
            Asked::Whether if prompt::accepts(Some(line)) => {
                self.is_given = true;
                Step::Accept(String::new(), self.wishes.destination.clone(), self.on_conflict)
            }
            Asked::Whether => Step::Refuse,
            Asked::Elsewhere if typed.is_empty() => Step::Refuse,
            Asked::Elsewhere => self.elsewhere(typed),
            Asked::Instead { .. } if is_path => self.elsewhere(typed),
            Asked::Instead { line, is_replaceable } => match typed.to_ascii_lowercase().as_str() {
                "" | "r" | "rename" => self.with(OnConflict::Rename),
                "o" | "overwrite" if *is_replaceable => self.with(OnConflict::Overwrite),
                "n" | "no" => Step::Refuse,
                _ => Step::Ask(String::new(), Question::new(Kind::Conflict, line.clone())),
            },
        }
    }

    fn with(&mut self, on_conflict: OnConflict) -> Step {
        self.is_given = true;
        self.on_conflict = on_conflict;
        Step::Look(self.wishes.destination.clone(), on_conflict)
    }

    fn elsewhere(&mut self, typed: &str) -> Step {
        self.wishes.destination = destination(Path::new(typed));
        self.wishes.to_output = false;
        // A name that was only just typed may well be a mistake.
        self.with(OnConflict::Refuse)
    }

    /// Says what would come, and where it would go.
    fn announcement(&mut self, path: &Path) -> String {
        self.is_announced = true;
        let at = if path == Path::new(OUTPUT) && self.wishes.to_output {
            "standard output".to_owned()
        } else {
            format!("'{}'", shown(path))
        };
        match &self.offer {
            Offer::File { size, .. } => format!("Receiving file ({}) into: {at}", Bytes(*size)),
            Offer::Directory { zip_size, bytes, files, .. } => format!(
                "Receiving directory ({}) into: {at}/\n{files} files, {} (uncompressed)",
                Bytes(*zip_size),
                Bytes(*bytes)
            ),
            Offer::Stream { .. } => format!("Receiving file (of unknown size) into: {at}"),
            Offer::Several { items, zip_size, bytes, files } => format!(
                "Receiving {} files and directories ({}) into: {at}\n{files} files, {} (uncompressed)",
                items.len(),
                Bytes(*zip_size),
                Bytes(*bytes)
            ),
            Offer::Text(_) | Offer::Unknown => String::new(),
        }
    }

    /// Whether somebody can be asked for another place.
    pub(crate) fn may_ask(&self) -> bool {
        self.wishes.asks()
    }

    pub(crate) const fn offer(&self) -> &Offer {
        &self.offer
    }
}

/// Whether everything goes to standard output.
fn is_output(options: &Receive) -> Result<bool, Failure> {
    let is_output = options.output_file.as_deref() == Some(Path::new(OUTPUT));
    if is_output && mode().json {
        return Err(Failure::Usage(
            "with --json, standard output is for events, and not for -o -".to_owned(),
        ));
    }
    Ok(is_output)
}

/// Looks for the place, on a disk that may take its time.
pub(crate) fn find(offer: &Offer, destination: &Destination, on_conflict: OnConflict) -> Found {
    let place = |on_conflict| Incoming::place(offer, destination, on_conflict);
    let at = place(on_conflict);
    let instead = match &at {
        Err(Error::Exists { .. }) => {
            place(OnConflict::Rename).ok().map(|free| (free, place(OnConflict::Overwrite).is_ok()))
        }
        Ok(_) | Err(_) => None,
    };
    Found { at, instead }
}

impl From<Error> for Found {
    fn from(error: Error) -> Self {
        Self { at: Err(error), instead: None }
    }
}

/// The place that somebody named: with a separator at its end it is a directory.
fn destination(path: &Path) -> Destination {
    if path.to_string_lossy().ends_with(std::path::is_separator) {
        Destination::Into(path.to_owned())
    } else {
        Destination::At(path.to_owned())
    }
}

/// Whether there can be anything.
fn check(path: &Path) -> Result<(), String> {
    let directory = match destination(path) {
        Destination::Into(directory) => directory,
        Destination::At(path) if path.is_dir() => return Ok(()),
        Destination::At(path) => {
            let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
            parent.unwrap_or_else(|| Path::new(".")).to_owned()
        }
    };
    match fs::metadata(&directory) {
        Ok(found) if found.is_dir() => Ok(()),
        Ok(_) => Err(format!("'{}' is no directory", shown(&directory))),
        Err(_) => Err(format!("there is no directory '{}'; make it first", shown(&directory))),
    }
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;
    use wormhole_core::untrusted::Name;

    use super::*;

    #[test]
    fn what_is_in_the_way_is_asked_about_and_each_answer_does_what_it_says() {
        let work = TempDir::new().unwrap();
        fs::write(work.path().join("a.txt"), "old").unwrap();
        let into = Destination::Into(work.path().to_owned());
        for (answer, expected) in [
            ("o", Some(OnConflict::Overwrite)),
            ("", Some(OnConflict::Rename)),
            ("R", Some(OnConflict::Rename)),
            ("n", None),
        ] {
            let (mut consent, step) = Consent::begin(file(), wishes(&work, None, false));
            let Step::Ask(said, question) = look(&mut consent, step) else { panic!("not asked") };
            assert!(said.starts_with("Receiving file (3 Bytes) into: '"), "{said}");
            assert!(said.ends_with("a.txt' exists already."), "{said}");
            let wanted = "(o)verwrite it, (R)ename the new one to 'a (1).txt', or (n)o? ";
            assert_eq!(question, Question::new(Kind::Conflict, wanted));
            assert!(matches!(consent.answered(Some("what?")), Step::Ask(_, again) if again == question));
            let step = consent.answered(Some(answer));
            let Some(expected) = expected else {
                assert_eq!(step, Step::Refuse);
                continue;
            };
            let Step::Accept(_, destination, policy) = look(&mut consent, step) else { panic!("{answer}") };
            assert_eq!((destination, policy), (into.clone(), expected));
        }
    }

    #[test]
    fn nobody_is_asked_where_the_answer_was_given_or_nobody_is_there() {
        let work = TempDir::new().unwrap();
        fs::write(work.path().join("a.txt"), "old").unwrap();
        for (conflict, accept, expected) in [
            (Some(Conflict::Rename), true, OnConflict::Rename),
            (Some(Conflict::Overwrite), true, OnConflict::Overwrite),
            (Some(Conflict::Refuse), true, OnConflict::Refuse),
            (None, true, OnConflict::Refuse),
        ] {
            let (mut consent, step) = Consent::begin(file(), wishes(&work, conflict, accept));
            let Step::Accept(_, _, policy) = look(&mut consent, step) else { panic!("{conflict:?}") };
            assert_eq!(policy, expected);
        }
        let (mut consent, step) = Consent::begin(file(), wishes(&work, Some(Conflict::Ask), true));
        assert!(matches!(look(&mut consent, step), Step::Ask(..)));
    }

    #[test]
    fn a_path_instead_of_yes_is_another_place() {
        let work = TempDir::new().unwrap();
        fs::create_dir(work.path().join("in")).unwrap();
        let (mut consent, step) = Consent::begin(file(), wishes(&work, None, false));
        assert!(
            matches!(look(&mut consent, step), Step::Ask(_, question) if question == Question::new(Kind::Accept, "ok? (Y/n): "))
        );
        let missing = work.path().join("missing/x");
        let step = consent.answered(missing.to_str());
        let step = look(&mut consent, step);
        assert!(matches!(step, Step::Ask(said, _) if said.starts_with("There is no place for it: ")));
        let inside = format!("{}/", work.path().join("in").display());
        let step = consent.answered(Some(&inside));
        let Step::Accept(said, destination, _) = look(&mut consent, step) else { panic!("not accepted") };
        assert!(said.ends_with("in/a.txt'"), "{said}");
        assert_eq!(destination, Destination::Into(inside.into()));
    }

    #[test]
    fn a_named_directory_has_to_be_there() {
        let work = TempDir::new().unwrap();
        let at = |name: &str| work.path().join(name);
        fs::write(at("file"), "").unwrap();
        for (name, is_possible) in
            [("", true), ("new", true), ("file", true), ("new/", false), ("file/", false), ("no/new", false)]
        {
            assert_eq!(check(&at(name)).is_ok(), is_possible, "{name}");
        }
        assert_eq!(destination(&at("new/")), Destination::Into(at("new/")));
    }

    fn look(consent: &mut Consent, step: Step) -> Step {
        let Step::Look(destination, on_conflict) = step else { panic!("{step:?}") };
        let found = find(consent.offer(), &destination, on_conflict);
        consent.found(found)
    }

    fn file() -> Offer {
        Offer::File { name: Name::from("a.txt"), size: 3, attributes: None }
    }

    fn wishes(work: &TempDir, on_conflict: Option<Conflict>, accept: bool) -> Wishes {
        Wishes { accept, on_conflict, ..Wishes::into_directory(work.path()) }
    }
}
