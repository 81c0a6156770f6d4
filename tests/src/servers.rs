//! A mailbox server and a relay on free ports of this computer, of either make.

use std::net::TcpListener;
use std::process::Command;
use std::sync::OnceLock;
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tempfile::TempDir;
use tokio::sync::oneshot;
use tokio::time::timeout;
use wormhole_core::driver::{Address, Machine};
use wormhole_core::wormhole::Event as Session;
use wormhole_runtime::Runtime;
use wormhole_server::{Server, mailbox, relay};
use wormhole_tokio::transfer::{Config, Event, Receiver};

use crate::{Channel, Peers, Program, fail, ok};

const START_LIMIT: Duration = Duration::from_secs(30);
/// Another program may take a free port before us.
const ATTEMPTS: usize = 5;

/// Whose servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Make {
    /// This project's, on a thread of the test program.
    Ours,
    /// The reference's, as processes.
    Reference,
}

/// A mailbox server and a relay that run until they are dropped or stopped.
pub struct Servers {
    make: Make,
    /// Where the reference's mailbox server keeps what it holds, if it is to survive a restart.
    database: Option<TempDir>,
    mailbox: Running,
    relay: Running,
    mailbox_port: u16,
    relay_port: u16,
}

enum Running {
    Ours { stop: Option<oneshot::Sender<()>>, thread: Option<JoinHandle<()>> },
    Reference(Program),
}

#[derive(Clone, Copy)]
enum Which {
    Mailbox,
    Relay,
}

/// What the mailbox server says to its clients.
#[derive(Clone, Default)]
struct Words {
    motd: Option<String>,
    error: Option<String>,
}

impl Servers {
    /// Starts both; `None`, said aloud, where the reference's are wanted and are not there.
    #[track_caller]
    pub fn start(make: Make) -> Option<Self> {
        Self::with_database(make, None)
    }

    /// As [`Servers::start`], where a mailbox server of the reference keeps what it holds while it is stopped.
    #[track_caller]
    pub fn durable(make: Make) -> Option<Self> {
        let database = match make {
            Make::Ours => None,
            Make::Reference => Some(ok(TempDir::new(), "a directory")),
        };
        Self::with_database(make, database)
    }

    #[track_caller]
    fn with_database(make: Make, database: Option<TempDir>) -> Option<Self> {
        let (mailbox, mailbox_port) = start(make, Which::Mailbox, 0, database.as_ref())?;
        let (relay, relay_port) = start(make, Which::Relay, 0, None)?;
        Some(Self { make, database, mailbox, relay, mailbox_port, relay_port })
    }

    /// Servers of ours whose mailbox server has a message for its clients, or an error that sends them away.
    #[track_caller]
    pub fn saying(motd: Option<&str>, error: Option<&str>) -> Self {
        let words = Words { motd: motd.map(str::to_owned), error: error.map(str::to_owned) };
        let (mailbox, mailbox_port) = start_ours(Which::Mailbox, 0, &words);
        let (relay, relay_port) = start_ours(Which::Relay, 0, &words);
        Self { make: Make::Ours, database: None, mailbox, relay, mailbox_port, relay_port }
    }

    /// Servers of ours that all tests of one program share.
    #[track_caller]
    pub fn ours() -> &'static Self {
        static SHARED: OnceLock<Servers> = OnceLock::new();
        SHARED.get_or_init(|| match Self::start(Make::Ours) {
            Some(servers) => servers,
            None => fail("our own servers do not start"),
        })
    }

    /// Servers of the reference that all tests of one program share.
    #[track_caller]
    pub fn reference() -> Option<&'static Self> {
        static SHARED: OnceLock<Option<Servers>> = OnceLock::new();
        SHARED.get_or_init(|| Self::start(Make::Reference)).as_ref()
    }

    /// The shared servers of one make.
    #[track_caller]
    pub fn shared(make: Make) -> Option<&'static Self> {
        match make {
            Make::Ours => Some(Self::ours()),
            Make::Reference => Self::reference(),
        }
    }

    /// The mailbox server's URL.
    pub fn mailbox_url(&self) -> String {
        format!("ws://127.0.0.1:{}/v1", self.mailbox_port)
    }

    /// The ports of the mailbox server and of the relay.
    pub const fn ports(&self) -> [u16; 2] {
        [self.mailbox_port, self.relay_port]
    }

    /// The relay, as `--transit-helper` takes it.
    pub fn relay_hint(&self) -> String {
        format!("tcp:127.0.0.1:{}", self.relay_port)
    }

    /// The nameplates that the mailbox server holds.
    #[track_caller]
    pub fn nameplates(&self) -> Vec<String> {
        let runtime =
            ok(tokio::runtime::Builder::new_current_thread().enable_all().build(), "a tokio runtime");
        let url = self.mailbox_url();
        let listing = runtime.block_on(async { timeout(START_LIMIT, nameplates(&url)).await });
        ok(listing, "listing the nameplates")
    }

    /// Stops the mailbox server, which forgets all that it held, unless it is the reference's and has a database.
    pub fn stop_mailbox(&mut self) {
        self.mailbox.stop();
    }

    /// Starts the mailbox server again at the same address, with nothing but the database that it may have.
    #[track_caller]
    pub fn start_mailbox(&mut self) {
        self.mailbox.stop();
        match start(self.make, Which::Mailbox, self.mailbox_port, self.database.as_ref()) {
            Some((mailbox, _)) => self.mailbox = mailbox,
            None => fail("the mailbox server does not start again"),
        }
    }

    /// Stops the relay.
    pub fn stop_relay(&mut self) {
        self.relay.stop();
    }
}

