//! The recovery table: for each sort of fault, how often it still ends well, and how long that takes.

use std::time::Duration;

use crate::fault::Sort;
use crate::plan::Scenario;
use crate::world::run_with;

/// Worlds behind each cell. Those that the fault has missed do not count.
const WORLDS: u64 = 60;
const SCENARIOS: [Scenario; 3] = [Scenario::Introduction, Scenario::Records, Scenario::File];

/// The table, as it is kept in the tree.
///
/// # Errors
///
/// A world broke an invariant.
pub fn recovery_table() -> Result<String, String> {
    let mut text = String::from(
        "# What still succeeds\n\n\
         Written by a test of `sim/tests/worlds.rs`: worlds with one fault each, at a moment and a place of their own. A cell says in how many of\n\
         the worlds that it struck all users succeeded, and within what virtual time of the fault half of all worlds, and all of them, had come to\n\
         rest, whether with success or with an error. Most errors are those of users who give up after ten minutes: the other side has gone.\n\n\
         | fault | introduction | records | file |\n| --- | --- | --- | --- |\n",
    );
    let rows = std::iter::once(None).chain(Sort::ALONE.into_iter().chain([Sort::VanishUnseen]).map(Some));
    for (row, sort) in (0_u64..).zip(rows) {
        text += &format!("| {} |", sort.map_or_else(|| "none".into(), Sort::name));
        for scenario in SCENARIOS {
            text += &cell(scenario, sort, row)?;
        }
        text.push('\n');
    }
    Ok(text)
}

fn cell(scenario: Scenario, sort: Option<Sort>, row: u64) -> Result<String, String> {
    let (mut struck, mut succeeded, mut times) = (0_u64, 0_u64, Vec::new());
    for number in 0..WORLDS {
        let seed = row * 1_000_000 + number;
        let outcome = run_with(scenario, sort, seed);
        if let Some(broken) = outcome.broken {
            return Err(format!("{scenario:?} with {sort:?}, number {seed}: {broken}"));
        }
        if outcome.is_struck || sort.is_none() {
            struck += 1;
            succeeded += u64::from(outcome.is_success());
            times.push(outcome.recovery);
        }
    }
    times.sort();
    let at = |index: usize| times.get(index).map_or(Duration::ZERO, |time| *time).as_secs();
    let (half, all) = (at(times.len() / 2), at(times.len().saturating_sub(1)));
    Ok(match (succeeded * 100).checked_div(struck) {
        Some(share) => format!(" {share} % of {struck}, {half} s, {all} s |"),
        None => " never struck |".into(),
    })
}
