//! `HOSTILE.md` speaks of tests that exist.
#![cfg(test)]

use std::fs;
use std::path::{Path, PathBuf};

#[test]
fn each_row_of_the_table_has_its_test() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut sources = String::new();
    let mut todo: Vec<PathBuf> = ["cli", "core", "runtime", "server", "tests", "transfer"]
        .iter()
        .map(|part| root.join(part))
        .collect();
    while let Some(path) = todo.pop() {
        if path.is_dir() {
            todo.extend(fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            sources.push_str(&fs::read_to_string(path).unwrap());
        }
    }
    let table = include_str!("../HOSTILE.md");
    let rows: Vec<&str> = table.lines().filter(|line| line.starts_with("| ") && line.contains('`')).collect();
    assert!(rows.len() > 55, "{} rows", rows.len());
    for row in rows {
        let tests = row.trim_end_matches(" |").rsplit(" | ").next().unwrap();
        for test in tests.split(", ").map(|test| test.trim_matches('`')) {
            assert!(sources.contains(&format!("fn {test}(")), "there is no {test}");
        }
    }
}