impl Running {
    fn stop(&mut self) {
        match self {
            Self::Ours { stop, thread } => {
                if let Some(stop) = stop.take() {
                    // It may have ended by itself.
                    let _ = stop.send(());
                }
                if let Some(thread) = thread.take() {
                    // Its own failure would have been seen by the test.
                    let _ = thread.join();
                }
            }
            Self::Reference(program) => program.kill(),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Asks as a receiver does that wants to complete a nameplate.
async fn nameplates(url: &str) -> Vec<String> {
    let mut receiver = ok(Receiver::new(Config::default().mailbox(url)), "a receiver");
    ok(receiver.input_code(), "asking for nameplates");
    loop {
        match receiver.next_event().await {
            Event::Session(Session::Nameplates(found)) => {
                return found.iter().map(ToString::to_string).collect();
            }
            Event::Closed(_) => fail("the mailbox server lists no nameplates"),
            Event::Session(_)
            | Event::Offered(_)
            | Event::Answered
            | Event::OurHints(_)
            | Event::TheirHints(_)
            | Event::Connected(_)
            | Event::Spooling
            | Event::Sent
            | Event::Stored(_)
            | Event::Complete => {}
        }
    }
}

#[track_caller]
fn start(make: Make, which: Which, port: u16, database: Option<&TempDir>) -> Option<(Running, u16)> {
    match make {
        Make::Ours => Some(start_ours(which, port, &Words::default())),
        Make::Reference => start_reference(which, port, database),
    }
}

#[track_caller]
fn start_reference(which: Which, port: u16, database: Option<&TempDir>) -> Option<(Running, u16)> {
    let mut command: Command = Peers::find()?.server();
    let endpoint = format!("--port=tcp:{port}:interface=127.0.0.1");
    let name = match which {
        Which::Mailbox => {
            let at = |name| {
                database
                    .map_or_else(|| ":memory:".to_owned(), |at| at.path().join(name).display().to_string())
            };
            command.args(["wormhole-mailbox", &endpoint]);
            command.arg(format!("--channel-db={}", at("channel.sqlite")));
            command.arg(format!("--usage-db={}", at("usage.sqlite")));
            "the reference's mailbox server"
        }
        Which::Relay => {
            command.args(["transitrelay", &endpoint]);
            "the reference's relay"
        }
    };
    let program = Program::start(name, command);
    // Its log is JSON, in which the line ends with a quote.
    let said = program.line_after(Channel::Output, " starting on ", START_LIMIT);
    let digits: String = said.chars().take_while(char::is_ascii_digit).collect();
    let port = ok(digits.parse(), "the port of the reference's server");
    Some((Running::Reference(program), port))
}

#[track_caller]
fn start_ours(which: Which, port: u16, words: &Words) -> (Running, u16) {
    for _ in 0..ATTEMPTS {
        // A port that the system chose cannot be bound again at once, and one that was asked for can; so ask for a free one.
        let port = if port == 0 { free_port() } else { port };
        let (stop, stopped) = oneshot::channel();
        let (tell, told) = mpsc::channel();
        let words = words.clone();
        let thread = thread::spawn(move || serve(which, port, words, &tell, stopped));
        if let Ok(port) = told.recv_timeout(START_LIMIT) {
            return (Running::Ours { stop: Some(stop), thread: Some(thread) }, port);
        }
    }
    fail("our server does not start")
}

#[track_caller]
fn free_port() -> u16 {
    ok(TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()), "a free port").port()
}

fn serve(which: Which, port: u16, words: Words, tell: &mpsc::Sender<u16>, stopped: oneshot::Receiver<()>) {
    let runtime = ok(tokio::runtime::Builder::new_current_thread().enable_all().build(), "a tokio runtime");
    let listen = Address::new("127.0.0.1", port);
    runtime.block_on(async {
        match which {
            Which::Mailbox => {
                let Words { motd, error } = words;
                let options = mailbox::Options { motd, error, ..mailbox::Options::new(listen, unix_time()) };
                let server = Server::mailbox(options, wormhole_tokio::runtime());
                until_stopped(server, tell, stopped).await;
            }
            Which::Relay => {
                let options = relay::Options::new(listen);
                let server = Server::relay(options, wormhole_tokio::runtime());
                until_stopped(server, tell, stopped).await;
            }
        }
    });
}

/// Unix seconds, which the mailbox server stamps its messages with.
fn unix_time() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

/// Serves until it is told to stop; dropping the server frees its port.
async fn until_stopped<M, R>(
    mut server: Server<M, R>,
    tell: &mpsc::Sender<u16>,
    stopped: oneshot::Receiver<()>,
) where
    M: Machine<Event = wormhole_server::Event>,
    R: Runtime<M::Request, M::Reply>,
{
    let at = ok(server.listening().await, "our server does not listen");
    let Some(address) = at.first() else { fail("our server listens nowhere") };
    // The test may have given up.
    let _ = tell.send(address.port);
    tokio::select! {
        why = server.run() => fail(format_args!("our server ended: {why}")),
        _ = stopped => {}
    }
}
