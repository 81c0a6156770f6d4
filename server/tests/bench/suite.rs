//! What every store does: one suite for all.
//!
//! A scenario may use what another has left, so each has its own application or a store of its own.

use std::time::Duration;

use wormhole_server::store::{Ask, Done, Limits, Refusal};
use wormhole_server::usage::{Outcome, Usage};

use super::{APP, Bench, are_distinct, message, narrow};

/// Makes a test of each scenario, for the stores that a function makes. `None` skips, said aloud.
macro_rules! suite {
    ($make:path: $($scenario:ident,)+) => {
        $(#[test]
        fn $scenario() {
            let limits = $crate::bench::suite::$scenario as $crate::bench::suite::Scenario;
            limits(&mut |limits| $make(limits));
        })+
    };
    ($make:path) => {
        suite! { $make:
            all_who_claim_a_name_learn_the_same_mailbox,
            a_third_side_is_refused_and_changes_nothing,
            what_a_side_released_it_cannot_claim_again,
            a_name_that_nobody_holds_leads_to_a_new_mailbox,
            releasing_what_is_unknown_is_answered,
            names_are_given_out_by_length,
            allocations_are_distinct_and_apart_for_each_application,
            names_are_listed_as_text_for_each_application,
            an_application_has_a_limit_of_names,
            a_mailbox_replays_in_order_and_then_tells_live,
            messages_come_back_as_they_were,
            all_listeners_hear_everything_once,
            who_left_or_closed_hears_nothing,
            the_last_close_deletes_everything,
            a_side_that_reopens_keeps_the_mailbox,
            closing_what_is_unknown_makes_nothing,
            a_third_side_that_closes_changes_nothing,
            an_add_to_a_mailbox_that_is_gone_is_refused,
            the_same_mailbox_of_two_applications_is_two,
            a_mailbox_has_limits,
            a_store_has_limits,
            what_nobody_touches_expires_and_what_is_listened_to_stays,
            a_refused_side_keeps_nothing_alive,
            each_end_has_its_result,
            the_statistics_have_their_times,
            many_commands_at_once_are_all_answered,
        }
    };
}
pub(crate) use suite;

pub(crate) type Make<'a> = &'a mut dyn FnMut(Limits) -> Option<Bench>;
pub(crate) type Scenario = fn(Make<'_>);

macro_rules! on {
    ($make:ident($limits:expr)) => {
        match $make($limits) {
            Some(bench) => bench,
            None => return,
        }
    };
}

pub(crate) fn all_who_claim_a_name_learn_the_same_mailbox(make: Make<'_>) {
    let mut bench = on!(make(Limits::default()));
    let mailbox = bench.claim(1, "a", "4").unwrap();
    assert_eq!(mailbox.len(), 13);
    assert!(mailbox.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit()));
    assert_eq!(bench.claim(2, "b", "4").unwrap(), mailbox);
    assert_eq!(bench.claim(3, "a", "4").unwrap(), mailbox);
    assert_ne!(bench.claim(4, "a", "04").unwrap(), mailbox);
}

pub(crate) fn a_third_side_is_refused_and_changes_nothing(make: Make<'_>) {
    let mut bench = on!(make(Limits::default()));
    let mailbox = bench.claim(1, "a", "4").unwrap();
    bench.claim(2, "b", "4").unwrap();
    for _ in 0..2 {
        assert_eq!(bench.claim(3, "c", "4"), Err(Refusal::Crowded));
        assert_eq!(bench.open(3, "c", &mailbox), Err(Refusal::Crowded));
        assert_eq!(bench.add(3, "c", &mailbox, "x"), Err(Refusal::NotOpen));
    }
    assert_eq!(bench.open(1, "a", &mailbox).unwrap(), [""; 0]);
    assert_eq!(bench.open(2, "b", &mailbox).unwrap(), [""; 0]);
    bench.add(1, "a", &mailbox, "one").unwrap();
    assert_eq!(bench.hear(2, 1), ["one"]);
    bench.release(1, "a", "4");
    bench.release(2, "b", "4");
    bench.close(1, "a", &mailbox, Some("happy"));
    bench.close(2, "b", &mailbox, Some("happy"));
    assert_eq!(bench.list(APP), [""; 0]);
    assert_eq!(bench.results(), (vec![Outcome::Crowded], vec![Outcome::Crowded]));
    // The mailbox is gone, so a stranger may have one of that name.
    assert_eq!(bench.open(3, "c", &mailbox).unwrap(), [""; 0]);
}

