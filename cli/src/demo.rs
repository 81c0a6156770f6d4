//! A whole transfer on this computer: a mailbox server, a relay, a sender and a receiver in one process, over loopback.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fmt::{self, Display};
use std::fs::{self, File};
use std::io::{self, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use indicatif::{MultiProgress, ProgressDrawTarget};
use sha2::{Digest, Sha256};
use tempfile::TempDir;
use wormhole_core::driver::{Address, Why};
use wormhole_core::rng::Rng;
use wormhole_server::{Server, mailbox, relay};
use wormhole_tokio::transfer::{Config, Receiver, Sender};

use crate::arguments::{Common, Demo};
use crate::consent::Wishes;
use crate::failure::Failure;
use crate::interrupts::Interrupts;
use crate::prompt;
use crate::receiving::{Receiving, Shows};
use crate::screen::{Screen, shown};
use crate::secret::Secret;
use crate::send::Sending;
use crate::sides::or_interrupted;
use crate::sizes::Bytes;
use crate::source;
use crate::view::View;

/// What is sent where nothing is named.
const MADE_UP_BYTES: u64 = 256 << 20;
/// It is made up of blocks of this size.
const BLOCK_BYTES: usize = 64 << 10;

/// `wormhole demo`.
pub(crate) async fn run(common: &Common, options: &Demo, interrupts: &mut Interrupts) -> Result<(), Failure> {
    // Dropping it half-way ends both sides and the servers, and removes what they have written.
    or_interrupted(interrupts, demo(common, options)).await?
}

async fn demo(common: &Common, options: &Demo) -> Result<(), Failure> {
    let bars = MultiProgress::with_draw_target(ProgressDrawTarget::stderr());
    let screen = |prefix| Screen::shared(prefix, &bars, common.hide_progress);
    let main = screen("");

    let mut mailbox =
        Server::mailbox(mailbox::Options::new(anywhere(), unix_time()), wormhole_tokio::runtime());
    let mut relay = Server::relay(relay::Options::new(anywhere()), wormhole_tokio::runtime());
    let url = format!("ws://{}/v1", address(mailbox.listening().await)?);
    let hint = format!("tcp:{}", address(relay.listening().await)?);
    main.note(format_args!("A mailbox server at {url} and a relay at {hint}, both in this process."));

    let source = Source::of(options.path.as_deref(), &main).await?;
    let config = config(common, &url, &hint);
    let copy = on_disk(|| tempfile::Builder::new().prefix("wormhole-demo-").tempdir()).await?;

    let content = source::open(source.path.clone()).await?;
    let sender_screen = screen("sender   | ");
    source::announce(&content, &sender_screen);
    let mut sender = Sender::new(config.clone(), content)?;
    sender.allocate_code(wormhole_core::defaults::CODE_WORDS)?;
    let mut sending = Sending::new(sender, View::new(sender_screen, &url), false, Secret::default());

    let receiver = Receiver::new(config)?;
    let wishes = Wishes::into_directory(copy.path());
    let view = View::new(screen("receiver | "), &url);
    let mut receiving = Receiving::new(receiver, view, wishes, Shows::default());

    let both = async {
        let code = sending.until_code().await?;
        receiving.set_code(code)?;
        let (mut nobody, mut no_one) = (Interrupts::never(), Interrupts::never());
        let ends = tokio::join!(sending.until_done(&mut nobody), receiving.until_done(&mut no_one));
        ends.0.and(ends.1)
    };
    tokio::select! {
        outcome = both => outcome?,
        why = mailbox.run() => return Err(Failure::Here(format!("the mailbox server ended: {why}"))),
        why = relay.run() => return Err(Failure::Here(format!("the relay ended: {why}"))),
    }
    report(&main, &source, copy, sending.flow()).await
}

/// Any free port of this computer that only this computer reaches.
fn anywhere() -> Address {
    Address::new("127.0.0.1", 0)
}

fn address(listening: Result<Vec<Address>, Why>) -> Result<Address, Failure> {
    let refused = |why: &dyn Display| Failure::Here(format!("no server can listen on this computer: {why}"));
    let at = listening.map_err(|why| refused(&why))?;
    at.into_iter().next().ok_or_else(|| refused(&"no address"))
}

/// Unix seconds, which the mailbox server stamps its messages with.
fn unix_time() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

fn config(common: &Common, url: &str, hint: &str) -> Config {
    Config::new(common.appid()).mailbox(url).relays([hint]).listen(!common.network.no_listen())
}

/// What is sent. A made-up file is removed with it.
struct Source {
    path: PathBuf,
    _made_up: Option<TempDir>,
}

impl Source {
    async fn of(path: Option<&Path>, main: &Screen) -> Result<Self, Failure> {
        let Some(path) = path else {
            main.note(format_args!("Making up a file of {} to send..", Bytes(MADE_UP_BYTES)));
            return on_disk(made_up).await;
        };
        Ok(Self { path: path.to_owned(), _made_up: None })
    }
}

fn made_up() -> io::Result<Source> {
    let directory = tempfile::Builder::new().prefix("wormhole-demo-source-").tempdir()?;
    let path = directory.path().join("made-up.bin");
    let mut file = BufWriter::new(File::create(&path)?);
    // Blocks that do not compress, each with its number, so that no two are alike.
    let mut block = Rng::new([7; 32]).bytes::<BLOCK_BYTES>();
    for number in 0..MADE_UP_BYTES / BLOCK_BYTES as u64 {
        if let Some(head) = block.first_chunk_mut() {
            *head = number.to_le_bytes();
        }
        file.write_all(&block)?;
    }
    file.flush()?;
    Ok(Source { path, _made_up: Some(directory) })
}

/// Names the copy, compares it, and says how fast it came.
async fn report(main: &Screen, source: &Source, copy: TempDir, flow: Duration) -> Result<(), Failure> {
    let name = source.path.canonicalize().ok().and_then(|path| path.file_name().map(OsString::from));
    let place = copy.path().join(name.unwrap_or_default());
    let (sent, arrived) = (source.path.clone(), place.clone());
    let found = on_disk(move || Comparison::of(&sent, &arrived)).await?;
    let say = |line: fmt::Arguments<'_>| {
        main.result(line)
            .map_err(|error| Failure::Here(format!("standard output cannot be written: {error}")))
    };
    say(format_args!("SHA-256 of what was sent: {}", found.sent))?;
    say(format_args!("SHA-256 of the copy:      {}", found.arrived))?;
    if found.sent != found.arrived {
        return Err(Failure::Here("the copy is not what was sent".to_owned()));
    }
    let rate = found.bytes as f64 / 1e6 / flow.as_secs_f64().max(1e-6);
    say(format_args!("{} in {:.2} s: {rate:.0} MB/s", Bytes(found.bytes), flow.as_secs_f64()))?;
    say(format_args!("The copy is {}. It stays until you remove it.", shown(&place)))?;
    // From now on it is the user's.
    let _ = copy.keep();
    Ok(())
}

