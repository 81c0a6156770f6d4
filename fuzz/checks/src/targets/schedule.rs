//! Whole worlds of the simulator, of which the input makes the choices: who is there, what goes wrong, and when.

/// The input is the choices, as far as it reaches.
pub fn run(data: &[u8]) {
    let outcome = wormhole_sim::run_bytes(data, false);
    assert_eq!(outcome.broken, None);
}
