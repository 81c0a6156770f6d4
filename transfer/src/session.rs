//! What both sides have in common: a machine of the core, the content beside it, and how the two end together.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use wormhole_core::defaults::Limits;
use wormhole_core::driver::{Input, Instant, Machine, Output};
use wormhole_core::error::{Error as CoreError, TransitFault};
use wormhole_core::transfer;
use wormhole_core::transit::Settled;
use wormhole_runtime::pipe::Pipe;
use wormhole_runtime::{Config, Driver, Job, Note, Runtime};

use crate::error::Error;
use crate::exchange::Ended;
use crate::progress::Progress;
use crate::temporary::Removals;

/// How long a lost connection is not yet the verdict: the side that broke it may be saying why, by way of the mailbox.
const REASON_LIMIT: Duration = Duration::from_secs(2);
/// How long the end waits for the thread of the disk to clean up, from the last thing that it removed. A dead disk is
/// not waited for.
const CLEAN_UP_LIMIT: Duration = Duration::from_millis(500);

/// A machine of the core, of either side.
pub(crate) trait Side:
    Machine<Event = transfer::Event, Request = Infallible, Reply = Infallible>
{
    /// What it means that nothing happens for long once all the content has come or gone.
    fn silence() -> CoreError;

    fn finish(&mut self, outcome: Result<(), CoreError>);
}

impl Side for transfer::Sender {
    fn silence() -> CoreError {
        TransitFault::Unacknowledged.into()
    }

    fn finish(&mut self, outcome: Result<(), CoreError>) {
        self.finish(outcome);
    }
}

impl Side for transfer::Receiver {
    fn silence() -> CoreError {
        CoreError::Failed("what was sent could not be stored in time".to_owned())
    }

    fn finish(&mut self, outcome: Result<(), CoreError>) {
        self.finish(outcome);
    }
}

/// One transfer on one runtime. `W` is what its jobs come to.
pub(crate) struct Session<M, R, W> {
    driver: Driver<Patient<M>, R, Seen>,
    wait_limit: Option<Duration>,
    worked: Slot<W>,
    job: Option<Job>,
    thread: Option<Ended>,
    progress: Progress,
    /// What we told the machine that went wrong, and what that was in full.
    failed: Option<(CoreError, Error)>,
    closed: Option<Result<(), Error>>,
}

/// What happens next.
pub(crate) enum Step<W> {
    Told(transfer::Event),
    Worked(W),
    Closed(Result<(), Error>),
}

