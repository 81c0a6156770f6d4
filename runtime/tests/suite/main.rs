//! The runtime over a network in memory, with a clock that is moved by hand.
#![cfg(test)]

mod double;
mod in_flight;
mod layered;
mod net;
mod proxied;
mod proxy;
mod streams;
mod wormhole;
