//! The real program as a child process, and how a test finds it, talks to it and ends it.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// The longest that anything in these tests may take.
pub(crate) const LIMIT: Duration = Duration::from_secs(20);

/// Where the program is.
pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_wormhole-server");

/// The limits by address, and one that would make tests wait.
const BY_ADDRESS: [&str; 8] = [
    "WORMHOLE_SERVER_ADDRESS_CONNECTIONS",
    "WORMHOLE_SERVER_ADDRESS_CONNECTS",
    "WORMHOLE_SERVER_ADDRESS_ALLOCATES",
    "WORMHOLE_SERVER_ADDRESS_CLAIMS",
    "WORMHOLE_SERVER_ADDRESS_JOINS",
    "WORMHOLE_SERVER_ADDRESS_LISTS",
    "WORMHOLE_SERVER_LIST_PAUSE",
    "WORMHOLE_SERVER_RELAY_ADDRESS_CONNECTIONS",
];

/// The program, serving. It is killed when this is dropped.
pub(crate) struct Running {
    child: Child,
    /// What it said before `ready`: where it can be reached.
    addresses: Vec<(String, String)>,
    log: Arc<Mutex<String>>,
}

impl Running {
    /// Starts the program with these arguments, and waits until it can be reached. It keeps everything in memory and has
    /// no limits by address, where they do not say otherwise.
    pub(crate) fn start(arguments: &[&str]) -> Self {
        Self::start_with(arguments, |_| {})
    }

    /// As [`Running::start`], where something else about the process is to be changed.
    pub(crate) fn start_with(arguments: &[&str], change: impl FnOnce(&mut Command)) -> Self {
        Self::start_as(PROGRAM, arguments, change)
    }

    /// As [`Running::start_with`], by another program that becomes ours.
    pub(crate) fn start_as(path: &str, arguments: &[&str], change: impl FnOnce(&mut Command)) -> Self {
        let mut command = clean(path, arguments);
        command.env("WORMHOLE_SERVER_CHANNEL_DB", ":memory:");
        // All clients of these tests come from one address.
        command.envs(BY_ADDRESS.map(|name| (name, "0")));
        change(&mut command);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let lines = lines(child.stdout.take().unwrap());
        let log = gather(child.stderr.take().unwrap());
        let mut running = Self { child, addresses: Vec::new(), log };
        loop {
            let Ok(line) = lines.recv_timeout(LIMIT) else {
                panic!("it never got ready: {}", running.log());
            };
            match line.split_once(' ') {
                Some((name, address)) => running.addresses.push((name.into(), address.into())),
                None => {
                    assert_eq!(line, "ready");
                    return running;
                }
            }
        }
    }

    /// Everywhere it can be reached for this, as it says it.
    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        let of_name = self.addresses.iter().filter(|(of, _)| of == name);
        of_name.map(|(_, address)| address.as_str()).collect()
    }

    /// The first address over TCP for this, whatever comes before the protocol there.
    pub(crate) fn at(&self, name: &str) -> SocketAddr {
        let addresses = self.all(name);
        let bare =
            |address: &&str| address.trim_start_matches("proxy:").trim_start_matches("tls:").parse().ok();
        addresses.iter().find_map(bare).unwrap_or_else(|| panic!("{name}: {addresses:?}"))
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits until it has ended.
    pub(crate) fn end(&mut self) -> ExitStatus {
        soon("it never ended", || self.child.try_wait().unwrap())
    }

    /// Whether it still runs.
    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// What it has written to standard error.
    pub(crate) fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    /// Waits until it has logged this.
    pub(crate) fn wait_for_log(&self, text: &str) {
        soon(text, || self.log().contains(text).then_some(()));
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The program with these arguments and a clean environment.
pub(crate) fn program(arguments: &[&str]) -> Command {
    clean(PROGRAM, arguments)
}

fn clean(path: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(path);
    command.args(arguments).env_clear().stdin(Stdio::null());
    command
}

/// Asks again and again until there is an answer.
#[expect(clippy::disallowed_methods, reason = "a program takes real time")]
pub(crate) fn soon<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(began.elapsed() < LIMIT, "{what}");
        thread::park_timeout(Duration::from_millis(5));
    }
}

#[expect(clippy::disallowed_methods, reason = "what a program says is read while it runs")]
fn lines(output: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = channel();
    thread::spawn(move || {
        for line in BufReader::new(output).lines() {
            let Ok(line) = line else { return };
            let _ = sender.send(line);
        }
    });
    receiver
}

#[expect(clippy::disallowed_methods, reason = "what a program says is read while it runs")]
fn gather(mut output: impl Read + Send + 'static) -> Arc<Mutex<String>> {
    let log = Arc::new(Mutex::new(String::new()));
    let gathered = Arc::clone(&log);
    thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok(count @ 1..) = output.read(&mut buffer) {
            log.lock().unwrap().push_str(&String::from_utf8_lossy(&buffer[..count]));
        }
    });
    gathered
}
