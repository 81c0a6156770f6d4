//! The reference implementation, installed from the Python package index into the target directory.

use std::env;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use crate::{Program, fail};

/// What is installed, as the package index names it.
const PACKAGES: [&str; 3] =
    ["magic-wormhole==0.24.0", "magic-wormhole-mailbox-server==0.8.0", "magic-wormhole-transit-relay==0.5.0"];

/// Set to `1`, it makes missing peers a failure.
const REQUIRE: &str = "WORMHOLE_REQUIRE_PEERS";

/// How long one step of the installation may take.
const STEP_LIMIT: Duration = Duration::from_secs(300);

/// Runs a server of the reference until our end of its standard input closes, also if we are killed.
const WARDEN: &str = "\
import os, sys, threading
threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
from twisted.application.twist._twist import Twist
Twist.main(['twist'] + sys.argv[1:])
";

/// The reference's programs.
#[derive(Debug)]
pub struct Peers {
    root: PathBuf,
}

impl Peers {
    /// The peers; or `None`, with a line that the test is skipped, where they cannot be installed. With
    /// `WORMHOLE_REQUIRE_PEERS=1` that is a failure.
    #[track_caller]
    pub fn find() -> Option<&'static Self> {
        static FOUND: OnceLock<Result<Peers, String>> = OnceLock::new();
        match FOUND.get_or_init(install) {
            Ok(peers) => Some(peers),
            Err(why) if env::var(REQUIRE).is_ok_and(|value| value == "1") => {
                fail(format_args!("the reference implementation is missing: {why}"))
            }
            Err(why) => {
                // Written directly, since what the macros print is shown only for tests that fail.
                let _ = writeln!(io::stderr(), "skipped, without the reference implementation: {why}");
                None
            }
        }
    }

    /// Python's `wormhole`, with nothing of the environment that would change its behaviour.
    pub fn wormhole(&self) -> Command {
        quiet(Command::new(self.root.join("bin/wormhole")))
    }

    /// A program that uses the reference as a library.
    pub fn python(&self, program: &str) -> Command {
        let mut command = quiet(Command::new(self.root.join("bin/python")));
        command.args(["-c", program]);
        command
    }

    /// A server of the reference, to be started with its plugin and options. It ends with its standard input.
    pub fn server(&self) -> Command {
        self.python(WARDEN)
    }
}

/// The command without the variables that programs of either implementation listen to.
pub fn quiet(mut command: Command) -> Command {
    for variable in [
        "WORMHOLE_RELAY_URL",
        "WORMHOLE_TRANSIT_HELPER",
        "WORMHOLE_ACCEPT_FILE",
        "WORMHOLE_QR",
        "WORMHOLE_CODE",
        "NO_COLOR",
    ] {
        command.env_remove(variable);
    }
    // Nor may files of whoever runs the tests say anything.
    command.env("WORMHOLE_CONFIG", "").env("XDG_CONFIG_DIRS", "/nowhere");
    command.env("PYTHONUNBUFFERED", "1").env("LC_ALL", "C.UTF-8");
    command
}

/// Installs once for all test programs that run at the same time.
fn install() -> Result<Peers, String> {
    let target = target_directory().ok_or("no target directory around the test program")?;
    let root = target.join("peers");
    fs::create_dir_all(&root).map_err(|error| error.to_string())?;
    let lock = File::create(target.join("peers.lock")).map_err(|error| error.to_string())?;
    lock.lock().map_err(|error| error.to_string())?;
    let stamp = root.join("installed");
    let wanted = PACKAGES.join("\n");
    if fs::read_to_string(&stamp).is_ok_and(|found| found == wanted) {
        return Ok(Peers { root });
    }
    fs::remove_dir_all(&root).map_err(|error| error.to_string())?;
    let mut venv = Command::new("python3");
    venv.args(["-m", "venv"]).arg(&root);
    step("python3 -m venv", venv)?;
    let mut pip = Command::new(root.join("bin/python"));
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--retries", "2"])
        .args(PACKAGES);
    step("pip install", pip)?;
    fs::write(&stamp, wanted).map_err(|error| error.to_string())?;
    Ok(Peers { root })
}

fn step(name: &str, mut command: Command) -> Result<(), String> {
    // Found out before `Program` would fail the test for it.
    let program = command.get_program().to_owned();
    if Command::new(&program).arg("--version").output().is_err() {
        return Err(format!("{} is not installed", program.display()));
    }
    command.env_remove("PYTHONHOME");
    let outcome = Program::start(name, command).finish(STEP_LIMIT);
    if outcome.code == Some(0) { Ok(()) } else { Err(format!("{name}: {}{}", outcome.output, outcome.error)) }
}

/// `target` of `target/debug/deps/NAME-HASH`.
fn target_directory() -> Option<PathBuf> {
    env::current_exe().ok()?.ancestors().nth(3).map(Path::to_path_buf)
}
