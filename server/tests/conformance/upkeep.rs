//! Mailbox, 6: what expires, what is counted, and what clients may cost.

use std::time::Duration;

use rusqlite::Connection;
use rusqlite::types::Value as Cell;
use rustix::net::sockopt::set_socket_linger;
use rustix::process::Signal;
use serde_json::json;
use wormhole_server::limits;

use crate::client::{Client, tcp, unix};
use crate::running::{Running, soon};
use crate::talk::{
    APP, add, answer, bound, claimed, close, error, greeted, heard, kibibytes, list, mailbox, number, opened,
    reopened, rows, text,
};

/// Everything lives for a moment.
const SHORT: [&str; 4] = ["--mailbox-expiry", "0.4", "--prune-interval", "0.1"];

#[test]
fn m99_what_nobody_touches_goes_with_its_name_and_its_messages() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("usage");
    let server = mailbox(&[&SHORT[..], &["--usage-db", path.to_str().unwrap()]].concat());
    let (mut a, mailbox) = claimed(&server, APP, "a", "5");
    a.tell(json!({"type": "open", "mailbox": mailbox}));
    add(&mut a, "1");
    drop(a);
    gone(&server, "5");
    assert_eq!(reopened(&server, "a", &mailbox).1, [""; 0]);
    for table in ["nameplates", "mailboxes"] {
        let row = &rows(&path, &format!("select result, total_time from {table}"), 1)[0];
        assert_eq!(text(&row[0]), "pruney");
        assert!(number(&row[1]) >= 0.4, "{row:?}");
    }
}

#[test]
fn m100_what_is_listened_to_stays() {
    let server = mailbox(&SHORT);
    let (mut a, mailbox) = claimed(&server, APP, "a", "5");
    a.tell(json!({"type": "open", "mailbox": mailbox}));
    // Three lives of those beside it.
    for name in ["6", "7", "8"] {
        claimed(&server, APP, "a", name);
        gone(&server, name);
    }
    assert_eq!(claimed(&server, APP, "b", "5").1, mailbox);
}

#[test]
fn m101_a_claim_alone_keeps_nothing_alive_though_its_connection_stands() {
    let server = mailbox(&SHORT);
    let (mut a, _) = claimed(&server, APP, "a", "5");
    gone(&server, "5");
    assert_eq!(answer(&mut a, json!({"type": "release"}))["type"], "released");
}

#[test]
fn m102_rows_that_make_no_sense_stop_no_others_from_going() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("channels");
    let arguments = [&SHORT[2..], &["--channel-db", path.to_str().unwrap(), "--drain-limit", "0"]].concat();
    let mut server = mailbox(&arguments);
    for name in ["1", "2", "3", "4"] {
        claimed(&server, APP, "a", name);
    }
    server.signal(Signal::KILL);
    server.end();
    let damage = "update mailbox set sides = 'nonsense' where nameplate = '2';
         update nameplate set sides = '{' where name = '3';
         delete from mailbox where nameplate = '4';";
    Connection::open(&path).unwrap().execute_batch(damage).unwrap();
    let server = mailbox(&[&arguments[..], &SHORT[..2]].concat());
    gone(&server, "1");
    claimed(&server, APP, "a", "9");
    gone(&server, "9");
}

#[test]
fn m103_each_end_has_its_result() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("usage");
    let server = mailbox(&["--usage-db", path.to_str().unwrap()]);
    // Each in an application of its own: its name, the moods of its sides, whether a third came, the result.
    let ends: [(&str, &[&str], bool, &str); 8] = [
        ("alone", &["happy"], false, "lonely"),
        ("both", &["happy", "happy"], false, "happy"),
        ("left alone", &["happy", "lonely"], false, "lonely"),
        ("erring", &["lonely", "errory"], false, "errory"),
        ("scared", &["scary", "errory"], false, "scary"),
        ("scared at last", &["lonely", "scary"], false, "scary"),
        ("odd", &["happy", "weird"], false, "happy"),
        ("crowded", &["scary", "happy"], true, "crowded"),
    ];
    for (app, moods, is_crowded, result) in ends {
        let (mut clients, mut mailbox) = (Vec::new(), String::new());
        for side in ["a", "b"].iter().take(moods.len()) {
            let (mut client, found) = claimed(&server, app, side, "4");
            client.tell(json!({"type": "open", "mailbox": found}));
            clients.push(client);
            mailbox = found;
        }
        if is_crowded {
            let mut third = bound(&server, app, "c");
            assert_eq!(error(&mut third, json!({"type": "claim", "nameplate": "4"})), "crowded");
            assert_eq!(error(&mut third, json!({"type": "open", "mailbox": mailbox})), "crowded");
        }
        for (client, mood) in clients.iter_mut().zip(moods) {
            close(client, mood);
        }
        let found = rows(&path, &format!("select result from mailboxes where app_id = '{app}'"), 1);
        assert_eq!(text(&found[0][0]), result, "{app}");
        let of_name = match (moods.len(), is_crowded) {
            (_, true) => "crowded",
            (1, _) => "lonely",
            (_, false) => "happy",
        };
        let found = rows(&path, &format!("select result from nameplates where app_id = '{app}'"), 1);
        assert_eq!(text(&found[0][0]), of_name, "{app}");
    }
}

