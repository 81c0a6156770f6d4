//! The receiving side of a conversation as its user sees it: the code, the consent, the place, and what arrives.

#[cfg(unix)]
use std::fs::File;
use std::future::pending;
use std::io::{self, Write};
use std::iter;
use std::mem;
use std::path::{self, PathBuf};
use std::sync::mpsc;

use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::oneshot;
use wormhole_core::code::Code;
use wormhole_core::untrusted::Text;
use wormhole_core::uri::{Role, Uri};
use wormhole_core::wormhole::Event as Session;
use wormhole_tokio::transfer::{Error, Event, Offer, Receiver};

use crate::code_prompt::{self, Told};
use crate::consent::{self, Consent, Found, Step, Wishes};
use crate::failure::Failure;
use crate::interrupts::Interrupts;
use crate::json;
use crate::mode::mode;
use crate::prompt::{self, Answer};
use crate::screen::shown;
use crate::sides::{self, or_interrupted};
use crate::timing;
use crate::verifier;
use crate::view::View;

/// So many files and directories that have come are named.
const STORED_LINES: usize = 20;

const WAITING: &str = "Waiting for sender...";

/// What is shown, asked and taken, beyond what everybody needs.
#[derive(Default)]
pub(crate) struct Shows {
    /// The verifier, and whether the sender has the same is asked.
    pub(crate) verifier: bool,
    /// The code, which was made on this side.
    pub(crate) code: bool,
    /// Nothing but a text is taken.
    pub(crate) only_text: bool,
}

/// A receiver and what its user sees and is asked.
pub(crate) struct Receiving {
    receiver: Receiver,
    view: View,
    wishes: Wishes,
    shows: Shows,
    stage: Stage,
    is_directory: bool,
    /// What went wrong on this side, where the conversation only knows that something did.
    failure: Option<Failure>,
}

/// What the user is needed for.
enum Stage {
    /// The code will be asked for, once the server is there.
    Connecting,
    /// The code is being typed.
    Typing {
        told: UnboundedReceiver<Told>,
        /// What to answer to the Tab key when the server's list comes.
        wanted: Option<(String, mpsc::Sender<Vec<String>>)>,
    },
    /// For nothing.
    Talking,
    /// To say whether the sender has the same verifier.
    Comparing(Option<Answer>),
    /// Whether there is a place for what is offered is being found out.
    Placing(Consent, oneshot::Receiver<Found>),
    /// To say whether what is offered may come, or where to.
    Asked(Consent, Option<Answer>),
}

/// What came of the user, or of this computer.
enum Local {
    Told(Option<Told>),
    Placed(Found),
    Answered(Option<String>),
    Compared(Option<String>),
}

impl Stage {
    /// Waits for the user or this computer; for ever where neither is needed. May be dropped half-way.
    async fn local(&mut self) -> Local {
        match self {
            Self::Connecting | Self::Talking => pending().await,
            Self::Typing { told, .. } => Local::Told(told.recv().await),
            Self::Placing(_, found) => Local::Placed(found.await.unwrap_or_else(|_| Error::NoThread.into())),
            Self::Comparing(question) => Local::Compared(prompt::answered(question).await),
            Self::Asked(_, question) => Local::Answered(prompt::answered(question).await),
        }
    }
}

impl Receiving {
    pub(crate) fn new(mut receiver: Receiver, view: View, wishes: Wishes, shows: Shows) -> Self {
        if view.traces() {
            receiver.trace();
        }
        Self { receiver, view, wishes, shows, stage: Stage::Talking, is_directory: false, failure: None }
    }

    pub(crate) fn set_code(&mut self, code: Code) -> Result<(), Failure> {
        self.receiver.set_code(code)?;
        self.view.wait(WAITING);
        Ok(())
    }

    /// Makes the code here, with so many words.
    pub(crate) fn allocate_code(&mut self, words: usize) -> Result<(), Failure> {
        Ok(self.receiver.allocate_code(words)?)
    }

    /// Has the user type the code, once the server is there.
    pub(crate) fn input_code(&mut self) -> Result<(), Failure> {
        self.receiver.input_code()?;
        self.stage = Stage::Connecting;
        Ok(())
    }

    /// Runs the conversation to its end.
    pub(crate) async fn until_done(&mut self, interrupts: &mut Interrupts) -> Result<(), Failure> {
        loop {
            self.view.steps(iter::from_fn(|| self.receiver.transition()));
            tokio::select! {
                biased;
                () = interrupts.next() => return self.leave(Failure::Interrupted, interrupts).await,
                local = self.stage.local() => {
                    if let Err(failure) = self.take(local) {
                        return self.leave(failure, interrupts).await;
                    }
                }
                event = self.receiver.next_event() => {
                    if let Some(end) = self.see(event) {
                        return end;
                    }
                }
                () = self.view.due() => self.view.tick(&self.receiver.progress()),
            }
        }
    }