pub(crate) fn what_a_side_released_it_cannot_claim_again(make: Make<'_>) {
    let mut bench = on!(make(Limits::default()));
    bench.claim(1, "a", "4").unwrap();
    bench.claim(2, "b", "4").unwrap();
    bench.release(1, "a", "4");
    assert_eq!(bench.claim(3, "a", "4"), Err(Refusal::Reclaimed));
    assert_eq!(bench.claim(4, "c", "4"), Err(Refusal::Crowded));
    assert_eq!(bench.list(APP), ["4"]);
}

pub(crate) fn a_name_that_nobody_holds_leads_to_a_new_mailbox(make: Make<'_>) {
    let mut bench = on!(make(Limits::default()));
    let mailbox = bench.claim(1, "a", "4").unwrap();
    bench.open(1, "a", &mailbox).unwrap();
    bench.release(1, "a", "4");
    assert_eq!(bench.list(APP), [""; 0]);
    assert_ne!(bench.claim(1, "a", "4").unwrap(), mailbox);
    // The first mailbox is there without its name, and the name does not go with it.
    bench.add(1, "a", &mailbox, "one").unwrap();
    assert_eq!(bench.hear(1, 1), ["one"]);
    bench.close(1, "a", &mailbox, None);
    assert_eq!(bench.list(APP), ["4"]);
}

pub(crate) fn releasing_what_is_unknown_is_answered(make: Make<'_>) {
    let mut bench = on!(make(Limits::default()));
    bench.release(1, "a", "4");
    bench.claim(1, "a", "4").unwrap();
    bench.release(2, "b", "4");
    assert_eq!(bench.list(APP), ["4"]);
    bench.release(1, "a", "4");
    bench.release(1, "a", "4");
    assert_eq!(bench.results(), (vec![Outcome::Lonely], vec![]));
}

pub(crate) fn names_are_given_out_by_length(make: Make<'_>) {
    let mut bench = on!(make(Limits::default()));
    // All but two of each class are taken.
    for name in (1..=7).chain(10..=97).chain(100..=997) {
        bench.start(name, APP, "a", Ask::Claim { nameplate: name.to_string(), make: true });
    }
    for name in (1..=7).chain(10..=97).chain(100..=997) {
        bench.answer(name).unwrap();
    }
    let mut names: Vec<String> = (0..8).map(|_| bench.allocate(1, APP, "a").unwrap()).collect();
    for pair in names.chunks_mut(2) {
        pair.sort();
    }
    assert_eq!(names[..6], ["8", "9", "98", "99", "998", "999"]);
    for name in &names[6..] {
        assert!((1000..1_000_000).contains(&name.parse().unwrap()), "{name}");
    }
}

pub(crate) fn allocations_are_distinct_and_apart_for_each_application(make: Make<'_>) {
    let mut bench = on!(make(Limits::default()));
    for conn in 0..120 {
        bench.start(conn, APP, &conn.to_string(), Ask::Allocate);
    }
    let allocated = |bench: &mut Bench, conn| match bench.answer(conn) {
        Ok(Done::Allocated(name)) => name,
        done => panic!("{done:?}"),
    };
    let names: Vec<String> = (0..120).map(|conn| allocated(&mut bench, conn)).collect();
    assert!(are_distinct(&names));
    let of_length = |length| names.iter().filter(|name| name.len() == length).count();
    assert_eq!((of_length(1), of_length(2), of_length(3)), (9, 90, 21));
    assert_eq!(bench.allocate(1, "another", "a").unwrap().len(), 1);
    // An allocated name is held, and its mailbox open.
    let mailbox = bench.claim(1, "0", &names[0]).unwrap();
    bench.open(2, "b", &mailbox).unwrap();
    assert_eq!(bench.open(3, "c", &mailbox), Err(Refusal::Crowded));
}

