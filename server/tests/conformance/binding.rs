//! Mailbox, 3: bind, list, allocate.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::thread;

use rusqlite::types::Value as Cell;
use serde_json::{Value, json};

use crate::running::Running;
use crate::talk::{APP, allocated, answer, bound, claimed, error, greeted, list, mailbox, rows};

const NOBODY: [&str; 0] = [];

#[test]
fn m39_everything_else_comes_after_bind() {
    let server = mailbox(&[]);
    let mut client = greeted(&server);
    for kind in ["list", "allocate", "claim", "release", "open", "add", "close"] {
        assert_eq!(error(&mut client, json!({"type": kind})), "must bind first");
    }
}

#[test]
fn m40_a_bind_has_an_application_and_a_side() {
    let server = mailbox(&[]);
    let mut client = greeted(&server);
    assert_eq!(error(&mut client, json!({"type": "bind", "side": "a"})), "bind requires 'appid'");
    assert_eq!(error(&mut client, json!({"type": "bind", "appid": APP})), "bind requires 'side'");
    client.tell(json!({"type": "bind", "appid": APP, "side": "a"}));
    assert_eq!(list(&mut client), NOBODY);
}

#[test]
fn m41_one_bind_a_connection_also_with_an_empty_side() {
    let server = mailbox(&[]);
    for side in ["a", ""] {
        let mut client = bound(&server, APP, side);
        assert_eq!(error(&mut client, json!({"type": "bind", "appid": APP, "side": side})), "already bound");
    }
}

#[test]
fn m42_application_and_side_are_texts() {
    let server = mailbox(&[]);
    let mut client = greeted(&server);
    for bad in [json!(5), Value::Null, json!(["a"]), json!({}), json!(true)] {
        let text = error(&mut client, json!({"type": "bind", "appid": bad, "side": "a"}));
        assert_eq!(text, "'appid' must be a string, and not too long");
        let text = error(&mut client, json!({"type": "bind", "appid": APP, "side": bad}));
        assert_eq!(text, "'side' must be a string, and not too long");
    }
    assert_eq!(error(&mut client, json!({"type": "list"})), "must bind first");
}

#[test]
fn m43_any_version_of_a_client_is_bound_and_stored_as_text_or_null() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("usage");
    let server = mailbox(&["--usage-db", path.to_str().unwrap()]);
    let versions = [
        (None, None, None),
        (Some(json!(["p", "1"])), Some("p"), Some("1")),
        (Some(json!(["p", "1", "x"])), Some("p"), Some("1")),
        (Some(Value::Null), None, None),
        (Some(json!([])), None, None),
        (Some(json!([1, {}])), None, None),
        (Some(json!({})), None, None),
        (Some(json!("ab")), None, None),
    ];
    for (count, (version, implementation, number)) in versions.into_iter().enumerate() {
        let mut client = greeted(&server);
        let side = count.to_string();
        let mut bind = json!({"type": "bind", "appid": APP, "side": side});
        if let Some(version) = version {
            bind["client_version"] = version;
        }
        client.tell(bind);
        assert_eq!(list(&mut client), NOBODY);
        let select = format!("select implementation, version from client_versions where side = '{side}'");
        let cell = |text: Option<&str>| text.map_or(Cell::Null, |text| Cell::Text(text.into()));
        assert_eq!(rows(&path, &select, 1), [[cell(implementation), cell(number)]]);
    }
}

#[test]
fn m44_names_are_listed_as_text() {
    let server = mailbox(&[]);
    let mut client = bound(&server, APP, "a");
    assert_eq!(list(&mut client), NOBODY);
    for name in ["10", "2"] {
        claimed(&server, APP, "a", name);
    }
    assert_eq!(list(&mut client), ["10", "2"]);
}

#[test]
fn m45_names_of_other_applications_are_not_listed() {
    let server = mailbox(&[]);
    claimed(&server, "test.example/other", "a", "5");
    claimed(&server, APP, "a", "6");
    assert_eq!(list(&mut bound(&server, APP, "b")), ["6"]);
}

#[test]
fn m46_where_listing_is_forbidden_the_list_is_empty() {
    let server = mailbox(&["--disallow-list"]);
    claimed(&server, APP, "a", "1");
    assert_eq!(list(&mut bound(&server, APP, "a")), NOBODY);
}