    /// What the user said, or this computer found out. An error ends the conversation.
    fn take(&mut self, local: Local) -> Result<(), Failure> {
        match local {
            Local::Told(told) => self.told(told.unwrap_or(Told::Ended))?,
            Local::Placed(found) => {
                if let Stage::Placing(mut consent, _) = mem::replace(&mut self.stage, Stage::Talking) {
                    let step = consent.found(found);
                    self.consent(consent, step)?;
                }
            }
            Local::Compared(line) => self.compared(line.as_deref())?,
            Local::Answered(line) => {
                if let Stage::Asked(mut consent, _) = mem::replace(&mut self.stage, Stage::Talking) {
                    let step = consent.answered(line.as_deref());
                    self.consent(consent, step)?;
                }
            }
        }
        Ok(())
    }

    /// Goes on with what the user is to decide.
    fn consent(&mut self, mut consent: Consent, mut step: Step) -> Result<(), Failure> {
        loop {
            match step {
                Step::Look(destination, on_conflict) => {
                    let offer = consent.offer().clone();
                    // Asking a disk may take its time.
                    let found = prompt::on_a_thread(move || consent::find(&offer, &destination, on_conflict));
                    self.stage = Stage::Placing(consent, found);
                    return Ok(());
                }
                Step::Ask(said, question) => {
                    self.say(said);
                    self.stage = Stage::Asked(consent, Some(prompt::ask(question)));
                    return Ok(());
                }
                Step::Accept(said, destination, on_conflict) => {
                    self.say(said);
                    match self.receiver.accept_with(&destination, on_conflict) {
                        Err(error) if consent.may_ask() => step = consent.found(error.into()),
                        // The reason is the outcome, as it is where the transfer has ended meanwhile.
                        Err(_) => step = Step::Refuse,
                        Ok(_) => return Ok(()),
                    }
                }
                Step::Write(said) => {
                    self.say(said);
                    return self.receiver.accept_writer(output()?).map_err(Failure::from);
                }
                Step::Refuse => return sides::unless_over(self.receiver.refuse()),
            }
        }
    }

    fn say(&self, said: String) {
        if !said.is_empty() {
            self.view.screen.note(said);
        }
    }

    fn told(&mut self, told: Told) -> Result<(), Failure> {
        match told {
            Told::Code(code) => {
                let words = code.as_str().split_once('-').map_or("", |(_, words)| words);
                sides::unless_over(self.receiver.choose_nameplate(code.nameplate()))?;
                sides::unless_over(self.receiver.choose_words(words))?;
                self.view.wait(WAITING);
                self.stage = Stage::Talking;
            }
            Told::Nameplates { typed, answer } => {
                sides::unless_over(self.receiver.refresh_nameplates())?;
                if let Stage::Typing { wanted, .. } = &mut self.stage {
                    *wanted = Some((typed, answer));
                }
            }
            Told::NoCode(failure) => return Err(failure),
            Told::Ended => return Err(Failure::NoCode),
            Told::Interrupted => return Err(Failure::Interrupted),
        }
        Ok(())
    }

    /// Shows what happened; gives the outcome with the last of it.
    fn see(&mut self, event: Event) -> Option<Result<(), Failure>> {
        json::event(&event);
        match event {
            Event::Session(event) => self.see_session(&event),
            Event::Answered
            | Event::OurHints(_)
            | Event::TheirHints(_)
            | Event::Spooling
            | Event::Sent
            | Event::Complete => {}
            Event::Offered(offer) => {
                if let Err(failure) = self.offered(offer) {
                    return Some(Err(failure));
                }
            }
            Event::Stored(paths) => self.stored(&paths),
            Event::Connected(path) => {
                timing::end("permission");
                self.view.begin("Receiving", path, &self.receiver.progress());
                timing::at("rx file");
            }
            Event::Closed(outcome) => {
                self.view.end(&self.receiver.progress());
                if let Stage::Asked(_, Some(_)) | Stage::Comparing(Some(_)) = self.stage {
                    // The question is still on the last line.
                    self.view.screen.note("");
                }
                // What we know ourselves is nearer to the cause than what the conversation made of it.
                return Some(outcome.map_err(|error| self.failure.take().unwrap_or_else(|| error.into())));
            }
        }
        None
    }

    fn see_session(&mut self, event: &Session) {
        self.view.session(event);
        match event {
            Session::Code(code) => {
                // Of a code that was made here, the link is for the sender.
                let link = self.shows.code.then(|| Uri::new(code.clone()).mailbox(self.view.mailbox()).ok());
                json::code(code, link.flatten().map(|uri| uri.for_role(Role::Leader)).as_ref());
                self.show_code(code);
            }
            Session::Welcome(_) => {
                if let Stage::Connecting = self.stage {
                    self.stage =
                        Stage::Typing { told: code_prompt::start(self.view.mailbox()), wanted: None };
                }
            }
            Session::Nameplates(_) => self.answer_tab(),
            Session::Verifier(verifier) if self.shows.verifier => {
                self.view.screen.note(verifier::both(verifier));
                self.compare();
            }
            Session::LinkUp
            | Session::LinkDown { .. }
            | Session::WordsWanted
            | Session::PeerHeard
            | Session::UnverifiedKey
            | Session::Verifier(_)
            | Session::Versions(_)
            | Session::Record(_)
            | Session::CodeConsumed
            | Session::Closed(_) => {}
        }
    }

