//! A PostgreSQL for the tests of this program, on a Unix socket in a directory of its own.

use std::fs;
use std::io::{self, Read as _, Write as _};
use std::net::Shutdown;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};
use std::{env, thread};

use tempfile::TempDir;

/// Set to `1`, it makes a missing PostgreSQL a failure.
const REQUIRE: &str = "WORMHOLE_REQUIRE_PEERS";
const START_LIMIT: Duration = Duration::from_secs(60);
const SOCKET: &str = ".s.PGSQL.5432";
/// Where Debian puts what is not for users.
const DEBIAN: &str = "/usr/lib/postgresql";

/// A server that runs until it is dropped, also if the test fails.
pub(crate) struct Database {
    directory: TempDir,
    child: Option<Child>,
}

impl Database {
    /// One for all tests of this program, which ends with it.
    pub(crate) fn shared() -> Option<&'static Self> {
        static SHARED: OnceLock<Option<Database>> = OnceLock::new();
        SHARED.get_or_init(Self::start).as_ref()
    }

    /// A new one; or `None`, with a line that the test is skipped, where there is no PostgreSQL.
    pub(crate) fn start() -> Option<Self> {
        let Some(initdb) = program("initdb") else {
            assert!(env::var(REQUIRE).is_err(), "PostgreSQL is missing");
            // Written directly, since what the macros print is shown only for tests that fail.
            let _ = writeln!(io::stderr(), "skipped, without PostgreSQL");
            return None;
        };
        let directory = TempDir::new().unwrap();
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o777)).unwrap();
        let data = directory.path().join("data");
        let made = as_nobody(initdb)
            .args(["--auth=trust", "--username=test", "--encoding=UTF8", "--locale=C", "--no-sync", "-D"])
            .arg(&data)
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let mut database = Self { directory, child: None };
        database.run();
        Some(database)
    }

    /// Starts the server, which was stopped.
    pub(crate) fn run(&mut self) {
        let data = self.directory.path().join("data");
        // A shell in between ends the server when this process does: its standard input closes.
        let child = as_nobody("/bin/sh".into())
            .args(["-c", "\"$0\" -D \"$1\" -k \"$2\" -h '' -N 300 & p=$!; read x; kill -INT $p; wait $p"])
            .arg(program("postgres").unwrap())
            .arg(data)
            .arg(self.directory.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(fs::File::create(self.directory.path().join("log")).unwrap())
            .spawn()
            .unwrap();
        self.child = Some(child);
        let begun = Instant::now();
        while !self.psql("postgres", "select 1") {
            assert!(begun.elapsed() < START_LIMIT, "PostgreSQL does not start");
            thread::park_timeout(Duration::from_millis(50));
        }
    }

    /// Stops the server at once, whatever it is doing.
    pub(crate) fn stop(&mut self) {
        let Some(mut child) = self.child.take() else { return };
        drop(child.stdin.take());
        child.wait().unwrap();
    }

    /// The URL of a new, empty database in it.
    pub(crate) fn make(&self) -> String {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let name = format!("test{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        assert!(self.psql("postgres", &format!("create database {name}")));
        let directory = self.directory.path().to_str().unwrap().replace('/', "%2F");
        format!("postgres://test@{directory}/{name}")
    }

    /// The URL of a new, empty database behind a wire that can be cut.
    pub(crate) fn make_behind(&self, wire: &Wire) -> String {
        let directory = self.directory.path().to_str().unwrap().replace('/', "%2F");
        self.make().replace(&directory, &wire.directory.path().to_str().unwrap().replace('/', "%2F"))
    }

    /// A wire to this server.
    pub(crate) fn wire(&self) -> Wire {
        let directory = TempDir::new().unwrap();
        let listener = UnixListener::bind(directory.path().join(SOCKET)).unwrap();
        let to = self.directory.path().join(SOCKET);
        let is_cut = Arc::new(AtomicBool::new(false));
        let cut = Arc::clone(&is_cut);
        thread::spawn(move || {
            for near in listener.incoming() {
                let (near, far) = (near.unwrap(), UnixStream::connect(&to).unwrap());
                for (from, to) in [(&near, &far), (&far, &near)] {
                    let (from, to, cut) =
                        (from.try_clone().unwrap(), to.try_clone().unwrap(), Arc::clone(&cut));
                    thread::spawn(move || carry(from, to, &cut));
                }
            }
        });
        Wire { directory, is_cut }
    }

    /// Runs a statement, and says whether it went well.
    pub(crate) fn psql(&self, name: &str, statement: &str) -> bool {
        let mut psql = Command::new("psql");
        psql.args(["-q", "-v", "ON_ERROR_STOP=1", "-U", "test", "-d", name, "-c", statement, "-h"]);
        psql.arg(self.directory.path()).stdout(Stdio::null()).stderr(Stdio::null());
        psql.status().is_ok_and(|status| status.success())
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        self.stop();
    }
}

/// A socket in front of a server.
pub(crate) struct Wire {
    directory: TempDir,
    is_cut: Arc<AtomicBool>,
}

impl Wire {
    /// From now on, or no longer, what is sent goes nowhere, and nobody is told.
    pub(crate) fn cut(&self, is_cut: bool) {
        self.is_cut.store(is_cut, Ordering::Relaxed);
    }
}

fn carry(mut from: UnixStream, mut to: UnixStream, cut: &AtomicBool) {
    let mut buffer = [0; 4096];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        if !cut.load(Ordering::Relaxed) && to.write_all(&buffer[..count]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Both);
}

/// A program of PostgreSQL.
fn program(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let versions = fs::read_dir(DEBIAN).into_iter().flatten().filter_map(Result::ok);
    let debian = versions.map(|version| version.path().join("bin"));
    env::split_paths(&path).chain(debian).map(|directory| directory.join(name)).find(|path| path.is_file())
}

/// PostgreSQL does not run as root.
fn as_nobody(program: PathBuf) -> Command {
    if Path::new("/proc/self").metadata().is_ok_and(|us| us.uid() != 0) {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups"]).arg(program);
    command.current_dir("/");
    command
}
