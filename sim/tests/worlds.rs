//! Worlds on every change: those that went wrong once, some more, and the recovery table.
#![cfg(test)]

use std::path::Path;
use std::{env, fs};

use wormhole_sim::{recovery_table, run, run_bytes};

const TABLE: &str = "../docs/recovery.md";
/// Worlds of a test that is not optimised; `.ci/run` has the optimised program run many more.
const SOME: u64 = 200;

#[test]
fn worlds_that_went_wrong_once_do_so_no_more() {
    let seeds = include_str!("seeds.txt").lines().filter(|line| !line.starts_with('#'));
    for line in seeds {
        let (seed, what) = line.split_once(' ').unwrap();
        assert_eq!(run(seed.parse().unwrap(), false).broken, None, "{seed}: {what}");
    }
}

#[test]
fn no_invariant_breaks_in_some_worlds() {
    let mut crowded = 0;
    for seed in 0..SOME {
        let outcome = run(seed, false);
        assert_eq!(outcome.broken, None, "wormhole-sim --seed {seed} tells more");
        crowded += usize::from(outcome.talks.len() > 1 && outcome.endings.len() >= 2 * outcome.talks.len());
    }
    assert!(crowded > 5, "several conversations share a server in some of them");
}

#[test]
fn the_same_number_is_the_same_world_to_the_last_byte() {
    for seed in 0..20 {
        let (first, second) = (run(seed, true), run(seed, true));
        assert!(first.trace.len() > 10);
        assert_eq!(first.trace, second.trace, "{seed}");
        assert_eq!(run(seed, false).endings, first.endings, "a trace changes nothing");
    }
}

#[test]
fn any_bytes_are_a_world() {
    for length in 0..20_u8 {
        let bytes: Vec<u8> = (0..length).map(|at| at.wrapping_mul(37).wrapping_add(length)).collect();
        assert_eq!(run_bytes(&bytes, false).broken, None, "{bytes:?}");
    }
}

#[test]
fn what_still_succeeds_is_as_the_table_says() {
    let table = recovery_table().unwrap();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(TABLE);
    if env::var_os("REGENERATE_TABLES").is_some() {
        fs::write(&path, &table).unwrap();
    }
    let kept = fs::read_to_string(&path).unwrap_or_default();
    assert!(kept == table, "{TABLE} differs; REGENERATE_TABLES=1 writes it anew");
}
