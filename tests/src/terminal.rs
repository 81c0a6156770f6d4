//! A terminal of our own making, for programs that ask questions.

use std::fs::File;
use std::io::{Read, Write};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::OFlags;
use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize};

use crate::{fail, ok};

/// A program whose three streams are one terminal, as when a person runs it.
pub struct Terminal {
    child: Child,
    /// Our end: what the person types and sees.
    person: File,
    /// Held open, so that the settings can be asked for when the program has ended.
    program: File,
    seen: Arc<(Mutex<String>, Condvar)>,
}

impl Terminal {
    /// Runs `command` on a new terminal that is its controlling one.
    #[track_caller]
    pub fn run(command: &Command) -> Self {
        Self::run_sized(command, 0, 0)
    }

    /// As [`Terminal::run`], where the terminal has so many columns and rows.
    #[track_caller]
    pub fn run_sized(command: &Command, columns: u16, rows: u16) -> Self {
        let person = ok(openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY), "a terminal");
        ok(grantpt(&person).and_then(|()| unlockpt(&person)), "a terminal");
        let name = ok(ptsname(&person, Vec::new()), "the terminal's name");
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
        let program =
            File::from(ok(rustix::fs::open(name, flags, rustix::fs::Mode::empty()), "the terminal"));
        let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        ok(tcsetwinsize(&program, size), "the terminal's size");
        // `setsid --ctty` makes standard input the controlling terminal, so that Ctrl-C becomes a signal.
        let mut session = Command::new("setsid");
        session.arg("--ctty").arg(command.get_program()).args(command.get_args());
        for (key, value) in command.get_envs() {
            match value {
                Some(value) => session.env(key, value),
                None => session.env_remove(key),
            };
        }
        if let Some(directory) = command.get_current_dir() {
            session.current_dir(directory);
        }
        session.env("TERM", "xterm");
        session.stdin(Stdio::from(ok(program.try_clone(), "the terminal")));
        session.stdout(Stdio::from(ok(program.try_clone(), "the terminal")));
        session.stderr(Stdio::from(ok(program.try_clone(), "the terminal")));
        let child = ok(session.spawn(), "setsid");
        let person = File::from(person);
        let seen = Arc::new((Mutex::new(String::new()), Condvar::new()));
        watch(ok(person.try_clone(), "the terminal"), &seen);
        Self { child, person, program, seen }
    }

    /// Types.
    #[track_caller]
    pub fn type_in(&mut self, text: &str) {
        ok(self.person.write_all(text.as_bytes()), "typing");
    }

    /// Waits until the screen has shown `wanted` since `after` bytes of it, and returns how much there was until then.
    #[track_caller]
    pub fn wait_for(&self, wanted: &str, after: usize, limit: Duration) -> usize {
        let until = Instant::now() + limit;
        let mut seen = lock(&self.seen.0);
        loop {
            if let Some(at) = seen.get(after..).and_then(|text| text.find(wanted)) {
                return after + at + wanted.len();
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                fail(format_args!("the screen never showed {wanted:?}:\n{seen}"));
            }
            seen = self.seen.1.wait_timeout(seen, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Waits until the program edits lines itself, as for a prompt with completion.
    #[track_caller]
    pub fn wait_for_raw(&self, limit: Duration) {
        let until = Instant::now() + limit;
        while self.is_as_it_was() {
            if Instant::now() > until {
                fail(format_args!("the program never edits lines itself:\n{}", self.screen()));
            }
            thread::sleep(Duration::from_millis(2));
        }
    }

    /// Sends a signal to the program.
    #[track_caller]
    pub fn signal(&self, signal: Signal) {
        match i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            Some(pid) => ok(kill_process(pid, signal), "signalling"),
            None => fail("no process to signal"),
        }
    }

    /// All that was shown.
    pub fn screen(&self) -> String {
        lock(&self.seen.0).clone()
    }

    /// Whether the terminal edits lines and shows what is typed, as a shell expects it.
    #[track_caller]
    pub fn is_as_it_was(&self) -> bool {
        let settings = ok(tcgetattr(&self.program), "the terminal's settings");
        settings.local_modes.contains(LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG)
    }

    /// Waits for the program's end and returns its exit code and how long we waited.
    #[track_caller]
    pub fn finish(&mut self, limit: Duration) -> (Option<i32>, Duration) {
        let begun = Instant::now();
        loop {
            if let Some(status) = ok(self.child.try_wait(), "waiting") {
                return (ExitStatus::code(&status), begun.elapsed());
            }
            if begun.elapsed() > limit {
                fail(format_args!("the program does not end:\n{}", self.screen()));
            }
            thread::sleep(Duration::from_millis(2));
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn watch(mut person: File, seen: &Arc<(Mutex<String>, Condvar)>) {
    let seen = Arc::clone(seen);
    thread::spawn(move || {
        let mut buffer = [0; 1024];
        // The beginning of a character whose end is still to come.
        let mut part = Vec::new();
        // The terminal reports an error when nobody has it open any more.
        while let Ok(read @ 1..) = person.read(&mut buffer) {
            part.extend_from_slice(buffer.get(..read).unwrap_or_default());
            let whole = match std::str::from_utf8(&part) {
                Err(error) if error.error_len().is_none() => error.valid_up_to(),
                Ok(_) | Err(_) => part.len(),
            };
            let rest = part.split_off(whole);
            lock(&seen.0).push_str(&String::from_utf8_lossy(&part));
            part = rest;
            seen.1.notify_all();
        }
    });
}

fn lock(mutex: &Mutex<String>) -> MutexGuard<'_, String> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
