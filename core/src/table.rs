//! Transition tables: each sample state of a machine is stepped with each sample input, and the outcome is compared
//! with the table in `docs/machines/`. `REGENERATE_TABLES=1` writes the tables instead.
//!
//! A table shows [values](Table::check) where they are short, and the [names](Table::check_named) of its samples where
//! they are not.

extern crate std;

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Debug;
use std::path::Path;
use std::{env, fs};

/// The types whose one value says all.
const PLAIN: [(&str, &str); 7] = [
    ("Nameplate(\"", "\")"),
    ("MailboxId(\"", "\")"),
    ("Side(\"", "\")"),
    ("Phase(\"", "\")"),
    ("Code(", ")"),
    ("Conn(", ")"),
    ("Instant(", ")"),
];

/// A machine's table: what it is called, and the samples that it is made from.
pub(crate) struct Table<'a, M, I> {
    /// Its name in `docs/machines/`.
    pub(crate) name: &'a str,
    /// The file of the machine, below `core/src/`.
    pub(crate) source: &'a str,
    /// What must be known to read the table; nothing, if it is empty.
    pub(crate) about: &'a str,
    pub(crate) states: Vec<M>,
    pub(crate) inputs: Vec<I>,
}

/// Where a step leads: what a row shows of it.
struct Row {
    state: String,
    inputs: Vec<String>,
    outputs: String,
    next: String,
}

impl<M: Clone, I: Clone> Table<'_, M, I> {
    /// With states, inputs and outputs as they are.
    pub(crate) fn check<O: Debug>(
        &self,
        show_state: impl Fn(&M) -> String,
        show_input: impl Fn(&I) -> String,
        step: impl Fn(&mut M, I) -> Vec<O>,
    ) {
        let mut rows = Vec::new();
        for machine in &self.states {
            let state = tidy(&show_state(machine));
            for input in &self.inputs {
                let mut machine = machine.clone();
                let outputs = step(&mut machine, input.clone());
                let outputs: Vec<_> = outputs.iter().map(|output| tidy(&format!("{output:?}"))).collect();
                let next = tidy(&show_state(&machine));
                self.assert_listed(&next, |machine| tidy(&show_state(machine)));
                let next = if next == state { String::from("same") } else { next };
                let inputs = Vec::from([tidy(&show_input(input))]);
                merge(&mut rows, Row { state: state.clone(), inputs, outputs: outputs.join(", "), next });
            }
        }
        self.compare(&rows);
    }

    /// No step leads out of the table: where all that it shows begin as one of its states does, and a new machine is one
    /// of them, no machine is ever in a state of which the table says nothing.
    fn assert_listed(&self, state: &str, show_state: impl Fn(&M) -> String) {
        let listed = self.states.iter().any(|sample| variant(&show_state(sample)) == variant(state));
        assert!(listed, "{}: {state} is in none of its rows", self.name);
    }

    fn compare(&self, rows: &[Row]) {
        let mut text = format!("# {}\n\n", self.name);
        if !self.about.is_empty() {
            text += &format!("{}\n\n", self.about);
        }
        text += &format!("Written by a test of `core/src/{}`.\n\n", self.source);
        text += "| state | input | output | next |\n| --- | --- | --- | --- |\n";
        for row in rows {
            let inputs = row.inputs.join("; ");
            text += &format!("| {} | {inputs} | {} | {} |\n", row.state, row.outputs, row.next);
        }
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/machines");
        let path = folder.join(format!("{}.md", self.name));
        if env::var_os("REGENERATE_TABLES").is_some() {
            fs::create_dir_all(&folder).unwrap();
            fs::write(&path, &text).unwrap();
        }
        let kept = fs::read_to_string(&path).unwrap_or_default();
        assert!(kept == text, "{} differs; REGENERATE_TABLES=1 writes it anew", path.display());
    }
}

