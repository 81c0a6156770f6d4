use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use wormhole_server::store::{Ask, Done, Limits, Note, Postgres, Refusal};
use wormhole_server::usage::Outcome;

use super::bench::suite::suite;
use super::bench::{APP, Bench, are_distinct};
use super::database::Database;

suite!(make);

fn make(limits: Limits) -> Option<Bench> {
    Some(node(&Database::shared()?.make(), limits))
}

fn node(url: &str, limits: Limits) -> Bench {
    Bench::new(Postgres::open(url, seed(), limits).unwrap())
}

/// Nodes with the same seed would draw the same names.
fn seed() -> [u8; 32] {
    static NUMBER: std::sync::atomic::AtomicU8 = std::sync::atomic::AtomicU8::new(0);
    [NUMBER.fetch_add(1, std::sync::atomic::Ordering::Relaxed); 32]
}

/// So many nodes on one new database.
fn nodes(count: usize) -> Option<Vec<Bench>> {
    let url = Database::shared()?.make();
    Some((0..count).map(|_| node(&url, Limits::default())).collect())
}

#[test]
fn c1_sides_on_different_nodes_meet() {
    let Some(mut nodes) = nodes(2) else { return };
    let [one, two] = nodes.as_mut_slice() else { panic!() };
    let name = one.allocate(1, APP, "a").unwrap();
    let mailbox = one.claim(1, "a", &name).unwrap();
    one.open(1, "a", &mailbox).unwrap();
    one.add(1, "a", &mailbox, "1").unwrap();
    assert_eq!(two.list(APP), std::slice::from_ref(&name));
    assert_eq!(two.claim(1, "b", &name).unwrap(), mailbox);
    assert_eq!(two.open(1, "b", &mailbox).unwrap(), ["1"]);
    for round in 0..20 {
        one.add(1, "a", &mailbox, &format!("a{round}")).unwrap();
        two.add(1, "b", &mailbox, &format!("b{round}")).unwrap();
    }
    let (mut ours, theirs) = (one.hear(1, 41), two.hear(1, 40));
    assert_eq!(ours.remove(0), "1");
    // The order is the same for both.
    assert_eq!(ours, theirs);
    assert_eq!(one.claim(2, "c", &name), Err(Refusal::Crowded));
    one.release(1, "a", &name);
    two.release(1, "b", &name);
    one.close(1, "a", &mailbox, Some("happy"));
    two.close(1, "b", &mailbox, Some("happy"));
    assert_eq!(one.list(APP), [""; 0]);
    assert_eq!(two.results(), (vec![Outcome::Crowded], vec![Outcome::Crowded]));
    assert_eq!(one.results(), (vec![], vec![]));
}

#[test]
fn c1_m79_adds_that_race_with_an_open_on_another_node_are_heard_once() {
    let Some(mut nodes) = nodes(2) else { return };
    let mut two = nodes.pop().unwrap();
    let mut one = nodes.pop().unwrap();
    for round in 0..20 {
        let mailbox = format!("m{round}");
        one.open(1, "a", &mailbox).unwrap();
        for number in 0..10 {
            let message = super::bench::message("a", &number.to_string());
            one.start(1, APP, "a", Ask::Add { mailbox: mailbox.clone(), message });
            if number == 4 {
                two.start(1, APP, "b", Ask::Open { mailbox: mailbox.clone() });
            }
            one.answer(1).unwrap();
        }
        let opened = two.answer(1).unwrap();
        let Done::Opened { messages, .. } = opened else { panic!() };
        let mut bodies: Vec<String> = messages.iter().map(|message| message.body.clone()).collect();
        bodies.extend(two.hear(1, 10 - messages.len()));
        assert_eq!(bodies, (0..10).map(|number: u32| number.to_string()).collect::<Vec<_>>());
        assert_eq!(one.hear(1, 10), bodies);
    }
}

#[test]
fn c2_messages_arrive_although_no_notification_does() {
    let Some(database) = Database::shared() else { return };
    let url = database.make();
    let (mut one, mut two) = (node(&url, Limits::default()), node(&url, Limits::default()));
    two.open(1, "b", "m").unwrap();
    one.open(1, "a", "m").unwrap();
    // Nobody is known to listen, so nobody is told.
    let name = url.rsplit('/').next().unwrap();
    let forget = "create rule deaf as on insert to wormhole.listener do instead nothing; delete from wormhole.listener";
    assert!(database.psql(name, forget));
    let begun = Instant::now();
    one.add(1, "a", "m", "hello").unwrap();
    assert_eq!(two.hear(1, 1), ["hello"]);
    assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
}

