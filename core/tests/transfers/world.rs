//! Two sides and the network between them, moved by hand. Time passes only when nothing else happens.

use std::collections::VecDeque;
use std::time::Duration;

use wormhole_core::code::Code;
use wormhole_core::driver::{Input, Instant, Machine, Output};
use wormhole_core::error::{Error, Misuse};
use wormhole_core::transfer::{Config, Event, Offer, Receiver, Sender};
use wormhole_core::transit::{Reference, Settled};
use wormhole_core::wire::hints::parse_relay_argument;
use wormhole_core::wormhole::{self, Wormhole};

use super::net::{Net, Told};

/// A machine of the one or the other role, or a peer that says what it was told to say.
pub(crate) enum Side {
    Sender(Sender),
    Receiver(Receiver),
    Double(Double),
}

/// A peer that keeps to a script: each line is said once so many messages of ours have been heard.
pub(crate) struct Double {
    session: Wormhole,
    script: VecDeque<(usize, Vec<u8>)>,
    is_happy: bool,
    pub(crate) heard: Vec<Vec<u8>>,
}

/// Long enough for everything that ends at all.
const FOREVER: Duration = Duration::from_secs(600);

/// Both sides, what they were told, and all between them.
pub(crate) struct World {
    pub(crate) net: Net,
    pub(crate) sides: Vec<Side>,
    pub(crate) events: Vec<Vec<Event>>,
    inputs: VecDeque<Told>,
    pub(crate) now: Duration,
}

/// The configuration that these tests share.
pub(crate) fn config() -> Config {
    let mut config = Config::new().unwrap();
    config.session = config.session.mailbox("ws://mailbox.example/v1");
    config.relays = parse_relay_argument("tcp:relay.example:4001").unwrap().into_iter().collect();
    config
}

pub(crate) fn sender(config: Config, offer: Offer) -> Side {
    let mut sender = Sender::new(config, offer, [1; 32]).unwrap();
    sender.set_code(code()).unwrap();
    Side::Sender(sender)
}

pub(crate) fn receiver(config: Config) -> Side {
    let mut receiver = Receiver::new(config, [2; 32]).unwrap();
    receiver.set_code(code()).unwrap();
    Side::Receiver(receiver)
}

pub(crate) fn double(script: Vec<(usize, Vec<u8>)>) -> Side {
    let config = config().session;
    let mut session = Wormhole::new(config, [3; 32], wormhole_core::driver::Conns::all());
    session.set_code(code()).unwrap();
    Side::Double(Double { session, script: script.into(), is_happy: false, heard: Vec::new() })
}

pub(crate) fn code() -> Code {
    Code::parse("7-armistice-baboon").unwrap()
}

pub(crate) fn file(size: u64) -> Offer {
    Offer::File { name: "hello.txt".into(), size, attributes: None }
}

impl World {
    pub(crate) fn new(sides: Vec<Side>) -> Self {
        let events = sides.iter().map(|_| Vec::new()).collect();
        let mut world = Self { net: Net::new(), sides, events, inputs: VecDeque::new(), now: Duration::ZERO };
        // A driver begins with a tick.
        world.inputs.extend((0..world.sides.len()).map(|node| (node, Input::Tick)));
        world
    }

    pub(crate) fn sender(&mut self) -> &mut Sender {
        match &mut self.sides[0] {
            Side::Sender(sender) => sender,
            Side::Receiver(_) | Side::Double(_) => panic!("side 0 is no sender"),
        }
    }

    pub(crate) fn receiver(&mut self) -> &mut Receiver {
        match &mut self.sides[1] {
            Side::Receiver(receiver) => receiver,
            Side::Sender(_) | Side::Double(_) => panic!("side 1 is no receiver"),
        }
    }

    pub(crate) fn heard(&self, node: usize) -> &[Vec<u8>] {
        match &self.sides[node] {
            Side::Double(double) => &double.heard,
            Side::Sender(_) | Side::Receiver(_) => panic!("side {node} is no double"),
        }
    }

    pub(crate) fn tell(&mut self, told: Vec<Told>) {
        self.inputs.extend(told);
    }

    /// Runs until nothing happens without the passing of time.
    pub(crate) fn rest(&mut self) {
        self.run(Duration::ZERO);
    }

    /// Runs until nothing happens any more, or `limit` has passed.
    pub(crate) fn run(&mut self, limit: Duration) {
        let end = self.now + limit;
        for _ in 0..10_000 {
            while self.turn().is_some() {}
            let deadlines = (0..self.sides.len()).filter_map(|node| self.pump(node));
            let Some(next) = deadlines.collect::<Vec<_>>().into_iter().min() else {
                // Nobody waits for a moment, so that time does not matter.
                self.now = if limit < FOREVER { end } else { self.now };
                return;
            };
            let next = next.since_start().max(self.now);
            if next > end {
                self.now = end;
                return;
            }
            self.now = next;
            self.inputs.extend((0..self.sides.len()).map(|node| (node, Input::Tick)));
        }
        panic!("it does not come to rest");
    }

    /// So many rounds, with a user who accepts.
    pub(crate) fn turns(&mut self, count: usize) {
        for _ in 0..count {
            self.turn();
            self.accept_offered();
        }
    }

    /// Runs for `limit`, with a user who accepts.
    pub(crate) fn run_accepting(&mut self, limit: Duration) {
        let end = self.now + limit;
        while self.now < end && (self.settled(0).is_none() || self.settled(1).is_none()) {
            self.rest();
            self.accept_offered();
            self.run(Duration::from_millis(100));
        }
        self.rest();
    }

