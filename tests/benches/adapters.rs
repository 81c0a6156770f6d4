//! What each adapter costs: how soon an `Initiator` that is made has its code, on a new executor where there is one, and
//! how fast a file goes, both sides in this process.
//!
//! ```text
//! cargo bench -p wormhole-tests --bench adapters -- [MEBIBYTES]
//! ```
//!
//! None may be slower than four fifths of tokio's rate; the last column has the part that it reaches.

use std::env;
use std::error::Error;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::Path;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use wormhole_runtime::Config;
use wormhole_tests::{Adapter, Servers};

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

const ADAPTERS: [Adapter; 4] = [Adapter::Tokio, Adapter::AsyncStd, Adapter::Smol, Adapter::Blocking];
/// Of each measurement the best of so many is taken.
const ROUNDS: usize = 3;
/// Codes that are asked for one after another.
const CODES: u32 = 20;

fn main() -> Outcome<()> {
    // Cargo adds an argument of its own.
    let mebibytes = env::args().skip(1).find_map(|it| it.parse().ok()).unwrap_or(1024);
    let directory = TempDir::new()?;
    let from = directory.path().join("file");
    make_up(&from, mebibytes)?;
    let mut best = [0.0_f64; ADAPTERS.len()];
    for _ in 0..ROUNDS {
        for (adapter, best) in ADAPTERS.into_iter().zip(&mut best) {
            let took = transfer(adapter, &from, &directory.path().join("to"))?;
            *best = best.max(mebibytes as f64 * 1.048_576 / took.as_secs_f64());
        }
    }
    let tokio = best.first().copied().unwrap_or_default();
    for (adapter, rate) in ADAPTERS.into_iter().zip(best) {
        let code = time_to_code(adapter)?.as_secs_f64() * 1e3;
        println!("{adapter:?}: code after {code:.2} ms, {rate:.0} MB/s, {:.2} of tokio's", rate / tokio);
    }
    Ok(())
}

fn transfer(adapter: Adapter, from: &Path, to: &Path) -> Outcome<Duration> {
    fs::create_dir(to)?;
    let config = Config::default().mailbox(&Servers::ours().mailbox_url()).relays::<String>([]);
    let (theirs, from) = (config.clone(), from.to_owned());
    let (tell, told) = mpsc::channel();
    let began = Instant::now();
    let sending = thread::spawn(move || adapter.send(config, &from, tell));
    adapter.receive(theirs, told.recv()?, to.to_owned())?;
    let took = began.elapsed();
    sending.join().map_err(|_| "the sender failed")??;
    fs::remove_dir_all(to)?;
    Ok(took)
}

fn time_to_code(adapter: Adapter) -> Outcome<Duration> {
    let url = Servers::ours().mailbox_url();
    let began = Instant::now();
    for _ in 0..CODES {
        adapter.invite(Config::new("example.com/bench").mailbox(&url))?;
    }
    Ok(began.elapsed() / CODES)
}

fn make_up(path: &Path, mebibytes: usize) -> Outcome<()> {
    let mut block = vec![0; 1 << 20];
    File::open("/dev/urandom")?.read_exact(&mut block)?;
    let mut file = File::create(path)?;
    for _ in 0..mebibytes {
        file.write_all(&block)?;
    }
    Ok(())
}