#[test]
fn m103_crowded_goes_before_pruney() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("usage");
    let server = mailbox(&[&SHORT[..], &["--usage-db", path.to_str().unwrap()]].concat());
    claimed(&server, APP, "a", "4");
    claimed(&server, APP, "b", "4");
    let mut third = bound(&server, APP, "c");
    assert_eq!(error(&mut third, json!({"type": "claim", "nameplate": "4"})), "crowded");
    for table in ["nameplates", "mailboxes"] {
        assert_eq!(text(&rows(&path, &format!("select result from {table}"), 1)[0][0]), "crowded");
    }
}

#[test]
fn m104_blurred_moments_are_whole_hours_and_durations_are_exact() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("usage");
    let server = mailbox(&["--usage-db", path.to_str().unwrap(), "--blur-usage", "3600"]);
    let (mut a, mailbox) = claimed(&server, APP, "a", "5");
    let (mut b, _) = claimed(&server, APP, "b", "5");
    for client in [&mut a, &mut b] {
        client.tell(json!({"type": "open", "mailbox": mailbox}));
        close(client, "happy");
    }
    for row in rows(&path, "select connect_time from client_versions", 2) {
        assert_eq!(number(&row[0]) % 3600.0, 0.0);
    }
    for table in ["nameplates", "mailboxes"] {
        let row = &rows(&path, &format!("select started, waiting_time, total_time from {table}"), 1)[0];
        let [started, waiting, total] = [0, 1, 2].map(|at| number(&row[at]));
        assert_eq!(started % 3600.0, 0.0);
        assert!(0.0 < waiting && waiting < total && total < 20.0, "{waiting} {total}");
    }
}

#[test]
fn m105_with_blur_nothing_of_a_client_is_logged() {
    let mut server = mailbox(&["--blur-usage", "3600", "--drain-limit", "0"]);
    let name = "86753098675309";
    let (mut a, mailbox) = claimed(&server, "application", "first-side", name);
    a.tell(json!({"type": "open", "mailbox": mailbox}));
    add(&mut a, "phase-of-it");
    let mut third = claimed(&server, "application", "second-side", name).0;
    third.say(json!("nonsense"));
    while third.try_hear().is_ok() {}
    let port = tcp(server.at("mailbox")).local_addr().unwrap().port().to_string();
    server.signal(Signal::TERM);
    server.end();
    let log = server.log();
    assert!(log.contains("serving"), "{log}");
    for secret in
        [name, &mailbox, "application", "first-side", "second-side", "phase-of-it", "127.0.0.1", &port]
    {
        assert!(!log.contains(secret), "{secret} is in\n{log}");
    }
}

#[test]
fn m106_each_bind_is_one_row() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("usage");
    let server = mailbox(&["--usage-db", path.to_str().unwrap()]);
    let mut client = greeted(&server);
    let bind = json!({"type": "bind", "appid": APP, "side": "s", "client_version": ["python", "0.24.0"]});
    client.tell(bind.clone());
    assert_eq!(error(&mut client, bind), "already bound");
    drop(client);
    bound(&server, APP, "t");
    let select = "select app_id, side, implementation, version from client_versions order by side";
    let text = |text: &str| Cell::Text(text.into());
    let expected = [
        [text(APP), text("s"), text("python"), text("0.24.0")],
        [text(APP), text("t"), Cell::Null, Cell::Null],
    ];
    assert_eq!(rows(&path, select, 2), expected);
}