    fn accept_offered(&mut self) {
        if self.offered(1).is_some() {
            // A second time it is refused.
            if let Side::Receiver(receiver) = &mut self.sides[1] {
                receiver.accept().ok();
            }
        }
    }

    /// Runs to the end of everything: no side may wait for ever once both have closed.
    pub(crate) fn finish(&mut self) {
        self.run(FOREVER);
    }

    /// One round: all that is asked is started, then one input is handed in.
    pub(crate) fn turn(&mut self) -> Option<()> {
        let before = self.inputs.len();
        for node in 0..self.sides.len() {
            self.pump(node);
        }
        if let Some((node, input)) = self.inputs.pop_front() {
            let now = Instant::after_start(self.now);
            match &mut self.sides[node] {
                Side::Sender(sender) => sender.handle(input, now),
                Side::Receiver(receiver) => receiver.handle(input, now),
                Side::Double(double) => double.session.handle(input, now),
            }
            return Some(());
        }
        (before != self.inputs.len()).then_some(())
    }

    /// Polls one side until it waits, and says until when.
    fn pump(&mut self, node: usize) -> Option<Instant> {
        loop {
            let output = match &mut self.sides[node] {
                Side::Sender(sender) => sender.poll(),
                Side::Receiver(receiver) => receiver.poll(),
                Side::Double(double) => match double.poll() {
                    Output::Do(op) => Output::Do(op),
                    Output::Tell(()) => continue,
                    Output::Wait(until) => Output::Wait(until),
                },
            };
            match output {
                Output::Do(op) => {
                    assert!(self.closed(node).is_none(), "nothing follows the end: {op:?}");
                    let told = self.net.start(node, op);
                    self.inputs.extend(told);
                }
                Output::Tell(event) => {
                    assert!(self.closed(node).is_none(), "nothing follows the end: {event:?}");
                    if let Event::Settled(settled) = &event {
                        self.net.taken.push((node, settled.conn.0));
                    }
                    self.events[node].push(event);
                }
                Output::Wait(until) => return until,
            }
        }
    }

    /// How a side ended, if it did.
    pub(crate) fn closed(&self, node: usize) -> Option<&Result<(), Error>> {
        self.events[node].iter().find_map(|event| match event {
            Event::Closed(result) => Some(result),
            Event::Session(_)
            | Event::Offered(_)
            | Event::Answered
            | Event::OurHints(_)
            | Event::TheirHints(_)
            | Event::Settled(_) => None,
        })
    }

    pub(crate) fn settled(&self, node: usize) -> Option<&Settled> {
        self.events[node].iter().find_map(|event| match event {
            Event::Settled(settled) => Some(settled),
            Event::Session(_)
            | Event::Offered(_)
            | Event::Answered
            | Event::OurHints(_)
            | Event::TheirHints(_)
            | Event::Closed(_) => None,
        })
    }

    pub(crate) fn offered(&self, node: usize) -> Option<&wormhole_core::wire::peer::Offer> {
        self.events[node].iter().find_map(|event| match event {
            Event::Offered(offer) => Some(offer),
            Event::Session(_)
            | Event::Settled(_)
            | Event::Answered
            | Event::OurHints(_)
            | Event::TheirHints(_)
            | Event::Closed(_) => None,
        })
    }

    pub(crate) fn verifier(&self, node: usize) -> Option<String> {
        self.events[node].iter().find_map(|event| {
            let Event::Session(wormhole::Event::Verifier(verifier)) = event else { return None };
            Some(verifier.to_string())
        })
    }

    /// Whether both sides have settled on one connection, and it is there.
    pub(crate) fn is_connected(&self) -> bool {
        let conn = |node| self.settled(node).map(|settled| (node, settled.conn.0));
        conn(0).and_then(|ours| self.net.partner(ours)).is_some_and(|partner| Some(partner) == conn(1))
    }

    /// The content: one record there and one back, over the connection that was settled on.
    pub(crate) fn exchange_content(&mut self) {
        let (ours, theirs) = (self.settled(0).unwrap().clone(), self.settled(1).unwrap().clone());
        assert_eq!(self.net.partner((0, ours.conn.0)), Some((1, theirs.conn.0)));
        for (from, to, nodes) in [(&ours, &theirs, (0, 1)), (&theirs, &ours, (1, 0))] {
            let record = from.keys.sealer(Reference).seal_copy(b"content").unwrap();
            let op = wormhole_core::driver::Op::Write { conn: from.conn, bytes: record };
            self.net.start(nodes.0, op);
            let mut stream = to.read.clone();
            stream.extend(self.net.take_inbox((nodes.1, to.conn.0)));
            let (head, body) = stream.split_at_mut(4);
            assert_eq!(u32::from_be_bytes(head.try_into().unwrap()) as usize, body.len());
            assert_eq!(to.keys.opener(Reference).open(body).unwrap(), b"content");
        }
    }
}

impl Double {
    fn poll(&mut self) -> Output<()> {
        if self.is_happy && self.script.front().is_some_and(|(after, _)| *after <= self.heard.len()) {
            let (_, line) = self.script.pop_front().unwrap();
            let sent: Result<(), Misuse> = self.session.send(&line);
            sent.unwrap();
        }
        match self.session.poll() {
            Output::Do(op) => Output::Do(op),
            Output::Wait(until) => Output::Wait(until),
            Output::Tell(event) => {
                self.is_happy |= matches!(event, wormhole::Event::Verifier(_));
                if let wormhole::Event::Record(record) = event {
                    self.session.taken(record.len());
                    self.heard.push(record);
                }
                Output::Tell(())
            }
        }
    }
}
