//! A runtime of bytes in memory, below the layers that turn bytes into messages.

use std::cell::{Ref, RefCell};
use std::collections::{HashMap, VecDeque};
use std::future::{Future, pending};
use std::io;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use wormhole_core::driver::{Conn, Input, Instant, Op};
use wormhole_core::rng::Seed;
use wormhole_runtime::{Job, Runtime, Stream};

/// What a layer has asked for, and what it is to be told. Its clones are the same runtime.
#[derive(Clone, Debug, Default)]
pub struct Below {
    asked: Rc<RefCell<Vec<Op>>>,
    /// How many reads and writes of each connection are in there: some ask after each step.
    counts: Rc<RefCell<HashMap<Conn, [usize; 2]>>>,
    coming: Rc<RefCell<VecDeque<Input>>>,
}

impl Below {
    /// Something happens.
    pub fn happen(&self, input: Input) {
        self.coming.borrow_mut().push_back(input);
    }

    /// What was asked, from the first on.
    pub fn asked(&self) -> Ref<'_, Vec<Op>> {
        self.asked.borrow()
    }

    /// The connection that was dialled or accepted last.
    pub fn begun(&self) -> Option<Conn> {
        self.asked().iter().rev().find_map(|op| {
            if let Op::Open { conn, .. } | Op::Accept { conn, .. } = op { Some(*conn) } else { None }
        })
    }

    /// The connection of the next caller at a listener.
    pub fn awaited(&self, of: Conn) -> Option<Conn> {
        self.asked()
            .iter()
            .rev()
            .find_map(|op| if let Op::Accept { at, conn } = op { (*at == of).then_some(*conn) } else { None })
    }

    /// Whether bytes are copied from one connection to another, here below.
    pub fn is_joined(&self) -> bool {
        self.asked().iter().any(|op| matches!(op, Op::Join { .. }))
    }

    /// How many reads of this connection were asked for.
    pub fn reads(&self, of: Conn) -> usize {
        self.counts.borrow().get(&of).map_or(0, |[reads, _]| *reads)
    }

    /// Whether the end of this connection was asked for.
    pub fn closes(&self, of: Conn) -> bool {
        let closes = self.asked().iter().filter(|op| matches!(op, Op::Close { conn } if *conn == of)).count();
        assert!(closes <= 1, "it is closed twice");
        closes == 1
    }

    /// How many writes to this connection were asked for.
    pub fn count_writes(&self, to: Conn) -> usize {
        self.counts.borrow().get(&to).map_or(0, |[_, writes]| *writes)
    }

    /// What was written to this connection.
    pub fn writes(&self, to: Conn) -> Vec<Vec<u8>> {
        let write = |op: &Op| {
            if let Op::Write { conn, bytes } = op { (*conn == to).then(|| bytes.clone()) } else { None }
        };
        self.asked().iter().filter_map(write).collect()
    }
}

impl Runtime for Below {
    type Stream = Nowhere;

    fn seed(&mut self) -> Seed {
        [7; 32]
    }

    fn now(&self) -> Instant {
        Instant::START
    }

    fn start(&mut self, op: Op) {
        let mut counts = self.counts.borrow_mut();
        if let Op::Read { conn } = &op {
            counts.entry(*conn).or_default()[0] += 1;
        }
        if let Op::Write { conn, .. } = &op {
            counts.entry(*conn).or_default()[1] += 1;
        }
        self.asked.borrow_mut().push(op);
    }

    fn next(&mut self, _: Option<Instant>) -> impl Future<Output = Option<Input>> {
        let next = self.coming.borrow_mut().pop_front();
        async move { if next.is_some() { next } else { pending().await } }
    }

    fn take(&mut self, _: Conn) -> Option<Nowhere> {
        None
    }

    fn beside(&mut self, _: impl Future<Output = ()> + Send + 'static) -> Job {
        Job::new(|| {})
    }
}

/// All that a layer tells now.
pub fn told(layer: &mut impl Runtime) -> Vec<Input> {
    let mut told = Vec::new();
    loop {
        let next = pin!(layer.next(None));
        match next.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(Some(input)) => told.push(input),
            Poll::Ready(None) | Poll::Pending => return told,
        }
    }
}

/// The outcome of a connection is the same wherever its messages are cut, so pieces are put together.
pub fn joined(told: &[Input]) -> (Vec<u8>, Vec<Input>) {
    let mut bytes = Vec::new();
    let mut others = Vec::new();
    for input in told {
        if let Input::Received { bytes: piece, .. } = input {
            bytes.extend_from_slice(piece);
        } else {
            others.push(input.clone());
        }
    }
    (bytes, others)
}

/// A stream that leads nowhere; no layer gives one out here.
#[derive(Debug)]
pub struct Nowhere;

impl Stream for Nowhere {
    fn poll_read(&mut self, _: &mut Context<'_>, _: &mut [u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(0))
    }

    fn poll_write(&mut self, _: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_shutdown(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