#[test]
fn m107_the_row_of_how_things_are_is_rewritten_where_others_can_see_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("usage");
    let server = mailbox(&["--usage-db", path.to_str().unwrap(), "--usage-interval", "0.1"]);
    let _clients = [greeted(&server), greeted(&server)];
    // As the plugins of Python's server ask.
    let select = "select updated, rebooted, connections_websocket, blur_time from current";
    let row = |count: f64| {
        soon("the row", || {
            let row = rows(&path, select, 1).remove(0);
            (number(&row[2]) == count).then_some(row)
        })
    };
    let first = row(2.0);
    assert!(number(&first[1]) > 1.0e9 && first[3] == Cell::Null, "{first:?}");
    let later = soon("a later row", || {
        let row = row(2.0);
        (number(&row[0]) > number(&first[0])).then_some(row)
    });
    assert_eq!(later[1], first[1]);
    assert_eq!(default_of("usage-interval"), Some(240.0), "they hold a server for dead after six minutes");
}

#[test]
fn m108_a_flood_of_applications_leaves_nothing_behind() {
    // A time that ran for a client is forgotten when it is over.
    let server = mailbox(&["--prune-interval", "0.1", "--opening-timeout", "0.5"]);
    flood(&server, 0..10_000);
    let before = kibibytes(&server, "VmRSS");
    flood(&server, 10_000..110_000);
    soon("memory does not come back", || (kibibytes(&server, "VmRSS") * 100 <= before * 105).then_some(()));
}

#[test]
fn m109_a_client_that_never_reads_is_left_and_costs_little() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("socket");
    let place = format!("unix:{}", path.display());
    let server = mailbox(&["--mailbox", &place, "--monitor", "127.0.0.1:0"]);
    // For a socket of this kind the system keeps little; over TCP it would be four megabytes.
    let mut deaf = Client::over(unix(path.to_str().unwrap()), &[]);
    deaf.hear();
    deaf.tell(json!({"type": "bind", "appid": APP, "side": "deaf"}));
    deaf.tell(json!({"type": "open", "mailbox": "m"}));
    let mut talker = opened(&server, "talker", "m");
    let says = json!({"type": "add", "phase": "p", "body": "0".repeat(100_000)});
    let count = limits::QUEUE_BYTES / 100_000 + 10;
    for _ in 0..count {
        assert_eq!(answer(&mut talker, says.clone())["type"], "message");
    }
    soon("it is never left", || {
        let page = crate::raw::http(server.at("monitor"), "GET /metrics HTTP/1.1\r\nHost: h\r\n\r\n");
        page.contains("refusals_total{reason=\"does not read\"} 1").then_some(())
    });
    let most = kibibytes(&server, "VmHWM");
    assert!(most < 64 << 10, "{most} KiB");
    // It comes back and gets all of it.
    assert_eq!(reopened(&server, "deaf", "m").1.len(), count);
    assert_eq!(heard(&mut talker), [""; 0]);
}

/// Clients that only say who they are, each of another application, and go.
fn flood(server: &Running, numbers: std::ops::Range<u32>) {
    use crate::raw::{Raw, TEXT};
    let numbers: Vec<u32> = numbers.collect();
    std::thread::scope(|scope| {
        for some in numbers.chunks(numbers.len().div_ceil(2)) {
            scope.spawn(move || {
                for number in some {
                    let mut raw = Raw::connect(server.at("mailbox"));
                    raw.send(
                        TEXT,
                        format!(r#"{{"type":"bind","appid":"app {number:0>200}","side":"a"}}"#).as_bytes(),
                    );
                    assert_eq!([raw.hear()["type"].clone(), raw.hear()["type"].clone()], ["welcome", "ack"]);
                    // No port is kept for it, of which there are too few.
                    set_socket_linger(&raw.stream, Some(Duration::ZERO)).unwrap();
                }
            });
        }
    });
}

/// Waits until a nameplate is gone.
fn gone(server: &Running, name: &str) {
    let mut client = bound(server, APP, "who asks");
    soon("it never expires", || (!list(&mut client).iter().any(|listed| listed == name)).then_some(()));
}

/// The number that a setting is where nobody says anything.
pub(crate) fn default_of(setting: &str) -> Option<f64> {
    let output = crate::running::program(&["check-config"]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(setting)?.strip_prefix(" = \""));
    line?.split('"').next()?.parse().ok()
}
