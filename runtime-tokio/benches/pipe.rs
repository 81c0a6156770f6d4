//! The pipe alone: a file over loopback between two processes, from disk to disk, without a session.
//!
//! ```text
//! cargo bench -p wormhole-tokio --bench pipe -- [FILE [OUT]]
//! ```
//!
//! Without FILE it makes up 1 GiB. It prints the rate, and the CPU time and peak memory of both sides (on Linux).

use std::env;
use std::error::Error;
use std::fs;
use std::future::poll_fn;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use wormhole_core::crypto::Key;
use wormhole_core::transit::RecordKeys;
use wormhole_core::untrusted::Name;
use wormhole_core::wire::peer::Offer;
use wormhole_runtime::Sockets;
use wormhole_runtime::pipe::Pipe;
use wormhole_tokio::Tokio;
use wormhole_transfer::content::{Receiving, Sending};
use wormhole_transfer::{Content, Destination, Incoming, OnConflict, Progress};

type Outcome<T> = Result<T, Box<dyn Error>>;

fn main() -> Outcome<()> {
    // Cargo adds an argument of its own.
    let arguments: Vec<_> = env::args().skip(1).filter(|it| it != "--bench").collect();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["send", to, file] => runtime.block_on(send(to.parse()?, Path::new(file))),
        [] => {
            let file = env::temp_dir().join("wormhole-bench-in");
            make_up(&file)?;
            let done = runtime.block_on(receive(&file, &env::temp_dir().join("wormhole-bench-out")));
            fs::remove_file(&file)?;
            done
        }
        [file] => runtime.block_on(receive(Path::new(file), &env::temp_dir().join("wormhole-bench-out"))),
        [file, out] => runtime.block_on(receive(Path::new(file), Path::new(out))),
        _ => Err("usage: pipe [FILE [OUT]]".into()),
    }
}

async fn send(to: SocketAddr, file: &Path) -> Outcome<()> {
    let stream = Tokio::new().connect(to).await?;
    let pipe = Pipe::new(stream, &keys(1, 2), Vec::new());
    let content = Content::open(file)?;
    Sending::start(content, pipe, Progress::default())?.run().await?.run().await?;
    println!("sender {}", used());
    Ok(())
}

async fn receive(file: &Path, out: &Path) -> Outcome<()> {
    let size = fs::metadata(file)?.len();
    if out.exists() {
        fs::remove_file(out)?;
    }
    let bound = TcpListener::bind("127.0.0.1:0")?;
    bound.set_nonblocking(true)?;
    let at = bound.local_addr()?.to_string();
    let tokio = Tokio::new();
    let mut listener = tokio.adopt(bound)?;
    let start = Instant::now();
    let mut sender =
        Command::new(env::current_exe()?).args(["send", &at]).arg(file).stdout(Stdio::piped()).spawn()?;
    let (stream, _) = poll_fn(|cx| tokio.poll_accept(&mut listener, cx)).await?;
    let pipe = Pipe::new(stream, &keys(2, 1), Vec::new());
    let offer = Offer::File { name: Name::from("out"), size, attributes: None };
    let incoming = Incoming::prepare(&offer, &Destination::At(out.to_owned()), OnConflict::Overwrite)?;
    Receiving::start(incoming, pipe, Progress::default())?.run().await?;
    let wall = start.elapsed().as_secs_f64();
    let mut theirs = String::new();
    if let Some(stdout) = sender.stdout.take() {
        BufReader::new(stdout).read_line(&mut theirs)?;
    }
    sender.wait()?;
    println!(
        "pipe: {:.0} MB/s, wall {wall:.3} s, {}, receiver {}",
        size as f64 / wall / 1e6,
        theirs.trim(),
        used(),
    );
    fs::remove_file(out)?;
    Ok(())
}

fn keys(send: u8, receive: u8) -> RecordKeys {
    RecordKeys { send: Key::from_bytes([send; 32]), receive: Key::from_bytes([receive; 32]) }
}

fn make_up(file: &Path) -> Outcome<()> {
    let mut block = vec![0; 1 << 20];
    fs::File::open("/dev/urandom")?.read_exact(&mut block)?;
    let mut file = fs::File::create(file)?;
    for _ in 0..1024 {
        file.write_all(&block)?;
    }
    Ok(())
}

/// CPU time and peak memory of this process, where the system tells.
fn used() -> String {
    let read = |path| fs::read_to_string(path).unwrap_or_default();
    let stat = read("/proc/self/stat");
    let fields: Vec<_> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    // Fields 14 and 15, of which the first two are before the parenthesis; in hundredths of a second.
    let ticks: f64 = fields.iter().skip(11).take(2).filter_map(|it| it.parse::<f64>().ok()).sum();
    let status = read("/proc/self/status");
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default().trim();
    format!("cpu {:.2} s, peak {peak}", ticks / 100.0)
}
