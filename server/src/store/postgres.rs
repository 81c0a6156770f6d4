//! The store in a PostgreSQL that several servers share.
//!
//! Each command is one transaction, on one of a few connections. Whoever adds a message notifies the nodes that have a
//! listener for it; that is a hint only, since every node looks for what it has missed every few seconds, and reads
//! messages by their numbers. So a lost or doubled notification costs time and nothing else.

use alloc::collections::BTreeSet;
use alloc::rc::Rc;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::cell::{Cell, RefCell};
use core::sync::atomic::{AtomicUsize, Ordering};
use core::task::{Context, Poll};
use core::time::Duration;
use std::thread::{self, JoinHandle};

use tokio::runtime::Builder;
use tokio::sync::Mutex;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::LocalSet;
use tokio::time::{Instant as Clock, sleep, timeout, timeout_at};
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Config, Error, NoTls};
use wormhole_core::driver::{Conn, Instant};
use wormhole_core::rng::{Rng, Seed};

use super::commands::{self, Effects};
use super::desk::Replies;
use super::listeners::{Listeners, Place};
use super::resting::Resting;
use super::rows::Totals;
use super::{Ask, Done, Limits, Member, Note, Refusal, Reply, Request, Store};
use crate::limits;
use crate::stamp::Stamp;

mod node;
mod rows;
mod schema;

use rows::{Statements, Turn};
pub use schema::OpenPostgresError;
use schema::reason;

/// Nameplates and mailboxes in PostgreSQL.
#[derive(Debug)]
pub struct Postgres {
    requests: Option<UnboundedSender<Waiting>>,
    waiting: Arc<AtomicUsize>,
    replies: Replies,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Waiting {
    request: Request,
    since: Clock,
}

impl Postgres {
    /// Connects to the database, makes the tables if there are none, and becomes one more node.
    ///
    /// # Errors
    ///
    /// The database cannot be reached or used.
    pub fn open(url: &str, seed: Seed, limits: Limits) -> Result<Self, OpenPostgresError> {
        let mut config: Config =
            url.parse().map_err(|error: Error| OpenPostgresError::Url(reason(&error)))?;
        config
            .application_name("wormhole-server")
            .connect_timeout(limits::DATABASE_HOLD)
            .tcp_user_timeout(limits::DATABASE_HOLD)
            .options("-c search_path=wormhole");
        let (requests, receiver) = unbounded_channel();
        let (replies, waiting) = (Replies::default(), Arc::new(AtomicUsize::new(0)));
        let (tell, told) = std::sync::mpsc::channel();
        let failed = |error: std::io::Error| OpenPostgresError::Failed(error.to_string());
        let runtime = Builder::new_current_thread().enable_all().build().map_err(failed)?;
        let (out, count) = (replies.clone(), Arc::clone(&waiting));
        let run = move || {
            let begin = async {
                let id = timeout(limits::DATABASE_HOLD, node::begin(&config)).await;
                id.unwrap_or_else(|_| Err(OpenPostgresError::Failed("it does not answer".into())))
            };
            match runtime.block_on(begin) {
                Ok((id, totals)) => {
                    // Whoever opens the store waits for this.
                    let _ = tell.send(Ok(()));
                    let node = Node::new(config, id, totals, Rng::new(seed), limits, out);
                    LocalSet::new().block_on(&runtime, node.run(receiver, count));
                }
                Err(error) => {
                    let _ = tell.send(Err(error));
                }
            }
        };
        let thread = thread::Builder::new().name("store".into()).spawn(run).map_err(failed)?;
        told.recv().unwrap_or_else(|_| Err(OpenPostgresError::Failed("its thread has ended".into())))?;
        Ok(Self { requests: Some(requests), waiting, replies, thread: Some(thread) })
    }
}

impl Store for Postgres {
    fn start(&mut self, request: Request, _: Instant) {
        if let Request::Do { conn, .. } = &request
            && self.waiting.fetch_add(1, Ordering::Relaxed) >= limits::STORE_QUEUE
        {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
            return self.replies.extend([Reply::Done { conn: *conn, done: Err(Refusal::Unavailable) }]);
        }
        if let Some(requests) = &self.requests {
            // The thread lives as long as this.
            let _ = requests.send(Waiting { request, since: Clock::now() });
        }
    }

