//! A network in memory: listeners, connections, a relay. Reads happen only when asked for, and bytes come in the
//! pieces in which they were written, or one by one.

use std::collections::{BTreeMap, VecDeque};

use wormhole_core::driver::{Address, Conn, Input, Op, Target, Why};

use super::server::{Client, Server};

/// What a node is to be told, and which one.
pub(crate) type Told = (usize, Input);

/// Where one end of a connection leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Far {
    Server,
    Relay,
    Peer(Client),
    /// The other end is closed.
    Gone,
}

struct End {
    far: Far,
    inbox: VecDeque<Vec<u8>>,
    is_reading: bool,
    /// What a relay was told.
    line: Vec<u8>,
}

/// The network, with everything that is neither of the two sides.
pub(crate) struct Net {
    pub(crate) server: Server,
    pub(crate) server_up: bool,
    pub(crate) direct_up: bool,
    pub(crate) relay_up: bool,
    /// Each byte comes alone.
    pub(crate) in_bytes: bool,
    ends: BTreeMap<Client, End>,
    /// By port: the listener.
    listeners: BTreeMap<u16, Client>,
    /// By listener: the callers that nobody has accepted.
    callers: BTreeMap<Client, VecDeque<Client>>,
    /// By listener: the number that the next caller will have.
    accepts: BTreeMap<Client, u64>,
    /// Connections that a driver has taken.
    pub(crate) taken: Vec<Client>,
    /// Addresses dialled, with who dialled them.
    pub(crate) dialled: Vec<(usize, Target)>,
}

impl Net {
    pub(crate) fn new() -> Self {
        Self {
            server: Server::default(),
            server_up: true,
            direct_up: true,
            relay_up: true,
            in_bytes: false,
            ends: BTreeMap::new(),
            listeners: BTreeMap::new(),
            callers: BTreeMap::new(),
            accepts: BTreeMap::new(),
            taken: Vec::new(),
            dialled: Vec::new(),
        }
    }

    /// Starts what a node asks for; what can be answered is answered.
    pub(crate) fn start(&mut self, node: usize, op: Op) -> Vec<Told> {
        match op {
            Op::Open { conn, target } => self.open((node, conn.0), target),
            Op::Listen { conn, .. } => {
                let port = 5000 + u16::try_from(node).unwrap();
                self.listeners.insert(port, (node, conn.0));
                let at = vec![Address::new("10.0.0.1", port)];
                vec![(node, Input::Listening { conn, at })]
            }
            Op::Accept { at, conn } => {
                self.accepts.insert((node, at.0), conn.0);
                self.meet((node, at.0))
            }
            Op::Read { conn } => {
                if let Some(end) = self.ends.get_mut(&(node, conn.0)) {
                    assert!(!end.is_reading, "one read at a time");
                    end.is_reading = true;
                }
                self.deliver((node, conn.0))
            }
            Op::Write { conn, bytes } => {
                let mut told = self.write((node, conn.0), &bytes);
                told.push((node, Input::Sent { conn }));
                told
            }
            Op::Close { conn } => {
                let mut told = self.close((node, conn.0));
                told.push((node, Input::Closed { conn, why: Why::Asked }));
                told
            }
            Op::Join { .. } | Op::Dismiss { .. } => panic!("only a server does that"),
            Op::Store(never) => match never {},
        }
    }

    /// The server goes away, and everybody who was connected notices.
    pub(crate) fn cut_server(&mut self) -> Vec<Told> {
        self.server_up = false;
        let lost: Vec<Client> =
            self.ends.iter().filter(|(_, end)| end.far == Far::Server).map(|(client, _)| *client).collect();
        lost.into_iter()
            .map(|client| {
                self.ends.remove(&client);
                self.server.lost(client);
                (client.0, Input::Closed { conn: Conn(client.1), why: Why::Reset })
            })
            .collect()
    }

    /// Both ends of a connection are told that it broke.
    pub(crate) fn break_connection(&mut self, client: Client) -> Vec<Told> {
        let Some(end) = self.ends.remove(&client) else { return Vec::new() };
        let broken = |(node, conn): Client| (node, Input::Closed { conn: Conn(conn), why: Why::Reset });
        let mut told = vec![broken(client)];
        if let Far::Peer(partner) = end.far {
            told.extend(self.ends.remove(&partner).map(|_| broken(partner)));
        }
        told
    }

    /// The server says this to all.
    pub(crate) fn server_says(&mut self, text: &str) -> Vec<Told> {
        let clients: Vec<Client> =
            self.ends.iter().filter(|(_, end)| end.far == Far::Server).map(|(client, _)| *client).collect();
        clients.into_iter().flat_map(|client| self.arrive(client, text.as_bytes().to_vec())).collect()
    }

    /// Connections that are neither closed nor taken nor to the server.
    pub(crate) fn left_open(&self) -> Vec<Client> {
        let open = self.ends.iter().filter(|(client, end)| {
            end.far != Far::Server && end.far != Far::Gone && !self.taken.contains(client)
        });
        open.map(|(client, _)| *client).collect()
    }

    /// Whether a node has a connection to the server.
    pub(crate) fn is_at_server(&self, node: usize) -> bool {
        self.ends.iter().any(|(client, end)| client.0 == node && end.far == Far::Server)
    }

    /// Who is at the other end.
    pub(crate) fn partner(&self, client: Client) -> Option<Client> {
        match self.ends.get(&client)?.far {
            Far::Peer(partner) => Some(partner),
            Far::Server | Far::Relay | Far::Gone => None,
        }
    }