/// What was sent and what arrived, as hashes over everything.
struct Comparison {
    sent: String,
    arrived: String,
    bytes: u64,
}

impl Comparison {
    /// Of two files, or of all files in two directories, in the order of their paths in the copy.
    fn of(sent: &Path, arrived: &Path) -> io::Result<Self> {
        if !arrived.is_dir() {
            let (sent, bytes) = hash(sent)?;
            return Ok(Self { sent: hex(&sent), arrived: hex(&hash(arrived)?.0), bytes });
        }
        let (mut sent_all, mut arrived_all, mut bytes) = (Sha256::new(), Sha256::new(), 0_u64);
        for path in files(arrived)? {
            sent_all.update(hash(&sent.join(&path))?.0);
            let (hash, len) = hash(&arrived.join(&path))?;
            arrived_all.update(hash);
            bytes = bytes.saturating_add(len);
        }
        Ok(Self { sent: hex(&sent_all.finalize()), arrived: hex(&arrived_all.finalize()), bytes })
    }
}

/// The files below a directory, by their paths in it, in order.
fn files(root: &Path) -> io::Result<BTreeSet<PathBuf>> {
    let mut found = BTreeSet::new();
    let mut todo = vec![PathBuf::new()];
    while let Some(directory) = todo.pop() {
        for entry in fs::read_dir(root.join(&directory))? {
            let entry = entry?;
            let path = directory.join(entry.file_name());
            if entry.file_type()?.is_dir() {
                todo.push(path);
            } else {
                found.insert(path);
            }
        }
    }
    Ok(found)
}

fn hash(path: &Path) -> io::Result<([u8; 32], u64)> {
    let mut file = File::open(path)?;
    let mut buffer = vec![0; 256 << 10];
    let (mut hash, mut bytes) = (Sha256::new(), 0_u64);
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            return Ok((hash.finalize().into(), bytes));
        }
        hash.update(buffer.get(..read).unwrap_or_default());
        bytes = bytes.saturating_add(read as u64);
    }
}

fn hex(hash: &[u8]) -> String {
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Runs what the disk may hold up, on a thread.
async fn on_disk<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, Failure> {
    match prompt::on_a_thread(work).await {
        Ok(done) => done.map_err(|error| Failure::Here(format!("the disk refuses: {error}"))),
        Err(_) => Err(Failure::Here("no thread can be started".to_owned())),
    }
}