impl<S: Clone + PartialEq + Debug, I: Clone> Table<'_, (&str, S), (&str, I)> {
    /// With the names of states and inputs, and of outputs the variants only.
    pub(crate) fn check_named<O: Debug>(&self, step: impl Fn(S, I, &mut Vec<O>) -> S) {
        let mut rows = Vec::new();
        for (name, state) in &self.states {
            for (input_name, input) in &self.inputs {
                let mut outputs = Vec::new();
                let next = step(state.clone(), input.clone(), &mut outputs);
                self.assert_listed(&format!("{next:?}"), |(_, sample)| format!("{sample:?}"));
                let next = if next == *state { String::from("same") } else { self.named(&next) };
                let outputs: Vec<_> = outputs.iter().map(|output| brief(&format!("{output:?}"))).collect();
                let inputs = Vec::from([String::from(*input_name)]);
                merge(&mut rows, Row { state: (*name).into(), inputs, outputs: outputs.join(", "), next });
            }
        }
        self.compare(&rows);
    }

    /// The name of the sample that it is, or else of its variant.
    fn named(&self, state: &S) -> String {
        let sample = self.states.iter().find(|(_, sample)| sample == state);
        sample.map_or_else(|| variant(&format!("{state:?}")), |(name, _)| String::from(*name))
    }
}

/// The first word of a `Debug` text.
fn variant(debug: &str) -> String {
    String::from(debug.split(['(', ' ', ',']).next().unwrap_or_default())
}

/// Inputs that do the same in one state share a row.
fn merge(rows: &mut Vec<Row>, row: Row) {
    let same = |it: &&mut Row| it.state == row.state && it.outputs == row.outputs && it.next == row.next;
    match rows.iter_mut().find(same) {
        Some(found) => found.inputs.extend(row.inputs),
        None => rows.push(row),
    }
}

/// A `Debug` text without the names of types that hold one text, and without long numbers of bytes.
fn tidy(debug: &str) -> String {
    let counted = count_bytes(debug);
    let plain = PLAIN.iter().fold(counted, |text, (before, after)| unwrap(&text, before, after));
    without_bodies(&plain).replace('|', "\\|")
}

/// The length of a body tells nothing about a transition.
fn without_bodies(text: &str) -> String {
    let mut parts = text.split(", body: (");
    let mut plain = String::from(parts.next().unwrap_or_default());
    for part in parts {
        plain += part.split_once(')').map_or(part, |(_, rest)| rest);
    }
    plain
}

/// `Name("7")` becomes `7`, where what is inside is one word.
fn unwrap(text: &str, before: &str, after: &str) -> String {
    let mut parts = text.split(before);
    let mut plain = String::from(parts.next().unwrap_or_default());
    for part in parts {
        let word = part
            .split(|c: char| !c.is_ascii_alphanumeric() && c != '-' && c != '.')
            .next()
            .unwrap_or_default();
        match part.strip_prefix(word).and_then(|rest| rest.strip_prefix(after)) {
            Some(rest) if !word.is_empty() => {
                plain += word;
                plain += rest;
            }
            _ => {
                plain += before;
                plain += part;
            }
        }
    }
    plain
}

/// `[49, 50]` becomes `(2 bytes)`.
fn count_bytes(text: &str) -> String {
    let mut parts = text.split('[');
    let mut plain = String::from(parts.next().unwrap_or_default());
    for part in parts {
        match part.split_once(']') {
            Some((list, rest)) if list.split(", ").all(|number| number.parse::<u8>().is_ok()) => {
                plain += &format!("({} bytes){rest}", list.split(", ").count());
            }
            _ => {
                plain.push('[');
                plain += part;
            }
        }
    }
    plain
}

/// The variants of a `Debug` text from the outside in, without what structs hold.
fn brief(debug: &str) -> String {
    let named = debug.split([' ', '[', '{', '"']).next().unwrap_or_default();
    let open = named.matches('(').count().saturating_sub(named.matches(')').count());
    let kept = named.trim_end_matches([',', '(']);
    let open = open.min(kept.matches('(').count());
    format!("{kept}{}", ")".repeat(open)).replace('|', "\\|")
}
