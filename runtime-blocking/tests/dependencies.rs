//! What an application gets with this crate: no executor, no reactor, and nothing that is only of use with one.
#![cfg(test)]

use std::process::Command;

#[test]
fn there_is_no_executor_and_no_reactor_in_the_tree() {
    let mut tree = Command::new(env!("CARGO"));
    tree.args([
        "tree",
        "--locked",
        "--offline",
        "-p",
        "wormhole-blocking",
        "-e",
        "normal",
        "--target",
        "all",
    ]);
    tree.args(["--prefix", "none", "--format", "{p}"]).current_dir(env!("CARGO_MANIFEST_DIR"));
    let listed = tree.output().unwrap();
    assert!(listed.status.success(), "{}", String::from_utf8_lossy(&listed.stderr));
    let listed = String::from_utf8(listed.stdout).unwrap();
    let names: Vec<_> = listed.lines().filter_map(|line| line.split(' ').next()).collect();
    assert!(names.contains(&"wormhole-runtime") && names.contains(&"wormhole-transfer"), "{names:?}");
    for name in names {
        let is_one = ["async", "tokio", "smol", "futures", "mio", "polling"];
        let is_one = is_one.iter().any(|word| name.split(['-', '_']).any(|part| part == *word));
        assert!(!is_one, "{name} is in the tree");
    }
}
