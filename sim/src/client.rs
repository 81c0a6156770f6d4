//! What the users of a world do: each is a program over the API that applications have.

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use wormhole_core::code::Code;
use wormhole_core::driver::Instant;
use wormhole_core::error::{Error as CoreError, Misuse};
use wormhole_runtime::{Config, Wormhole, transcribe};
use wormhole_transfer::{Content, Error, Offer, Received, Receiver, Sender};

use crate::host::Host;
use crate::net::{HostId, Net};
use crate::plan::User;

/// How long a user waits for anything before giving up.
pub(crate) const PATIENCE: Duration = Duration::from_secs(600);
/// The most bytes of a file.
pub(crate) const FILE_LIMIT: u64 = 400_000;

/// What one user is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// Has a code made, and swaps blobs.
    Initiate,
    /// Swaps blobs.
    Join,
    /// Has a code made, and exchanges so many records.
    Begin { records: u32 },
    /// Exchanges so many records.
    Follow { records: u32 },
    /// Sends a file, with a code that it has made or not. More or less comes than was said.
    Send { allocate: bool, size: u64, gives: u64 },
    /// Sends a text.
    Say,
    /// Receives whatever comes, with a code that it has made or not; or does not want it.
    Receive { allocate: bool, accept: bool },
}

/// What all users of a conversation know, since one told the others.
#[derive(Debug)]
pub(crate) struct Told {
    /// Nothing is known yet; none was made; or this one.
    code: RefCell<Option<Option<Code>>>,
    waiting: RefCell<Vec<HostId>>,
}

/// A user at work.
pub(crate) struct Client {
    pub(crate) net: Net,
    pub(crate) id: HostId,
    pub(crate) told: Rc<Told>,
    pub(crate) user: User,
}

/// How it ended for a user.
pub(crate) type Ending = Result<(), Error>;

impl Told {
    pub(crate) fn new() -> Rc<Self> {
        Rc::new(Self { code: RefCell::new(None), waiting: RefCell::new(Vec::new()) })
    }
}

impl Client {
    /// Plays a part, and says how it ended.
    pub(crate) async fn play(self) -> Ending {
        let starts = Instant::START.plus(self.user.starts);
        self.until(starts, || None::<()>).await;
        let ending = match self.user.part {
            Part::Initiate => self.initiate().await,
            Part::Join => self.join().await,
            Part::Begin { records } => self.talk(true, records).await,
            Part::Follow { records } => self.talk(false, records).await,
            Part::Send { allocate, size, gives } => {
                let reader = io::Cursor::new(noise(gives));
                self.send(allocate, Content::ready("file", size, reader)).await
            }
            Part::Say => self.send(true, Content::text("hello")).await,
            Part::Receive { allocate, accept } => self.receive(allocate, accept).await,
        };
        // Whoever waits for a code that was never made waits no longer.
        self.tell(None);
        ending
    }

    async fn initiate(&self) -> Ending {
        let mut side = transcribe::Initiator::on(self.host(), self.config(), b"first")?;
        let outcome = match side.start().await {
            Ok(code) => {
                self.tell(Some(code));
                side.finish().await
            }
            Err(error) => Err(error),
        };
        let cancelled = async || {
            side.cancel();
            side.finish().await
        };
        self.expect(&self.unless_late(outcome, cancelled).await?, b"second")
    }

    async fn join(&self) -> Ending {
        let code = self.code().await?;
        let mut side = transcribe::Receiver::on(self.host(), self.config(), code.as_str(), b"second")?;
        let outcome = side.finish().await;
        let cancelled = async || {
            side.cancel();
            side.finish().await
        };
        self.expect(&self.unless_late(outcome, cancelled).await?, b"first")
    }

    async fn talk(&self, begins: bool, records: u32) -> Ending {
        let code = if begins { None } else { Some(self.code().await?) };
        let mut wormhole = Wormhole::on(self.host(), self.config())?;
        let outcome = self.exchange(&mut wormhole, code, records).await;
        if outcome.is_err() {
            wormhole.cancel();
        }
        let closed = wormhole.close().await;
        outcome.and_then(|()| closed.map_err(Error::Wormhole))
    }

    async fn exchange(&self, wormhole: &mut Wormhole<Host>, code: Option<Code>, records: u32) -> Ending {
        match code {
            Some(code) => wormhole.set_code(code.as_str()).await?,
            None => {
                wormhole.allocate_code(2).await?;
                self.tell(Some(wormhole.code().await?));
            }
        }
        for number in 0..records {
            wormhole.send(&number.to_be_bytes()).await?;
        }
        for number in 0..records {
            let record = wormhole.receive().await?;
            self.expect(&record, &number.to_be_bytes())?;
        }
        wormhole.stored().await?;
        let more =
            poll_fn(|cx| Poll::Ready(matches!(pin!(wormhole.receive()).poll(cx), Poll::Ready(Ok(_))))).await;
        if more {
            self.net.lock().fail("a record came that nobody has sent".into());
        }
        Ok(())
    }

    async fn send(&self, allocate: bool, content: Content) -> Ending {
        let code = if allocate { None } else { Some(self.code().await?) };
        let mut sender = Sender::on(self.host(), self.config(), content)?;
        let outcome = match code {
            Some(code) => sender.set_code(code).map_err(Error::from),
            None => {
                sender.allocate_code(2)?;
                sender.code().await.map(|code| self.tell(Some(code)))
            }
        };
        let outcome = match outcome {
            Ok(()) => sender.finish().await,
            Err(error) => Err(error),
        };
        let cancelled = async || {
            sender.cancel();
            sender.finish().await
        };
        self.unless_late(outcome, cancelled).await
    }

