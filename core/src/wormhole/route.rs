//! Who hears whom: each output of a machine becomes a task for another one, a message to the server, or an event.

use alloc::vec::Vec;

use data_encoding::HEXLOWER;

use super::{
    Event, UNTAKEN_BYTES, UNTAKEN_RECORDS, UNTAKEN_RECORDS_WITHOUT_ROOM, Wormhole, allocator, code, input,
    key, link, lister, mailbox, nameplate, order, permission, receive, send, terminator,
};
use crate::driver::{Op, Output, Target, Why};
use crate::error::{Error, Misuse, PeerFault, ServerFault};
use crate::untrusted::Text;
use crate::wire::peer::Versions;
use crate::wire::server::{FromServer, ToServer, Welcome};

/// An input that waits for its machine. They are worked off in the order in which they came up, so that what a
/// machine says first leaves first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Task {
    Link(link::Input),
    Permission(permission::Input),
    Code(code::Input),
    Allocator(allocator::Input),
    Lister(lister::Input),
    Typing(input::Input),
    Nameplate(nameplate::Input),
    Mailbox(mailbox::Input),
    Order(order::Input),
    Key(key::Input),
    Send(send::Input),
    Receive(receive::Input),
    Terminator(terminator::Input),
    /// The last event, after all that is still to be asked for.
    Closed(Result<(), Error>),
}

impl Wormhole {
    pub(super) fn then(&mut self, task: Task) {
        self.tasks.push_back(task);
    }

    /// Works off the queue, then asks for more to read if there is room for it.
    pub(super) fn settle(&mut self) {
        self.work_off();
        if self.reads_on() {
            self.then(Task::Link(link::Input::Room));
            self.work_off();
        }
        self.watch();
    }

    fn work_off(&mut self) {
        while let Some(task) = self.tasks.pop_front() {
            let step = self.before(&task);
            match task {
                Task::Link(input) => self.link(input),
                Task::Permission(input) => {
                    let outputs = self.permission.handle(input, self.now, &mut self.rng);
                    each(outputs, |it| self.after_permission(it));
                }
                Task::Code(input) => each(self.code.handle(input), |it| self.after_code(it)),
                Task::Allocator(input) => {
                    let outputs = self.allocator.handle(input, self.permission.line(), &mut self.rng);
                    each(outputs, |it| self.after_allocator(it));
                }
                Task::Lister(input) => {
                    each(self.lister.handle(input, self.permission.line()), |it| self.after_lister(it));
                }
                Task::Typing(input) => each(self.typing.handle(input), |it| self.after_typing(it)),
                Task::Nameplate(input) => {
                    each(self.nameplate.handle(input, self.permission.line()), |it| self.after_nameplate(it));
                }
                Task::Mailbox(input) => {
                    each(self.mailbox.handle(input, self.permission.line()), |it| self.after_mailbox(it));
                }
                Task::Order(input) => each(self.order.handle(input), |it| self.after_order(it)),
                Task::Key(input) => self.key(input),
                Task::Send(input) => {
                    let outputs = self.send.handle(input, &self.side, &mut self.rng);
                    each(outputs, |send::Output::Add(own)| {
                        self.then(Task::Mailbox(mailbox::Input::Add(own)))
                    });
                }
                Task::Receive(input) => each(self.receive.handle(input), |it| self.after_receive(it)),
                Task::Terminator(input) => {
                    each(self.terminator.handle(input), |it| self.after_terminator(it));
                }
                Task::Closed(result) => self.tell(Event::Closed(result)),
            }
            self.after(step);
        }
    }

    fn link(&mut self, input: link::Input) {
        let context = link::Context { now: self.now, rng: &mut self.rng, conns: &mut self.conns };
        each(self.link.handle(input, context), |it| self.after_link(it));
    }