impl<M: Side, R: Runtime, W: Send + 'static> Session<M, R, W> {
    /// The machine's waits are its own; those for the content are these.
    pub(crate) fn new(machine: M, runtime: R, config: &Config) -> Self {
        let (machine, wait_limit) = (Patient::new(machine, *config.time_limits()), config.waits());
        Self {
            driver: Driver::new(machine, runtime, Seen::default()),
            wait_limit,
            worked: Slot::default(),
            job: None,
            thread: None,
            progress: Progress::default(),
            failed: None,
            closed: None,
        }
    }

    pub(crate) const fn machine(&self) -> &M {
        &self.driver.machine.machine
    }

    pub(crate) const fn machine_mut(&mut self) -> &mut M {
        &mut self.driver.machine.machine
    }

    pub(crate) const fn progress(&self) -> &Progress {
        &self.progress
    }

    /// When a call that begins now has waited for too long.
    pub(crate) fn late(&self) -> Option<Instant> {
        self.wait_limit.map(|limit| self.driver.runtime.now().plus(limit))
    }

    /// The next thing that happens; nothing, if this moment comes first. It may be dropped and called again; after the
    /// end it answers the end again.
    pub(crate) async fn step(&mut self, late: Option<Instant>) -> Option<Step<W>> {
        if self.closed.is_none() {
            let worked = self.worked.clone();
            let limit = late.map(|late| late.saturating_since(self.driver.runtime.now()));
            let step = self.driver.until_late(limit, |_, seen| match seen.0.pop_front() {
                Some(Told::Machine(event)) => Poll::Ready(Step::Told(event)),
                Some(Told::CleanUpOver) | None => {
                    worked.take().map_or(Poll::Pending, |it| Poll::Ready(Step::Worked(it)))
                }
            });
            let step = step.await?;
            let Step::Told(transfer::Event::Closed(verdict)) = step else { return Some(step) };
            self.job = None;
            self.closed = Some(verdict.map_err(|error| self.in_full(error)));
        }
        self.clean_up().await;
        Some(Step::Closed(self.closed.clone().unwrap_or(Ok(()))))
    }

    /// The connection that was settled on, as a pipe.
    pub(crate) fn pipe(&mut self, settled: Settled) -> Result<Pipe<R::Stream>, Error> {
        let stream = self.driver.runtime.take(settled.conn);
        let stream = stream.ok_or_else(|| {
            Error::Wormhole(TransitFault::Lost { got: 0, want: self.progress.total() }.into())
        })?;
        Ok(Pipe::new(stream, &settled.keys, settled.read))
    }

    /// Runs a job beside the session. What it comes to is the next [`Step::Worked`].
    pub(crate) fn work(&mut self, job: impl Future<Output = W> + Send + 'static, thread: Option<Ended>) {
        self.thread = thread.or_else(|| self.thread.take());
        self.driver.machine.watch(&self.progress);
        self.prepare(job);
    }

    /// Runs a job beside the session that moves no content.
    pub(crate) fn prepare(&mut self, job: impl Future<Output = W> + Send + 'static) {
        let worked = self.worked.clone();
        self.job = Some(self.driver.runtime.beside(async move { worked.put(job.await) }));
    }

    /// What tells how far the clean-up has come.
    pub(crate) fn count_removals(&mut self, removals: Removals) {
        self.driver.machine.removals = removals;
    }

    /// How the content ended.
    pub(crate) fn finish(&mut self, outcome: Result<(), Error>) {
        self.job = None;
        match outcome {
            Ok(()) => self.driver.machine.finish(Ok(())),
            Err(error) => {
                let told = error.for_the_machine();
                self.driver.machine.finish(Err(told.clone()));
                self.failed.get_or_insert((told, error));
            }
        }
    }

    /// Remembers what was wrong where the machine is told of it in other words.
    pub(crate) fn failed(&mut self, told: CoreError, error: Error) {
        self.failed.get_or_insert((told, error));
    }

    fn in_full(&mut self, error: CoreError) -> Error {
        match self.failed.take() {
            Some((told, in_full)) if told == error => in_full,
            Some(_) | None => Error::Wormhole(error),
        }
    }

    /// Waits until the thread is gone, and with it what it may have left on the disk, but not for long.
    async fn clean_up(&mut self) {
        let Some(thread) = self.thread.clone() else { return };
        if thread.poll(&Context::from_waker(Waker::noop())).is_pending() {
            self.driver.machine.clean_up();
            let gone = Slot::default();
            let tell = gone.clone();
            let waiting = thread.clone();
            let _job = self.driver.runtime.beside(async move {
                poll_fn(|cx| waiting.poll(cx)).await;
                tell.put(());
            });
            let over = self.driver.until(|seen| match seen.0.pop_front() {
                Some(Told::CleanUpOver) => Poll::Ready(()),
                Some(Told::Machine(_)) | None => gone.take().map_or(Poll::Pending, Poll::Ready),
            });
            over.await;
        }
        self.thread = None;
    }
}

/// What was told and not yet asked for.
#[derive(Default)]
struct Seen(VecDeque<Told>);

enum Told {
    Machine(transfer::Event),
    CleanUpOver,
}

impl Note<Told> for Seen {
    fn note(&mut self, event: Told) {
        self.0.push_back(event);
    }
}

/// A machine, and the waits that only the content needs.
struct Patient<M> {
    machine: M,
    limits: Limits,
    now: Instant,
    /// The content, while it flows.
    watch: Option<Watch>,
    /// A verdict that waits for a better one.
    held: Option<(CoreError, Instant)>,
    clean_up: CleanUp,
    removals: Removals,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum CleanUp {
    NotYet,
    /// Until then, if no more than so much has been removed by then.
    Until(Instant, u64),
    Over,
}

/// How far the content had come, and until when it must have come further.
struct Watch {
    progress: Progress,
    done: u64,
    until: Instant,
    /// All of it has come or gone, and what is done with it does not show.
    is_through: bool,
}

impl Watch {
    fn new(progress: Progress, limits: &Limits, now: Instant) -> Self {
        let done = progress.done();
        let is_through = progress.is_through();
        // What is made as it flows comes when it comes.
        let limit = if is_through || !progress.is_known() { limits.confirm } else { limits.stall };
        Self { progress, done, until: now.plus(limit), is_through }
    }
}

impl<M: Side> Patient<M> {
    fn new(machine: M, limits: Limits) -> Self {
        let (now, clean_up, removals) = (Instant::START, CleanUp::NotYet, Removals::default());
        Self { machine, limits, now, watch: None, held: None, clean_up, removals }
    }

