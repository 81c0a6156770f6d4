//! The side that sends.

use std::fmt;
use std::mem;

use wormhole_core::code::Code;
use wormhole_core::driver::Instant;
use wormhole_core::error::{Error as CoreError, Misuse};
use wormhole_core::transfer;
use wormhole_core::transit::Role;
use wormhole_core::wire::peer::Extras;
use wormhole_core::wormhole;
use wormhole_core::wormhole::Transition;
use wormhole_runtime::{Config, OnNetwork, Runtime, Status};

use crate::config::machine;
use crate::content::{Confirming, Sending};
use crate::error::Error;
use crate::event::Event;
use crate::outgoing::{Content, Fitted};
use crate::progress::Progress;
use crate::session::{Session, Step};

/// Sends a text, a file or a directory.
///
/// It moves while one of its methods waits. Commands take effect at once and what they ask for leaves with the next wait;
/// a method that waits may be dropped half-way and called again, nothing is lost.
pub struct Sender<R: Runtime> {
    session: Session<transfer::Sender, R, Worked<R::Stream>>,
    content: Option<Content>,
    /// What this side can do.
    ours: Extras,
    /// Our user has still to be told that all has to be read first.
    must_spool: bool,
    code: Option<Code>,
    status: Status,
}

/// What the jobs come to: it may have to be read first, then all is sent, then it is confirmed.
enum Worked<S> {
    Spooled(Result<Content, Error>),
    Sent(Result<Confirming<S>, Error>),
    Confirmed(Result<(), Error>),
}

impl<R: OnNetwork> Sender<R> {
    /// A sender of this content, on a runtime of its own. It connects to the mailbox server with the first wait.
    pub fn new(config: Config, content: Content) -> Result<Self, Error> {
        Self::on(R::on_network(config.network()), config, content)
    }
}

impl<R: Runtime> Sender<R> {
    /// As [`Sender::new`], on this runtime, which knows its network already.
    pub fn on(mut runtime: R, config: Config, content: Content) -> Result<Self, Error> {
        content.check()?;
        let (machine, ours) = machine(&config, Role::Sender)?;
        let machine = transfer::Sender::undecided(machine, runtime.seed());
        let session = Session::new(machine, runtime, &config);
        session.progress().set_total(content.size());
        Ok(Self {
            session,
            content: Some(content),
            ours,
            must_spool: false,
            code: None,
            status: Status::default(),
        })
    }

    /// From now on the transitions of the session's machines are kept for [`transition`](Self::transition), for whoever
    /// looks for a fault.
    pub fn trace(&mut self) {
        self.session.machine_mut().trace();
    }

    /// The oldest transition that was kept and not taken.
    pub fn transition(&mut self) -> Option<Transition> {
        self.session.machine_mut().transition()
    }

    /// Has the server choose a nameplate, and chooses so many words.
    pub fn allocate_code(&mut self, words: usize) -> Result<(), Misuse> {
        self.session.machine_mut().allocate_code(words)
    }

    /// Takes a code that both users know.
    pub fn set_code(&mut self, code: Code) -> Result<(), Misuse> {
        self.session.machine_mut().set_code(code)
    }

    /// Our user has compared the verifiers. Nothing is offered before.
    pub fn confirm_verifier(&mut self, same: bool) -> Result<(), Misuse> {
        self.session.machine_mut().confirm_verifier(same)
    }

    /// Our user ends it: the other side is told, and the content stops at once.
    pub fn cancel(&mut self) {
        self.session.finish(Err(Error::Wormhole(CoreError::Cancelled)));
    }

    /// How it stands, as far as the methods that have waited so far know.
    pub fn status(&self) -> Status {
        self.status.clone()
    }

    /// How far the content has come.
    pub fn progress(&self) -> Progress {
        self.session.progress().clone()
    }

    /// The code, once it is known. Other events that come before it are passed over.
    pub async fn code(&mut self) -> Result<Code, Error> {
        let late = self.session.late();
        loop {
            if let Some(code) = &self.code {
                return Ok(code.clone());
            }
            match self.event_before(late).await {
                Some(Event::Closed(end)) => return Err(end.err().unwrap_or_else(|| Misuse::Closed.into())),
                Some(_) => {}
                None => return Err(Error::Wormhole(CoreError::TimedOut)),
            }
        }
    }