    fn poll_reply(&mut self, cx: &mut Context<'_>) -> Poll<Reply> {
        self.replies.poll(cx)
    }
}

impl Drop for Postgres {
    /// Waits for what it was asked, no longer than it may be held.
    fn drop(&mut self) {
        self.requests = None;
        if let Some(thread) = self.thread.take() {
            // Its end is what matters, not how it came.
            let _ = thread.join();
        }
    }
}

/// What all tasks of this node share. They run on one thread, and hold nothing borrowed while they wait.
struct Node {
    config: Config,
    id: Cell<i32>,
    totals: Cell<Totals>,
    resting: RefCell<Resting>,
    rng: RefCell<Rng>,
    limits: Limits,
    replies: Replies,
    hall: RefCell<Hall>,
    /// Mailboxes in which there may be something new.
    hints: UnboundedSender<Place>,
    hinted: Cell<Option<UnboundedReceiver<Place>>>,
    failing: Cell<bool>,
}

#[derive(Default)]
struct Hall {
    listeners: Listeners,
    /// Connections for which a command is under way.
    busy: BTreeSet<Conn>,
    /// Of these, those that have ended.
    left: BTreeSet<Conn>,
}

/// One connection to the database, made again when it is lost.
#[derive(Default)]
struct Line {
    open: Option<(Client, Statements)>,
}

/// How an attempt went wrong.
enum Fault {
    /// Somebody else was in the way.
    Again,
    /// The connection is lost, and nothing was stored.
    Lost(String),
    /// Nobody knows whether it was stored.
    Unsure(String),
    Full(String),
    Other(String),
}

type Carried = (Result<Done, Refusal>, Effects);

impl Node {
    fn new(config: Config, id: i32, totals: Totals, rng: Rng, limits: Limits, replies: Replies) -> Rc<Self> {
        let (hints, hinted) = unbounded_channel();
        Rc::new(Self {
            config,
            id: Cell::new(id),
            totals: Cell::new(totals),
            resting: RefCell::default(),
            rng: RefCell::new(rng),
            limits,
            replies,
            hall: RefCell::default(),
            hints,
            hinted: Cell::new(Some(hinted)),
            failing: Cell::new(false),
        })
    }

    /// Serves until nobody asks any more.
    async fn run(self: Rc<Self>, requests: UnboundedReceiver<Waiting>, waiting: Arc<AtomicUsize>) {
        let requests = Rc::new(Mutex::new(requests));
        let beside = node::beside(&self);
        let workers: Vec<_> = (0..limits::DATABASE_CONNECTIONS)
            .map(|_| {
                let (node, requests, waiting) =
                    (Rc::clone(&self), Rc::clone(&requests), Arc::clone(&waiting));
                tokio::task::spawn_local(async move { node.work(&requests, &waiting).await })
            })
            .collect();
        for worker in workers {
            // It ends with the requests.
            let _ = worker.await;
        }
        for task in beside {
            task.abort();
        }
        // The others find out by themselves where this fails.
        let _ = timeout(limits::DATABASE_HOLD, node::end(&self)).await;
    }

