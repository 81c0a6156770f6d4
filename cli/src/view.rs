//! What both sides show of the conversation: the server's words, who is waited for, the state of the content.

use std::fmt::Display;
use std::future::pending;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};
use wormhole_core::defaults::WORK_BITS;
use wormhole_core::wire::server::{Demand, Welcome};
use wormhole_core::wormhole::Event as Session;
use wormhole_tokio::transfer::Progress;

use crate::json;
use crate::screen::Screen;

/// How long a wait is borne in silence.
const PATIENCE: Duration = Duration::from_secs(1);
/// How often progress is drawn.
const REDRAW: Duration = Duration::from_millis(100);

/// One side's view.
pub(crate) struct View {
    pub(crate) screen: Screen,
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
            mailbox: mailbox.to_owned(),
            waiting: None,
            redraw: None,
            flow: (None, Duration::ZERO),
            said: None,
            link: Link::Fine,
        }
    }

    /// The mailbox server's URL.
    pub(crate) fn mailbox(&self) -> &str {
        &self.mailbox
    }

    /// Shows what both sides show alike, and passes over the rest.
    pub(crate) fn session(&mut self, event: &Session) {
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
        self.screen.note(format_args!("{doing} ({path}).."));
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
        match waiting.into_iter().chain(self.redraw).min() {
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

    fn welcome(&mut self, welcome: &Welcome) {
        if let Some(Demand::Hashcash { bits, resource: _ }) = &welcome.demand
            && *bits <= WORK_BITS
        {
            self.screen.note(format_args!(
                "The server asks for {bits} bits of work before it serves. This may take some seconds ..."
            ));
        }
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