pub(crate) fn names_are_listed_as_text_for_each_application(make: Make<'_>) {
    let mut bench = on!(make(Limits::default()));
    assert_eq!(bench.list(APP), [""; 0]);
    for name in ["2", "1", "11", "007", "10"] {
        bench.claim(1, "a", name).unwrap();
    }
    assert_eq!(bench.list(APP), ["007", "1", "10", "11", "2"]);
    assert_eq!(bench.list("another"), [""; 0]);
}

pub(crate) fn an_application_has_a_limit_of_names(make: Make<'_>) {
    let mut bench = on!(make(Limits { nameplates: 2, ..Limits::default() }));
    bench.claim(1, "a", "1").unwrap();
    bench.claim(1, "a", "2").unwrap();
    assert_eq!(bench.claim(1, "a", "3"), Err(Refusal::NoNameplate));
    assert_eq!(bench.allocate(1, APP, "a"), Err(Refusal::NoNameplate));
    bench.claim(2, "b", "2").unwrap();
    bench.allocate(1, "another", "a").unwrap();
    bench.release(1, "a", "1");
    bench.claim(1, "a", "3").unwrap();
}

pub(crate) fn a_mailbox_replays_in_order_and_then_tells_live(make: Make<'_>) {
    let mut bench = on!(make(Limits::default()));
    bench.open(1, "a", "m").unwrap();
    for body in ["one", "two", "three"] {
        bench.add(1, "a", "m", body).unwrap();
    }
    assert_eq!(bench.hear(1, 3), ["one", "two", "three"]);
    assert_eq!(bench.open(2, "b", "m").unwrap(), ["one", "two", "three"]);
    bench.add(2, "b", "m", "four").unwrap();
    assert_eq!(bench.hear(1, 1), ["four"]);
    assert_eq!(bench.hear(2, 1), ["four"]);
    // Said again after a reconnection it is there twice.
    bench.leave(2);
    assert_eq!(bench.open(3, "b", "m").unwrap().len(), 4);
    bench.add(3, "b", "m", "four").unwrap();
    assert_eq!(bench.open(4, "a", "m").unwrap(), ["one", "two", "three", "four", "four"]);
}

pub(crate) fn messages_come_back_as_they_were(make: Make<'_>) {
    let mut bench = on!(make(Limits::default()));
    bench.open(1, "a\0é", "m\0").unwrap();
    let id = wormhole_server::Json::null();
    let mut sent = message("a\0é", &"0".repeat(1 << 20));
    sent.phase = "\0 '\"\\ 🦀".into();
    sent.id = Some(id);
    let ask = Ask::Add { mailbox: "m\0".into(), message: sent.clone() };
    assert_eq!(bench.ask(1, "a\0é", ask), Ok(Done::Added));
    assert_eq!(bench.hear(1, 1).len(), 1);
    let opened = bench.ask(2, "b", Ask::Open { mailbox: "m\0".into() });
    let Ok(Done::Opened { messages, .. }) = opened else { panic!() };
    assert_eq!(messages.len(), 1);
    assert_eq!(*messages[0], sent);
}

pub(crate) fn all_listeners_hear_everything_once(make: Make<'_>) {
    let mut bench = on!(make(Limits::default()));
    for (conn, side) in [(1, "a"), (2, "a"), (3, "b")] {
        bench.open(conn, side, "m").unwrap();
    }
    for (conn, side, body) in [(1, "a", "1"), (3, "b", "2"), (2, "a", "3")] {
        bench.add(conn, side, "m", body).unwrap();
    }
    for conn in 1..=3 {
        assert_eq!(bench.hear(conn, 3), ["1", "2", "3"]);
    }
}