    async fn receive(&self, allocate: bool, accept: bool) -> Ending {
        let code = if allocate { None } else { Some(self.code().await?) };
        let mut receiver = Receiver::on(self.host(), self.config())?;
        let outcome = match code {
            Some(code) => receiver.set_code(code).map_err(Error::from),
            None => {
                receiver.allocate_code(2)?;
                receiver.code().await.map(|code| self.tell(Some(code)))
            }
        };
        let outcome = match outcome {
            Ok(()) => take(&mut receiver, accept).await,
            Err(error) => Err(error),
        };
        let cancelled = async || {
            receiver.cancel();
            receiver.finish().await
        };
        match self.unless_late(outcome, cancelled).await? {
            Received::Bytes(bytes) => self.expect(&bytes, &noise(bytes.len() as u64)),
            Received::Text(text) => self.expect(text.to_string().as_bytes(), b"hello"),
            Received::Stored(_) | Received::Several(_) | Received::Written => Err(Misuse::Closed.into()),
        }
    }

    fn host(&self) -> Host {
        Host::new(self.net.clone(), self.id)
    }

    fn config(&self) -> Config {
        Config::new("example.com/sim")
            .mailbox("ws://mailbox:4000/v1")
            .relays(self.user.relays.iter().copied())
            .listen(self.user.listen)
            .wait_limit(PATIENCE)
    }

    /// Tells the other user the code, once.
    fn tell(&self, code: Option<Code>) {
        let mut told = self.told.code.borrow_mut();
        if told.is_none() {
            *told = Some(code);
            for host in self.told.waiting.borrow().iter() {
                self.net.lock().wake(*host);
            }
        }
    }

    /// The code that the other user has told, once this one has typed it.
    async fn code(&self) -> Result<Code, Error> {
        self.told.waiting.borrow_mut().push(self.id);
        let late = self.net.lock().clock(self.id).plus(PATIENCE);
        let code = self.until(late, || self.told.code.borrow().clone()).await.flatten();
        let Some(code) = code else { return Err(CoreError::TimedOut.into()) };
        let typed = self.net.lock().clock(self.id).plus(self.user.types);
        self.until(typed, || None::<()>).await;
        if !self.user.mistaken {
            return Ok(code);
        }
        Code::from_parts(&code.nameplate(), "wrong-words").map_err(|fault| Misuse::from(fault).into())
    }

    fn until<'a, T>(
        &'a self,
        late: Instant,
        ready: impl Fn() -> Option<T> + 'a,
    ) -> impl Future<Output = Option<T>> + 'a {
        poll_fn(move |cx| {
            if let Some(found) = ready() {
                return Poll::Ready(Some(found));
            }
            let mut net = self.net.lock();
            if net.clock(self.id) >= late {
                return Poll::Ready(None);
            }
            net.wait(self.id, cx, Some(late));
            Poll::Pending
        })
    }

    /// What comes is what was sent, or an invariant is broken.
    fn expect(&self, got: &[u8], want: &[u8]) -> Ending {
        if got != want {
            let mut net = self.net.lock();
            let name = net.name(self.id).to_owned();
            net.fail(format!("{name} got {} bytes that are not the {} sent", got.len(), want.len()));
        }
        Ok(())
    }

    /// Whoever has waited in vain cancels, and then there is nothing to wait for.
    async fn unless_late<T, E>(
        &self,
        outcome: Result<T, E>,
        cancelled: impl AsyncFnOnce() -> Result<T, E>,
    ) -> Result<T, Error>
    where
        Error: From<E>,
    {
        let is_late =
            |outcome: &Result<T, Error>| matches!(outcome, Err(Error::Wormhole(CoreError::TimedOut)));
        let outcome = outcome.map_err(Error::from);
        if !is_late(&outcome) {
            return outcome;
        }
        let since = self.net.lock().now;
        let again = cancelled().await.map_err(Error::from);
        let mut net = self.net.lock();
        // A clock that jumps may say that much time has passed, where none has; and one who stood still had none.
        let since = net.hosts.get(self.id).map_or(since, |host| host.resumed.max(since));
        if is_late(&again) && net.now >= since.plus(PATIENCE) {
            let name = net.name(self.id).to_owned();
            net.fail(format!("{name} was cancelled and does not end"));
        }
        outcome
    }
}

async fn take(receiver: &mut Receiver<Host>, accept: bool) -> Result<Received, Error> {
    match receiver.offer().await? {
        Offer::Text(_) => drop(receiver.accept_text()?),
        Offer::File { size, .. } if accept && size <= FILE_LIMIT => receiver.accept_memory()?,
        Offer::File { .. }
        | Offer::Stream { .. }
        | Offer::Several { .. }
        | Offer::Directory { .. }
        | Offer::Unknown => receiver.refuse()?,
    }
    receiver.finish().await
}

/// The content of a file.
fn noise(len: u64) -> Vec<u8> {
    (0..len).map(|at| (at ^ (at >> 8)).to_le_bytes().first().copied().unwrap_or(0)).collect()
}
