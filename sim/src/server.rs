//! The two servers of a world, which are those that ship, and a store that outlives them.

use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use wormhole_core::driver::{Address, Conn, Instant};
use wormhole_server::store::{Memory, Reply, Request, Store};
use wormhole_server::{Server, Stored, mailbox, relay};

use crate::host::Host;
use crate::net::{HostId, MAILBOX, Net};

/// A computer's program.
pub(crate) type Program = Pin<Box<dyn Future<Output = ()>>>;

/// A store that is still there when its server is not.
#[derive(Clone, Debug)]
pub(crate) struct Kept(Rc<RefCell<Memory>>);

impl Kept {
    pub(crate) fn new(net: &Net) -> Self {
        Self(Rc::new(RefCell::new(Memory::new(net.lock().seed()))))
    }

    /// The server's connections are gone, and what was to be said on them.
    pub(crate) fn let_go(&self, conns: impl IntoIterator<Item = Conn>, now: Instant) {
        let mut store = self.0.borrow_mut();
        for conn in conns {
            store.start(Request::Leave { conn }, now);
        }
        while store.poll_reply(&mut Context::from_waker(Waker::noop())).is_ready() {}
    }

    /// Whether it keeps nothing at all.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.borrow().is_empty()
    }
}

impl Store for Kept {
    fn start(&mut self, request: Request, now: Instant) {
        self.0.borrow_mut().start(request, now);
    }

    fn poll_reply(&mut self, cx: &mut Context<'_>) -> Poll<Reply> {
        self.0.borrow_mut().poll_reply(cx)
    }
}

/// A mailbox server with this store.
pub(crate) fn mailbox(net: &Net, store: Kept) -> Program {
    let options = mailbox::Options::new(Address::new("mailbox", 4000), 0.0);
    let runtime = Stored::new(Host::new(net.clone(), MAILBOX), store);
    let mut server = Server::new(mailbox::Mailbox::new(options), runtime);
    Box::pin(async move {
        server.run().await;
    })
}

/// A transit relay.
pub(crate) fn relay(net: &Net, id: HostId) -> Program {
    let options = relay::Options::new(Address::new("relay", 4001));
    let mut server = Server::relay(options, Host::new(net.clone(), id));
    Box::pin(async move {
        server.run().await;
    })
}