pub(crate) fn who_left_or_closed_hears_nothing(make: Make<'_>) {
    let mut bench = on!(make(Limits::default()));
    for (conn, side) in [(1, "a"), (2, "a"), (3, "b")] {
        bench.open(conn, side, "m").unwrap();
    }
    bench.leave(2);
    bench.close(3, "b", "m", None);
    bench.add(1, "a", "m", "one").unwrap();
    assert_eq!(bench.hear(1, 1), ["one"]);
    assert_eq!(bench.hear(2, 0), [""; 0]);
    assert_eq!(bench.hear(3, 0), [""; 0]);
}

pub(crate) fn the_last_close_deletes_everything(make: Make<'_>) {
    let mut bench = on!(make(Limits::default()));
    let mailbox = bench.claim(1, "a", "4").unwrap();
    bench.claim(2, "b", "4").unwrap();
    bench.open(1, "a", &mailbox).unwrap();
    bench.add(1, "a", &mailbox, "one").unwrap();
    bench.close(1, "a", &mailbox, Some("happy"));
    assert_eq!(bench.open(2, "b", &mailbox).unwrap(), ["one"]);
    bench.close(2, "b", &mailbox, Some("happy"));
    assert_eq!(bench.list(APP), [""; 0]);
    assert_eq!(bench.results(), (vec![Outcome::Happy], vec![Outcome::Happy]));
    // Said again by who did not hear the answer.
    bench.close(3, "b", &mailbox, Some("happy"));
    assert_eq!(bench.results(), (vec![], vec![]));
    assert_eq!(bench.open(3, "b", &mailbox).unwrap(), [""; 0]);
}

pub(crate) fn a_side_that_reopens_keeps_the_mailbox(make: Make<'_>) {
    let mut bench = on!(make(Limits::default()));
    bench.open(1, "a", "m").unwrap();
    bench.open(2, "b", "m").unwrap();
    bench.add(1, "a", "m", "one").unwrap();
    bench.close(1, "a", "m", None);
    assert_eq!(bench.open(1, "a", "m").unwrap(), ["one"]);
    bench.close(2, "b", "m", None);
    assert_eq!(bench.open(1, "a", "m").unwrap(), ["one"]);
    bench.close(1, "a", "m", None);
    assert_eq!(bench.open(1, "a", "m").unwrap(), [""; 0]);
}

pub(crate) fn closing_what_is_unknown_makes_nothing(make: Make<'_>) {
    let mut bench = on!(make(Limits { mailboxes: 1, ..Limits::default() }));
    bench.close(1, "a", "m", Some("scary"));
    assert_eq!(bench.results(), (vec![], vec![]));
    bench.open(1, "a", "n").unwrap();
}

pub(crate) fn a_third_side_that_closes_changes_nothing(make: Make<'_>) {
    let mut bench = on!(make(Limits::default()));
    bench.open(1, "a", "m").unwrap();
    bench.open(2, "b", "m").unwrap();
    bench.close(3, "c", "m", Some("scary"));
    bench.add(1, "a", "m", "one").unwrap();
    assert_eq!(bench.hear(2, 1), ["one"]);
    bench.close(1, "a", "m", Some("happy"));
    bench.close(3, "c", "m", Some("scary"));
    bench.close(2, "b", "m", Some("happy"));
    assert_eq!(bench.results(), (vec![], vec![Outcome::Happy]));
}

pub(crate) fn an_add_to_a_mailbox_that_is_gone_is_refused(make: Make<'_>) {
    let mut bench = on!(make(Limits::default()));
    bench.open(1, "a", "m").unwrap();
    bench.close(2, "a", "m", None);
    assert_eq!(bench.add(1, "a", "m", "one"), Err(Refusal::NotOpen));
    assert_eq!(bench.hear(1, 0), [""; 0]);
    assert_eq!(bench.open(2, "b", "m").unwrap(), [""; 0]);
    assert_eq!(bench.add(1, "a", "m", "one"), Err(Refusal::NotOpen));
    assert_eq!(bench.hear(2, 0), [""; 0]);
}

