//! A service of the victim's network, which a peer names as its own address.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use crate::ok;

/// How long one caller is listened to.
const LIMIT: Duration = Duration::from_secs(30);

/// Writes down every byte that anybody sends it.
pub struct Victim {
    port: u16,
    calls: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl Victim {
    /// Answers each caller with this, and goes on to listen.
    #[track_caller]
    pub fn answering(answer: &[u8]) -> Self {
        let listener = ok(TcpListener::bind("127.0.0.1:0"), "a port");
        let port = ok(listener.local_addr(), "a port").port();
        let calls = Arc::new(Mutex::new(Vec::new()));
        let (answer, noted) = (answer.to_vec(), Arc::clone(&calls));
        // Both end with the test program: they hold nothing but a port.
        thread::spawn(move || {
            for mut caller in listener.incoming().flatten() {
                let (answer, noted) = (answer.clone(), Arc::clone(&noted));
                thread::spawn(move || {
                    let call = {
                        let mut calls = noted.lock().unwrap_or_else(PoisonError::into_inner);
                        calls.push(Vec::new());
                        calls.len() - 1
                    };
                    // Callers may leave at any time.
                    let _ = caller.set_read_timeout(Some(LIMIT));
                    let _ = caller.write_all(&answer);
                    let mut buffer = [0; 4096];
                    while let Ok(count @ 1..) = caller.read(&mut buffer) {
                        let mut calls = noted.lock().unwrap_or_else(PoisonError::into_inner);
                        if let Some(heard) = calls.get_mut(call) {
                            heard.extend(buffer.iter().take(count));
                        }
                    }
                });
            }
        });
        Self { port, calls }
    }

    /// Where it listens on loopback.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// What each caller has said.
    pub fn calls(&self) -> Vec<Vec<u8>> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
