//! One world: its network, its computers and their programs, stepped until all has come to rest, and looked at on the way.

use std::cell::RefCell;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::Duration;

use wormhole_core::driver::{Instant, Why};

use crate::chance::Chance;
use crate::client::{Client, Told};
use crate::fault::{Fault, KEEPALIVE, Kind, SERVER_PATIENCE, Sort};
use crate::net::{Event, HostId, Life, MAILBOX, Net, RELAY, Slot, State, Strike};
use crate::plan::{Plan, Scenario, User};
use crate::ready::Ready;
use crate::rest::{self, Ended, Fate};
use crate::server::{self, Kept, Program};

/// How long after the last fault everybody has found the server again, and can take leave of it in order.
const CALM: Duration = Duration::from_secs(120);
/// Within what time of that the server has forgotten everybody: it notices who is gone, waits for the mailbox to expire,
/// and looks every few minutes.
const FORGETS: Duration = Duration::from_secs(28 * 60);
/// More steps than any world needs.
const STEPS: u64 = 200_000;

/// What became of a world.
#[derive(Debug)]
pub struct Outcome {
    /// What its users wanted, conversation by conversation.
    pub talks: Vec<Scenario>,
    /// How it ended for each user, in words; nothing for one who was stopped.
    pub endings: Vec<Option<Result<(), String>>>,
    /// From the last fault, or the beginning, to the last outcome, in virtual time.
    pub recovery: Duration,
    /// Whether any fault has struck.
    pub is_struck: bool,
    /// The invariant that did not hold.
    pub broken: Option<String>,
    /// What happened, line by line, if it was asked for.
    pub trace: Vec<String>,
}

impl Outcome {
    /// Whether it ended well for everybody.
    pub fn is_success(&self) -> bool {
        self.endings.iter().all(|ending| *ending == Some(Ok(())))
    }
}

/// The world of this number.
pub fn run(seed: u64, traced: bool) -> Outcome {
    from_chance(Chance::from_seed(seed), traced)
}

/// The world that these bytes choose, for a fuzzer.
pub fn run_bytes(bytes: &[u8], traced: bool) -> Outcome {
    from_chance(Chance::from_bytes(bytes.to_vec()), traced)
}

fn from_chance(mut chance: Chance, traced: bool) -> Outcome {
    let plan = Plan::draw(&mut chance);
    World::new(plan, chance, traced).run()
}

/// A world with one sort of fault.
pub(crate) fn run_with(scenario: Scenario, sort: Option<Sort>, seed: u64) -> Outcome {
    let mut chance = Chance::from_seed(seed);
    let plan = Plan::of(scenario, sort.into_iter().collect(), &mut chance);
    World::new(plan, chance, false).run()
}

struct World {
    plan: Plan,
    net: Net,
    store: Kept,
    programs: Vec<Option<Program>>,
    wakers: Vec<Waker>,
    ready: Arc<Ready>,
    endings: Vec<Rc<RefCell<Option<Ended>>>>,
    /// Until when it is stepped, and how long beyond the last fault.
    limit: Instant,
    patience: Duration,
}

impl World {
    fn new(plan: Plan, chance: Chance, traced: bool) -> Self {
        let mut state = State::new(chance, plan.faults.clone(), traced);
        state.note(|_| format!("{plan:?}"));
        state.add_host("mailbox", false);
        state.add_host("relay", false);
        let mut limit = Instant::START;
        for (at, strike) in plan.faults.iter().flat_map(Fault::strikes) {
            state.at(Instant::after_start(*at), Event::Strike(*strike));
            limit = limit.max(Instant::after_start(*at));
        }
        let net = Net::new(state);
        let store = Kept::new(&net);
        let mut programs = vec![Some(server::mailbox(&net, store.clone())), Some(server::relay(&net, RELAY))];
        let told: Vec<_> = plan.talks.iter().map(|_| Told::new()).collect();
        let mut endings = Vec::new();
        for (index, user) in plan.users.iter().enumerate() {
            let Some(told) = told.get(user.talk) else { continue };
            let ending = Rc::new(RefCell::new(None));
            endings.push(Rc::clone(&ending));
            programs.push(Some(user_program(&net, *user, index, told, ending)));
        }
        if plan.has_second_relay {
            let second = net.lock().add_host("relay2", false);
            programs.push(Some(server::relay(&net, second)));
        }
        let ready = Arc::new(Ready::default());
        let wakers = ready.wakers(programs.len());
        let patience = plan.bound();
        Self { plan, net, store, programs, wakers, ready, endings, limit: limit.plus(patience), patience }
    }

