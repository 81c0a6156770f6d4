//! What a store keeps, row by row: the view that the commands have of it, within one transaction.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::future::Future;
use core::ops::RangeInclusive;
use core::pin::pin;
use core::task::{Context, Poll, Waker};

use wormhole_core::rng::Rng;

use super::resting::Resting;
use super::rules::{Mailbox, Nameplate};
use super::{Limits, Message};
use crate::stamp::Stamp;

/// The rows of a store. What is read stays as it is until the transaction ends, and what is written is there for good
/// when it has ended well. Only a store on another computer makes anybody wait here.
pub(super) trait Rows {
    /// Why a row cannot be read or written; it undoes the transaction.
    type Fault;

    fn now(&self) -> Stamp;
    fn limits(&self) -> &Limits;
    fn rng(&mut self) -> &mut Rng;
    /// The nameplates that came free a moment ago. It is no row: what was noted of a transaction that was undone stays.
    fn resting<T>(&mut self, with: impl FnOnce(&mut Resting) -> T) -> T;

    /// How many mailboxes there are, and how many bytes are in them.
    async fn totals(&mut self) -> Result<Totals, Self::Fault>;
    /// All nameplates of the application, ordered as text.
    async fn names(&mut self, app: &str) -> Result<Vec<String>, Self::Fault>;
    async fn count_names(&mut self, app: &str) -> Result<usize, Self::Fault>;
    /// Those nameplates of the application that are a number of this range, written without leading zeros. Until the
    /// transaction ends, nobody else asks for it.
    async fn names_among(
        &mut self,
        app: &str,
        range: RangeInclusive<u64>,
    ) -> Result<Vec<String>, Self::Fault>;

    async fn nameplate(&mut self, app: &str, name: &str) -> Result<Option<Nameplate>, Self::Fault>;
    async fn put_nameplate(
        &mut self,
        app: &str,
        name: &str,
        nameplate: &Nameplate,
    ) -> Result<(), Self::Fault>;
    async fn remove_nameplate(&mut self, app: &str, name: &str) -> Result<(), Self::Fault>;

    async fn mailbox(&mut self, app: &str, id: &str) -> Result<Option<Mailbox>, Self::Fault>;
    async fn put_mailbox(&mut self, app: &str, id: &str, mailbox: &Mailbox) -> Result<(), Self::Fault>;
    /// With its messages; it is given as it was last read or put.
    async fn remove_mailbox(&mut self, app: &str, id: &str, mailbox: &Mailbox) -> Result<(), Self::Fault>;

    /// The messages of a mailbox, oldest first.
    async fn messages(&mut self, app: &str, id: &str) -> Result<Vec<Arc<Message>>, Self::Fault>;
    async fn add(&mut self, app: &str, id: &str, seq: u64, message: &Arc<Message>)
    -> Result<(), Self::Fault>;
}

/// What is in all mailboxes together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Totals {
    pub(super) mailboxes: usize,
    pub(super) bytes: usize,
}

/// What a future of a store in this process comes to, for it never has to wait.
pub(super) fn at_once<T>(future: impl Future<Output = T>) -> Option<T> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(outcome) => Some(outcome),
        Poll::Pending => None,
    }
}
