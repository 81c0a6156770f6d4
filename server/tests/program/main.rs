//! The program as operators run it: `wormhole-server` as a child process over real sockets.
#![cfg(all(test, unix))]

mod client;
mod running;
mod serving;