    fn run(mut self) -> Outcome {
        let is_over = |world: &Self| world.undone().is_none();
        self.until(is_over);
        let (now, struck) = {
            let net = self.net.lock();
            (net.now, net.struck)
        };
        if self.net.lock().broken.is_none()
            && let Some(what) = rest::broken(&self.plan, &self.fates(), !self.store.is_empty())
        {
            self.fail(what);
        }
        if self.net.lock().broken.is_none() {
            (self.limit, self.patience) = (now.plus(FORGETS), FORGETS);
            self.until(|_| false);
            if !self.store.is_empty() {
                self.fail("the server still keeps something when all are long gone".into());
            }
        }
        let from = struck.unwrap_or_default();
        let mut net = self.net.lock();
        let endings = self.endings.iter().enumerate().map(|(index, _)| self.said(index)).collect();
        Outcome {
            talks: self.plan.talks.clone(),
            endings,
            recovery: now.saturating_since(from),
            is_struck: struck.is_some(),
            broken: net.broken.take(),
            trace: net.take_trace(),
        }
    }

    /// Steps the world until something is so, or it comes to rest, or time is up.
    fn until(&mut self, is_so: impl Fn(&Self) -> bool) {
        for _ in 0..STEPS {
            self.poll_ready();
            let step = {
                let mut net = self.net.lock();
                if net.broken.is_some() {
                    return;
                }
                let patient = net.struck.map_or(Instant::START, |struck| struck.plus(self.patience));
                self.limit = self.limit.max(patient);
                if is_so(self) { None } else { net.step(self.limit) }
            };
            match step {
                None => return,
                Some(None) => {}
                Some(Some(strike)) => self.strike(strike),
            }
        }
        self.fail("it does not come to rest".into());
    }

    fn poll_ready(&mut self) {
        while let Some(id) = self.ready.next() {
            let runs = self.net.lock().hosts.get(id).is_some_and(|host| host.life == Life::Runs);
            let (Some(place), Some(waker)) = (self.programs.get_mut(id), self.wakers.get(id)) else {
                continue;
            };
            if !runs {
                continue;
            }
            let Some(program) = place else { continue };
            let mut turn = || program.as_mut().poll(&mut Context::from_waker(waker)).is_ready();
            match catch_unwind(AssertUnwindSafe(&mut turn)) {
                Ok(false) => {}
                Ok(true) => *place = None,
                Err(_) => {
                    *place = None;
                    let mut net = self.net.lock();
                    let what = format!("{} panics", net.name(id));
                    net.fail(what);
                }
            }
        }
    }

    fn strike(&mut self, strike: Strike) {
        let mut net = self.net.lock();
        net.strikes(|| format!("{strike:?}"));
        match strike {
            Strike::Stop(host, life) => {
                if let Some(stopped) = net.hosts.get_mut(host).filter(|host| host.life != Life::Dead) {
                    stopped.life = life;
                }
                drop(net);
                self.stop(host, life);
            }
            Strike::GoOn(host) => {
                let now = net.now;
                if let Some(host) = net.hosts.get_mut(host).filter(|host| host.life == Life::Suspended) {
                    (host.life, host.resumed) = (Life::Runs, now);
                }
                drop(net);
                self.wake(host);
            }
            Strike::Jump(host, by) => {
                if let Some(host) = net.hosts.get_mut(host) {
                    host.ahead = host.ahead.saturating_add(by);
                }
                drop(net);
                self.wake(host);
            }
            Strike::Silent(host) => {
                let mailbox = |kind| (kind == Kind::Mailbox).then_some(Duration::ZERO);
                net.break_off(host, mailbox, &Why::TimedOut);
            }
            Strike::Down(host) => {
                drop(net);
                self.end(host);
            }
            Strike::Up { host, keep } => {
                drop(net);
                // Where two restarts overlap it is up since the first.
                if self.programs.get(host).is_none_or(Option::is_some) {
                    return;
                }
                if !keep {
                    self.store = Kept::new(&self.net);
                }
                if let Some(program) = self.programs.get_mut(host) {
                    *program = Some(server::mailbox(&self.net, self.store.clone()));
                }
                self.wake(host);
            }
        }
    }

