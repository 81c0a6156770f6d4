//! What each command reads and writes, for every store.
//!
//! What is to happen outside of the rows (who hears what, what the statistics count) is given back, to be done when the
//! transaction has ended well.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::rows::Rows;
use super::rules::{self, Mailbox, Nameplate};
use super::{Ask, Done, Found, Member, Message, Refusal};
use crate::limits;
use crate::usage::Usage;

/// What follows from a command once it is stored.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Effects {
    /// Whether the connection stops listening to what it listens to.
    pub(super) leaves: bool,
    /// The mailbox is gone, and nobody listens to it.
    pub(super) ended: bool,
    /// The connection listens to the mailbox of the command from now on, and knows the messages up to this number.
    pub(super) listens: Option<u64>,
    /// A new message in the mailbox of the command, and its number.
    pub(super) added: Option<(u64, Arc<Message>)>,
    pub(super) used: Vec<Usage>,
}

type Outcome = Result<Done, Refusal>;

/// Carries a command out. `listens` says whether the connection listens to the mailbox of the command.
pub(super) async fn carry_out<R: Rows>(
    rows: &mut R,
    member: &Member,
    ask: &Ask,
    listens: bool,
) -> Result<(Outcome, Effects), R::Fault> {
    let mut effects = Effects::default();
    let done = match ask {
        Ask::List => rows.names(&member.app).await.map(Done::Listed).map(Ok),
        Ask::Allocate => allocate(rows, member).await,
        Ask::Claim { nameplate, make } => claim(rows, member, nameplate, *make).await,
        Ask::Release { nameplate } => {
            release(rows, member, nameplate, &mut effects).await.map(|()| Ok(Done::Released))
        }
        Ask::Open { mailbox } => open(rows, member, mailbox, &mut effects).await,
        Ask::Add { mailbox, message } => add(rows, member, mailbox, message, listens, &mut effects).await,
        Ask::Close { mailbox, mood } => {
            effects.leaves = true;
            close(rows, member, mailbox, mood.clone(), &mut effects).await.map(|()| Ok(Done::Closed))
        }
    }?;
    Ok((done, effects))
}

/// Deletes a mailbox that nobody has touched for long, if it still is one.
pub(super) async fn expire<R: Rows>(rows: &mut R, app: &str, id: &str) -> Result<Option<Effects>, R::Fault> {
    let mut effects = Effects::default();
    let Some(mailbox) = rows.mailbox(app, id).await? else { return Ok(None) };
    if !mailbox.is_expired(rows.now(), rows.limits()) {
        return Ok(None);
    }
    delete(rows, app, id, &mailbox, true, &mut effects).await?;
    Ok(Some(effects))
}

async fn allocate<R: Rows>(rows: &mut R, member: &Member) -> Result<Outcome, R::Fault> {
    let Some(name) = free_name(rows, &member.app).await? else { return Ok(Err(Refusal::NoNameplate)) };
    let made = create(rows, member, &name).await?;
    Ok(made.map(|_| Done::Allocated(name)))
}

async fn free_name<R: Rows>(rows: &mut R, app: &str) -> Result<Option<String>, R::Fault> {
    let (now, limits) = (rows.now(), rows.limits().clone());
    let resting = rows.resting(|resting| resting.of(app, now, &limits));
    for class in rules::short(limits.nameplate_digits) {
        let mut taken = rows.names_among(app, class.clone()).await?;
        taken.extend_from_slice(&resting);
        if let Some(name) = rules::free_name(class, &taken, rows.rng()) {
            return Ok(Some(name));
        }
    }
    for _ in 0..limits::ALLOCATION_TRIES {
        let name = rules::long_name(limits.nameplate_digits, rows.rng());
        let rests = rows.resting(|resting| resting.has(app, &name));
        if !rests && rows.nameplate(app, &name).await?.is_none() {
            return Ok(Some(name));
        }
    }
    Ok(None)
}