pub(crate) fn the_same_mailbox_of_two_applications_is_two(make: Make<'_>) {
    let mut bench = on!(make(Limits::default()));
    let open = || Ask::Open { mailbox: "m".into() };
    for (conn, app, side) in [(1, "x", "a"), (2, "x", "b"), (3, "y", "c"), (4, "y", "d")] {
        bench.ask_as(conn, app, side, open()).unwrap();
    }
    let message = message("a", "one");
    bench.ask_as(1, "x", "a", Ask::Add { mailbox: "m".into(), message }).unwrap();
    assert_eq!(bench.hear(2, 1), ["one"]);
    assert_eq!(bench.hear(3, 0), [""; 0]);
}

pub(crate) fn a_mailbox_has_limits(make: Make<'_>) {
    let mut bench = on!(make(narrow()));
    bench.open(1, "a", "few").unwrap();
    for _ in 0..4 {
        bench.add(1, "a", "few", "x").unwrap();
    }
    assert_eq!(bench.add(1, "a", "few", "x"), Err(Refusal::MailboxFull));
    bench.open(2, "a", "small").unwrap();
    bench.add(2, "a", "small", &"x".repeat(1500)).unwrap();
    assert_eq!(bench.add(2, "a", "small", &"x".repeat(500)), Err(Refusal::MailboxFull));
    bench.add(2, "a", "small", "x").unwrap();
    assert_eq!(bench.hear(2, 2).len(), 2);
    assert_eq!(bench.open(3, "b", "small").unwrap().len(), 2);
}

pub(crate) fn a_store_has_limits(make: Make<'_>) {
    let mut bench = on!(make(Limits { mailboxes: 2, bytes: 1000, ..Limits::default() }));
    bench.open(1, "a", "m").unwrap();
    bench.claim(2, "a", "4").unwrap();
    assert_eq!(bench.open(3, "a", "n"), Err(Refusal::StoreFull));
    assert_eq!(bench.claim(3, "a", "5"), Err(Refusal::StoreFull));
    assert_eq!(bench.allocate(3, APP, "a"), Err(Refusal::StoreFull));
    bench.open(3, "b", "m").unwrap();
    bench.add(1, "a", "m", &"x".repeat(500)).unwrap();
    assert_eq!(bench.add(1, "a", "m", &"x".repeat(500)), Err(Refusal::StoreFull));
    bench.close(1, "a", "m", None);
    bench.close(3, "b", "m", None);
    bench.open(1, "a", "n").unwrap();
    bench.add(1, "a", "n", &"x".repeat(800)).unwrap();
}

/// Where time is the database's, it passes by itself.
pub(crate) fn what_nobody_touches_expires_and_what_is_listened_to_stays(make: Make<'_>) {
    let expiry = Duration::from_millis(1);
    let mut bench = on!(make(Limits { expiry, ..Limits::default() }));
    bench.claim(1, "a", "4").unwrap();
    bench.claim(1, "b", "4").unwrap();
    bench.open(2, "a", "heard").unwrap();
    bench.add(2, "a", "heard", "one").unwrap();
    bench.open(3, "a", "left").unwrap();
    bench.leave(3);
    bench.pass(Duration::from_secs(1));
    bench.prune(2);
    assert_eq!(bench.list(APP), [""; 0]);
    assert_eq!(bench.results(), (vec![Outcome::Pruney], vec![Outcome::Pruney; 2]));
    assert_eq!(bench.open(4, "b", "heard").unwrap(), ["one"]);
    for conn in [2, 4] {
        bench.leave(conn);
    }
    bench.pass(Duration::from_secs(1));
    bench.prune(1);
    assert_eq!(bench.open(2, "a", "heard").unwrap(), [""; 0]);
}

