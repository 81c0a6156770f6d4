//! Transition tables: each sample state of a machine is stepped with each sample input, and the outcome is compared
//! with the table in `docs/machines/`. `REGENERATE_TABLES=1` writes the tables instead.

extern crate std;

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Debug;
use std::path::Path;
use std::{env, fs};

use super::link::Line;

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

/// A machine's table: `states` and `inputs` with the names they have in it.
pub(crate) struct Table<'a, M, I> {
    /// The name of the machine's file.
    pub(crate) name: &'a str,
    /// What must be known to read the table.
    pub(crate) about: &'a str,
    pub(crate) states: Vec<M>,
    pub(crate) inputs: Vec<I>,
}

/// Where a step leads: what a row shows of it.
#[derive(PartialEq)]
struct Row {
    state: String,
    inputs: Vec<String>,
    outputs: String,
    next: String,
}

impl<M: Clone, I: Clone> Table<'_, M, I> {
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
                let next = if next == state { String::from("same") } else { next };
                let inputs = Vec::from([tidy(&show_input(input))]);
                merge(&mut rows, Row { state: state.clone(), inputs, outputs: outputs.join(", "), next });
            }
        }
        self.compare(&rows);
    }

    fn compare(&self, rows: &[Row]) {
        let mut text = format!("# {}\n\n{}\n\n", self.name, self.about);
        text += &format!("Written by a test of `core/src/wormhole/{}.rs`.\n\n", self.name);
        text += "| state | input | output | next |\n| --- | --- | --- | --- |\n";
        for row in rows {
            let inputs = row.inputs.join(", ");
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

/// Inputs that do the same in one state share a row.
fn merge(rows: &mut Vec<Row>, row: Row) {
    let same = |it: &&mut Row| it.state == row.state && it.outputs == row.outputs && it.next == row.next;
    match rows.iter_mut().find(same) {
        Some(found) => found.inputs.extend(row.inputs),
        None => rows.push(row),
    }
}

/// The name of an input that is handled with the link up or down.
pub(crate) fn on_line<I: Debug>((input, line): &(I, Line)) -> String {
    match line {
        Line::Up => format!("{input:?}"),
        Line::Down => format!("{input:?} while down"),
    }
}

/// Each input with the link up, then those where it makes a difference with the link down.
pub(crate) fn with_lines<I: Clone>(inputs: &[I], down: &[I]) -> Vec<(I, Line)> {
    let up = inputs.iter().cloned().map(|input| (input, Line::Up));
    up.chain(down.iter().cloned().map(|input| (input, Line::Down))).collect()
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