    fn stop(&mut self, host: HostId, life: Life) {
        let mut net = self.net.lock();
        match life {
            Life::Runs | Life::Suspended => {}
            Life::Frozen => {
                let pings = |kind| (kind == Kind::Mailbox).then_some(SERVER_PATIENCE);
                net.break_off(host, pings, &Why::TimedOut);
            }
            Life::Vanished => {
                let pings = |kind| Some(if kind == Kind::Mailbox { SERVER_PATIENCE } else { KEEPALIVE });
                net.break_off(host, pings, &Why::TimedOut);
            }
            Life::Dead => {
                drop(net);
                self.end(host);
            }
        }
    }

    /// The program is ended, and its system closes what it had.
    fn end(&mut self, host: HostId) {
        if let Some(program) = self.programs.get_mut(host) {
            *program = None;
        }
        let mut net = self.net.lock();
        net.break_off(host, |_| Some(Duration::ZERO), &Why::Reset);
        if host == MAILBOX {
            let conns = net.hosts.get(host).into_iter().flat_map(|host| &host.slots);
            let conns = conns.filter(|(_, slot)| matches!(slot, Slot::Open(_))).map(|(conn, _)| *conn);
            self.store.let_go(conns.collect::<Vec<_>>(), net.now);
        }
        net.forget(host);
    }

    fn wake(&self, host: HostId) {
        self.wakers.get(host).into_iter().for_each(Waker::wake_by_ref);
    }

    fn fail(&self, what: String) {
        self.net.lock().fail(what);
    }

    /// The first user who has no outcome and is not stopped.
    fn undone(&self) -> Option<usize> {
        self.endings
            .iter()
            .enumerate()
            .position(|(index, ending)| ending.borrow().is_none() && !self.is_stopped(index))
    }

    fn is_stopped(&self, user: usize) -> bool {
        let host = user + RELAY + 1;
        self.plan.faults.iter().any(|fault| {
            fault.strikes().iter().any(|(_, strike)| match strike {
                Strike::Stop(of, Life::Frozen | Life::Vanished | Life::Dead) => *of == host,
                Strike::Stop(_, Life::Runs | Life::Suspended)
                | Strike::GoOn(_)
                | Strike::Jump(..)
                | Strike::Silent(_)
                | Strike::Down(_)
                | Strike::Up { .. } => false,
            })
        })
    }

    fn fates(&self) -> Vec<Fate> {
        let fate = |(user, ended): (usize, &Rc<RefCell<Option<Ended>>>)| Fate {
            ended: ended.borrow().clone(),
            is_stopped: self.is_stopped(user),
        };
        self.endings.iter().enumerate().map(fate).collect()
    }

    fn said(&self, user: usize) -> Option<Result<(), String>> {
        let ended = self.endings.get(user)?.borrow().clone();
        ended.map(|ended| ended.outcome.map_err(|error| error.to_string()))
    }
}

fn user_program(
    net: &Net,
    user: User,
    index: usize,
    told: &Rc<Told>,
    ending: Rc<RefCell<Option<Ended>>>,
) -> Program {
    let id = net.lock().add_host(&format!("user {index}"), user.firewalled);
    let client = Client { net: net.clone(), id, told: Rc::clone(told), user };
    let net = net.clone();
    Box::pin(async move {
        let outcome = client.play().await;
        let mut net = net.lock();
        net.note(|state| format!("{} ends: {outcome:?}", state.name(id)));
        let was_calm = net.struck.is_none_or(|struck| struck.plus(CALM) < net.now);
        // Who had to ask for a nameplate again was cut before it knew what it might have given back.
        let sniffed = net.hosts.get(id).map(|host| &host.sniffed);
        let is_heard = sniffed.is_some_and(|seen| (was_calm || seen.is_closed) && seen.allocations < 2);
        *ending.borrow_mut() = Some(Ended { outcome, is_heard });
    })
}

impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("World").field("plan", &self.plan).finish_non_exhaustive()
    }
}
