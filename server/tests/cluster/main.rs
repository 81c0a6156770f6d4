//! The program as several nodes on one PostgreSQL, which the tests start. Where there is none, the cases run on one node and
//! say so.
#![cfg(test)]
#![cfg(unix)]

// C1: every case about nameplates and mailboxes, with clients that come to one node after the other.
#[path = "../conformance/claiming.rs"]
mod claiming;
#[path = "../conformance/mailboxes.rs"]
mod mailboxes;

mod cases;
#[expect(dead_code, reason = "each test program uses its part")]
#[path = "../program/client.rs"]
mod client;
#[expect(dead_code, reason = "each test program uses its part")]
#[expect(clippy::disallowed_methods, reason = "a database takes real time")]
#[path = "../stores/database.rs"]
mod database;
mod running;
#[expect(dead_code, reason = "each test program uses its part")]
#[path = "../program/running.rs"]
mod single;
#[expect(dead_code, reason = "each test program uses its part")]
#[path = "../conformance/talk.rs"]
mod talk;
