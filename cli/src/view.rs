//! What both sides show of the conversation: the server's words, who is waited for, the state of the content.

use std::fmt::Display;
use std::future::pending;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};
use wormhole_core::defaults::WORK_BITS;
use wormhole_core::wire::server::{Demand, Welcome};
use wormhole_core::wormhole::{Event as Session, Transition};
use wormhole_tokio::transfer::Progress;

use crate::arguments::Common;
use crate::diagnosis::Trace;
use crate::json;
use crate::screen::Screen;
use crate::timing;

/// How long a wait is borne in silence.
const PATIENCE: Duration = Duration::from_secs(1);
/// How often progress is drawn.
const REDRAW: Duration = Duration::from_millis(100);

/// One side's view.
pub(crate) struct View {
    pub(crate) screen: Screen,
    /// Stands before the path of the content, for who goes through Tor.
    via: &'static str,
    /// Shows what the machines do.
    trace: Option<Trace>,
    /// The mailbox server's URL, to say whose words are shown.
    mailbox: String,
    /// What is said if nothing happens until then.
    waiting: Option<(Instant, &'static str)>,
    /// When progress is drawn next, while content flows.
    redraw: Option<Instant>,
    /// When content began to flow, and how long it did.
    flow: (Option<Instant>, Duration),
    /// The server's words that were shown last.
    said: Option<String>,
    /// Whether another version was recommended.
    advised: bool,
    link: Link,
}

/// The connection to the mailbox server, as the user knows it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Link {
    Fine,
    Lost,
    /// Nothing more is needed of the server, so its absence is not worth a word.
    Done,
}

impl View {
    pub(crate) fn new(screen: Screen, mailbox: &str) -> Self {
        Self {
            screen,
            via: "",
            trace: None,
            mailbox: mailbox.to_owned(),
            waiting: None,
            redraw: None,
            flow: (None, Duration::ZERO),
            said: None,
            advised: false,
            link: Link::Fine,
        }
    }

    /// The same, for one side of a transfer as the options want it.
    pub(crate) fn of(self, common: &Common, role: &'static str) -> Self {
        Self { via: common.network.via(), trace: common.diagnosis.trace(role), ..self }
    }

    /// Whether steps of machines are shown.
    pub(crate) const fn traces(&self) -> bool {
        self.trace.is_some()
    }

    /// Shows steps of machines, where that is wanted.
    pub(crate) fn steps(&self, steps: impl Iterator<Item = Transition>) {
        if let Some(trace) = &self.trace {
            steps.for_each(|step| trace.show(&step, &self.screen));
        }
    }

    /// The mailbox server's URL.
    pub(crate) fn mailbox(&self) -> &str {
        &self.mailbox
    }

    /// Shows what both sides show alike, and passes over the rest.
    pub(crate) fn session(&mut self, event: &Session) {
        timing::session(event);
        match event {
            Session::Welcome(welcome) => self.welcome(welcome),
            Session::LinkDown { why } if self.link == Link::Fine => {
                self.link = Link::Lost;
                self.screen.note(format_args!("Lost the mailbox server ({why}). Trying again.."));
            }
            Session::LinkUp if self.link == Link::Lost => {
                self.link = Link::Fine;
                self.screen.note("The mailbox server is there again.");
            }
            Session::PeerHeard | Session::Verifier(_) | Session::Versions(_) => self.waiting = None,
            Session::UnverifiedKey => self.wait("Key established, waiting for confirmation..."),
            Session::LinkUp
            | Session::LinkDown { .. }
            | Session::Nameplates(_)
            | Session::WordsWanted
            | Session::Code(_)
            | Session::Record(_)
            | Session::CodeConsumed
            | Session::Closed(_) => {}
        }
    }

    /// Says `line` if nothing happens for a second.
    pub(crate) fn wait(&mut self, line: &'static str) {
        self.waiting = Some((Instant::now() + PATIENCE, line));
    }

    /// The content begins to flow, by the path that the label names.
    pub(crate) fn begin(&mut self, doing: &str, path: impl Display, progress: &Progress) {
        self.waiting = None;
        self.link = Link::Done;
        timing::at("transit connected");
        self.screen.note(format_args!("{doing} ({}{path})..", self.via));
        self.screen.begin(progress.total());
        json::progress(progress);
        let now = Instant::now();
        self.flow = (Some(now), Duration::ZERO);
        self.redraw = Some(now + REDRAW);
    }

    /// The content has flown, or will not.
    pub(crate) fn end(&mut self, progress: &Progress) {
        self.waiting = None;
        if let Some(began) = self.flow.0.take() {
            self.flow.1 = began.elapsed();
        }
        if self.redraw.take().is_some() {
            self.screen.at(progress.done(), progress.total());
            self.screen.end();
            json::progress(progress);
        }
    }

    /// How long content has flown, once it has ended.
    pub(crate) const fn flow(&self) -> Duration {
        self.flow.1
    }

    /// Waits for the moment when there is something to show. May be dropped half-way.
    pub(crate) async fn due(&self) {
        let waiting = self.waiting.map(|(at, _)| at);
        // Not every step is told as an event.
        let look = self.trace.is_some().then(|| Instant::now() + REDRAW);
        match waiting.into_iter().chain(self.redraw).chain(look).min() {
            Some(at) => sleep_until(at).await,
            None => pending().await,
        }
    }

    /// Shows what is due.
    pub(crate) fn tick(&mut self, progress: &Progress) {
        let now = Instant::now();
        if let Some((at, line)) = self.waiting
            && at <= now
        {
            self.waiting = None;
            self.screen.note(line);
        }
        if self.redraw.is_some_and(|at| at <= now) {
            self.redraw = Some(now + REDRAW);
            self.screen.at(progress.done(), progress.total());
            json::progress(progress);
        }
    }

    /// What the server says of this program's version, once. Of another program's it may say what it wants.
    fn advise(&mut self, welcome: &Welcome) {
        let ours = env!("CARGO_PKG_VERSION");
        if let Some(theirs) = welcome.current_version.as_ref().map(|version| version.short().to_string())
            && theirs != ours
            && !self.advised
        {
            self.advised = true;
            self.screen.note(format_args!("Server claims {theirs} is current, but ours is {ours}"));
        }
    }

    fn welcome(&mut self, welcome: &Welcome) {
        if let Some(Demand::Hashcash { bits, resource: _ }) = &welcome.demand
            && *bits <= WORK_BITS
        {
            self.screen.note(format_args!(
                "The server asks for {bits} bits of work before it serves. This may take some seconds ..."
            ));
        }
        self.advise(welcome);
        // Each new connection brings it again.
        let Some(motd) = welcome.motd.as_ref().map(ToString::to_string) else { return };
        if self.said.as_ref() != Some(&motd) {
            self.screen.note(format_args!("Server (at {}) says:", self.mailbox));
            for line in motd.split('\n') {
                self.screen.note(format_args!(" {line}"));
            }
            self.said = Some(motd);
        }
    }
}