    /// What has come on a taken connection.
    pub(crate) fn take_inbox(&mut self, client: Client) -> Vec<u8> {
        let end = self.ends.get_mut(&client).expect("the connection is there");
        end.inbox.drain(..).flatten().collect()
    }

    fn open(&mut self, client: Client, target: Target) -> Vec<Told> {
        let conn = Conn(client.1);
        let refused = vec![(client.0, Input::Closed { conn, why: Why::Refused })];
        let opened = (client.0, Input::Opened { conn, peer: None });
        self.dialled.push((client.0, target.clone()));
        match target {
            Target::Mailbox(_) if self.server_up => {
                self.add_end(client, Far::Server);
                let mut told = vec![opened];
                for (client, answer) in self.server.connected(client) {
                    told.extend(self.arrive(client, answer.to_string().into_bytes()));
                }
                told
            }
            Target::Relay(_) if self.relay_up => {
                self.add_end(client, Far::Relay);
                vec![opened]
            }
            Target::Peer(address) if self.direct_up => match self.listeners.get(&address.port) {
                Some(listener) => {
                    let listener = *listener;
                    self.callers.entry(listener).or_default().push_back(client);
                    self.meet(listener)
                }
                None => refused,
            },
            Target::Mailbox(_) | Target::Relay(_) | Target::Peer(_) => refused,
        }
    }

    /// A caller and an accept become a connection.
    fn meet(&mut self, listener: Client) -> Vec<Told> {
        let Some(next) = self.accepts.get(&listener).copied() else { return Vec::new() };
        let Some(caller) = self.callers.entry(listener).or_default().pop_front() else { return Vec::new() };
        self.accepts.remove(&listener);
        let accepted = (listener.0, next);
        self.add_end(caller, Far::Peer(accepted));
        self.add_end(accepted, Far::Peer(caller));
        let opened = |(node, conn): Client| {
            let peer = Some("10.0.0.1:9".parse().unwrap());
            (node, Input::Opened { conn: Conn(conn), peer })
        };
        vec![opened(caller), opened(accepted)]
    }

    fn add_end(&mut self, client: Client, far: Far) {
        let end = End { far, inbox: VecDeque::new(), is_reading: false, line: Vec::new() };
        self.ends.insert(client, end);
    }

    fn write(&mut self, client: Client, bytes: &[u8]) -> Vec<Told> {
        let Some(end) = self.ends.get_mut(&client) else { return Vec::new() };
        match end.far {
            Far::Gone => Vec::new(),
            Far::Peer(partner) => self.arrive(partner, bytes.to_vec()),
            Far::Relay => {
                end.line.extend(bytes);
                self.pair_at_relay(client)
            }
            Far::Server => {
                let answers = self.server.said(client, bytes);
                let pieces = answers.into_iter().map(|(to, answer)| (to, answer.to_string().into_bytes()));
                pieces
                    .collect::<Vec<_>>()
                    .into_iter()
                    .flat_map(|(to, bytes)| self.arrive(to, bytes))
                    .collect()
            }
        }
    }

    fn pair_at_relay(&mut self, client: Client) -> Vec<Told> {
        const TOKEN: std::ops::Range<usize> = 0..77;
        let line = self.ends[&client].line.clone();
        assert!(line.starts_with(b"please relay ") && line.len() == 104, "the line comes whole and alone");
        let partner = self.ends.iter().find(|(_, end)| {
            // The same side is no partner: it came by another name of this relay.
            end.far == Far::Relay && end.line.get(TOKEN) == Some(&line[TOKEN]) && end.line != line
        });
        let Some((&partner, _)) = partner else { return Vec::new() };
        let mut told = Vec::new();
        for (one, other) in [(client, partner), (partner, client)] {
            self.ends.get_mut(&one).unwrap().far = Far::Peer(other);
            told.extend(self.arrive(one, b"ok\n".to_vec()));
        }
        told
    }

    fn arrive(&mut self, client: Client, bytes: Vec<u8>) -> Vec<Told> {
        if let Some(end) = self.ends.get_mut(&client) {
            if self.in_bytes && end.far != Far::Server {
                end.inbox.extend(bytes.into_iter().map(|byte| vec![byte]));
            } else {
                end.inbox.push_back(bytes);
            }
        }
        self.deliver(client)
    }

    fn deliver(&mut self, client: Client) -> Vec<Told> {
        let Some(end) = self.ends.get_mut(&client) else { return Vec::new() };
        if !end.is_reading {
            return Vec::new();
        }
        let conn = Conn(client.1);
        match (end.inbox.pop_front(), end.far) {
            (Some(bytes), _) => {
                end.is_reading = false;
                vec![(client.0, Input::Received { conn, bytes })]
            }
            (None, Far::Gone) => {
                self.ends.remove(&client);
                vec![(client.0, Input::Closed { conn, why: Why::Ended })]
            }
            (None, Far::Server | Far::Relay | Far::Peer(_)) => Vec::new(),
        }
    }

    pub(crate) fn close(&mut self, client: Client) -> Vec<Told> {
        assert!(!self.taken.contains(&client), "a taken connection is not the machine's");
        self.listeners.retain(|_, listener| *listener != client);
        self.server.lost(client);
        let Some(end) = self.ends.remove(&client) else { return Vec::new() };
        match end.far {
            Far::Peer(partner) => {
                if let Some(other) = self.ends.get_mut(&partner) {
                    other.far = Far::Gone;
                }
                self.deliver(partner)
            }
            Far::Server | Far::Relay | Far::Gone => Vec::new(),
        }
    }
}