pub(crate) fn a_refused_side_keeps_nothing_alive(make: Make<'_>) {
    let expiry = Duration::from_millis(300);
    let mut bench = on!(make(Limits { expiry, ..Limits::default() }));
    bench.open(1, "a", "m").unwrap();
    bench.open(2, "b", "m").unwrap();
    bench.leave(1);
    bench.leave(2);
    bench.pass(Duration::from_millis(400));
    assert_eq!(bench.open(3, "c", "m"), Err(Refusal::Crowded));
    // Where time is the database's: until then it has passed there, too.
    let mut gone = false;
    while !gone {
        bench.only_prune();
        gone = bench.open(4, "d", "m").is_ok();
    }
    assert_eq!(bench.results(), (vec![], vec![Outcome::Crowded]));
}

pub(crate) fn each_end_has_its_result(make: Make<'_>) {
    let mut bench = on!(make(Limits::default()));
    let cases = [
        (None, None, Outcome::Happy),
        (Some("happy"), Some("no such word"), Outcome::Happy),
        (Some("happy"), Some("lonely"), Outcome::Lonely),
        (Some("errory"), Some("lonely"), Outcome::Errory),
        (Some("errory"), Some("scary"), Outcome::Scary),
    ];
    for (ours, theirs, outcome) in cases {
        bench.open(1, "a", "m").unwrap();
        bench.open(2, "b", "m").unwrap();
        bench.close(1, "a", "m", ours);
        bench.close(2, "b", "m", theirs);
        assert_eq!(bench.results(), (vec![], vec![outcome]), "{ours:?} {theirs:?}");
    }
    for (mood, outcome) in [(Some("happy"), Outcome::Lonely), (Some("scary"), Outcome::Scary)] {
        bench.open(1, "a", "m").unwrap();
        bench.close(1, "a", "m", mood);
        assert_eq!(bench.results(), (vec![], vec![outcome]), "{mood:?}");
    }
}

pub(crate) fn the_statistics_have_their_times(make: Make<'_>) {
    let mut bench = on!(make(Limits::default()));
    let mailbox = bench.claim(1, "a", "4").unwrap();
    bench.pass(Duration::from_millis(20));
    bench.claim(2, "b", "4").unwrap();
    bench.pass(Duration::from_millis(30));
    bench.release(1, "a", "4");
    bench.release(2, "b", "4");
    bench.close(1, "a", &mailbox, None);
    bench.close(2, "b", &mailbox, None);
    bench.list("barrier");
    assert_eq!(bench.used.len(), 2);
    for usage in &bench.used {
        let (app, span) = match usage {
            Usage::Nameplate { app, span, .. } => (app, span),
            Usage::Mailbox { app, span, for_nameplate, .. } => {
                assert!(for_nameplate);
                (app, span)
            }
            Usage::Client { .. } | Usage::Transit { .. } => panic!(),
        };
        assert_eq!(app, APP);
        let waiting = span.waiting.unwrap();
        // Where time is the database's, it is no more than that.
        assert!(waiting <= span.total && span.total > Duration::ZERO, "{span:?}");
    }
}

pub(crate) fn many_commands_at_once_are_all_answered(make: Make<'_>) {
    let mut bench = on!(make(Limits::default()));
    for conn in 0..200 {
        bench.start(conn, APP, &format!("{conn}"), Ask::Open { mailbox: format!("{}", conn / 2) });
    }
    for conn in 0..200 {
        bench.answer(conn).unwrap();
    }
    for conn in 0..200 {
        let message = message(&format!("{conn}"), &conn.to_string());
        bench.start(conn, APP, &format!("{conn}"), Ask::Add { mailbox: format!("{}", conn / 2), message });
    }
    for conn in 0..200 {
        bench.answer(conn).unwrap();
    }
    for conn in 0..200 {
        let mut heard = bench.hear(conn, 2);
        heard.sort_by_key(|body| body.parse::<u64>().unwrap());
        assert_eq!(heard, [(conn / 2 * 2).to_string(), (conn / 2 * 2 + 1).to_string()]);
    }
}
