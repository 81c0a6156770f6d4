//! The rows of the conformance list that concern the transit relay and need no option that it does not have.
//! A test's name begins with its row. What the runtime does once a pair has left the machine (R16 to R20) is tested
//! here as far as the machine goes: it begins the join, and both ends leave together.

#[cfg(test)]
#[expect(dead_code, reason = "each test file uses its part")]
mod support;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use wormhole_core::driver::{Conn, Input, Why};
    use wormhole_server::usage::{Mood, Usage};
    use wormhole_server::{Event, limits};

    use super::support::RelayWorld;

    #[test]
    fn r1_two_old_lines_with_the_same_token_are_joined() {
        let mut world = RelayWorld::relay();
        let (a, b) = (asking(&mut world, &old('a')), asking(&mut world, &old('a')));
        assert_ok(&mut world, &[a, b]);
        world.send(a, b"one way");
        world.send(b, b"and back");
        assert_eq!((world.hear(b), world.hear(a)), (b"one way".to_vec(), b"and back".to_vec()));
    }

    #[test]
    fn r2_r3_lines_of_different_sides_and_of_both_forms_are_joined() {
        let forms = [new('a', '1'), new('a', '2'), old('a')];
        for (first, second) in [(0, 1), (0, 2), (2, 0)] {
            let mut world = RelayWorld::relay();
            let pair = [&forms[first], &forms[second]].map(|line| asking(&mut world, line));
            assert_ok(&mut world, &pair);
        }
    }

    #[test]
    fn r4_r5_of_one_side_all_wait_until_one_is_chosen_and_the_others_end() {
        let mut world = RelayWorld::relay();
        let waiters = [0; 3].map(|_| asking(&mut world, &new('a', '1')));
        assert!(waiters.iter().all(|conn| world.is_open(*conn) && world.hear(*conn).is_empty()));
        let partner = asking(&mut world, &new('a', '2'));
        let [oldest, middle, newest] = waiters;
        assert_ok(&mut world, &[partner, newest]);
        for conn in [oldest, middle] {
            assert_eq!((world.hear(conn), world.is_open(conn)), (Vec::new(), false));
        }
    }

    #[test]
    fn r6_after_a_pair_a_third_waits_and_a_fourth_joins_it() {
        let mut world = RelayWorld::relay();
        let first = ['1', '2'].map(|side| asking(&mut world, &new('a', side)));
        assert_ok(&mut world, &first);
        let third = asking(&mut world, &new('a', '3'));
        assert!(world.hear(third).is_empty());
        let fourth = asking(&mut world, &new('a', '4'));
        assert_ok(&mut world, &[third, fourth]);
    }

    #[test]
    fn r7_different_tokens_never_pair() {
        let mut world = RelayWorld::relay();
        for token in ['a', 'b', 'A', '_'] {
            let conn = asking(&mut world, &old(token));
            assert!(world.hear(conn).is_empty() && world.is_open(conn));
        }
    }

    #[test]
    fn r8_any_other_line_is_a_bad_handshake() {
        let good = new('a', '1');
        let bad = [
            "hello\n".into(),
            "\n".into(),
            good.replace('\n', "\r\n"),
            good.replace('\n', " \n"),
            good.replacen('a', "aa", 1).replacen("relaay", "relay", 1),
            good.replace("1\n", "\n"),
            good.replace("1\n", "11\n"),
            good.replace("aaaa ", "aaa- "),
            format!("please relay {}\n", "a".repeat(63)),
            format!("please relay {}\n", "a".repeat(65)),
        ];
        for line in bad {
            let mut world = RelayWorld::relay();
            let conn = asking(&mut world, &line);
            assert_eq!(String::from_utf8(world.hear(conn)).unwrap(), "bad handshake\n", "{line:?}");
            assert!(!world.is_open(conn));
        }
    }

    #[test]
    fn r9_any_word_character_is_good() {
        let mut world = RelayWorld::relay();
        let pair = [new('Z', '_'), new('Z', 'Q')].map(|line| asking(&mut world, &line));
        assert_ok(&mut world, &pair);
    }

    #[test]
    fn r10_a_line_may_come_byte_by_byte() {
        let mut world = RelayWorld::relay();
        let partner = asking(&mut world, &new('a', '1'));
        let conn = asking(&mut world, "");
        for byte in new('a', '2').bytes() {
            world.pass(Duration::from_millis(10));
            world.send(conn, &[byte]);
        }
        assert_ok(&mut world, &[partner, conn]);
    }

    #[test]
    fn r11_a_line_has_a_limit() {
        let mut world = RelayWorld::relay();
        let conn = asking(&mut world, &"x".repeat(limits::LINE_BYTES));
        assert!(world.is_open(conn));
        world.send(conn, b"x");
        assert_eq!((world.hear(conn), world.is_open(conn)), (Vec::new(), false));
        let conn = asking(&mut world, &"x".repeat(limits::LINE_BYTES));
        world.send(conn, b"\n");
        assert_eq!(world.hear(conn), b"bad handshake\n");
        let conn = asking(&mut world, &format!("{}\n", "x".repeat(limits::LINE_BYTES + 1)));
        assert_eq!((world.hear(conn), world.is_open(conn)), (Vec::new(), false));
    }

    #[test]
    fn r12_r13_who_speaks_while_waiting_is_impatient_and_the_token_is_free() {
        let mut world = RelayWorld::relay();
        let early = asking(&mut world, &(new('a', '1') + "data"));
        let later = asking(&mut world, &new('a', '1'));
        world.send(later, b"data");
        for conn in [early, later] {
            assert_eq!((world.hear(conn), world.is_open(conn)), (b"impatient\n".to_vec(), false));
        }
        let pair = ['2', '3'].map(|side| asking(&mut world, &new('a', side)));
        assert_ok(&mut world, &pair);
    }

    #[test]
    fn r14_what_the_second_says_with_its_line_is_passed_on() {
        let mut world = RelayWorld::relay();
        let first = asking(&mut world, &new('a', '1'));
        let data = "d".repeat(5000);
        let second = asking(&mut world, &(new('a', '2') + &data));
        assert_eq!(world.hear(first), format!("ok\n{data}").into_bytes());
        assert_eq!(world.hear(second), b"ok\n");
    }

    #[test]
    fn r15_who_left_is_not_paired() {
        let mut world = RelayWorld::relay();
        for why in [Why::Ended, Why::Reset] {
            let ghost = asking(&mut world, &new('a', '1'));
            world.hang_up(ghost, why);
        }
        let next = asking(&mut world, &new('a', '2'));
        assert!(world.hear(next).is_empty());
        let partner = asking(&mut world, &new('a', '1'));
        assert_ok(&mut world, &[next, partner]);
    }

    #[test]
    fn r16_r17_r18_a_pair_leaves_together_and_nothing_is_kept_of_it() {
        let mut world = RelayWorld::relay();
        let [a, b] = ['1', '2'].map(|side| asking(&mut world, &new('a', side)));
        world.send(a, &[7; 3_000_000]);
        world.hang_up(a, Why::Ended);
        assert_eq!(world.hear(b).len(), 3_000_003);
        assert!(!world.is_open(b));
        assert_eq!(world.machine.clients(), 0);
    }

    #[test]
    fn r19_r20_a_pair_is_copied_outside_of_the_machine() {
        let mut world = RelayWorld::relay();
        let [a, b] = ['1', '2'].map(|side| asking(&mut world, &new('a', side)));
        // Nothing of it comes through the machine, so that nothing of it is kept there.
        let before = format!("{:?}", world.machine);
        for _ in 0..100 {
            world.send(a, &[0; 1000]);
        }
        assert_eq!(world.hear(b).len(), 100_003);
        assert_eq!(format!("{:?}", world.machine), before);
    }

    #[test]
    fn r23_a_client_without_a_line_is_closed() {
        let mut world = RelayWorld::relay();
        let silent = asking(&mut world, "");
        let slow = asking(&mut world, "please");
        world.pass(limits::LINE_TIME.checked_sub(Duration::from_millis(1)).unwrap());
        assert!(world.is_open(silent) && world.is_open(slow));
        world.pass(Duration::from_millis(1));
        for conn in [silent, slow] {
            assert_eq!((world.hear(conn), world.is_open(conn)), (Vec::new(), false));
        }
        assert_eq!(world.machine.clients(), 0);
    }

    #[test]
    fn r24_a_client_waits_for_ten_minutes() {
        let mut world = RelayWorld::relay();
        let waiter = asking(&mut world, &new('a', '1'));
        world.pass(limits::WAIT_TIME.checked_sub(Duration::from_millis(1)).unwrap());
        assert!(world.is_open(waiter));
        world.pass(Duration::from_millis(1));
        assert_eq!((world.hear(waiter), world.is_open(waiter)), (Vec::new(), false));
        let next = asking(&mut world, &new('a', '2'));
        assert!(world.hear(next).is_empty());
    }

    #[test]
    fn a_pair_has_no_deadline() {
        let mut world = RelayWorld::relay();
        let pair = ['1', '2'].map(|side| asking(&mut world, &new('a', side)));
        world.pass(Duration::from_secs(86_400));
        assert!(pair.iter().all(|conn| world.is_open(*conn)));
    }

    #[test]
    fn of_many_clients_of_one_side_the_oldest_give_way() {
        let mut world = RelayWorld::relay();
        let waiters: Vec<Conn> = (0..=limits::WAITERS).map(|_| asking(&mut world, &new('a', '1'))).collect();
        assert!(!world.is_open(waiters[0]));
        assert!(waiters[1..].iter().all(|conn| world.is_open(*conn)));
        let partner = asking(&mut world, &new('a', '2'));
        assert_ok(&mut world, &[partner, waiters[limits::WAITERS]]);
    }

    #[test]
    fn what_came_before_the_join_was_begun_is_passed_on() {
        let mut world = RelayWorld::relay();
        let first = asking(&mut world, &new('a', '1'));
        let second = asking(&mut world, "");
        world.only_handle(Input::Received { conn: second, bytes: new('a', '2').into_bytes() });
        world.only_handle(Input::Received { conn: first, bytes: b"quick".to_vec() });
        world.settle();
        assert_eq!(world.hear(second), b"ok\nquick");
        assert_eq!(world.hear(first), b"ok\n");
    }

    #[test]
    fn a_partner_that_goes_before_the_join_was_begun_takes_the_other_with_it() {
        let mut world = RelayWorld::relay();
        let first = asking(&mut world, &new('a', '1'));
        let second = asking(&mut world, "");
        world.only_handle(Input::Received { conn: second, bytes: new('a', '2').into_bytes() });
        world.only_handle(Input::Closed { conn: first, why: Why::Reset });
        world.lines.remove(&first);
        world.settle();
        assert!(!world.is_open(second));
        assert_eq!(world.machine.clients(), 0);
    }

    #[test]
    fn a_full_relay_lets_nobody_in_until_somebody_leaves() {
        let mut world = RelayWorld::relay();
        let conns: Vec<Conn> = (0..limits::CONNECTIONS).map(|_| world.connect("127.0.0.1:1")).collect();
        assert!(world.accepting.is_none());
        world.hang_up(conns[5], Why::Ended);
        assert!(world.accepting.is_some());
    }

    #[test]
    fn a_listener_that_fails_is_told() {
        let mut world = RelayWorld::relay();
        assert!(
            matches!(world.events.as_slice(), [Event::Listening(at)] if at.len() == 1 && at[0].len() == 1)
        );
        let (listener, _) = world.accepting.unwrap();
        world.put(Input::Closed { conn: listener, why: Why::Refused });
        assert_eq!(world.events.last(), Some(&Event::Failed(Why::Refused)));
    }

    fn old(token: char) -> String {
        format!("please relay {}\n", String::from(token).repeat(64))
    }

    fn new(token: char, side: char) -> String {
        format!(
            "please relay {} for side {}\n",
            String::from(token).repeat(64),
            String::from(side).repeat(16)
        )
    }

    #[test]
    fn r35_r36_each_end_is_told_once_with_its_mood() {
        let mut world = RelayWorld::relay();
        // A pair, which is told when both are gone, and a third of the first side that is left over.
        let left_over = asking(&mut world, &new('a', '1'));
        let a = asking(&mut world, &new('a', '1'));
        world.pass(Duration::from_secs(2));
        let _b = asking(&mut world, &new('a', '2'));
        assert!(!world.is_open(left_over));
        assert_eq!(moods(&mut world), [Mood::Redundant]);
        world.pass(Duration::from_secs(3));
        world.hang_up(a, Why::Ended);
        let pair = world.events.last().cloned();
        let Some(Event::Used(Usage::Transit { span, .. })) = pair else { panic!("{pair:?}") };
        assert_eq!((span.waiting, span.total), (Some(Duration::from_secs(2)), Duration::from_secs(5)));
        assert_eq!(moods(&mut world), [Mood::Happy]);

        let lonely = asking(&mut world, &new('b', '1'));
        world.hang_up(lonely, Why::Ended);
        asking(&mut world, "nonsense\n");
        asking(&mut world, &format!("{}!", new('c', '1')));
        let empty = asking(&mut world, "");
        world.hang_up(empty, Why::Ended);
        assert_eq!(moods(&mut world), [Mood::Lonely, Mood::Errory, Mood::Impatient, Mood::Empty]);
        asking(&mut world, &new('d', '1'));
        world.pass(limits::WAIT_TIME);
        asking(&mut world, "please");
        world.pass(limits::LINE_TIME);
        assert_eq!(moods(&mut world), [Mood::Lonely, Mood::Empty]);
    }

    /// What was told since it was last asked.
    fn moods(world: &mut RelayWorld) -> Vec<Mood> {
        let used = |event| match event {
            Event::Used(Usage::Transit { mood, .. }) => Some(mood),
            Event::Used(_) | Event::Listening(_) | Event::Failed(_) | Event::Store(_) => None,
        };
        std::mem::take(&mut world.events).into_iter().filter_map(used).collect()
    }

    /// A new connection that has said this.
    fn asking(world: &mut RelayWorld, said: &str) -> Conn {
        let conn = world.connect("127.0.0.1:50000");
        if !said.is_empty() {
            world.send(conn, said.as_bytes());
        }
        conn
    }

    fn assert_ok(world: &mut RelayWorld, conns: &[Conn]) {
        for conn in conns {
            assert_eq!((world.hear(*conn), world.is_open(*conn)), (b"ok\n".to_vec(), true));
        }
    }
}