#[test]
fn c3_doubled_notifications_double_nothing() {
    let Some(database) = Database::shared() else { return };
    let url = database.make();
    let (mut one, mut two) = (node(&url, Limits::default()), node(&url, Limits::default()));
    two.open(1, "b", "m").unwrap();
    one.open(1, "a", "m").unwrap();
    let name = url.rsplit('/').next().unwrap();
    let again = format!("select pg_notify('wh_node_' || id, '[\"{APP}\",\"m\"]') from wormhole.node");
    for round in 0..10 {
        one.add(1, "a", "m", &round.to_string()).unwrap();
        assert!(database.psql(name, &again));
    }
    let all: Vec<String> = (0..10).map(|round| round.to_string()).collect();
    assert_eq!(two.hear(1, 10), all);
    assert_eq!(one.hear(1, 10), all);
}

#[test]
fn c4_a_side_goes_on_through_another_node_when_its_own_is_gone() {
    let Some(mut nodes) = nodes(2) else { return };
    let mut two = nodes.pop().unwrap();
    let mut one = nodes.pop().unwrap();
    let mailbox = one.claim(1, "a", "4").unwrap();
    one.open(1, "a", &mailbox).unwrap();
    one.add(1, "a", &mailbox, "1").unwrap();
    two.claim(1, "b", "4").unwrap();
    two.open(1, "b", &mailbox).unwrap();
    drop(one);
    assert_eq!(two.claim(2, "a", "4").unwrap(), mailbox);
    assert_eq!(two.open(2, "a", &mailbox).unwrap(), ["1"]);
    two.add(1, "b", &mailbox, "2").unwrap();
    assert_eq!(two.hear(2, 1), ["2"]);
}

#[test]
fn c5_commands_wait_for_a_database_that_restarts() {
    let Some(mut database) = Database::start() else { return };
    let url = database.make();
    let (mut one, mut two) = (node(&url, Limits::default()), node(&url, Limits::default()));
    one.open(1, "a", "m").unwrap();
    two.open(1, "b", "m").unwrap();
    database.stop();
    let message = super::bench::message("a", "held");
    one.start(1, APP, "a", Ask::Add { mailbox: "m".into(), message });
    database.run();
    one.answer(1).unwrap();
    assert_eq!(one.hear(1, 1), ["held"]);
    // Whoever was told by notifications hears them again, or looks.
    assert_eq!(two.hear(1, 1), ["held"]);
}

#[test]
fn c6_without_a_database_nothing_is_done_and_everything_is_refused_until_it_is_back() {
    let Some(mut database) = Database::start() else { return };
    let url = database.make();
    let mut one = node(&url, Limits::default());
    one.open(1, "a", "m").unwrap();
    database.stop();
    let begun = Instant::now();
    for conn in 1..20 {
        one.start(conn, APP, "a", Ask::Open { mailbox: "m".into() });
    }
    for conn in 1..20 {
        assert_eq!(one.answer(conn), Err(Refusal::Unavailable));
    }
    assert!((8..14).contains(&begun.elapsed().as_secs()), "{:?}", begun.elapsed());
    assert!(matches!(one.notes.as_slice(), [Note::Failing(_)]), "{:?}", one.notes);
    database.run();
    assert_eq!(one.open(2, "a", "m").unwrap(), [""; 0]);
    assert_eq!(one.notes.last(), Some(&Note::Recovered));
}

#[test]
fn c7_a_node_that_is_cut_off_from_the_database_answers_nothing_as_done() {
    let Some(database) = Database::shared() else { return };
    let wire = database.wire();
    let mut one = node(&database.make_behind(&wire), Limits::default());
    one.open(1, "a", "m").unwrap();
    wire.cut(true);
    let begun = Instant::now();
    assert_eq!(one.add(1, "a", "m", "lost"), Err(Refusal::Unavailable));
    assert!((8..14).contains(&begun.elapsed().as_secs()), "{:?}", begun.elapsed());
    wire.cut(false);
    one.leave(1);
    assert_eq!(one.open(2, "a", "m").unwrap(), [""; 0]);
    one.add(2, "a", "m", "kept").unwrap();
    assert_eq!(one.hear(2, 1), ["kept"]);
}

#[test]
fn c8_three_nodes_give_out_distinct_names_the_shortest_first() {
    let Some(nodes) = nodes(3) else { return };
    let barrier = Barrier::new(3);
    let names: Vec<String> = thread::scope(|scope| {
        let allocating: Vec<_> = nodes
            .into_iter()
            .enumerate()
            .map(|(node, mut bench)| {
                let barrier = &barrier;
                // A bench stays on the thread that made it, which a store need not.
                scope.spawn(move || {
                    barrier.wait();
                    for conn in 0..40 {
                        bench.start(conn, APP, &format!("{node}-{conn}"), Ask::Allocate);
                    }
                    (0..40).map(|conn| bench.answer(conn).unwrap()).collect::<Vec<_>>()
                })
            })
            .collect();
        let done = allocating.into_iter().flat_map(|thread| thread.join().unwrap());
        let name = |done| {
            let Done::Allocated(name) = done else { panic!("{done:?}") };
            name
        };
        done.map(name).collect()
    });
    assert!(are_distinct(&names));
    let of_length = |length| names.iter().filter(|name| name.len() == length).count();
    assert_eq!((of_length(1), of_length(2), of_length(3)), (9, 90, 21));
}

