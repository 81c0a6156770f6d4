//! Two nodes that look like one program to the cases that know of one.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::process::Signal;

use crate::database::Database;
use crate::single;
pub(crate) use crate::single::{LIMIT, soon};

/// The nodes of one database.
pub(crate) struct Running {
    nodes: Vec<single::Running>,
    /// Where the next client goes.
    next: AtomicUsize,
}

impl Running {
    /// As for one program. A file for a channel database stands for a database of PostgreSQL, always the same one.
    pub(crate) fn start(arguments: &[&str]) -> Self {
        let mut arguments = arguments.to_vec();
        let file = arguments.iter().position(|argument| *argument == "--channel-db");
        let file = file.map(|at| arguments.drain(at..at + 2).nth(1).unwrap().to_owned());
        let nodes = match url(file) {
            Some(url) => start(2, &url, &arguments),
            None => vec![single::Running::start(&arguments)],
        };
        Self { nodes, next: AtomicUsize::new(0) }
    }

    /// An address of one node after the other.
    pub(crate) fn at(&self, name: &str) -> SocketAddr {
        let next = self.next.fetch_add(1, Ordering::Relaxed);
        self.nodes[next % self.nodes.len()].at(name)
    }

    pub(crate) fn signal(&self, signal: Signal) {
        self.nodes.iter().for_each(|node| node.signal(signal));
    }

    pub(crate) fn end(&mut self) {
        for node in &mut self.nodes {
            node.end();
        }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.nodes[0].pid()
    }
}

/// So many nodes on this database, with these arguments.
pub(crate) fn start(count: usize, url: &str, arguments: &[&str]) -> Vec<single::Running> {
    let of_database = ["--channel-db", url];
    (0..count).map(|_| single::Running::start(&[arguments, &of_database].concat())).collect()
}

fn url(file: Option<String>) -> Option<String> {
    static KNOWN: Mutex<BTreeMap<String, String>> = Mutex::new(BTreeMap::new());
    let database = Database::shared()?;
    Some(match file {
        Some(file) => KNOWN.lock().unwrap().entry(file).or_insert_with(|| database.make()).clone(),
        None => database.make(),
    })
}