    fn watch(&mut self, progress: &Progress) {
        self.watch = Some(Watch::new(progress.clone(), &self.limits, self.now));
    }

    /// Looks whether the content moves, when the time for it has come.
    fn look(&mut self) {
        let Some(watch) = self.watch.take_if(|watch| watch.until <= self.now) else { return };
        if watch.progress.done() == watch.done {
            let error = if watch.is_through { M::silence() } else { TransitFault::Stalled.into() };
            self.machine.finish(Err(error));
        } else {
            self.watch = Some(Watch::new(watch.progress, &self.limits, self.now));
        }
    }

    fn finish(&mut self, outcome: Result<(), CoreError>) {
        self.watch = None;
        match outcome {
            Err(error @ CoreError::Transit(TransitFault::Lost { .. } | TransitFault::Unconfirmed(_))) => {
                self.held.get_or_insert_with(|| (error, self.now.plus(REASON_LIMIT)));
            }
            outcome => self.machine.finish(outcome),
        }
    }

    fn clean_up(&mut self) {
        if let CleanUp::NotYet = self.clean_up {
            self.wait_for_removals();
        }
    }

    fn wait_for_removals(&mut self) {
        self.clean_up = CleanUp::Until(self.now.plus(CLEAN_UP_LIMIT), self.removals.count());
    }
}

impl<M: Side> Machine for Patient<M> {
    type Event = Told;
    type Request = Infallible;
    type Reply = Infallible;

    fn handle(&mut self, input: Input, now: Instant) {
        self.now = self.now.max(now);
        self.machine.handle(input, now);
        self.look();
        if let Some((error, until)) = self.held.take() {
            if until <= self.now {
                self.machine.finish(Err(error));
            } else {
                self.held = Some((error, until));
            }
        }
    }

    fn poll(&mut self) -> Output<Told> {
        if let CleanUp::Until(until, before) = self.clean_up
            && until <= self.now
        {
            if self.removals.count() > before {
                self.wait_for_removals();
                return self.poll();
            }
            self.clean_up = CleanUp::Over;
            return Output::Tell(Told::CleanUpOver);
        }
        let deadline = match self.machine.poll() {
            Output::Do(op) => return Output::Do(op),
            Output::Tell(event) => {
                if let transfer::Event::Closed(_) = event {
                    (self.watch, self.held) = (None, None);
                }
                return Output::Tell(Told::Machine(event));
            }
            Output::Wait(deadline) => deadline,
        };
        let held = self.held.as_ref().map(|(_, until)| *until);
        let clean_up = match self.clean_up {
            CleanUp::Until(until, _) => Some(until),
            CleanUp::NotYet | CleanUp::Over => None,
        };
        let watch = self.watch.as_ref().map(|watch| watch.until);
        Output::Wait([deadline, watch, held, clean_up].into_iter().flatten().min())
    }
}

/// Where a job leaves what it came to.
struct Slot<T>(Arc<Mutex<Option<T>>>);

impl<T> Slot<T> {
    fn put(&self, value: T) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(value);
    }

    fn take(&self) -> Option<T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl<T> Default for Slot<T> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<T> Clone for Slot<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

#[cfg(test)]
mod tests {
    use wormhole_core::error::PeerFault;
    use wormhole_core::untrusted::Text;

    use super::*;

    #[test]
    fn a_lost_connection_is_the_verdict_only_if_nobody_says_why() {
        let mut patient = patient();
        patient.handle(Input::Tick, at(1000));
        patient.finish(Err(lost()));
        assert_eq!(told(&mut patient), (vec![], Some(at(3000))));
        patient.handle(Input::Tick, at(2999));
        assert_eq!(told(&mut patient), (vec![], Some(at(3000))));
        patient.handle(Input::Tick, at(3000));
        assert_eq!(told(&mut patient), (vec![Err(lost())], None));
    }

