//! Every protocol machine, wire format and key of magic-wormhole, without input or output.
//!
//! Two people who know the same short code get an authenticated, encrypted channel between their computers. What
//! that takes is here as plain values: no sockets, no clock, no randomness but a seed, no `async`, no `std`. Same seed
//! and same inputs, same outputs, byte for byte. A driver moves bytes between a machine and the world (see [`driver`]);
//! `wormhole-runtime` is one, for every executor and for none.
//!
//! # Example
//!
//! A driver's loop: start what is asked for, report what came of it. Here the dial succeeds, and the server says
//! welcome and nothing else.
//!
//! ```
//! use wormhole_core::code::Code;
//! use wormhole_core::driver::{Conns, Input, Instant, Machine, Op, Output};
//! use wormhole_core::wormhole::{Config, Event, Wormhole};
//!
//! let seed = [7; 32]; // a driver draws a new one each time
//! let mut wormhole = Wormhole::new(Config::new("example.com/app")?, seed, Conns::all());
//! wormhole.set_code(Code::parse("7-crossover-clockwork")?)?;
//!
//! let (mut said, mut told) = (Vec::new(), Vec::new());
//! loop {
//!     match wormhole.poll() {
//!         Output::Do(Op::Open { conn, .. }) => {
//!             wormhole.handle(Input::Opened { conn, peer: None }, Instant::START);
//!             let bytes = br#"{"type": "welcome", "welcome": {}}"#.to_vec();
//!             wormhole.handle(Input::Received { conn, bytes }, Instant::START);
//!         }
//!         Output::Do(Op::Write { bytes, .. }) => said.push(String::from_utf8(bytes)?),
//!         Output::Do(_) => {}
//!         Output::Tell(event) => told.push(event),
//!         Output::Wait(_) => break,
//!     }
//! }
//! // It has introduced itself to the server, and claimed the nameplate of the code. The words stay here.
//! assert!(said[0].contains(r#""type":"bind""#) && said[1].contains(r#""type":"claim""#));
//! assert!(said[1].contains(r#""nameplate":"7""#) && !said.concat().contains("crossover"));
//! assert!(told.contains(&Event::LinkUp));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Where it sits
//!
//! ```text
//!  application        initiator.finish()              initiator.finish().await
//!                             |                                   |
//!  adapters        runtime-blocking           runtime-tokio, -async-std, -smol         sim
//!                  threads, one channel                sockets, a clock          virtual clock
//!                             \___________________________|______________________________/
//!  runtime                 the one loop; the user's types; TLS and WebSocket layers
//!                                                         |  Op, Input, Event
//!  core (this)           Wormhole = link, code, nameplate, mailbox, order, key, receive, send, ...
//!                        Race     = listener, relay, handshake           Sender, Receiver
//! ```
//!
//! - [`code`], [`words`], [`uri`]: what people say to each other.
//! - [`wormhole`]: the session with the mailbox server, and through it with the other side.
//! - [`transcribe`]: one small message each way, and no more.
//! - [`transit`]: the connection for content. [`transfer`]: text, files and directories.
//! - [`wire`]: messages as they travel. [`crypto`]: keys. [`untrusted`]: what came from elsewhere.
//! - [`driver`], [`error`], [`rng`], [`defaults`]: the border.
//!
//! Each machine has its transitions written down in `docs/machines/`.
#![no_std]
#![warn(clippy::alloc_instead_of_core, clippy::std_instead_of_alloc, clippy::std_instead_of_core)]

extern crate alloc;

pub mod code;
pub mod crypto;
pub mod defaults;
pub mod driver;
pub mod error;
pub mod rng;
#[cfg(feature = "serde")]
pub mod saved;
#[cfg(test)]
mod table;
pub mod transcribe;
pub mod transfer;
pub mod transit;
pub mod untrusted;
pub mod uri;
mod vigil;
pub mod wire;
pub mod words;
pub mod wormhole;
