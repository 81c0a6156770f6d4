//! What stands before a server, passes everything on, and sees who comes and goes.

use std::io;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::{fail, ok};

/// Where clients call instead of the server. It stays until the test program ends.
#[derive(Debug)]
pub struct Gate {
    port: u16,
    came: Arc<AtomicUsize>,
    gone: Arc<AtomicUsize>,
}

impl Gate {
    /// A gate before the server at this port of this computer.
    #[track_caller]
    pub fn before(server: u16) -> Self {
        let listener = ok(TcpListener::bind("127.0.0.1:0"), "a gate");
        let port = ok(listener.local_addr(), "the gate's address").port();
        let gate = Self { port, came: Arc::default(), gone: Arc::default() };
        let (came, gone) = (Arc::clone(&gate.came), Arc::clone(&gate.gone));
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                came.fetch_add(1, Ordering::SeqCst);
                let gone = Arc::clone(&gone);
                thread::spawn(move || {
                    // It ends when the client does, or the server.
                    let _ = pass(&client, server);
                    gone.fetch_add(1, Ordering::SeqCst);
                });
            }
        });
        gate
    }

    /// Its port.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// How many connections there were.
    pub fn came(&self) -> usize {
        self.came.load(Ordering::SeqCst)
    }

    /// Waits until all who came are gone.
    #[track_caller]
    pub fn expect_nobody(&self, limit: Duration) {
        let until = Instant::now() + limit;
        while self.gone.load(Ordering::SeqCst) < self.came() {
            if Instant::now() > until {
                fail(format_args!("after {limit:?} somebody is still connected"));
            }
            thread::sleep(Duration::from_millis(2));
        }
    }
}

/// Passes bytes both ways, until the client has closed.
fn pass(client: &TcpStream, server: u16) -> io::Result<()> {
    let server = TcpStream::connect(("127.0.0.1", server))?;
    let (to, from) = (client.try_clone()?, server.try_clone()?);
    thread::spawn(move || {
        // Either may be gone.
        let _ = io::copy(&mut &from, &mut &to);
        let _ = to.shutdown(Shutdown::Write);
    });
    let copied = io::copy(&mut &*client, &mut &server);
    let _ = server.shutdown(Shutdown::Both);
    copied.map(drop)
}
