//! Runs simulated worlds: many of them, or one that is told line by line.

use std::collections::BTreeMap;
use std::env;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use wormhole_sim::{Outcome, run};

const USAGE: &str = "usage: wormhole-sim --worlds N [--seed FIRST] [--jobs J] [--failures F]
           runs N worlds, until F of them, by default one, break an invariant
       wormhole-sim --seed S
           tells what happens in one";

fn main() -> ExitCode {
    let Some(asked) = Asked::read(env::args().skip(1)) else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    match asked.worlds {
        Some(worlds) => many(worlds, &asked),
        None => one(asked.seed.unwrap_or(0)),
    }
}

struct Asked {
    worlds: Option<u64>,
    seed: Option<u64>,
    jobs: u64,
    failures: u64,
}

impl Asked {
    fn read(mut words: impl Iterator<Item = String>) -> Option<Self> {
        let mut asked = Self { worlds: None, seed: None, jobs: 1, failures: 1 };
        while let Some(name) = words.next() {
            let value = words.next()?.parse().ok()?;
            match name.as_str() {
                "--worlds" => asked.worlds = Some(value),
                "--seed" => asked.seed = Some(value),
                "--jobs" => asked.jobs = value.max(1),
                "--failures" => asked.failures = value.max(1),
                _ => return None,
            }
        }
        (asked.worlds.is_some() || asked.seed.is_some()).then_some(asked)
    }
}

/// Tells one world.
fn one(seed: u64) -> ExitCode {
    let outcome = run(seed, true);
    outcome.trace.iter().for_each(|line| println!("{line}"));
    match outcome.broken {
        None => ExitCode::SUCCESS,
        Some(_) => ExitCode::FAILURE,
    }
}

/// Runs many worlds, until so many break an invariant.
fn many(worlds: u64, asked: &Asked) -> ExitCode {
    let (first, jobs) = (asked.seed.unwrap_or(0), asked.jobs);
    let (next, failed) = (AtomicU64::new(0), AtomicU64::new(0));
    let tally = Mutex::new(Tally::default());
    #[expect(clippy::disallowed_methods, reason = "the speed is that of the real clock")]
    let began = Instant::now();
    thread::scope(|scope| {
        for _ in 0..jobs {
            scope.spawn(|| {
                let mut ours = Tally::default();
                while failed.load(Ordering::Relaxed) < asked.failures {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    if index >= worlds {
                        break;
                    }
                    let seed = first.wrapping_add(index);
                    let outcome = run(seed, false);
                    if let Some(what) = &outcome.broken {
                        eprintln!("seed {seed} breaks an invariant: {what}");
                        failed.fetch_add(1, Ordering::Relaxed);
                    }
                    ours.note(seed, outcome);
                }
                tally.lock().unwrap_or_else(PoisonError::into_inner).add(ours);
            });
        }
    });
    #[expect(clippy::disallowed_methods, reason = "the speed is that of the real clock")]
    let took = began.elapsed();
    let tally = tally.into_inner().unwrap_or_else(PoisonError::into_inner);
    tally.show(took, jobs);
    let Some((seed, _)) = tally.broken.first() else { return ExitCode::SUCCESS };
    println!();
    tally.broken.iter().for_each(|(seed, what)| println!("seed {seed} breaks an invariant: {what}"));
    println!();
    one(*seed);
    println!("\nagain with: wormhole-sim --seed {seed}");
    ExitCode::FAILURE
}

/// What became of many worlds.
#[derive(Default)]
struct Tally {
    worlds: u64,
    endings: BTreeMap<String, u64>,
    recoveries: Vec<Duration>,
    broken: Vec<(u64, String)>,
}

impl Tally {
    fn note(&mut self, seed: u64, outcome: Outcome) {
        self.worlds += 1;
        for ending in outcome.endings {
            let ending = match ending {
                None => "stopped".to_owned(),
                Some(Ok(())) => "success".to_owned(),
                Some(Err(error)) => sort_of(&error),
            };
            *self.endings.entry(ending).or_default() += 1;
        }
        if outcome.is_struck {
            self.recoveries.push(outcome.recovery);
        }
        self.broken.extend(outcome.broken.map(|what| (seed, what)));
    }

    fn add(&mut self, other: Self) {
        self.worlds += other.worlds;
        for (ending, count) in other.endings {
            *self.endings.entry(ending).or_default() += count;
        }
        self.recoveries.extend(other.recoveries);
        self.broken.extend(other.broken);
        // In order, so that one job says what many do.
        self.broken.sort();
    }

    fn show(&self, took: Duration, jobs: u64) {
        let speed = self.worlds as f64 / took.as_secs_f64();
        println!(
            "{} worlds in {:.1} s: {speed:.0} a second, {:.0} a job",
            self.worlds,
            took.as_secs_f64(),
            speed / jobs as f64
        );
        println!("\nendings of users:");
        let mut endings: Vec<_> = self.endings.iter().collect();
        endings.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
        for (ending, count) in endings {
            println!("{count:>10}  {ending}");
        }
        let mut recoveries = self.recoveries.clone();
        recoveries.sort();
        println!("\nvirtual time from the last fault to the last outcome, {} worlds:", recoveries.len());
        for (name, part) in [("half", 500), ("90%", 900), ("99%", 990), ("99.9%", 999), ("all", 1000)] {
            let index = (recoveries.len() * part).div_ceil(1000).saturating_sub(1);
            if let Some(time) = recoveries.get(index) {
                println!("{name:>10}  within {:.1} s", time.as_secs_f64());
            }
        }
    }
}

/// The error without what differs from world to world.
fn sort_of(error: &str) -> String {
    error.chars().filter(|c| !c.is_ascii_digit()).collect()
}
