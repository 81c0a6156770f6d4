//! What both sides have in common: a wormhole, and the swap over it.

use alloc::collections::VecDeque;
use alloc::string::String;
use core::convert::Infallible;
use core::fmt;
use core::time::Duration;

use super::Event;
use super::swap::{self, Blob, Limit, Swap};
use crate::driver::{Conns, Input, Instant, Machine, Output, Why};
use crate::error::{Awaited, Error, Misuse, PeerFault, ServerFault};
use crate::rng::Seed;
use crate::vigil::Vigil;
use crate::wormhole::{self, Config, Wormhole};

/// A wormhole, and the swap over it.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Exchange {
    wormhole: Wormhole,
    /// The URL of the server, for an error.
    mailbox: String,
    swap: Swap,
    /// For the other side's blob.
    vigil: Vigil<()>,
    limit: Duration,
    now: Instant,
    /// When the wormhole wants to be called at the latest.
    wait: Option<Instant>,
    out: VecDeque<Output<Event>>,
}

impl Exchange {
    /// The code is chosen, and the blob said, before anything else happens.
    pub(super) fn new(
        config: Config,
        blob: &[u8],
        seed: Seed,
        code: impl FnOnce(&mut Wormhole) -> Result<(), Misuse>,
    ) -> Result<Self, Misuse> {
        let mailbox = config.mailbox_url().into();
        let limit = config.time_limits().offer;
        let mut wormhole = Wormhole::new(config, seed, Conns::all());
        code(&mut wormhole)?;
        wormhole.send(blob)?;
        let mut exchange = Self {
            wormhole,
            mailbox,
            swap: Swap::default(),
            vigil: Vigil::default(),
            limit,
            now: Instant::START,
            wait: None,
            out: VecDeque::new(),
        };
        exchange.drain();
        Ok(exchange)
    }

    /// Our user ends it.
    pub(super) fn cancel(&mut self) {
        self.wormhole.fail(Error::Cancelled);
        self.drain();
    }

    fn drain(&mut self) {
        loop {
            match self.wormhole.poll() {
                Output::Do(op) => self.out.push_back(Output::Do(op)),
                Output::Tell(event) => self.told(event),
                Output::Wait(until) if self.swap.is_storing() && self.wormhole.all_stored() => {
                    self.wait = until;
                    self.step(swap::Input::Stored);
                }
                Output::Wait(until) => {
                    self.wait = until;
                    break;
                }
            }
        }
        let is_known =
            self.swap.is_waiting() && self.wormhole.is_confirmed() && self.wormhole.mood().is_none();
        self.vigil.set(is_known.then_some(((), self.limit)));
    }

    fn told(&mut self, event: wormhole::Event) {
        use wormhole::Event as Told;
        match event {
            Told::Record(record) => {
                self.wormhole.taken(record.len());
                self.step(swap::Input::Theirs(Blob::new(record)));
            }
            Told::Closed(result) => self.step(swap::Input::Closed(result)),
            Told::LinkUp
            | Told::LinkDown { .. }
            | Told::Welcome(_)
            | Told::Nameplates(_)
            | Told::WordsWanted
            | Told::Code(_)
            | Told::PeerHeard
            | Told::UnverifiedKey
            | Told::Verifier(_)
            | Told::Versions(_)
            | Told::CodeConsumed => self.out.push_back(Output::Tell(Event::Session(event))),
        }
    }

    fn step(&mut self, input: swap::Input) {
        for output in self.swap.handle(input) {
            match output {
                swap::Output::Close => self.wormhole.close(),
                swap::Output::GiveUp => {
                    let url = self.mailbox.clone();
                    self.wormhole.fail(ServerFault::Unreachable { url, why: Why::TimedOut }.into());
                }
                swap::Output::Finished(outcome) => {
                    let finished = Event::Finished(outcome.map(Blob::into_bytes));
                    self.out.push_back(Output::Tell(finished));
                }
            }
        }
    }
}

impl Machine for Exchange {
    type Event = Event;
    type Request = Infallible;
    type Reply = Infallible;

    fn handle(&mut self, input: Input, now: Instant) {
        self.now = self.now.max(now);
        self.wormhole.handle(input, self.now);
        self.drain();
        self.step(swap::Input::Tick(self.now));
        if self.vigil.pass(self.now).is_some() {
            let is_linked = self.wormhole.is_linked();
            let silent = || PeerFault::Silent(Awaited::Offer).into();
            self.wormhole.fail(if is_linked { silent() } else { ServerFault::Gone.into() });
        }
        self.drain();
    }

    fn poll(&mut self) -> Output<Event> {
        self.out.pop_front().unwrap_or_else(|| {
            let own = self.swap.deadline().map(|limit| match limit {
                Limit::FromNextTick => self.now,
                Limit::Until(until) => until,
            });
            let vigil = self.vigil.deadline(self.now);
            Output::Wait([self.wait, own, vigil].into_iter().flatten().min())
        })
    }
}

impl fmt::Debug for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exchange")
            .field("swap", &self.swap)
            .field("wormhole", &self.wormhole)
            .finish_non_exhaustive()
    }
}