#[test]
fn m47_five_thousand_names_are_listed_in_one_message() {
    let server = mailbox(&[]);
    let names: Vec<u32> = (1..=5000).collect();
    thread::scope(|scope| {
        for some in names.chunks(1250) {
            let server = &server;
            scope.spawn(move || {
                for name in some {
                    claimed(server, APP, "a", &name.to_string());
                }
            });
        }
    });
    let mut expected: Vec<String> = names.iter().map(u32::to_string).collect();
    expected.sort_unstable();
    assert_eq!(list(&mut bound(&server, APP, "a")), expected);
}

#[test]
fn m48_an_allocated_name_is_one_digit_while_one_is_free() {
    let server = mailbox(&[]);
    for _ in 0..9 {
        let name = allocated(&server, APP);
        assert!(name.len() == 1 && ("1"..="9").contains(&name.as_str()), "{name}");
    }
    assert_eq!(allocated(&server, APP).len(), 2);
}

#[test]
fn m49_the_shortest_free_names_are_given_out() {
    let server = mailbox(&[]);
    let allocate = |count: usize| -> BTreeSet<u32> {
        (0..count).map(|_| allocated(&server, APP).parse().unwrap()).collect()
    };
    assert_eq!(allocate(9), (1..=9).collect());
    assert_eq!(allocate(90), (10..=99).collect());
    assert_eq!(allocate(900), (100..=999).collect());
    let long = allocate(20);
    assert!(long.len() == 20 && long.iter().all(|name| (1000..1_000_000).contains(name)), "{long:?}");
}

#[test]
fn m50_the_first_name_of_a_server_is_a_matter_of_chance() {
    let first = || allocated(&mailbox(&[]), APP);
    let names: BTreeSet<String> = (0..200).map(|_| first()).collect();
    // That one of them never comes in 200 has a chance of one in two thousand million.
    assert_eq!(names.len(), 9, "{names:?}");
}

#[test]
fn m51_one_allocation_a_connection() {
    let server = mailbox(&[]);
    let mut client = bound(&server, APP, "a");
    assert_eq!(answer(&mut client, json!({"type": "allocate"}))["type"], "allocated");
    let text = error(&mut client, json!({"type": "allocate"}));
    assert_eq!(text, "you already allocated one, don't be greedy");
}

#[test]
fn m52_an_allocated_name_is_claimed_by_the_same_side() {
    let server = mailbox(&[]);
    let (mut client, name) = allocating(&server);
    let first = answer(&mut client, json!({"type": "claim", "nameplate": name}))["mailbox"].clone();
    for _ in 0..3 {
        assert_eq!(claimed(&server, APP, "a", &name).1, first);
    }
    assert_eq!(claimed(&server, APP, "b", &name).1, first, "there is still room for another");
}

#[test]
fn m53_a_name_that_was_only_allocated_must_be_said_to_be_released() {
    let server = mailbox(&[]);
    let (mut client, name) = allocating(&server);
    let text = error(&mut client, json!({"type": "release"}));
    assert_eq!(text, "release without nameplate must follow claim");
    let released = answer(&mut client, json!({"type": "release", "nameplate": name}));
    assert_eq!(released["type"], "released");
    assert_eq!(list(&mut client), NOBODY);
}

#[test]
fn m54_applications_do_not_use_up_each_others_names() {
    let server = mailbox(&[]);
    for _ in 0..9 {
        allocated(&server, "test.example/x");
    }
    assert_eq!(allocated(&server, "test.example/y").len(), 1);
}

#[test]
fn m55_names_allocated_by_sixteen_at_once_are_all_distinct() {
    let server = mailbox(&[]);
    let names = Mutex::new(BTreeSet::new());
    thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| {
                for _ in 0..69 {
                    let name = allocated(&server, APP);
                    assert!(names.lock().unwrap().insert(name));
                }
            });
        }
    });
    assert_eq!(names.into_inner().unwrap().len(), 1104);
}

/// A client that has allocated a nameplate.
fn allocating(server: &Running) -> (crate::client::Client, String) {
    let mut client = bound(server, APP, "a");
    let name = answer(&mut client, json!({"type": "allocate"}))["nameplate"].as_str().unwrap().to_owned();
    (client, name)
}
