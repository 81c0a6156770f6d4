//! A program that runs: what it says, what it is told, how it ends. Every wait is bounded.

use std::io::{Read, Write};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
#[cfg(target_os = "linux")]
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

#[cfg(target_os = "linux")]
use crate::Usage;
use crate::{fail, ok};

/// Where a program writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Channel {
    /// Standard output.
    Output,
    /// Standard error.
    Error,
}

/// A program under test. Dropped, it is killed.
pub struct Program {
    name: String,
    child: Arc<Mutex<Child>>,
    shared: Arc<Shared>,
    input: Option<ChildStdin>,
    started: Instant,
}

/// How a program ended.
#[derive(Debug)]
pub struct Outcome {
    /// Its exit code; `None` where a signal ended it.
    pub code: Option<i32>,
    /// All that it wrote to standard output.
    pub output: String,
    /// All that it wrote to standard error.
    pub error: String,
    /// How long it ran.
    pub took: Duration,
}

#[derive(Default)]
struct Shared {
    seen: Mutex<Seen>,
    changed: Condvar,
}

#[derive(Default)]
struct Seen {
    output: Vec<u8>,
    error: Vec<u8>,
    open: usize,
}

impl Program {
    /// Starts a command with all three streams held by us.
    pub fn start(name: &str, mut command: Command) -> Self {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = ok(command.spawn(), name);
        let input = child.stdin.take();
        let shared = Arc::new(Shared::default());
        shared.lock().open = 2;
        if let (Some(output), Some(error)) = (child.stdout.take(), child.stderr.take()) {
            collect(&shared, Channel::Output, output);
            collect(&shared, Channel::Error, error);
        }
        Self {
            name: name.to_owned(),
            child: Arc::new(Mutex::new(child)),
            shared,
            input,
            started: Instant::now(),
        }
    }

    /// The process's number.
    pub fn id(&self) -> u32 {
        lock(&self.child).id()
    }

    /// Waits until the program has written `wanted`, and returns all that it wrote there until then.
    #[track_caller]
    pub fn wait_for(&self, channel: Channel, wanted: &str, limit: Duration) -> String {
        let until = Instant::now() + limit;
        let mut seen = self.shared.lock();
        loop {
            let text = seen.text(channel);
            if text.contains(wanted) {
                return text;
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() || seen.open == 0 {
                let how = if seen.open == 0 { "ended" } else { "went on" };
                fail(format_args!("{} {how} without {wanted:?}\n{}", self.name, seen.report()));
            }
            seen = self.shared.wait(seen, left);
        }
    }

    /// The rest of the line that begins with `head`, once it is whole.
    #[track_caller]
    pub fn line_after(&self, channel: Channel, head: &str, limit: Duration) -> String {
        let until = Instant::now() + limit;
        loop {
            let text = self.wait_for(channel, head, until.saturating_duration_since(Instant::now()));
            let rest = text.split_once(head).map_or("", |(_, rest)| rest);
            if let Some((line, _)) = rest.split_once('\n') {
                return line.trim().to_owned();
            }
            drop(self.shared.wait(self.shared.lock(), Duration::from_millis(20)));
        }
    }

    /// Types into the program's standard input.
    #[track_caller]
    pub fn type_in(&mut self, text: &str) {
        if let Some(input) = &mut self.input {
            ok(input.write_all(text.as_bytes()).and_then(|()| input.flush()), "typing");
        }
    }

    /// Ends the program's standard input.
    pub fn end_input(&mut self) {
        self.input = None;
    }

    /// Sends a signal by its name, such as `INT`.
    #[cfg(unix)]
    #[track_caller]
    pub fn signal(&self, signal: rustix::process::Signal) {
        let pid = i32::try_from(self.id()).ok().and_then(rustix::process::Pid::from_raw);
        match pid {
            Some(pid) => ok(rustix::process::kill_process(pid, signal), "signalling"),
            None => fail("no process to signal"),
        }
    }

    /// Kills the program where it stands.
    pub fn kill(&self) {
        let mut child = lock(&self.child);
        // It may have ended by itself. A killed program ends at once, and only then is its port free.
        let _ = child.kill();
        let _ = child.wait();
    }

    /// Waits for the end.
    #[track_caller]
    pub fn finish(mut self, limit: Duration) -> Outcome {
        self.input = None;
        let until = Instant::now() + limit;
        let mut seen = self.shared.lock();
        while seen.open > 0 {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                fail(format_args!("{} does not end within {limit:?}\n{}", self.name, seen.report()));
            }
            seen = self.shared.wait(seen, left);
        }
        let (output, error) = (seen.text(Channel::Output), seen.text(Channel::Error));
        drop(seen);
        let status = self.status(until);
        Outcome { code: status.code(), output, error, took: self.started.elapsed() }
    }

    /// Finds out what the program costs, until it ends. To be joined before the end is waited for, since with that the
    /// system forgets what it knew.
    #[cfg(target_os = "linux")]
    pub fn usage(&self) -> JoinHandle<Usage> {
        let process = self.id();
        thread::spawn(move || Usage::watch(process))
    }

    /// Waits for the end, which must be a success.
    #[track_caller]
    pub fn succeed(self, limit: Duration) -> Outcome {
        let name = self.name.clone();
        self.finish(limit).expect_code(&name, 0)
    }

    /// Its streams have ended: so has it, or it will at once.
    #[track_caller]
    fn status(&self, until: Instant) -> ExitStatus {
        loop {
            if let Some(status) = ok(lock(&self.child).try_wait(), &self.name) {
                return status;
            }
            if Instant::now() > until {
                fail(format_args!("{} closed its streams and does not end", self.name));
            }
            thread::sleep(Duration::from_millis(2));
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.kill();
    }
}

impl Outcome {
    /// The same outcome, if the exit code is this one.
    #[track_caller]
    pub fn expect_code(self, name: &str, code: i32) -> Self {
        if self.code != Some(code) {
            fail(format_args!(
                "{name} ended with {:?} instead of {code}\n--- stdout\n{}\n--- stderr\n{}",
                self.code, self.output, self.error
            ));
        }
        self
    }
}

impl Seen {
    fn text(&self, channel: Channel) -> String {
        let bytes = match channel {
            Channel::Output => &self.output,
            Channel::Error => &self.error,
        };
        String::from_utf8_lossy(bytes).into_owned()
    }

    fn report(&self) -> String {
        format!("--- stdout\n{}\n--- stderr\n{}", self.text(Channel::Output), self.text(Channel::Error))
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Seen> {
        lock(&self.seen)
    }

    fn wait<'a>(&self, seen: MutexGuard<'a, Seen>, limit: Duration) -> MutexGuard<'a, Seen> {
        self.changed.wait_timeout(seen, limit).unwrap_or_else(PoisonError::into_inner).0
    }
}

/// Reads a stream to its end on a thread.
fn collect(shared: &Arc<Shared>, channel: Channel, mut from: impl Read + Send + 'static) {
    let shared = Arc::clone(shared);
    thread::spawn(move || {
        let mut buffer = [0; 4096];
        loop {
            let read = from.read(&mut buffer).unwrap_or(0);
            let mut seen = shared.lock();
            if read == 0 {
                seen.open = seen.open.saturating_sub(1);
                shared.changed.notify_all();
                return;
            }
            let bytes = buffer.get(..read).unwrap_or_default();
            match channel {
                Channel::Output => seen.output.extend_from_slice(bytes),
                Channel::Error => seen.error.extend_from_slice(bytes),
            }
            shared.changed.notify_all();
        }
    });
}

/// A test that failed elsewhere must not hide its reason behind a poisoned lock.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
