//! The side that lets somebody in: it takes one public key, shows it, and adds it to the authorized keys.

use std::future::pending;
use std::iter;

use tokio::sync::oneshot;
use wormhole_core::untrusted::Name;
use wormhole_core::wormhole::Event as Session;
use wormhole_tokio::transfer::{Event, Offer, Receiver};

use super::authorized::{Added, Authorized};
use super::key::Key;
use super::{Invite, config, people};
use crate::arguments::Common;
use crate::failure::Failure;
use crate::interrupts::Interrupts;
use crate::json;
use crate::prompt::{self, Answer};
use crate::screen::{Screen, shown};
use crate::sides::{self, or_interrupted};
use crate::verifier;
use crate::view::View;

pub(super) async fn run(
    common: &Common,
    options: &Invite,
    interrupts: &mut Interrupts,
) -> Result<(), Failure> {
    let secret = options.secret.with(&common.secret);
    let code = secret.zero_code(&common.secret, false)?;
    let screen = Screen::new(true);
    let user = options.user.clone();
    let looked = prompt::on_a_thread(move || look(user.as_deref()));
    let authorized = or_interrupted(interrupts, looked).await?.unwrap_or_else(|_| Err(sides::no_thread()))?;
    announce(&authorized, &screen)?;
    let mut receiver = Receiver::new(config(common, &secret, interrupts).await?)?;
    let view = View::new(screen, common.mailbox()).of(common, "recv");
    if view.traces() {
        receiver.trace();
    }
    match code {
        Some(code) => receiver.set_code(code)?,
        None => receiver.allocate_code(secret.words())?,
    }
    let inviting = Inviting {
        receiver,
        view,
        authorized,
        stage: Stage::Talking,
        compare: secret.verify,
        zero: secret.zero,
        yes: options.yes,
        key: None,
        failure: None,
    };
    inviting.until_done(interrupts).await
}

/// Whose keys they are, and whether one can be added, before there is a code.
fn look(user: Option<&str>) -> Result<Authorized, Failure> {
    let home = people::home(user).ok_or_else(|| {
        Failure::Here(match user {
            Some(user) => format!("there is no user '{}' with a home here", Name::from(user)),
            None => "nobody knows where your home is".to_owned(),
        })
    })?;
    Authorized::of(&home).map_err(Failure::Here)
}

fn announce(authorized: &Authorized, screen: &Screen) -> Result<(), Failure> {
    let (file, directory) = (authorized.file(), authorized.directory());
    if !file.exists() {
        print(screen, &format!("Note: '{}' not found; will be created", shown(&file)))?;
        if !directory.exists() {
            print(screen, &format!("      '{}' doesn't exist either", shown(&directory)))?;
        }
    }
    Ok(())
}

fn print(screen: &Screen, text: &str) -> Result<(), Failure> {
    screen.result(text).map_err(|error| Failure::Here(format!("standard output cannot be written: {error}")))
}

/// The conversation, and what its user sees of it and is asked.
struct Inviting {
    receiver: Receiver,
    view: View,
    authorized: Authorized,
    stage: Stage,
    compare: bool,
    zero: bool,
    /// Adds the key without asking.
    yes: bool,
    key: Option<Key>,
    /// What went wrong on this side, where the conversation only knows that something did.
    failure: Option<Failure>,
}

/// What the user, or the disk, is needed for.
enum Stage {
    Talking,
    /// To say whether the other side has the same verifier.
    Comparing(Option<Answer>),
    /// To say whether the key may be added.
    Asked(Option<Answer>),
    /// The key is being added.
    Adding(oneshot::Receiver<Result<Added, String>>),
}

enum Local {
    Compared(Option<String>),
    Answered(Option<String>),
    Added(Result<Added, String>),
}

impl Stage {
    /// Waits for the user or the disk; for ever where neither is needed. May be dropped half-way.
    async fn local(&mut self) -> Local {
        match self {
            Self::Talking => pending().await,
            Self::Comparing(question) => Local::Compared(prompt::answered(question).await),
            Self::Asked(question) => Local::Answered(prompt::answered(question).await),
            Self::Adding(done) => {
                Local::Added(done.await.unwrap_or_else(|_| Err("no thread can be started".to_owned())))
            }
        }
    }
}

impl Inviting {
    async fn until_done(mut self, interrupts: &mut Interrupts) -> Result<(), Failure> {
        loop {
            self.view.steps(iter::from_fn(|| self.receiver.transition()));
            tokio::select! {
                biased;
                () = interrupts.next() => return self.leave(interrupts).await,
                local = self.stage.local() => self.take(local)?,
                event = self.receiver.next_event() => {
                    if let Some(end) = self.see(event)? {
                        return end;
                    }
                }
                () = self.view.due() => self.view.tick(&self.receiver.progress()),
            }
        }
    }