async fn claim<R: Rows>(rows: &mut R, member: &Member, name: &str, make: bool) -> Result<Outcome, R::Fault> {
    let app = &member.app;
    let Some(mut nameplate) = rows.nameplate(app, name).await? else {
        if !make {
            return Ok(Err(Refusal::Unallocated));
        }
        let made = create(rows, member, name).await?;
        return Ok(made.map(|mailbox| Done::Claimed { mailbox, found: Found::Free }));
    };
    let id = nameplate.mailbox.clone();
    let now = rows.now();
    let (mut mailbox, is_new) = match rows.mailbox(app, &id).await? {
        Some(mailbox) => (mailbox, false),
        None => (Mailbox::new(now), true),
    };
    let admitted = nameplate.admits(&member.side).and_then(|()| mailbox.admits(&member.side));
    if let Err(refusal) = admitted {
        if refusal == Refusal::Crowded && !(nameplate.crowded && mailbox.crowded) {
            nameplate.crowded = true;
            rows.put_nameplate(app, name, &nameplate).await?;
            note_crowd(rows, app, &id, &mut mailbox).await?;
        }
        return Ok(Err(refusal));
    }
    if is_new && let Err(refusal) = room_for_mailbox(rows).await? {
        return Ok(Err(refusal));
    }
    let found = if nameplate.claim(&member.side, now) { Found::Taken } else { Found::Own };
    mailbox.open(&member.side, now);
    rows.put_nameplate(app, name, &nameplate).await?;
    rows.put_mailbox(app, &id, &mailbox).await?;
    Ok(Ok(Done::Claimed { mailbox: id, found }))
}

/// A new nameplate with a new mailbox.
async fn create<R: Rows>(
    rows: &mut R,
    member: &Member,
    name: &str,
) -> Result<Result<String, Refusal>, R::Fault> {
    let app = &member.app;
    if rows.count_names(app).await? >= rows.limits().nameplates {
        return Ok(Err(Refusal::NoNameplate));
    }
    if let Err(refusal) = room_for_mailbox(rows).await? {
        return Ok(Err(refusal));
    }
    let now = rows.now();
    let id = rules::mailbox_id(rows.rng());
    let mut mailbox = Mailbox::new(now);
    mailbox.nameplate = Some(name.into());
    mailbox.for_nameplate = true;
    mailbox.open(&member.side, now);
    let mut nameplate = Nameplate::new(id.clone());
    nameplate.claim(&member.side, now);
    rows.put_mailbox(app, &id, &mailbox).await?;
    rows.put_nameplate(app, name, &nameplate).await?;
    Ok(Ok(id))
}

async fn release<R: Rows>(
    rows: &mut R,
    member: &Member,
    name: &str,
    effects: &mut Effects,
) -> Result<(), R::Fault> {
    let app = &member.app;
    let Some(mut nameplate) = rows.nameplate(app, name).await? else { return Ok(()) };
    if !nameplate.release(&member.side) {
        return Ok(());
    }
    if nameplate.is_held() {
        return rows.put_nameplate(app, name, &nameplate).await;
    }
    remove_nameplate(rows, app, name).await?;
    if let Some(mut mailbox) = rows.mailbox(app, &nameplate.mailbox).await? {
        mailbox.nameplate = None;
        rows.put_mailbox(app, &nameplate.mailbox, &mailbox).await?;
    }
    effects.used.push(end_of_nameplate(app, &nameplate, rows, false));
    Ok(())
}

async fn open<R: Rows>(
    rows: &mut R,
    member: &Member,
    id: &str,
    effects: &mut Effects,
) -> Result<Outcome, R::Fault> {
    let mailbox = match enter(rows, member, id).await? {
        Ok(mailbox) => mailbox,
        Err(refusal) => return Ok(Err(refusal)),
    };
    rows.put_mailbox(&member.app, id, &mailbox).await?;
    effects.leaves = true;
    effects.listens = Some(mailbox.count);
    let messages = if mailbox.count == 0 { Vec::new() } else { rows.messages(&member.app, id).await? };
    Ok(Ok(Done::Opened { mailbox: id.into(), messages }))
}

/// The mailbox, made if it is unknown, with the side in it. It is not put yet.
async fn enter<R: Rows>(
    rows: &mut R,
    member: &Member,
    id: &str,
) -> Result<Result<Mailbox, Refusal>, R::Fault> {
    let now = rows.now();
    let mut mailbox = match rows.mailbox(&member.app, id).await? {
        Some(mut mailbox) => {
            if let Err(refusal) = mailbox.admits(&member.side) {
                note_crowd(rows, &member.app, id, &mut mailbox).await?;
                return Ok(Err(refusal));
            }
            mailbox
        }
        None => {
            if let Err(refusal) = room_for_mailbox(rows).await? {
                return Ok(Err(refusal));
            }
            Mailbox::new(now)
        }
    };
    mailbox.open(&member.side, now);
    Ok(Ok(mailbox))
}