    /// Waits for the end. Events that come before it are passed over. A [limit](Config::wait_limit) does not count
    /// while content moves: it ends the call after once to twice that time without any.
    pub async fn finish(&mut self) -> Result<(), Error> {
        let (mut late, mut done) = (self.session.late(), self.session.progress().done());
        loop {
            match self.event_before(late).await {
                Some(Event::Closed(end)) => return end,
                Some(_) => {}
                None => {
                    let before = mem::replace(&mut done, self.session.progress().done());
                    if before == done {
                        return Err(Error::Wormhole(CoreError::TimedOut));
                    }
                    late = self.session.late();
                }
            }
        }
    }

    /// What happens next. After [`Event::Closed`] it is that again.
    pub async fn next_event(&mut self) -> Event {
        loop {
            if let Some(event) = self.event_before(None).await {
                return event;
            }
        }
    }

    /// The next event; nothing, if this moment comes first.
    async fn event_before(&mut self, late: Option<Instant>) -> Option<Event> {
        let event = self.sort(late).await?;
        event.note(&mut self.status);
        Some(event)
    }

    /// Works off what happens until that is an event.
    async fn sort(&mut self, late: Option<Instant>) -> Option<Event> {
        loop {
            if mem::take(&mut self.must_spool) {
                return Some(Event::Spooling);
            }
            match self.session.step(late).await? {
                Step::Told(told) => {
                    if let Some(event) = self.told(told) {
                        return Some(event);
                    }
                }
                Step::Worked(Worked::Spooled(Ok(content))) => self.offer(content),
                Step::Worked(Worked::Spooled(Err(error))) => self.session.finish(Err(error)),
                Step::Worked(Worked::Sent(Ok(confirming))) => {
                    self.session.work(async move { Worked::Confirmed(confirming.run().await) }, None);
                    return Some(Event::Sent);
                }
                Step::Worked(Worked::Sent(Err(error))) => self.session.finish(Err(error)),
                Step::Worked(Worked::Confirmed(outcome)) => self.session.finish(outcome),
                Step::Closed(end) => return Some(Event::Closed(end)),
            }
        }
    }

    /// Offers the content as the other side can take it.
    fn fit(&mut self, extras: Extras) {
        let Some(content) = self.content.take() else { return };
        match content.fit(extras) {
            Ok(Fitted::Ready(content)) => self.offer(content),
            Ok(Fitted::Unspooled(unspooled)) => match unspooled.spool() {
                Ok(spooling) => {
                    self.must_spool = true;
                    self.session.prepare(async move { Worked::Spooled(spooling.await) });
                }
                Err(error) => self.session.finish(Err(error)),
            },
            Err(error) => self.session.finish(Err(error)),
        }
    }

    fn offer(&mut self, content: Content) {
        self.session.progress().set_total(content.size());
        if let Err(fault) = self.session.machine_mut().offer(content.offer().clone()) {
            self.session.finish(Err(fault.into()));
        }
        self.content = Some(content);
    }

    fn told(&mut self, told: transfer::Event) -> Option<Event> {
        match told {
            transfer::Event::Session(event) => {
                if let wormhole::Event::Code(code) = &event {
                    self.code = Some(code.clone());
                }
                if let wormhole::Event::Versions(theirs) = &event {
                    let theirs = Extras::declared_in(&theirs.app_versions).unwrap_or_default();
                    self.fit(self.ours.and(theirs));
                }
                Some(Event::Session(event))
            }
            transfer::Event::Answered => Some(Event::Answered),
            transfer::Event::OurHints(ours) => Some(Event::OurHints(ours.hints)),
            transfer::Event::TheirHints(theirs) => Some(Event::TheirHints(theirs.hints)),
            transfer::Event::Settled(settled) => {
                let path = settled.path.clone();
                let content = self.content.take()?;
                let progress = self.progress();
                let started =
                    self.session.pipe(settled).and_then(|pipe| Sending::start(content, pipe, progress));
                match started {
                    Ok(sending) => {
                        let thread = sending.thread();
                        self.session.work(async move { Worked::Sent(sending.run().await) }, Some(thread));
                    }
                    Err(error) => self.session.finish(Err(error)),
                }
                Some(Event::Connected(path))
            }
            // The first is the receiver's, and the session takes the second.
            transfer::Event::Offered(_) | transfer::Event::Closed(_) => None,
        }
    }
}

impl<R: Runtime> fmt::Debug for Sender<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender").field("progress", self.session.progress()).finish_non_exhaustive()
    }
}
