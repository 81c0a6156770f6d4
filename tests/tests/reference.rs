//! The reference's two programs, through servers of either make: what our servers must stand, and whether this
//! harness works at all.

use std::time::Duration;

use tempfile::TempDir;
use wormhole_tests::{Channel, Kind, Make, Peers, Route, Sample, Scene, Servers, Who, ok};

const LIMIT: Duration = Duration::from_secs(60);

#[test]
fn they_find_each_other_through_our_servers() {
    exchange(Make::Ours);
}

#[test]
fn they_find_each_other_through_their_own_servers() {
    exchange(Make::Reference);
}

#[track_caller]
fn exchange(make: Make) {
    let Some(peers) = Peers::find() else { return };
    let Some(servers) = Servers::shared(make) else { return };
    for route in [Route::Direct, Route::Relay] {
        let (from, to) = (ok(TempDir::new(), "a directory"), ok(TempDir::new(), "a directory"));
        let sample = Sample::make(Kind::Directory, from.path());
        let scene = Scene { servers, route };
        let who = Who::Reference(peers);
        let sending = scene.start(who, "send", &[&sample.arguments().concat()], from.path());
        let code = sending.line_after(Channel::Error, "Wormhole code is: ", LIMIT);
        let received = scene.start(who, "receive", &["--accept-file", &code], to.path()).succeed(LIMIT);
        sending.succeed(LIMIT);
        sample.expect_in(to.path(), &received.output);
    }
}