    fn after_link(&mut self, output: link::Output) {
        use link::Output as Out;
        match output {
            Out::Open(conn) => {
                self.ask(Op::Open { conn, target: Target::Mailbox(self.config.mailbox.clone()) });
            }
            Out::Read(conn) => self.ask(Op::Read { conn }),
            Out::Write(conn, bytes) => self.ask(Op::Write { conn, bytes }),
            Out::Close(conn) => self.ask(Op::Close { conn }),
            Out::Up => {
                self.tell(Event::LinkUp);
                self.then(Task::Permission(permission::Input::LinkUp));
            }
            Out::Heard(bytes) => match FromServer::decode(&bytes) {
                Ok(message) => self.heard(message),
                Err(_) => self.fault(ServerFault::Malformed),
            },
            Out::Down(why) => {
                // The server would send it again on every new link.
                let is_for_good = why == Why::TooLong;
                self.tell(Event::LinkDown { why });
                self.then(Task::Permission(permission::Input::LinkDown));
                self.then(Task::Allocator(allocator::Input::LinkDown));
                if is_for_good {
                    self.fault(ServerFault::TooLong);
                }
            }
            Out::Failed(why) => {
                self.fault(ServerFault::Unreachable { url: self.config.mailbox.clone(), why })
            }
            Out::Stopped => self.then(Task::Terminator(terminator::Input::LinkStopped)),
        }
    }

    fn heard(&mut self, message: FromServer) {
        match message {
            FromServer::Welcome(welcome) => self.welcomed(welcome),
            FromServer::Nameplates(nameplates) => {
                self.then(Task::Lister(lister::Input::Nameplates(nameplates)));
            }
            FromServer::Allocated(nameplate) => {
                self.then(Task::Allocator(allocator::Input::Allocated(nameplate)));
            }
            FromServer::Claimed(mailbox) => self.then(Task::Nameplate(nameplate::Input::Claimed(mailbox))),
            FromServer::Released => self.then(Task::Nameplate(nameplate::Input::Released)),
            FromServer::Message { side, phase, .. } if side == self.side => {
                self.then(Task::Mailbox(mailbox::Input::Echo(phase)));
            }
            FromServer::Message { side, phase, body } => {
                let message = mailbox::Message { side, phase, body };
                self.then(Task::Mailbox(mailbox::Input::Message(message)));
            }
            FromServer::Closed => self.then(Task::Mailbox(mailbox::Input::Closed)),
            FromServer::Error(text) if text == Text::from("crowded") => self.fault(Error::Crowded),
            FromServer::Error(text) => self.fault(ServerFault::Said(text)),
            FromServer::Ack | FromServer::Pong | FromServer::Unknown => {}
        }
    }

    fn welcomed(&mut self, mut welcome: Welcome) {
        let demand = welcome.demand.clone();
        match (welcome.error.take(), &demand) {
            // What was to be given back cannot be, without work for nothing.
            (Some(text), Some(_)) => return self.turn_away(Error::Unwelcome(text)),
            (Some(text), None) => self.fault(Error::Unwelcome(text)),
            (None, _) => self.tell(Event::Welcome(welcome)),
        }
        self.then(Task::Permission(permission::Input::Welcome(demand)));
    }

    fn after_permission(&mut self, output: permission::Output) {
        use permission::Output as Out;
        match output {
            Out::Submit(stamp) => self.say(&ToServer::SubmitPermissions { stamp }),
            Out::Granted => {
                self.say(&ToServer::Bind {
                    appid: self.config.appid.clone(),
                    side: self.side.clone(),
                    client_version: self.config.client_version.clone(),
                });
                // `docs/server-protocol.md`, "Reconnection", fixes this order.
                self.then(Task::Nameplate(nameplate::Input::LinkUp));
                self.then(Task::Mailbox(mailbox::Input::LinkUp));
                self.then(Task::Lister(lister::Input::LinkUp));
                self.then(Task::Allocator(allocator::Input::LinkUp));
            }
            Out::Impossible(fault) => self.turn_away(fault.into()),
        }
    }

    /// The server hears nothing of us: there is nothing to wait for.
    fn turn_away(&mut self, error: Error) {
        self.fault(error);
        self.then(Task::Terminator(terminator::Input::GiveUp));
    }