#[test]
fn c9_of_many_sides_at_once_on_three_nodes_two_are_admitted() {
    let Some(mut nodes) = nodes(3) else { return };
    for round in 0..10 {
        let nameplate = format!("{round}");
        for (node, bench) in nodes.iter_mut().enumerate() {
            for conn in 0..4 {
                let ask = Ask::Claim { nameplate: nameplate.clone(), make: true };
                bench.start(conn, APP, &format!("{node}-{conn}"), ask);
            }
        }
        let mut admitted = Vec::new();
        for bench in &mut nodes {
            for conn in 0..4 {
                match bench.answer(conn) {
                    Ok(Done::Claimed { mailbox, found: _ }) => admitted.push(mailbox),
                    Ok(done) => panic!("{done:?}"),
                    Err(refusal) => assert_eq!(refusal, Refusal::Crowded),
                }
            }
        }
        assert_eq!(admitted.len(), 2);
        assert_eq!(admitted[0], admitted[1]);
    }
}

#[test]
fn c9_of_many_that_open_one_mailbox_at_once_on_three_nodes_two_are_admitted() {
    let Some(mut nodes) = nodes(3) else { return };
    for round in 0..10 {
        for (node, bench) in nodes.iter_mut().enumerate() {
            for conn in 0..4 {
                let ask = Ask::Open { mailbox: round.to_string() };
                bench.start(conn, APP, &format!("{node}-{conn}"), ask);
            }
        }
        let done =
            nodes.iter_mut().flat_map(|bench| (0..4).map(|conn| bench.answer(conn)).collect::<Vec<_>>());
        assert_eq!(done.filter(Result::is_ok).count(), 2);
    }
}

#[test]
fn c11_two_that_prune_at_once_count_everything_once() {
    let Some(database) = Database::shared() else { return };
    let url = database.make();
    let limits = Limits { expiry: Duration::from_millis(1), ..Limits::default() };
    let (mut one, mut two) = (node(&url, limits.clone()), node(&url, limits));
    for name in 0..30 {
        one.claim(name, "a", &name.to_string()).unwrap();
    }
    for _ in 0..5 {
        one.only_prune();
        two.only_prune();
    }
    while !one.list(APP).is_empty() {}
    let (mut nameplates, mut mailboxes) = one.results();
    let (more_nameplates, more_mailboxes) = two.results();
    nameplates.extend(more_nameplates);
    mailboxes.extend(more_mailboxes);
    assert_eq!((nameplates, mailboxes), (vec![Outcome::Pruney; 30], vec![Outcome::Pruney; 30]));
}

#[test]
fn m100_a_listener_on_another_node_keeps_a_mailbox_and_one_on_a_dead_node_does_not() {
    let Some(database) = Database::shared() else { return };
    let url = database.make();
    let limits = Limits { expiry: Duration::from_millis(1), ..Limits::default() };
    let (mut one, mut two) = (node(&url, limits.clone()), node(&url, limits));
    one.open(1, "a", "heard").unwrap();
    one.add(1, "a", "heard", "1").unwrap();
    two.open(1, "a", "left").unwrap();
    two.leave(1);
    let name = url.rsplit('/').next().unwrap();
    // What a node that was killed leaves behind, and what every other one finds within fifteen seconds.
    let dead = "insert into wormhole.node(beat) values(0); \
         insert into wormhole.listener select mailbox.app, mailbox.id, max(node.id) from wormhole.mailbox, wormhole.node \
         where mailbox.id = 'left' group by 1, 2";
    assert!(database.psql(name, dead));
    let mut gone = false;
    while !gone {
        two.only_prune();
        // Each is a connection of its own, and the database takes only so many at a time.
        thread::park_timeout(Duration::from_millis(50));
        gone = two.results().1 == [Outcome::Pruney];
    }
    assert_eq!(two.open(2, "b", "heard").unwrap(), ["1"]);
}

#[test]
fn a_database_that_cannot_be_reached_is_told_at_once() {
    let error = Postgres::open("postgres://nobody@%2Fnonexistent/x", [1; 32], Limits::default()).unwrap_err();
    assert!(error.to_string().starts_with("the database cannot be used"), "{error}");
    let error = Postgres::open("nonsense", [1; 32], Limits::default()).unwrap_err();
    assert!(error.to_string().starts_with("the URL"), "{error}");
}