    fn show_code(&self, code: &Code) {
        if self.shows.code {
            self.view.screen.say(format_args!(
                "Allocated code: {code}\nOn the other computer, please run:\n   wormhole send --code {code} <filename>"
            ));
        }
    }

    fn compare(&mut self) {
        self.stage = Stage::Comparing(Some(prompt::ask(verifier::question())));
    }

    /// What the user says of the verifier; asked again until it is a whole word.
    fn compared(&mut self, line: Option<&str>) -> Result<(), Failure> {
        let Some(same) = prompt::confirms(line) else {
            self.compare();
            return Ok(());
        };
        self.stage = Stage::Talking;
        sides::unless_over(self.receiver.confirm_verifier(same))
    }

    /// The list that the Tab key waits for is there.
    fn answer_tab(&mut self) {
        if let Stage::Typing { wanted, .. } = &mut self.stage
            && let Some((typed, answer)) = wanted.take()
        {
            let found = self.receiver.complete_nameplate(&typed).unwrap_or_default();
            // The prompt may have waited long enough.
            let _ = answer.send(found);
        }
    }

    fn offered(&mut self, offer: Offer) -> Result<(), Failure> {
        match &offer {
            Offer::Text(text) => self.take_text(text),
            Offer::File { .. } | Offer::Stream { .. } | Offer::Several { .. } | Offer::Directory { .. }
                if self.shows.only_text =>
            {
                self.view.screen.note("This is no text, and --only-text takes nothing else.");
                // Where the end came first, it says why.
                drop(self.receiver.refuse());
            }
            Offer::File { .. } | Offer::Stream { .. } | Offer::Several { .. } | Offer::Directory { .. } => {
                timing::begin_to_ask("permission");
                self.is_directory = !matches!(offer, Offer::File { .. } | Offer::Stream { .. });
                let (consent, step) = Consent::begin(offer, self.wishes.clone());
                return self.consent(consent, step);
            }
            // The conversation has refused it.
            Offer::Unknown => {}
        }
        Ok(())
    }

    fn take_text(&mut self, text: &Text) {
        let shown = text.to_string();
        // A text that cannot be shown was not received. A program has it with the offer.
        let outcome = if mode().json {
            json::text(text)
        } else if self.wishes.to_output {
            write_raw(text)
        } else {
            self.view.screen.result(shown.strip_suffix('\n').unwrap_or(&shown))
        };
        match outcome {
            Ok(()) => drop(self.receiver.accept_text()),
            Err(error) => {
                self.failure = Some(Failure::Here(format!("the text cannot be shown: {error}")));
                self.receiver.cancel();
            }
        }
    }

    fn stored(&mut self, paths: &[PathBuf]) {
        timing::end("rx file");
        self.view.end(&self.receiver.progress());
        if self.is_directory {
            // It happened as it came; scripts look for the line.
            self.view.screen.note("Unpacking zipfile..");
        }
        let what = if self.is_directory { "files" } else { "file" };
        for path in paths.iter().take(STORED_LINES) {
            let whole = path::absolute(path).unwrap_or_else(|_| path.to_owned());
            self.view.screen.note(format_args!("Received {what} written to: {}", shown(&whole)));
        }
        match paths.len().saturating_sub(STORED_LINES) {
            0 => {}
            more => self.view.screen.note(format_args!("and {more} more beside them")),
        }
    }

    /// Tells the other side, frees the code, and ends with `why`; at once if the user insists.
    async fn leave(&mut self, why: Failure, interrupts: &mut Interrupts) -> Result<(), Failure> {
        self.receiver.cancel();
        let goodbye = sides::goodbye(async || self.receiver.next_event().await);
        match or_interrupted(interrupts, goodbye).await? {
            // It was complete before we could stop it.
            Ok(()) => Ok(()),
            Err(_) => Err(why),
        }
    }
}

/// Standard output as bytes leave at once: what comes may be long in coming.
fn output() -> Result<Box<dyn Write + Send>, Failure> {
    #[cfg(unix)]
    {
        use std::os::fd::AsFd;
        let output = io::stdout().as_fd().try_clone_to_owned();
        let output = output.map_err(|error| Failure::Here(format!("standard output is closed: {error}")))?;
        Ok(Box::new(File::from(output)))
    }
    #[cfg(not(unix))]
    Ok(Box::new(io::stdout()))
}

/// The text as it came.
fn write_raw(text: &Text) -> io::Result<()> {
    let mut output = io::stdout().lock();
    output.write_all(text.to_unicode().as_bytes())?;
    output.flush()
}