    fn after_code(&mut self, output: code::Output) {
        use code::Output as Out;
        match output {
            Out::Allocate { words } => self.then(Task::Allocator(allocator::Input::Allocate { words })),
            Out::Type => self.then(Task::Typing(input::Input::Start)),
            Out::Nameplate(nameplate) => self.then(Task::Nameplate(nameplate::Input::Chosen(nameplate))),
            Out::Code(code) => {
                self.tell(Event::Code(code.clone()));
                self.then(Task::Key(key::Input::Code(code)));
            }
            Out::Refuse(misuse) => self.refuse(misuse),
        }
    }

    fn after_allocator(&mut self, output: allocator::Output) {
        use allocator::Output as Out;
        match output {
            Out::Allocate => self.say(&ToServer::Allocate),
            Out::Code(code) => self.then(Task::Code(code::Input::Allocated(code))),
            Out::Release(nameplate) => self.say(&ToServer::Release(Some(nameplate))),
            Out::Impossible(fault) => self.fault(Misuse::Code(fault)),
            Out::Finish => self.then(Task::Terminator(terminator::Input::AllocatorFinished)),
            Out::Stray => self.fault(ServerFault::OutOfTurn),
        }
    }

    fn after_lister(&mut self, output: lister::Output) {
        use lister::Output as Out;
        match output {
            Out::List => self.say(&ToServer::List),
            Out::Nameplates(nameplates) => self.then(Task::Typing(input::Input::Nameplates(nameplates))),
        }
    }

    fn after_typing(&mut self, output: input::Output) {
        use input::Output as Out;
        match output {
            Out::Refresh => self.then(Task::Lister(lister::Input::Refresh)),
            Out::Nameplates(nameplates) => self.tell(Event::Nameplates(nameplates)),
            Out::Nameplate(nameplate) => self.then(Task::Code(code::Input::Nameplate(nameplate))),
            Out::WordsWanted => self.tell(Event::WordsWanted),
            Out::Code(code) => self.then(Task::Code(code::Input::Typed(code))),
            Out::Refuse(misuse) => self.refuse(misuse),
        }
    }

    fn after_nameplate(&mut self, output: nameplate::Output) {
        use nameplate::Output as Out;
        match output {
            Out::Claim(nameplate) => self.say(&ToServer::Claim(nameplate)),
            Out::Release(nameplate) => self.say(&ToServer::Release(Some(nameplate))),
            Out::OpenMailbox(mailbox) => {
                self.then(Task::Typing(input::Input::Claimed));
                self.then(Task::Mailbox(mailbox::Input::Named(mailbox)));
            }
            Out::LateMailbox(mailbox) => self.then(Task::Mailbox(mailbox::Input::Named(mailbox))),
            Out::Consumed => self.tell(Event::CodeConsumed),
            Out::Finish => {
                self.then(Task::Mailbox(mailbox::Input::Unnamed));
                self.then(Task::Terminator(terminator::Input::NameplateFinished));
            }
            Out::Stray => self.fault(ServerFault::OutOfTurn),
        }
    }

    fn after_mailbox(&mut self, output: mailbox::Output) {
        use mailbox::Output as Out;
        match output {
            Out::Open(mailbox) => self.say(&ToServer::Open(mailbox)),
            Out::Add(mailbox::Own { phase, body }) => self.say(&ToServer::Add { phase, body }),
            Out::Close(mailbox, mood) => {
                self.say(&ToServer::Close { mailbox: Some(mailbox), mood: Some(mood) });
            }
            Out::Heard => {
                self.tell(Event::PeerHeard);
                self.then(Task::Nameplate(nameplate::Input::Heard));
            }
            Out::Deliver(message) => self.then(Task::Order(order::Input::Message(message))),
            Out::Finish => self.then(Task::Terminator(terminator::Input::MailboxFinished)),
            Out::TooMuch => self.fault(PeerFault::TooMuch),
            Out::Stray => self.fault(ServerFault::OutOfTurn),
        }
    }