    async fn work(self: &Rc<Self>, requests: &Mutex<UnboundedReceiver<Waiting>>, waiting: &AtomicUsize) {
        let mut line = Line::default();
        loop {
            let Some(Waiting { request, since }) = requests.lock().await.recv().await else { return };
            match request {
                Request::Do { conn, member, ask } => {
                    self.hall.borrow_mut().busy.insert(conn);
                    let carried = self.carry_out(&mut line, &member, &ask, conn, since).await;
                    waiting.fetch_sub(1, Ordering::Relaxed);
                    self.conclude(conn, Place::of(&member.app, &ask).as_ref(), carried);
                }
                Request::Leave { conn } => {
                    let mut hall = self.hall.borrow_mut();
                    if hall.busy.contains(&conn) {
                        hall.left.insert(conn);
                    } else {
                        hall.listeners.leave(conn);
                    }
                }
                Request::Prune => {
                    let node = Rc::clone(self);
                    tokio::task::spawn_local(async move { node::prune(&node).await });
                }
            }
        }
    }

    /// Tries until it is done, or has taken too long.
    async fn carry_out(
        &self,
        line: &mut Line,
        member: &Member,
        ask: &Ask,
        conn: Conn,
        since: Clock,
    ) -> Carried {
        let until = since + limits::DATABASE_HOLD;
        let mut pause = limits::DATABASE_PAUSE;
        let (refusal, why) = loop {
            let attempt = timeout_at(until, self.attempt(line, member, ask, conn)).await;
            match attempt {
                Ok(Ok(carried)) => {
                    if self.failing.replace(false) {
                        self.replies.extend([Reply::Note(Note::Recovered)]);
                    }
                    return carried;
                }
                Ok(Err(Fault::Again)) => {}
                Ok(Err(Fault::Lost(why))) => {
                    line.open = None;
                    if Clock::now() + pause >= until {
                        break (Refusal::Unavailable, why);
                    }
                    sleep(pause).await;
                    pause = pause.saturating_mul(2).min(Duration::from_secs(1));
                }
                Ok(Err(Fault::Unsure(why))) => {
                    line.open = None;
                    break (Refusal::Unavailable, why);
                }
                Ok(Err(Fault::Full(why))) => break (Refusal::StoreFull, why),
                Ok(Err(Fault::Other(why))) => break (Refusal::Unavailable, why),
                Err(_) => {
                    // What it may still be doing is rolled back with the connection.
                    line.open = None;
                    break (Refusal::Unavailable, "the database does not answer".to_string());
                }
            }
        };
        if !self.failing.replace(true) {
            self.replies.extend([Reply::Note(Note::Failing(why))]);
        }
        (Err(refusal), Effects::default())
    }

    async fn attempt(
        &self,
        line: &mut Line,
        member: &Member,
        ask: &Ask,
        conn: Conn,
    ) -> Result<Carried, Fault> {
        let totals = self.totals.get();
        let done = self.transact(line, member, ask, conn).await;
        if done.is_err() {
            // Others may have counted meanwhile; the next look at the database mends that.
            self.totals.set(totals);
        }
        done
    }

    async fn transact(
        &self,
        line: &mut Line,
        member: &Member,
        ask: &Ask,
        conn: Conn,
    ) -> Result<Carried, Fault> {
        let (client, statements) = line.client(&self.config).await?;
        let place = Place::of(&member.app, ask);
        let mut turn = self.turn(client, statements).await?;
        let listens = place.as_ref().is_some_and(|place| self.hall.borrow().listeners.listens(conn, place));
        let carried = commands::carry_out(&mut turn, member, ask, listens).await?;
        if let Some(place) = &place {
            self.announce(&turn, place, &carried.1).await?;
        }
        turn.work.commit().await.map_err(|error| match Fault::from(error) {
            Fault::Lost(why) => Fault::Unsure(why),
            fault @ (Fault::Again | Fault::Unsure(_) | Fault::Full(_) | Fault::Other(_)) => fault,
        })?;
        Ok(carried)
    }