    fn take(&mut self, local: Local) -> Result<(), Failure> {
        match local {
            Local::Compared(line) => match prompt::confirms(line.as_deref()) {
                Some(same) => {
                    self.stage = Stage::Talking;
                    sides::unless_over(self.receiver.confirm_verifier(same))?;
                }
                None => self.stage = Stage::Comparing(Some(prompt::ask(verifier::question()))),
            },
            Local::Answered(line) if prompt::agrees(line.as_deref()) => self.add(),
            Local::Answered(_) => {
                self.stage = Stage::Talking;
                sides::unless_over(self.receiver.refuse())?;
            }
            Local::Added(added) => self.added(added)?,
        }
        Ok(())
    }

    fn see(&mut self, event: Event) -> Result<Option<Result<(), Failure>>, Failure> {
        json::event(&event);
        match event {
            Event::Session(event) => self.see_session(&event)?,
            Event::Offered(offer) => self.offered(&offer),
            Event::Closed(outcome) => {
                if let Stage::Asked(Some(_)) | Stage::Comparing(Some(_)) = self.stage {
                    // The question is still on the last line.
                    self.view.screen.note("");
                }
                let failure = self.failure.take();
                return Ok(Some(outcome.map_err(|error| failure.unwrap_or_else(|| error.into()))));
            }
            Event::Answered
            | Event::OurHints(_)
            | Event::TheirHints(_)
            | Event::Connected(_)
            | Event::Spooling
            | Event::Sent
            | Event::Stored(_)
            | Event::Complete => {}
        }
        Ok(None)
    }

    fn see_session(&mut self, event: &Session) -> Result<(), Failure> {
        self.view.session(event);
        match event {
            Session::Code(code) => {
                // A link would be taken for one of a transfer.
                json::code(code, None);
                let code = if self.zero { "-0".to_owned() } else { code.to_string() };
                print(
                    &self.view.screen,
                    &format!("Now tell the other user to run:\n\nwormhole ssh accept {code}\n"),
                )
            }
            Session::Verifier(verifier) if self.compare => {
                self.view.screen.note(verifier::both(verifier));
                self.stage = Stage::Comparing(Some(prompt::ask(verifier::question())));
                Ok(())
            }
            Session::LinkUp
            | Session::LinkDown { .. }
            | Session::Welcome(_)
            | Session::Nameplates(_)
            | Session::WordsWanted
            | Session::PeerHeard
            | Session::UnverifiedKey
            | Session::Verifier(_)
            | Session::Versions(_)
            | Session::Record(_)
            | Session::CodeConsumed
            | Session::Closed(_) => Ok(()),
        }
    }

    fn offered(&mut self, offer: &Offer) {
        let key = match offer {
            Offer::Text(text) => Key::parse(&text.to_unicode()),
            Offer::File { .. }
            | Offer::Stream { .. }
            | Offer::Several { .. }
            | Offer::Directory { .. }
            | Offer::Unknown => Err("it is not even a text"),
        };
        match key {
            Ok(key) => {
                self.view.screen.note(format_args!(
                    "They offer a key: type='{}' id='{}'\n{}",
                    key.kind(),
                    Name::from(key.id()),
                    key.fingerprint()
                ));
                self.key = Some(key);
                if self.yes {
                    self.add();
                } else {
                    let question = format!(
                        "Let its owner in, by adding it to '{}'? [y/N]: ",
                        shown(&self.authorized.file())
                    );
                    self.stage = Stage::Asked(Some(prompt::ask(question)));
                }
            }
            Err(why) => {
                let what = format!("what came is not one public key: {why}. Nothing was added");
                self.fail(Failure::Here(what));
            }
        }
    }

    fn add(&mut self) {
        let Some(key) = self.key.clone() else { return };
        let authorized = self.authorized.clone();
        self.stage = Stage::Adding(prompt::on_a_thread(move || authorized.add(&key)));
    }

    /// The key is there, whatever comes of the rest: so this is said first.
    fn added(&mut self, added: Result<Added, String>) -> Result<(), Failure> {
        self.stage = Stage::Talking;
        let (kind, id) =
            self.key.as_ref().map(|key| (key.kind(), Name::from(key.id()).to_string())).unwrap_or_default();
        let file = shown(&self.authorized.file());
        match added {
            Ok(Added::Now) => {
                print(&self.view.screen, &format!("Appended key type='{kind}' id='{id}' to '{file}'"))?
            }
            Ok(Added::Before) => {
                print(&self.view.screen, &format!("The key type='{kind}' id='{id}' is in '{file}' already"))?
            }
            Err(why) => {
                self.fail(Failure::Here(why));
                return Ok(());
            }
        }
        drop(self.receiver.accept_text());
        Ok(())
    }

    /// Ends it because of something here.
    fn fail(&mut self, failure: Failure) {
        self.failure = Some(failure);
        // Where the end came first, there is nothing to be told.
        drop(self.receiver.refuse());
    }

    /// Tells the other side and ends; at once if the user insists.
    async fn leave(&mut self, interrupts: &mut Interrupts) -> Result<(), Failure> {
        self.receiver.cancel();
        let goodbye = sides::goodbye(async || self.receiver.next_event().await);
        or_interrupted(interrupts, goodbye).await?.map_err(|_| Failure::Interrupted)
    }
}
