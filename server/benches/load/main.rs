//! Load on the mailbox server and the relay: ours and the reference's in one go, and how they compare.
//!
//! ```text
//! cargo bench -p wormhole-server --bench load -- [cycles] [idle] [stream] [pairs] [crowd] [soak SECONDS]
//! ```
//!
//! Without words it does all but the soak. Each server is a process of its own, so that what it costs can be read from
//! the system (Linux). Ours is this program, started again, or the program that `WORMHOLE_LOAD_SERVER` names (with what `WORMHOLE_SERVER_...` sets). The reference's
//! are taken from `target/peers`, where the interop tests install them; without them only ours is measured. Rates are
//! medians of rounds that alternate between the makes.

mod client;
mod mailbox;
mod relay;
mod servers;
mod yardstick;

use std::env;
use std::error::Error;

pub(crate) type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

fn main() -> Outcome<()> {
    // Cargo adds an argument of its own.
    let arguments: Vec<String> = env::args().skip(1).filter(|it| it != "--bench").collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    if let ["serve", what] = words[..] {
        return servers::serve(what);
    }
    servers::raise_limit();
    let wants = |word: &str| words.is_empty() || words.contains(&word);
    if wants("cycles") {
        mailbox::cycles()?;
    }
    if wants("idle") {
        mailbox::idle()?;
    }
    if wants("stream") {
        relay::stream()?;
    }
    if wants("pairs") {
        relay::pairs()?;
    }
    if wants("crowd") {
        relay::crowd()?;
    }
    if let Some(at) = words.iter().position(|word| *word == "soak") {
        mailbox::soak(words.get(at + 1).map_or(Ok(300), |seconds| seconds.parse())?)?;
    }
    Ok(())
}

/// The middle one of an odd number of figures.
pub(crate) fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or(0.0)
}
