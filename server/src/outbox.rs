//! What waits for one client of the mailbox server that reads slowly, and how much of it there may be.

use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::answer::Answer;
use crate::limits;
use crate::stamp::Stamp;
use crate::store::Message;

/// Answers in order. Only as many as fill a window are written down and given to the system; what waits behind
/// them is small, or shared with the store.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    /// With what each counts for.
    waiting: VecDeque<(Answer, usize)>,
    waiting_bytes: usize,
    /// The lengths of the writes that the system has not yet taken.
    leaving: VecDeque<usize>,
    leaving_bytes: usize,
}

impl Outbox {
    /// Takes one more answer in; says whether the client is still within the limits. One that waits alone is: there is no
    /// longer one than a message may be.
    #[must_use]
    pub(crate) fn push(&mut self, answer: Answer, limit_bytes: usize) -> bool {
        let weight = answer.weight();
        self.waiting_bytes = self.waiting_bytes.saturating_add(weight);
        self.waiting.push_back((answer, weight));
        self.waiting_bytes <= limit_bytes || self.waiting.len() == 1
    }

    /// Takes in what the mailbox holds. It is bounded there, and so counts for nothing here.
    pub(crate) fn replay(&mut self, messages: Vec<Arc<Message>>) {
        self.waiting.extend(messages.into_iter().map(|message| (Answer::Message(message), 0)));
    }

    /// The next write, as long as the window has room.
    pub(crate) fn next(&mut self, now: Stamp) -> Option<Vec<u8>> {
        if self.leaving_bytes >= limits::WINDOW_BYTES {
            return None;
        }
        let bytes = self.take(now)?;
        self.leaving.push_back(bytes.len());
        self.leaving_bytes = self.leaving_bytes.saturating_add(bytes.len());
        Some(bytes)
    }

    /// The next write whatever the window, where the connection ends after it.
    pub(crate) fn take(&mut self, now: Stamp) -> Option<Vec<u8>> {
        let (answer, weight) = self.waiting.pop_front()?;
        self.waiting_bytes = self.waiting_bytes.saturating_sub(weight);
        if self.waiting.is_empty() {
            self.waiting = VecDeque::new();
        }
        Some(answer.encode(now))
    }

    /// The system has taken the oldest write.
    pub(crate) fn sent(&mut self) {
        if let Some(bytes) = self.leaving.pop_front() {
            self.leaving_bytes = self.leaving_bytes.saturating_sub(bytes);
        }
    }

    /// Whether everything is on its way: only then is the client asked for more work.
    pub(crate) fn is_flowing(&self) -> bool {
        self.waiting.is_empty() && self.leaving_bytes < limits::WINDOW_BYTES
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::String;

    use super::*;

    #[test]
    fn a_window_is_given_out_and_the_rest_waits() {
        let mut outbox = Outbox::default();
        for _ in 0..10 {
            assert!(outbox.push(Answer::Message(message(limits::WINDOW_BYTES / 2)), limits::QUEUE_BYTES));
        }
        let mut given = 0;
        while outbox.next(Stamp::default()).is_some() {
            given += 1;
        }
        assert_eq!(given, 2);
        assert!(!outbox.is_flowing());
        outbox.sent();
        assert!(outbox.next(Stamp::default()).is_some());
        assert!(outbox.next(Stamp::default()).is_none());
    }

    #[test]
    fn a_full_mailbox_fits_and_then_no_more_than_the_limit() {
        let mut outbox = Outbox::default();
        let size = limits::MAILBOX_BYTES / limits::MAILBOX_MESSAGES;
        outbox.replay((0..limits::MAILBOX_MESSAGES).map(|_| message(size)).collect());
        let live = limits::QUEUE_BYTES / 4;
        assert!((0..3).all(|_| outbox.push(Answer::Message(message(live)), limits::QUEUE_BYTES)));
        assert!(!outbox.push(Answer::Message(message(live)), limits::QUEUE_BYTES));
    }

    #[test]
    fn one_answer_fits_whatever_the_limit_and_a_second_one_does_not() {
        let mut outbox = Outbox::default();
        assert!(outbox.push(Answer::Message(message(100)), 10));
        assert!(!outbox.push(Answer::Message(message(100)), 10));
    }

    #[test]
    fn nothing_is_kept_once_all_has_left() {
        let mut outbox = Outbox::default();
        assert!(outbox.push(Answer::Allocated(String::from("7")), limits::QUEUE_BYTES));
        assert!(outbox.next(Stamp::default()).is_some());
        outbox.sent();
        assert_eq!((outbox.waiting_bytes, outbox.leaving_bytes, outbox.waiting.capacity()), (0, 0, 0));
    }

    fn message(len: usize) -> Arc<Message> {
        Arc::new(Message {
            side: "a".into(),
            phase: "1".into(),
            body: "0".repeat(len),
            id: None,
            received: Stamp::default(),
        })
    }
}
