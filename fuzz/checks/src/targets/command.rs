//! Commands to the mailbox server, as text, a line each, of two clients in turn.

use super::mailbox_server::Server;

/// The input is the lines.
pub fn run(data: &[u8]) {
    let mut server = Server::new(0);
    server.call();
    server.call();
    for (index, line) in data.split(|byte| *byte == b'\n').enumerate() {
        server.take_writes();
        let reading = server.world.reading();
        if let Some(conn) = reading.get(index % 2).or_else(|| reading.first()) {
            server.world.receive(*conn, line);
        }
        server.settle();
    }
}