    fn after_order(&mut self, output: order::Output) {
        use order::Output as Out;
        match output {
            Out::Pake(body) => self.then(Task::Key(key::Input::Pake(body))),
            Out::Deliver(message) => self.then(Task::Receive(receive::Input::Message(message))),
            Out::TooMuch => self.fault(PeerFault::TooMuch),
        }
    }

    fn key(&mut self, input: key::Input) {
        let context = key::Context {
            appid: &self.config.appid,
            side: &self.side,
            versions: &self.config.versions,
            rng: &mut self.rng,
        };
        each(self.key.handle(input, context), |it| self.after_key(it));
    }

    fn after_key(&mut self, output: key::Output) {
        use key::Output as Out;
        match output {
            Out::Add(own) => self.then(Task::Mailbox(mailbox::Input::Add(own))),
            Out::Known(key) => {
                self.tell(Event::UnverifiedKey);
                self.then(Task::Receive(receive::Input::Key(key)));
                self.then(Task::Order(order::Input::Key));
            }
            Out::Bad(fault) => self.fault(fault),
        }
    }

    fn after_receive(&mut self, output: receive::Output) {
        use receive::Output as Out;
        match output {
            Out::Confirmed(key) => {
                self.tell(Event::Verifier(key.verifier()));
                self.then(Task::Terminator(terminator::Input::Confirmed));
                self.then(Task::Send(send::Input::Confirmed(key)));
            }
            Out::Version(plain) => match Versions::decode(&plain) {
                Ok(versions) => self.tell(Event::Versions(versions)),
                Err(_) => self.fault(PeerFault::Malformed("a version message")),
            },
            Out::Record(record) => {
                self.untaken.records = self.untaken.records.saturating_add(1);
                self.untaken.bytes = self.untaken.bytes.saturating_add(record.len());
                self.tell(Event::Record(record));
            }
            Out::Scared => self.fault(Error::WrongCode),
            Out::TooMuch => self.fault(PeerFault::TooMuch),
        }
    }

    fn after_terminator(&mut self, output: terminator::Output) {
        use terminator::Output as Out;
        match output {
            Out::Close(mood) => {
                self.mood = Some(mood);
                self.then(Task::Lister(lister::Input::Close));
                self.then(Task::Send(send::Input::Close));
                self.then(Task::Allocator(allocator::Input::Close));
                self.then(Task::Nameplate(nameplate::Input::Close));
                self.then(Task::Mailbox(mailbox::Input::Close(mood)));
            }
            Out::Hurry => self.then(Task::Link(link::Input::Dial)),
            Out::StopLink => {
                self.then(Task::Permission(permission::Input::LinkDown));
                self.then(Task::Link(link::Input::Stop));
            }
            Out::Closed(result) => self.then(Task::Closed(result)),
        }
    }

    /// Whether the application keeps up. It may wait for room to send, and so be unable to take anything. A closing
    /// wormhole tells no more records, and waits for answers only.
    fn reads_on(&self) -> bool {
        let records = if self.has_room() { UNTAKEN_RECORDS } else { UNTAKEN_RECORDS_WITHOUT_ROOM };
        let room = self.untaken.records < records && self.untaken.bytes < UNTAKEN_BYTES;
        room || !self.terminator.is_open()
    }

    fn say(&mut self, message: &ToServer) {
        let id = HEXLOWER.encode(&self.rng.bytes::<2>());
        self.then(Task::Link(link::Input::Say(message.encode(&id))));
    }

    fn ask(&mut self, op: Op) {
        self.outputs.push_back(Output::Do(op));
    }

    fn tell(&mut self, event: Event) {
        self.trace_event(&event);
        self.outputs.push_back(Output::Tell(event));
    }

    fn refuse(&mut self, misuse: Misuse) {
        self.refused = Some(misuse);
    }

    fn fault(&mut self, error: impl Into<Error>) {
        self.then(Task::Terminator(terminator::Input::Fail(error.into())));
    }
}

fn each<T>(outputs: Vec<T>, after: impl FnMut(T)) {
    outputs.into_iter().for_each(after);
}