    /// A transaction, and the time at which it begins.
    async fn turn<'t>(
        &'t self,
        client: &'t mut Client,
        statements: &'t Statements,
    ) -> Result<Turn<'t>, Error> {
        let now = statements.of(client, rows::NOW).await?;
        let work = client.transaction().await?;
        let now = rows::stamp(&work.query_one(&now, &[]).await?, 0)?;
        let rng = Rng::new(self.rng.borrow_mut().bytes());
        Ok(Turn {
            work,
            statements,
            limits: &self.limits,
            now,
            rng,
            totals: &self.totals,
            resting: &self.resting,
            locked: BTreeSet::new(),
        })
    }

    /// Lets the other nodes know, when the transaction is done.
    async fn announce(&self, turn: &Turn<'_>, place: &Place, effects: &Effects) -> Result<(), Error> {
        const LISTEN: &str = "insert into listener(app, id, node) values($1, $2, $3) on conflict do nothing";
        const TELL: &str = "select pg_notify('wh_node_' || node, $4) from listener \
             where app = $1 and id = $2 and node <> $3";
        let (app, id) = (place.app.as_bytes(), place.mailbox.as_bytes());
        if effects.listens.is_some() {
            turn.execute(LISTEN, &[&app, &id, &self.id.get()]).await?;
        }
        if effects.added.is_some() {
            let hint = node::hint(place);
            turn.query(TELL, &[&app, &id, &self.id.get(), &hint]).await?;
        }
        Ok(())
    }

    /// Does what follows from a command that is stored.
    fn conclude(&self, conn: Conn, place: Option<&Place>, (done, effects): Carried) {
        let mut hall = self.hall.borrow_mut();
        hall.busy.remove(&conn);
        let mut replies = Vec::from([Reply::Done { conn, done }]);
        let heard = hall.listeners.follow(conn, place, &effects);
        replies.extend(heard.into_iter().map(|(conn, message)| Reply::Message { conn, message }));
        if hall.left.remove(&conn) {
            hall.listeners.leave(conn);
        }
        replies.extend(effects.used.into_iter().map(Reply::Used));
        self.replies.extend(replies);
        // Others may have added something since, of which nobody here was told; or in another order.
        if let Some(place) = place.filter(|_| effects.listens.is_some() || effects.added.is_some()) {
            // Whoever takes the hints lives as long as this.
            let _ = self.hints.send(place.clone());
        }
    }
}

impl Line {
    async fn client(&mut self, config: &Config) -> Result<(&mut Client, &Statements), Fault> {
        if self.open.as_ref().is_none_or(|(client, _)| client.is_closed()) {
            let (client, connection) = config.connect(NoTls).await?;
            tokio::task::spawn_local(async move {
                // The client learns of its end by itself.
                let _ = connection.await;
            });
            self.open = Some((client, Statements::default()));
        }
        match &mut self.open {
            Some((client, statements)) => Ok((client, statements)),
            None => Err(Fault::Again),
        }
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        let why = reason(&error);
        let Some(db) = error.as_db_error() else { return Self::Lost(why) };
        let code = db.code();
        let again = [
            SqlState::T_R_SERIALIZATION_FAILURE,
            SqlState::T_R_DEADLOCK_DETECTED,
            SqlState::UNIQUE_VIOLATION,
            SqlState::FOREIGN_KEY_VIOLATION,
        ];
        if again.contains(code) {
            return Self::Again;
        }
        if [SqlState::DISK_FULL, SqlState::OUT_OF_MEMORY].contains(code) {
            return Self::Full(why);
        }
        // The classes of lost connections, of too many of them, and of a database that begins or ends.
        let lost = ["08", "53", "57"].iter().any(|class| code.code().starts_with(class));
        if lost { Self::Lost(why) } else { Self::Other(why) }
    }
}

/// A number of Unix microseconds, so much earlier.
const fn earlier(now: Stamp, by: Duration) -> Stamp {
    let by = by.as_micros();
    let by = if by > u64::MAX as u128 { u64::MAX } else { by as u64 };
    Stamp::from_micros(now.micros().saturating_sub(by))
}

/// The same place as text, for a notification.
fn place_of(hint: &str) -> Option<Place> {
    let (app, mailbox): (String, String) = serde_json::from_str(hint).ok()?;
    Some(Place { app, mailbox })
}