    #[test]
    fn what_the_peer_says_meanwhile_is_the_verdict() {
        let mut patient = patient();
        patient.finish(Err(lost()));
        let said = CoreError::Peer(PeerFault::Said(Text::from("disk full")));
        patient.machine.hear(said.clone());
        assert_eq!(told(&mut patient), (vec![Err(said)], None));
        patient.handle(Input::Tick, at(60_000));
        assert_eq!(told(&mut patient), (vec![], None));
    }

    #[test]
    fn any_other_end_is_the_verdict_at_once() {
        for outcome in [Ok(()), Err(CoreError::Cancelled), Err(TransitFault::BadRecord.into())] {
            let mut patient = patient();
            patient.finish(outcome.clone());
            assert_eq!(told(&mut patient), (vec![outcome], None));
        }
    }

    #[test]
    fn content_that_stands_still_is_not_waited_for_for_ever() {
        let mut patient = patient();
        let progress = Progress::default();
        progress.set_total(10);
        patient.watch(&progress);
        assert_eq!(told(&mut patient), (vec![], Some(at(300_000))));
        progress.set(5);
        patient.handle(Input::Tick, at(300_000));
        assert_eq!(told(&mut patient), (vec![], Some(at(600_000))));
        patient.handle(Input::Tick, at(600_000));
        assert_eq!(told(&mut patient), (vec![Err(TransitFault::Stalled.into())], None));
    }

    #[test]
    fn storing_what_has_come_may_take_longer() {
        let mut patient = patient();
        let progress = Progress::default();
        patient.watch(&progress);
        patient.handle(Input::Tick, at(3_599_999));
        assert_eq!(told(&mut patient), (vec![], Some(at(3_600_000))));
        patient.finish(Ok(()));
        assert_eq!(told(&mut patient), (vec![Ok(())], None));
    }

    #[test]
    fn a_dead_disk_is_not_waited_for() {
        let mut patient = patient();
        patient.clean_up();
        assert!(matches!(patient.poll(), Output::Wait(Some(until)) if until == at(500)));
        patient.handle(Input::Tick, at(500));
        assert!(matches!(patient.poll(), Output::Tell(Told::CleanUpOver)));
        assert!(matches!(patient.poll(), Output::Wait(None)));
    }

    #[test]
    fn a_disk_that_goes_on_removing_is_waited_for() {
        let mut patient = patient();
        patient.clean_up();
        patient.removals.add_one();
        patient.handle(Input::Tick, at(500));
        assert!(matches!(patient.poll(), Output::Wait(Some(until)) if until == at(1000)));
        patient.handle(Input::Tick, at(1000));
        assert!(matches!(patient.poll(), Output::Tell(Told::CleanUpOver)));
    }

    fn lost() -> CoreError {
        TransitFault::Lost { got: 1, want: 2 }.into()
    }

    fn at(millis: u64) -> Instant {
        Instant::after_start(Duration::from_millis(millis))
    }

    fn patient() -> Patient<First> {
        Patient::new(First::default(), Limits::default())
    }

    /// The ends that are told, and the next deadline.
    fn told(patient: &mut Patient<First>) -> (Vec<Result<(), CoreError>>, Option<Instant>) {
        let mut ends = Vec::new();
        loop {
            match patient.poll() {
                Output::Tell(Told::Machine(transfer::Event::Closed(end))) => ends.push(end),
                Output::Tell(_) | Output::Do(_) => panic!("nothing else is told here"),
                Output::Wait(until) => return (ends, until),
            }
        }
    }

    /// A machine whose first verdict counts, as those of the core.
    #[derive(Default)]
    struct First {
        is_over: bool,
        verdict: Option<Result<(), CoreError>>,
    }

    impl First {
        fn hear(&mut self, error: CoreError) {
            self.finish(Err(error));
        }
    }

    impl Side for First {
        fn silence() -> CoreError {
            TransitFault::Unacknowledged.into()
        }

        fn finish(&mut self, outcome: Result<(), CoreError>) {
            if !self.is_over {
                self.is_over = true;
                self.verdict = Some(outcome);
            }
        }
    }

    impl Machine for First {
        type Event = transfer::Event;
        type Request = Infallible;
        type Reply = Infallible;

        fn handle(&mut self, _: Input, _: Instant) {}

        fn poll(&mut self) -> Output<transfer::Event> {
            let end = self.verdict.take().map(transfer::Event::Closed);
            end.map_or(Output::Wait(None), Output::Tell)
        }
    }
}
