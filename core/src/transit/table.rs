//! Transition tables: each sample state is stepped with each sample input, and the outcome is compared with the table
//! in
//! `docs/machines/`. `REGENERATE_TABLES=1` writes the tables instead.

extern crate std;

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Debug;
use std::path::Path;
use std::{env, fs};

/// Fails when the table called `name` is not what these samples give; `source` is the file of the machine.
pub(crate) fn check<S, I, O>(
    name: &str,
    source: &str,
    states: &[(&str, S)],
    inputs: &[(&str, I)],
    step: impl Fn(S, I, &mut Vec<O>) -> S,
) where
    S: Clone + PartialEq + Debug,
    I: Clone,
    O: Debug,
{
    let mut text = format!("# {name}\n\nWritten by a test of `core/src/{source}`.\n\n");
    text += "| state | input | output | next |\n| --- | --- | --- | --- |\n";
    for (before, state) in states {
        let mut rows: Vec<(Vec<&str>, String, String)> = Vec::new();
        for (input_name, input) in inputs {
            let mut out = Vec::new();
            let next = step(state.clone(), input.clone(), &mut out);
            let next = if next == *state { String::from("same") } else { named(&next, states) };
            let outputs: Vec<String> = out.iter().map(|output| brief(&format!("{output:?}"))).collect();
            let outputs = outputs.join(", ");
            match rows.iter_mut().find(|row| row.1 == outputs && row.2 == next) {
                Some(row) => row.0.push(input_name),
                None => rows.push((Vec::from([*input_name]), outputs, next)),
            }
        }
        for (inputs, outputs, next) in rows {
            text += &format!("| {before} | {} | {outputs} | {next} |\n", inputs.join("; "));
        }
    }
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/machines");
    let path = folder.join(format!("{name}.md"));
    if env::var_os("REGENERATE_TABLES").is_some() {
        fs::create_dir_all(&folder).unwrap();
        fs::write(&path, &text).unwrap();
    }
    let kept = fs::read_to_string(&path).unwrap_or_default();
    assert!(kept == text, "{} differs; REGENERATE_TABLES=1 writes it anew", path.display());
}

/// The name of the sample that it is, or else of its variant.
fn named<S: PartialEq + Debug>(state: &S, states: &[(&str, S)]) -> String {
    let sample = states.iter().find(|(_, sample)| sample == state);
    let variant = || {
        let debug = format!("{state:?}");
        String::from(debug.split(['(', ' ']).next().unwrap_or_default())
    };
    sample.map_or_else(variant, |(name, _)| String::from(*name))
}

/// The variants of a `Debug` text from the outside in, without what structs hold.
fn brief(debug: &str) -> String {
    let named = debug.split([' ', '[', '{', '"']).next().unwrap_or_default();
    let open = named.matches('(').count().saturating_sub(named.matches(')').count());
    let kept = named.trim_end_matches([',', '(']);
    let open = open.min(kept.matches('(').count());
    format!("{kept}{}", ")".repeat(open)).replace('|', "\\|")
}