/// Notes for the statistics that a third side was refused. It touches nothing, and a stream of strangers writes once.
async fn note_crowd<R: Rows>(
    rows: &mut R,
    app: &str,
    id: &str,
    mailbox: &mut Mailbox,
) -> Result<(), R::Fault> {
    if mailbox.crowded {
        return Ok(());
    }
    mailbox.crowded = true;
    rows.put_mailbox(app, id, mailbox).await
}

async fn room_for_mailbox<R: Rows>(rows: &mut R) -> Result<Result<(), Refusal>, R::Fault> {
    let full = rows.totals().await?.mailboxes >= rows.limits().mailboxes;
    Ok(if full { Err(Refusal::StoreFull) } else { Ok(()) })
}

async fn add<R: Rows>(
    rows: &mut R,
    member: &Member,
    id: &str,
    message: &Message,
    listens: bool,
    effects: &mut Effects,
) -> Result<Outcome, R::Fault> {
    let app = &member.app;
    if rows.totals().await?.bytes.saturating_add(message.weight()) > rows.limits().bytes {
        return Ok(Err(Refusal::StoreFull));
    }
    // What comes late on a connection that lives on must not make a mailbox anew that all sides are done with.
    let known = if listens { rows.mailbox(app, id).await? } else { None };
    let Some(mut mailbox) = known else { return Ok(Err(Refusal::NotOpen)) };
    if let Err(refusal) = mailbox.has_room(message, rows.limits()) {
        return Ok(Err(refusal));
    }
    let message = Arc::new(message.clone());
    let seq = mailbox.add(&message, rows.now());
    rows.put_mailbox(app, id, &mailbox).await?;
    rows.add(app, id, seq, &message).await?;
    effects.added = Some((seq, message));
    Ok(Ok(Done::Added))
}

async fn close<R: Rows>(
    rows: &mut R,
    member: &Member,
    id: &str,
    mood: Option<String>,
    effects: &mut Effects,
) -> Result<(), R::Fault> {
    let app = &member.app;
    let Some(mut mailbox) = rows.mailbox(app, id).await? else { return Ok(()) };
    // Who was never let in has nothing to close.
    if !mailbox.close(&member.side, mood) {
        return Ok(());
    }
    if mailbox.is_open() {
        return rows.put_mailbox(app, id, &mailbox).await;
    }
    delete(rows, app, id, &mailbox, false, effects).await
}

/// Deletes a mailbox with everything that hangs on it.
async fn delete<R: Rows>(
    rows: &mut R,
    app: &str,
    id: &str,
    mailbox: &Mailbox,
    pruned: bool,
    effects: &mut Effects,
) -> Result<(), R::Fault> {
    if let Some(name) = &mailbox.nameplate
        && let Some(nameplate) = rows.nameplate(app, name).await?
        && nameplate.mailbox == id
    {
        remove_nameplate(rows, app, name).await?;
        effects.used.push(end_of_nameplate(app, &nameplate, rows, pruned));
    }
    rows.remove_mailbox(app, id, mailbox).await?;
    effects.ended = true;
    effects.used.push(Usage::Mailbox {
        app: app.into(),
        for_nameplate: mailbox.for_nameplate,
        span: mailbox.span(rows.now()),
        result: mailbox.outcome(pruned),
    });
    Ok(())
}

async fn remove_nameplate<R: Rows>(rows: &mut R, app: &str, name: &str) -> Result<(), R::Fault> {
    rows.remove_nameplate(app, name).await?;
    let (now, limits) = (rows.now(), rows.limits().clone());
    rows.resting(|resting| resting.add(app, name, now, &limits));
    Ok(())
}

fn end_of_nameplate(app: &str, nameplate: &Nameplate, rows: &impl Rows, pruned: bool) -> Usage {
    Usage::Nameplate { app: app.into(), span: nameplate.span(rows.now()), result: nameplate.outcome(pruned) }
}
