//! One large file over loopback, ours to ours and Python's to Python's in turn, and a line of text.
//!
//! `cargo bench -p wormhole-cli [-- ROUNDS MEBIBYTES]`. Other work on the machine moves the figures: the two go in
//! turn, so that it moves them alike, and medians stand beside the spread.

use std::env;
use std::error::Error;
use std::fs;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use wormhole_tests::{Channel, Kind, Peers, Route, Sample, Scene, Servers, Usage, Who, new_code};

const OURS: Who<'static> = Who::Ours(env!("CARGO_BIN_EXE_wormhole"));
const LIMIT: Duration = Duration::from_secs(600);

/// What one transfer took.
#[derive(Clone, Copy)]
struct Run {
    megabytes_a_second: f64,
    sender: Usage,
    receiver: Usage,
}

fn main() -> Result<(), Box<dyn Error>> {
    let numbers: Vec<usize> = env::args().filter_map(|argument| argument.parse().ok()).collect();
    let rounds = numbers.first().copied().unwrap_or(5);
    let mebibytes = numbers.get(1).copied().unwrap_or(1024);
    let peers = Peers::find().ok_or("the reference implementation is missing")?;
    let scene = Scene { servers: Servers::ours(), route: Route::Direct };
    let from = TempDir::new_in(env!("CARGO_TARGET_TMPDIR"))?;
    let sample = Sample::make(Kind::File(mebibytes << 20), from.path());

    println!("{mebibytes} MiB, {rounds} rounds: MB/s; CPU seconds and peak MiB of sender + receiver");
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for round in 1..=rounds {
        ours.push(transfer(scene, OURS, &sample)?);
        theirs.push(transfer(scene, Who::Reference(peers), &sample)?);
        if let (Some(ours), Some(theirs)) = (ours.last(), theirs.last()) {
            println!("round {round}: ours {}; Python {}", line(ours), line(theirs));
        }
    }
    compare("MB/s", &ours, &theirs, |run| run.megabytes_a_second);
    compare("CPU s", &ours, &theirs, |run| run.sender.cpu_seconds + run.receiver.cpu_seconds);
    compare("sender's peak MiB", &ours, &theirs, |run| mebi(run.sender.peak_bytes));
    compare("receiver's peak MiB", &ours, &theirs, |run| mebi(run.receiver.peak_bytes));

    let mut shown = Vec::new();
    for _ in 0..rounds.max(10) {
        shown.push(text(scene)?);
    }
    let (median, least, most) = summary(shown);
    println!("a line of text, receiver's start to text shown: {median:.1} ms ({least:.1} to {most:.1})");
    Ok(())
}

/// The receiver's start to the end of both, with the sender already waiting.
fn transfer(scene: Scene<'_>, who: Who<'_>, sample: &Sample) -> Result<Run, Box<dyn Error>> {
    let to = TempDir::new_in(env!("CARGO_TARGET_TMPDIR"))?;
    let code = new_code();
    let path = sample.path().display().to_string();
    let sending = scene.start(who, "send", &["--code", &code, &path], to.path());
    sending.wait_for(Channel::Error, "wormhole receive", LIMIT);
    let begun = Instant::now();
    let receiving = scene.start(who, "receive", &["--accept-file", &code], to.path());
    let watched = [sending.usage(), receiving.usage()].map(|usage| usage.join().unwrap_or_default());
    let seconds = begun.elapsed().as_secs_f64();
    let [sender, receiver] = watched;
    receiving.succeed(LIMIT);
    sending.succeed(LIMIT);
    sample.expect_in(to.path(), "");
    let bytes = fs::metadata(sample.path())?.len();
    Ok(Run { megabytes_a_second: bytes as f64 / 1e6 / seconds, sender, receiver })
}

/// The receiver's start until it has written the text, in milliseconds.
fn text(scene: Scene<'_>) -> Result<f64, Box<dyn Error>> {
    let here = TempDir::new()?;
    let code = new_code();
    let sending = scene.start(OURS, "send", &["--code", &code, "--text", "a line"], here.path());
    sending.wait_for(Channel::Error, "wormhole receive", LIMIT);
    let begun = Instant::now();
    let receiving = scene.start(OURS, "receive", &[&code], here.path());
    receiving.wait_for(Channel::Output, "a line\n", LIMIT);
    let took = begun.elapsed();
    receiving.succeed(LIMIT);
    sending.succeed(LIMIT);
    Ok(took.as_secs_f64() * 1e3)
}

fn line(run: &Run) -> String {
    format!(
        "{:.0} MB/s, {:.1} + {:.1} s, {:.0} + {:.0} MiB",
        run.megabytes_a_second,
        run.sender.cpu_seconds,
        run.receiver.cpu_seconds,
        mebi(run.sender.peak_bytes),
        mebi(run.receiver.peak_bytes)
    )
}

fn compare(what: &str, ours: &[Run], theirs: &[Run], of: impl Fn(&Run) -> f64) {
    let (our, our_least, our_most) = summary(ours.iter().map(&of).collect());
    let (their, their_least, their_most) = summary(theirs.iter().map(&of).collect());
    println!(
        "{what}: ours {our:.1} ({our_least:.1} to {our_most:.1}), Python {their:.1} ({their_least:.1} to \
         {their_most:.1}), ratio {:.2}",
        our / their
    );
}

/// The median, the least and the most.
fn summary(mut values: Vec<f64>) -> (f64, f64, f64) {
    values.sort_by(f64::total_cmp);
    let at = |index: usize| values.get(index).copied().unwrap_or(f64::NAN);
    (at(values.len() / 2), at(0), at(values.len().saturating_sub(1)))
}

fn mebi(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}
