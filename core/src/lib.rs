//! stub
#![no_std]
extern crate alloc;

pub mod code;
pub mod crypto;
pub mod defaults;
pub mod driver;
pub mod error;
pub mod rng;
pub mod transfer;
pub mod transit;
pub mod untrusted;
pub mod wire;
pub mod words;
pub mod wormhole;
