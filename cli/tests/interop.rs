//! Ours and Python's: everything that can be sent, in both directions, by both ways, through both makes of servers.

use std::time::Duration;

use tempfile::TempDir;
use wormhole_tests::{Kind, Make, Peers, Route, Sample, Scene, Servers, Who, fail, new_code, ok};

const OURS: Who<'static> = Who::Ours(env!("CARGO_BIN_EXE_wormhole"));
const LIMIT: Duration = Duration::from_secs(60);

const SMALL: [Kind; 8] = [
    Kind::Text,
    Kind::File(0),
    Kind::File(1),
    Kind::File(16384),
    Kind::File(16385),
    Kind::OddFile,
    Kind::Directory,
    Kind::OddDirectory,
];

const LARGE: Kind = Kind::File(100 << 20);

/// Who sends.
#[derive(Clone, Copy)]
enum From {
    Ours,
    Python,
}

#[test]
fn ours_to_python_direct() {
    all_small(From::Ours, Make::Ours, Route::Direct);
}

#[test]
fn ours_to_python_by_relay() {
    all_small(From::Ours, Make::Ours, Route::Relay);
}

#[test]
fn python_to_ours_direct() {
    all_small(From::Python, Make::Ours, Route::Direct);
}

#[test]
fn python_to_ours_by_relay() {
    all_small(From::Python, Make::Ours, Route::Relay);
}

#[test]
fn ours_to_python_direct_with_pythons_servers() {
    all_small(From::Ours, Make::Reference, Route::Direct);
}

#[test]
fn ours_to_python_by_relay_with_pythons_servers() {
    all_small(From::Ours, Make::Reference, Route::Relay);
}

#[test]
fn python_to_ours_direct_with_pythons_servers() {
    all_small(From::Python, Make::Reference, Route::Direct);
}

#[test]
fn python_to_ours_by_relay_with_pythons_servers() {
    all_small(From::Python, Make::Reference, Route::Relay);
}

#[test]
fn a_large_file_goes_to_python_direct() {
    exchange(From::Ours, Make::Ours, Route::Direct, LARGE);
}

#[test]
fn a_large_file_goes_to_python_by_relay() {
    exchange(From::Ours, Make::Ours, Route::Relay, LARGE);
}

#[test]
fn a_large_file_comes_from_python_direct() {
    exchange(From::Python, Make::Ours, Route::Direct, LARGE);
}

#[test]
fn a_large_file_comes_from_python_by_relay() {
    exchange(From::Python, Make::Ours, Route::Relay, LARGE);
}

#[test]
fn ours_to_ours_with_pythons_servers() {
    let Some(servers) = Servers::shared(Make::Reference) else { return };
    for route in [Route::Direct, Route::Relay] {
        run(OURS, OURS, Scene { servers, route }, Kind::Directory);
    }
}

#[track_caller]
fn all_small(from: From, make: Make, route: Route) {
    for kind in SMALL {
        exchange(from, make, route, kind);
    }
}

#[track_caller]
fn exchange(from: From, make: Make, route: Route, kind: Kind) {
    let Some(peers) = Peers::find() else { return };
    let Some(servers) = Servers::shared(make) else { return };
    let (sender, receiver) = match from {
        From::Ours => (OURS, Who::Reference(peers)),
        From::Python => (Who::Reference(peers), OURS),
    };
    run(sender, receiver, Scene { servers, route }, kind);
}

#[track_caller]
fn run(sender: Who<'_>, receiver: Who<'_>, scene: Scene<'_>, kind: Kind) {
    let (from, to) = (ok(TempDir::new(), "a directory"), ok(TempDir::new(), "a directory"));
    let sample = Sample::make(kind, from.path());
    let code = new_code();
    let mut arguments = vec!["--code".to_owned(), code.clone()];
    arguments.extend(sample.arguments());
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let sending = scene.start(sender, "send", &arguments, from.path());
    let receiving = scene.start(receiver, "receive", &["--accept-file", &code], to.path());
    let received = receiving.succeed(LIMIT);
    let sent = sending.succeed(LIMIT);
    sample.expect_in(to.path(), &received.output);
    if kind != Kind::Text {
        let relayed = (sent.error.contains("->relay:"), received.error.contains("->relay:"));
        if relayed != (scene.route == Route::Relay, scene.route == Route::Relay) {
            fail(format_args!("not {:?}:\n{}\n{}", scene.route, sent.error, received.error));
        }
    }
}
