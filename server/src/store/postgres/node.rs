//! What a node does beside the commands: it is there, it listens, it looks for what it has missed, and it prunes.

use alloc::collections::BTreeSet;
use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;
use core::future::poll_fn;
use core::task::Poll;

use tokio::sync::mpsc::UnboundedReceiver;
use tokio::task::{JoinHandle, spawn_local};
use tokio::time::{sleep, timeout};
use tokio_postgres::{AsyncMessage, Config, Error, NoTls};

use super::rows::{self, Statements, Totals};
use super::schema::{self, OpenPostgresError};
use super::{Fault, Line, Node, earlier, place_of};
use crate::limits;
use crate::store::commands;
use crate::store::listeners::Place;
use crate::store::{Note, Reply};

/// The lock of the node that prunes.
const PRUNER: i64 = 0x776f_726d_7072_756e;

/// Makes the tables and becomes a node. Also says how much is there.
pub(super) async fn begin(config: &Config) -> Result<(i32, Totals), OpenPostgresError> {
    let (mut client, connection) = config.connect(NoTls).await?;
    let driving = tokio::spawn(connection);
    schema::prepare(&mut client).await?;
    let id = client
        .query_one("insert into node(beat) select (extract(epoch from clock_timestamp()) * 1e6)::bigint returning id", &[])
        .await?
        .try_get(0)?;
    let totals = count(&client).await?;
    drop(client);
    // It ends with its client.
    let _ = driving.await;
    Ok((id, totals))
}

/// Is no node any more.
pub(super) async fn end(node: &Node) -> Result<(), Fault> {
    let mut line = Line::default();
    let (client, _) = line.client(&node.config).await?;
    client.execute("delete from node where id = $1", &[&node.id.get()]).await?;
    Ok(())
}

/// What a notification says.
pub(super) fn hint(place: &Place) -> String {
    // Two texts can always be written.
    serde_json::to_string(&(&place.app, &place.mailbox)).unwrap_or_default()
}

/// Everything that goes on beside the commands.
pub(super) fn beside(node: &Rc<Node>) -> Vec<JoinHandle<()>> {
    let mut tasks = Vec::new();
    if let Some(hinted) = node.hinted.take() {
        let node = Rc::clone(node);
        tasks.push(spawn_local(async move { deliver(&node, hinted).await }));
    }
    let (beating, hearing) = (Rc::clone(node), Rc::clone(node));
    tasks.push(spawn_local(async move { beat(&beating).await }));
    tasks.push(spawn_local(async move { hear(&hearing).await }));
    tasks
}

/// Tells listeners what is new in mailboxes that somebody has hinted at.
async fn deliver(node: &Node, mut hinted: UnboundedReceiver<Place>) {
    let mut line = Line::default();
    while let Some(first) = hinted.recv().await {
        let mut places = BTreeSet::from([first]);
        while let Ok(place) = hinted.try_recv() {
            places.insert(place);
        }
        for place in places {
            let told = timeout(limits::DATABASE_HOLD, tell(node, &mut line, &place)).await;
            if !matches!(told, Ok(Ok(()))) {
                // Whatever was missed is found by the next look.
                line.open = None;
            }
        }
    }
}

async fn tell(node: &Node, line: &mut Line, place: &Place) -> Result<(), Fault> {
    let Some(known) = node.hall.borrow().listeners.known(place) else { return Ok(()) };
    let (client, statements) = line.client(&node.config).await?;
    let messages = rows::messages_after(client, statements, place, known).await?;
    let mut hall = node.hall.borrow_mut();
    for (seq, message) in messages {
        let heard = hall.listeners.tell(place, seq, &message);
        node.replies.extend(heard.into_iter().map(|(conn, message)| Reply::Message { conn, message }));
    }
    Ok(())
}

/// Takes notifications in, for as long as the connection lasts, and then again.
async fn hear(node: &Node) {
    loop {
        // Why it ended is told by the commands, which meet the same.
        let _ = hear_once(node).await;
        sleep(limits::DATABASE_PAUSE).await;
    }
}

