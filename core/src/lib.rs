//! Every protocol machine, wire format and key of magic-wormhole, without input or output.
//!
//! Two people who know the same short code get an authenticated, encrypted channel between their computers. What
//! that takes is here as plain values: no sockets, no clock, no randomness but a seed, no `async`, no `std`. A driver
//! moves bytes between a machine and the world (see [`driver`]); `wormhole-runtime` is one.
//!
//! ```text
//!  application      code, words, records, offers
//!                              |
//!  runtime                 the one loop          sockets, names, TLS, WebSocket
//!                              |  Op, Input, Output
//!  core            wormhole    transit    transfer        <- this crate
//!                  wire  crypto  code  untrusted
//! ```
//!
//! - [`code`], [`words`]: what people say to each other.
//! - [`wormhole`]: the session with the mailbox server, and through it with the other side.
//! - [`transit`]: the connection for content. [`transfer`]: text, files and directories.
//! - [`wire`]: messages as they travel. [`crypto`]: keys. [`untrusted`]: what came from elsewhere.
//! - [`driver`], [`error`], [`rng`], [`defaults`]: the border.
//!
//! # Example
//!
//! Both sides say a message, and the same code leads to the same key:
//!
//! ```
//! use wormhole_core::code::{Code, Nameplate};
//! use wormhole_core::crypto::pake;
//! use wormhole_core::rng::Rng;
//! use wormhole_core::wire::AppId;
//!
//! let mut rng = Rng::new([7; 32]); // a driver draws a seed of its own
//! let code = Code::generate(&Nameplate::parse("4")?, 2, &mut rng)?;
//! let appid = AppId::parse("example.com/app").unwrap();
//!
//! let (ours, theirs) = (rng.bytes::<64>(), rng.bytes::<64>());
//! let from_us = pake::start(&code, &appid, &ours);
//! let from_them = pake::start(&code, &appid, &theirs);
//!
//! let our_key = pake::finish(&code, &appid, &ours, &from_them)?;
//! let their_key = pake::finish(&code, &appid, &theirs, &from_us)?;
//! assert_eq!(our_key.verifier(), their_key.verifier());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![no_std]
#![warn(clippy::alloc_instead_of_core, clippy::std_instead_of_alloc, clippy::std_instead_of_core)]

extern crate alloc;

pub mod code;
pub mod crypto;
pub mod defaults;
pub mod driver;
pub mod error;
pub mod rng;
#[cfg(test)]
mod table;
pub mod transfer;
pub mod transit;
pub mod untrusted;
pub mod wire;
pub mod words;
pub mod wormhole;
