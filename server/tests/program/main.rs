//! The program as operators run it: `wormhole-server` as a child process over real sockets.
#![cfg(test)]
#![cfg(unix)]

mod client;
mod configuration;
mod faults;
mod proxies;
mod running;
mod serving;
mod tls;
mod watched;