async fn hear_once(node: &Node) -> Result<(), Error> {
    let (client, mut connection) = node.config.connect(NoTls).await?;
    let id = node.id.get();
    let mut listen = core::pin::pin!(async {
        let listen = alloc::format!("listen wh_node_{id}");
        let done = client.batch_execute(&listen).await;
        // What came before is found by a look at everything.
        hint_at_all(node);
        done
    });
    let mut listening = false;
    loop {
        if node.id.get() != id {
            return Ok(());
        }
        let message = poll_fn(|cx| {
            if !listening && let Poll::Ready(done) = listen.as_mut().poll(cx) {
                listening = true;
                if let Err(error) = done {
                    return Poll::Ready(Some(Err(error)));
                }
            }
            connection.poll_message(cx)
        })
        .await;
        match message {
            Some(Ok(AsyncMessage::Notification(told))) => {
                if let Some(place) = place_of(told.payload()) {
                    let _ = node.hints.send(place);
                }
            }
            Some(Ok(_)) => {}
            Some(Err(error)) => return Err(error),
            None => return Ok(()),
        }
    }
}

fn hint_at_all(node: &Node) {
    for place in node.hall.borrow().listeners.places() {
        let _ = node.hints.send(place.clone());
    }
}

/// Shows that the node is there, and looks for what it has missed.
async fn beat(node: &Node) {
    let mut line = Line::default();
    let mut beats = 0_u32;
    loop {
        sleep(limits::DATABASE_BEAT).await;
        let keep = beats.is_multiple_of(limits::BEATS_TO_KEEP);
        match timeout(limits::DATABASE_HOLD, beat_once(node, &mut line, keep)).await {
            Ok(Ok(())) => beats = beats.wrapping_add(1),
            Ok(Err(_)) | Err(_) => line.open = None,
        }
    }
}

async fn beat_once(node: &Node, line: &mut Line, keep: bool) -> Result<(), Fault> {
    const BEAT: &str = "update node set beat = $2 where id = $1";
    const BURY: &str = "delete from node where beat < $1";
    const AGAIN: &str = "insert into node(beat) values($1) returning id";
    let (client, statements) = line.client(&node.config).await?;
    let now = now(client, statements).await?;
    let beat = client.execute(BEAT, &[&node.id.get(), &rows::micros(now)]).await?;
    if beat == 0 {
        // We were held to be dead.
        let id = client.query_one(AGAIN, &[&rows::micros(now)]).await?.try_get(0)?;
        node.id.set(id);
    }
    client.execute(BURY, &[&rows::micros(earlier(now, limits::NODE_LIFE))]).await?;
    repair(node, client, statements).await?;
    if keep {
        keep_alive(node, client).await?;
        node.totals.set(count(client).await?);
    }
    Ok(())
}

/// Finds messages that nobody has told of, and listeners that the database does not know, or that are gone.
async fn repair(node: &Node, client: &tokio_postgres::Client, statements: &Statements) -> Result<(), Error> {
    const KNOWN: &str = "insert into listener(app, id, node) \
        select app, id, $3 from unnest($1::bytea[], $2::bytea[]) as heard(app, id) join mailbox using(app, id) \
        on conflict do nothing";
    const GONE: &str = "delete from listener where node = $3 and not exists \
        (select from unnest($1::bytea[], $2::bytea[]) as heard(app, id) \
         where heard.app = listener.app and heard.id = listener.id)";
    const NEW: &str = "select heard.app, heard.id from unnest($1::bytea[], $2::bytea[], $3::bigint[]) \
        as heard(app, id, known) join mailbox using(app, id) where mailbox.count > heard.known";
    let places: Vec<Place> = node.hall.borrow().listeners.places().cloned().collect();
    let known: Vec<i64> = places
        .iter()
        .map(|place| node.hall.borrow().listeners.known(place).and_then(|known| i64::try_from(known).ok()))
        .map(Option::unwrap_or_default)
        .collect();
    let apps: Vec<&[u8]> = places.iter().map(|place| place.app.as_bytes()).collect();
    let ids: Vec<&[u8]> = places.iter().map(|place| place.mailbox.as_bytes()).collect();
    let id = node.id.get();
    let statement = statements.of(client, KNOWN).await?;
    client.execute(&statement, &[&apps, &ids, &id]).await?;
    let statement = statements.of(client, GONE).await?;
    client.execute(&statement, &[&apps, &ids, &id]).await?;
    let statement = statements.of(client, NEW).await?;
    for row in client.query(&statement, &[&apps, &ids, &known]).await? {
        let (app, mailbox): (Vec<u8>, Vec<u8>) = (row.try_get(0)?, row.try_get(1)?);
        if let (Ok(app), Ok(mailbox)) = (String::from_utf8(app), String::from_utf8(mailbox)) {
            let _ = node.hints.send(Place { app, mailbox });
        }
    }
    Ok(())
}

