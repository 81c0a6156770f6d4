//! A wormhole as plain data, which another process can go on from.

use alloc::collections::VecDeque;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use super::link::{Line, Link, Reached};
use super::route::Task;
use super::{
    Config, Event, Untaken, Wormhole, allocator, code, input, key, link, lister, mailbox, nameplate, order,
    permission, receive, send, terminator,
};
use crate::driver::{Conns, Instant, Output, Why};
use crate::error::{Mood, SnapshotFault};
use crate::rng::{Rng, Seed};
use crate::vigil::Vigil;
use crate::wire::{AppId, Side};

/// The version of what a [`Snapshot`] consists of. Whoever writes one down writes this beside it, and reads no other.
pub const SNAPSHOT_VERSION: u32 = 1;

/// What another process needs to go on with a wormhole: all but its connection, its time and its randomness.
///
/// **It holds secrets**: the code, the key or what the key is made from, and records. Whoever has it can read all that
/// is said, and can take this side's place. Of two processes that go on from the same snapshot one is lost.
#[derive(Clone, serde::Serialize, serde::Deserialize)]
pub struct Snapshot {
    appid: AppId,
    mailbox_url: String,
    side: Side,
    /// Whether the server could hear us.
    was_up: bool,
    link: Reached,
    code: code::Code,
    allocator: allocator::Allocator,
    lister: lister::Lister,
    typing: input::Typing,
    nameplate: nameplate::Nameplate,
    mailbox: mailbox::Mailbox,
    order: order::Order,
    key: key::Key,
    send: send::Send,
    receive: receive::Receive,
    terminator: terminator::Terminator,
    mood: Option<Mood>,
    untaken: Untaken,
    /// What was not told yet.
    events: Vec<Event>,
}

impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Snapshot(..)")
    }
}

impl Wormhole {
    /// All that another process needs to go on from here, which then has it alone. To be had
    /// with the feature `serde`. See [`Snapshot`]: it holds secrets.
    pub fn snapshot(&self) -> Snapshot {
        let told = self.outputs.iter().filter_map(|output| match output {
            Output::Tell(event) => Some(event.clone()),
            // The connection stays behind; what was said on it is said again.
            Output::Do(_) | Output::Wait(_) => None,
        });
        Snapshot {
            appid: self.config.appid.clone(),
            mailbox_url: self.config.mailbox.clone(),
            side: self.side.clone(),
            was_up: self.link.line() == Line::Up,
            link: self.link.reached(),
            code: self.code.clone(),
            allocator: self.allocator.clone(),
            lister: self.lister.clone(),
            typing: self.typing.clone(),
            nameplate: self.nameplate.clone(),
            mailbox: self.mailbox.clone(),
            order: self.order.clone(),
            key: self.key.clone(),
            send: self.send.clone(),
            receive: self.receive.clone(),
            terminator: self.terminator.clone(),
            mood: self.mood,
            untaken: self.untaken,
            events: told.collect(),
        }
    }

    /// Goes on where another process has left off: connects anew, and says again what may have been lost.
    ///
    /// The configuration is that of the first process, and the seed a new one.
    ///
    /// # Errors
    ///
    /// The configuration is for another application or another mailbox server.
    pub fn restore(
        config: Config,
        snapshot: Snapshot,
        seed: Seed,
        conns: Conns,
    ) -> Result<Self, SnapshotFault> {
        if config.appid != snapshot.appid || config.mailbox != snapshot.mailbox_url {
            return Err(SnapshotFault::Config);
        }
        let mut wormhole = Self {
            config,
            side: snapshot.side,
            // Not the other's: what both draw from it might seal two different things alike.
            rng: Rng::new(seed),
            conns,
            now: Instant::START,
            link: Link::restored(snapshot.link),
            permission: permission::Permission::default(),
            code: snapshot.code,
            allocator: snapshot.allocator,
            lister: snapshot.lister,
            typing: snapshot.typing,
            nameplate: snapshot.nameplate,
            mailbox: snapshot.mailbox,
            order: snapshot.order,
            key: snapshot.key,
            send: snapshot.send,
            receive: snapshot.receive,
            terminator: snapshot.terminator,
            mood: snapshot.mood,
            tasks: VecDeque::new(),
            outputs: snapshot.events.into_iter().map(Output::Tell).collect(),
            untaken: snapshot.untaken,
            vigil: Vigil::default(),
            lonely: Vigil::default(),
            refused: None,
            trace: None,
        };
        wormhole.terminator.count_anew();
        if snapshot.was_up {
            wormhole.lose(Why::Reset);
        }
        let next = if wormhole.terminator.needs_link() { link::Input::Dial } else { link::Input::Stop };
        wormhole.then(Task::Link(next));
        wormhole.settle();
        Ok(wormhole)
    }

    /// What the loss of a connection means to all but the link.
    fn lose(&mut self, why: Why) {
        self.outputs.push_back(Output::Tell(Event::LinkDown { why }));
        self.then(Task::Allocator(allocator::Input::LinkDown));
    }
}
