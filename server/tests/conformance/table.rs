//! Which case is shown where: every one of the list has a test here that bears its name, or a line in one of these
//! tables.

use std::collections::BTreeSet;

/// The tests of this program.
const HERE: [&str; 13] = [
    include_str!("transport.rs"),
    include_str!("envelope.rs"),
    include_str!("binding.rs"),
    include_str!("claiming.rs"),
    include_str!("mailboxes.rs"),
    include_str!("upkeep.rs"),
    include_str!("clients.rs"),
    include_str!("pairing.rs"),
    include_str!("guarding.rs"),
    include_str!("working.rs"),
    include_str!("relay_limits.rs"),
    include_str!("relay_websocket.rs"),
    include_str!("relay_usage.rs"),
];

/// Cases of the mailbox server, and of the relay.
const CASES: [(char, u32); 2] = [('m', 114), ('r', 42)];

const POSTGRES: &str = include_str!("../stores/postgres.rs");
const MACHINE: &str = include_str!("../mailbox.rs");

/// Cases of which all or a part is shown by another program of tests: the case, where, the test, and why there.
const ELSEWHERE: [(&str, &str, &str, &str); 3] = [
    ("m79", POSTGRES, "c1_m79_adds_that_race_with_an_open_on_another_node_are_heard_once", "two nodes"),
    (
        "m99",
        MACHINE,
        "m99_what_nobody_touched_for_eleven_minutes_goes",
        "eleven minutes of a clock that is ours",
    ),
    (
        "m100",
        POSTGRES,
        "m100_a_listener_on_another_node_keeps_a_mailbox_and_one_on_a_dead_node_does_not",
        "two nodes",
    ),
];

/// Cases that are not met, because the program has no such thing. One that gets its test must leave this table.
const MISSING: [(&str, &str); 0] = [];

/// Cases of which only a part can be shown, or not everywhere.
const IN_PART: [(&str, &str); 4] = [
    (
        "m107",
        "four of the five plugins read the usage database, as is done here; the fifth reads the channel database, of which \
         ours is locked, so that no other process can spoil it",
    ),
    ("m113", "the client in Rust works where the environment says where it is; in every run ours does"),
    ("m114", "in every run Python's client; those in Rust and Go where the environment says where they are"),
    ("r42", "the client in Go is not among them, since its relay cannot be chosen"),
];

#[test]
fn every_case_has_a_test_or_a_reason() {
    let tests: Vec<(&str, bool)> = HERE.iter().flat_map(|source| tests(source)).collect();
    let here: BTreeSet<&str> = tests.iter().filter_map(|(name, _)| case(name)).collect();
    let elsewhere: BTreeSet<&str> = ELSEWHERE.iter().map(|(case, ..)| *case).collect();
    let missing: BTreeSet<&str> = MISSING.iter().map(|(case, _)| *case).collect();
    let mut all = BTreeSet::new();
    for (kind, count) in CASES {
        for number in 1..=count {
            let case = format!("{kind}{number}");
            let is_shown = here.contains(&*case) || elsewhere.contains(&*case);
            assert!(is_shown != missing.contains(&*case), "{case}");
            all.insert(case);
        }
    }
    for case in here.iter().chain(&elsewhere).chain(&missing).chain(IN_PART.iter().map(|(case, _)| case)) {
        assert!(all.contains(*case), "there is no case {case}");
    }
    for (case, source, name, _) in ELSEWHERE {
        assert!(tests_of(source).contains(name), "{case}: {name}");
    }
    let left_out: BTreeSet<&str> =
        tests.iter().filter(|(_, is_ignored)| *is_ignored).filter_map(|(name, _)| case(name)).collect();
    assert_eq!(left_out, BTreeSet::from(["r21", "r22", "r42"]), "nothing else may be left out of the gate");
}

/// The names of the tests in a source, and whether each is left out of an ordinary run.
fn tests(source: &str) -> impl Iterator<Item = (&str, bool)> {
    source.split("#[test]").skip(1).map(|test| {
        let (before, after) = test.split_once("fn ").unwrap();
        (after.split('(').next().unwrap(), before.contains("#[ignore"))
    })
}

fn tests_of(source: &str) -> BTreeSet<&str> {
    tests(source).map(|(name, _)| name).collect()
}

/// The case that the name of a test begins with.
fn case(name: &str) -> Option<&str> {
    let (case, _) = name.split_once('_')?;
    let number = case.strip_prefix(['m', 'r'])?;
    (!number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())).then_some(case)
}