/// What is listened to here was touched now.
async fn keep_alive(node: &Node, client: &tokio_postgres::Client) -> Result<(), Error> {
    const KEEP: &str = "update mailbox set touched = (extract(epoch from clock_timestamp()) * 1e6)::bigint \
        from listener where listener.node = $1 and listener.app = mailbox.app and listener.id = mailbox.id";
    client.execute(KEEP, &[&node.id.get()]).await?;
    Ok(())
}

async fn now(client: &tokio_postgres::Client, statements: &Statements) -> Result<crate::Stamp, Error> {
    let now = statements.of(client, rows::NOW).await?;
    rows::stamp(&client.query_one(&now, &[]).await?, 0)
}

async fn count(client: &tokio_postgres::Client) -> Result<Totals, Error> {
    let row = client.query_one("select count(*), coalesce(sum(bytes), 0)::bigint from mailbox", &[]).await?;
    let number = |column| row.try_get::<_, i64>(column).map(|number| usize::try_from(number).unwrap_or(0));
    Ok(Totals { mailboxes: number(0)?, bytes: number(1)? })
}

/// Deletes what has expired, unless another node is at it.
pub(super) async fn prune(node: &Node) {
    let mut sweep = Sweep::default();
    if let Err(fault) = sweep.run(node).await {
        sweep.skip(fault);
    }
    let pruned = (sweep.pruned > 0).then_some(Note::Pruned(sweep.pruned));
    let skipped = (sweep.skipped > 0).then_some(Note::Skipped(sweep.skipped, sweep.why));
    node.replies.extend(pruned.into_iter().chain(skipped).map(Reply::Note));
}

#[derive(Default)]
struct Sweep {
    pruned: usize,
    skipped: usize,
    why: String,
}

impl Sweep {
    async fn run(&mut self, node: &Node) -> Result<(), Fault> {
        const SOME: &str = "select app, id from mailbox where touched < $1 and ($5 or (app, id) > ($2, $3)) and not exists \
            (select from listener where listener.app = mailbox.app and listener.id = mailbox.id) \
            order by app, id limit $4";
        let (mut guard, mut line) = (Line::default(), Line::default());
        let (client, statements) = guard.client(&node.config).await?;
        let row = client.query_one("select pg_try_advisory_lock($1)", &[&PRUNER]).await?;
        if !row.try_get(0)? {
            return Ok(());
        }
        // Whoever has left since the last look keeps nothing alive.
        repair(node, client, statements).await?;
        keep_alive(node, client).await?;
        let before = rows::micros(earlier(now(client, statements).await?, node.limits.expiry));
        let most = i64::try_from(limits::PRUNE_BATCH).unwrap_or(i64::MAX);
        let (mut app, mut id) = (Vec::new(), Vec::new());
        let mut is_first = true;
        loop {
            let statement = statements.of(client, SOME).await?;
            let some = client.query(&statement, &[&before, &app, &id, &most, &is_first]).await?;
            is_first = false;
            for row in &some {
                (app, id) = (row.try_get(0)?, row.try_get(1)?);
                let place = Place {
                    app: String::from_utf8_lossy(&app).into_owned(),
                    mailbox: String::from_utf8_lossy(&id).into_owned(),
                };
                match expire(node, &mut line, &place).await {
                    Ok(true) => self.pruned = self.pruned.saturating_add(1),
                    Ok(false) => {}
                    Err(fault) => self.skip(fault),
                }
            }
            if some.len() < limits::PRUNE_BATCH {
                // The lock goes with the connection.
                return Ok(());
            }
        }
    }

    fn skip(&mut self, fault: Fault) {
        self.skipped = self.skipped.saturating_add(1);
        self.why = match fault {
            Fault::Again => "somebody else was in the way".into(),
            Fault::Lost(why) | Fault::Unsure(why) | Fault::Full(why) | Fault::Other(why) => why,
        };
    }
}

/// Deletes one mailbox, in a transaction of its own.
async fn expire(node: &Node, line: &mut Line, place: &Place) -> Result<bool, Fault> {
    let (client, statements) = line.client(&node.config).await?;
    let mut turn = node.turn(client, statements).await?;
    let Some(effects) = commands::expire(&mut turn, &place.app, &place.mailbox).await? else {
        return Ok(false);
    };
    turn.work.commit().await?;
    node.replies.extend(effects.used.into_iter().map(Reply::Used));
    Ok(true)
}
