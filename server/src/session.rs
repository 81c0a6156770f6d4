//! One connection to the mailbox server: what its client may say when, and what it is answered.
//!
//! It is fed by `mailbox.rs` with the client's messages and with what the store answers. A command is acked when it
//! is taken in; where the store has to be asked, nothing further is taken in before its answer, so that answers come in
//! the order of the commands. The session ends with its connection, or with a message that is no command.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::mem;

use wormhole_core::crypto::hashcash;

use crate::answer::{Answer, Demand};
use crate::command::{Command, Field, Kind};
use crate::json::Json;
use crate::limits::{self, Bounds};
use crate::stamp::Stamp;
use crate::store::{Ask, Done, Member, Message, Refusal};

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Input {
    /// The client sent this, at that time.
    Said(Vec<u8>, Stamp),
    /// The store has done what was asked last.
    Done(Result<Done, Refusal>),
    /// What was asked last is too much for one address; the text is that of the `error`.
    Refused(&'static str),
    /// A message was added to the mailbox that is open.
    Added(Arc<Message>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Output {
    Say(Answer),
    /// Say what is in the mailbox that was opened.
    Replay(Vec<Arc<Message>>),
    Ask(Arc<Member>, Ask),
    /// The client has said who it is, with the name and the version of its program.
    Bound(Arc<Member>, [Option<String>; 2]),
    /// Nothing more will be heard or said; with the code of the close frame.
    Finish(u16),
}

/// Codes of a close frame (RFC 6455 section 7.4.1): it came as no text of JSON, it is not allowed, it is too long, it may be
/// tried again later.
const NO_COMMAND: u16 = 1007;
const NOT_ALLOWED: u16 = 1008;
const TOO_LONG: u16 = 1009;
pub(crate) const TRY_LATER: u16 = 1013;

/// The one way to a permission.
const METHOD: &str = "hashcash";

/// What is the same for all sessions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Rules {
    pub(crate) allow_list: bool,
    pub(crate) bounds: Bounds,
}

#[derive(Debug)]
pub(crate) struct Session {
    state: State,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    /// This is asked for first.
    Stranger(Demand),
    Unbound,
    /// The next command may come.
    Bound(Bound),
    /// The store was asked; the text is the command, for an `error`.
    Asking(Bound, String),
    Ended,
}

/// Who the client is, and what it has used up.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Bound {
    member: Arc<Member>,
    allocated: bool,
    /// The nameplate of the one claim, also of one that failed.
    claimed: Option<String>,
    released: bool,
    /// The mailbox that is open.
    mailbox: Option<String>,
    closed: bool,
}

/// What a command leads to that no rule forbids.
enum Next {
    Say(Answer),
    Ask(Ask),
}

impl Session {
    pub(crate) fn new(demand: Option<Demand>) -> Self {
        Self { state: demand.map_or(State::Unbound, State::Stranger) }
    }

    pub(crate) fn handle(&mut self, input: Input, rules: &Rules) -> Vec<Output> {
        let mut out = Vec::new();
        self.state = mem::replace(&mut self.state, State::Ended).step(input, rules, &mut out);
        out
    }

    /// Whether the next message may be read.
    pub(crate) const fn is_listening(&self) -> bool {
        match self.state {
            State::Stranger(_) | State::Unbound | State::Bound(_) => true,
            State::Asking(..) | State::Ended => false,
        }
    }
}

impl State {
    fn step(self, input: Input, rules: &Rules, out: &mut Vec<Output>) -> Self {
        let bounds = &rules.bounds;
        match self {
            Self::Stranger(demand) => match input {
                Input::Said(bytes, _) => match read(bytes, bounds, out) {
                    Some((command, text)) => stranger(demand, &command, &text, bounds, out),
                    None => Self::Ended,
                },
                // Nothing was asked.
                Input::Done(_) | Input::Refused(_) | Input::Added(_) => Self::Stranger(demand),
            },
            Self::Unbound => match input {
                Input::Said(bytes, _) => match read(bytes, bounds, out) {
                    Some((command, text)) => unbound(command, &text, bounds, out),
                    None => Self::Ended,
                },
                // Nothing was asked.
                Input::Done(_) | Input::Refused(_) | Input::Added(_) => Self::Unbound,
            },
            Self::Bound(mut bound) => match input {
                Input::Said(bytes, now) => {
                    let Some((command, text)) = read(bytes, bounds, out) else { return Self::Ended };
                    match bound.next(command, rules, now) {
                        Ok(Next::Say(answer)) => out.push(Output::Say(answer)),
                        Ok(Next::Ask(ask)) => {
                            out.push(Output::Ask(Arc::clone(&bound.member), ask));
                            return Self::Asking(bound, text);
                        }
                        Err(error) => complain(error, &text, bounds, out),
                    }
                    Self::Bound(bound)
                }
                Input::Added(message) => {
                    bound.pass_on(message, out);
                    Self::Bound(bound)
                }
                // Nothing was asked.
                Input::Done(_) | Input::Refused(_) => Self::Bound(bound),
            },
            Self::Asking(mut bound, text) => match input {
                Input::Done(done) => {
                    match done {
                        Ok(done) => bound.tell(done, out),
                        // An `error` would end the client's work, which it can go on with on another connection.
                        Err(Refusal::Unavailable) => {
                            out.push(Output::Finish(TRY_LATER));
                            return Self::Ended;
                        }
                        Err(refusal) => complain(refusal.as_str(), &text, bounds, out),
                    }
                    Self::Bound(bound)
                }
                Input::Refused(error) => {
                    complain(error, &text, bounds, out);
                    Self::Bound(bound)
                }
                Input::Added(message) => {
                    bound.pass_on(message, out);
                    Self::Asking(bound, text)
                }
                // It is not read from while the store is asked.
                Input::Said(..) => Self::Asking(bound, text),
            },
            Self::Ended => Self::Ended,
        }
    }
}

/// Takes in a message and acks it. One that is no command ends the session.
fn read(bytes: Vec<u8>, bounds: &Bounds, out: &mut Vec<Output>) -> Option<(Command, String)> {
    if bytes.len() > bounds.command_bytes {
        return refuse("the message is too long", TOO_LONG, "null", bounds, out);
    }
    let Ok(text) = String::from_utf8(bytes) else {
        return refuse(NO_OBJECT, NO_COMMAND, "null", bounds, out);
    };
    if Json::is_deeper(&text, bounds.nesting) {
        return refuse("the message is nested too deep", NO_COMMAND, "null", bounds, out);
    }
    let Some(command) = Command::parse(&text) else {
        return refuse(NO_OBJECT, NO_COMMAND, &text, bounds, out);
    };
    if command.id.as_ref().is_some_and(|id| id.as_str().len() > bounds.id_bytes) {
        // What cannot come back cannot be acked.
        return refuse("the 'id' is too long", NOT_ALLOWED, "null", bounds, out);
    }
    // A command without `type` is answered, but not acked.
    if command.kind != Kind::Missing {
        out.push(Output::Say(Answer::Ack(command.id.clone())));
    }
    Some((command, text))
}

const NO_OBJECT: &str = "a message must be a JSON object in UTF-8";

fn refuse<T>(
    error: &'static str,
    code: u16,
    text: &str,
    bounds: &Bounds,
    out: &mut Vec<Output>,
) -> Option<T> {
    complain(error, text, bounds, out);
    out.push(Output::Finish(code));
    None
}

fn complain(error: &'static str, text: &str, bounds: &Bounds, out: &mut Vec<Output>) {
    let orig = Json::shortened(text, bounds.orig_bytes);
    out.push(Output::Say(Answer::Error { error, orig }));
}

/// Of a stranger only the permission is taken. There is one try: a client that knows nothing of it hangs where it is not left.
fn stranger(demand: Demand, command: &Command, text: &str, bounds: &Bounds, out: &mut Vec<Output>) -> State {
    let error = match command.kind {
        Kind::Ping => {
            match pong(command.ping.clone()) {
                Ok(pong) => out.push(Output::Say(pong)),
                Err(error) => complain(error, text, bounds, out),
            }
            return State::Stranger(demand);
        }
        Kind::Missing => {
            complain(NO_TYPE, text, bounds, out);
            return State::Stranger(demand);
        }
        Kind::SubmitPermission => match permission(command, &demand) {
            Ok(()) => return State::Unbound,
            Err(error) => error,
        },
        Kind::Bind
        | Kind::List
        | Kind::Allocate
        | Kind::Claim
        | Kind::Release
        | Kind::Open
        | Kind::Add
        | Kind::Close
        | Kind::Unknown => "must submit-permission first",
    };
    complain(error, text, bounds, out);
    out.push(Output::Finish(NOT_ALLOWED));
    State::Ended
}

fn permission(command: &Command, demand: &Demand) -> Result<(), &'static str> {
    match (&command.method, &command.stamp) {
        (Field::Text(method), Field::Text(stamp))
            if method == METHOD && hashcash::is_stamp(stamp, &demand.resource, demand.bits) =>
        {
            Ok(())
        }
        (Field::Text(method), _) if method == METHOD => Err("submit-permission failed"),
        (Field::Text(_) | Field::Missing | Field::Other, _) => Err("'method' is not one of: hashcash"),
    }
}

fn unbound(command: Command, text: &str, bounds: &Bounds, out: &mut Vec<Output>) -> State {
    let bound = match command.kind {
        Kind::Missing => Err(NO_TYPE),
        Kind::Ping => {
            match pong(command.ping) {
                Ok(pong) => out.push(Output::Say(pong)),
                Err(error) => complain(error, text, bounds, out),
            }
            return State::Unbound;
        }
        Kind::Bind => {
            let version = command.client_version.clone();
            Bound::new(command, bounds)
                .inspect(|bound| out.push(Output::Bound(Arc::clone(&bound.member), version)))
        }
        // Nobody has asked for it, and it does no harm.
        Kind::SubmitPermission => return State::Unbound,
        Kind::List
        | Kind::Allocate
        | Kind::Claim
        | Kind::Release
        | Kind::Open
        | Kind::Add
        | Kind::Close
        | Kind::Unknown => Err("must bind first"),
    };
    match bound {
        Ok(bound) => State::Bound(bound),
        Err(error) => {
            complain(error, text, bounds, out);
            State::Unbound
        }
    }
}

const NO_TYPE: &str = "missing 'type'";

fn pong(ping: Option<Json>) -> Result<Answer, &'static str> {
    ping.map(Answer::Pong).ok_or("ping requires 'ping'")
}

/// The rules of one connection. An `Err` is the text of the `error` and changes nothing.
impl Bound {
    fn new(command: Command, bounds: &Bounds) -> Result<Self, &'static str> {
        if command.appid == Field::Missing {
            return Err("bind requires 'appid'");
        }
        if command.side == Field::Missing {
            return Err("bind requires 'side'");
        }
        let app = name(command.appid, bounds, "'appid' must be a string, and not too long")?;
        let side = name(command.side, bounds, "'side' must be a string, and not too long")?;
        Ok(Self {
            member: Arc::new(Member { app, side }),
            allocated: false,
            claimed: None,
            released: false,
            mailbox: None,
            closed: false,
        })
    }

    fn next(&mut self, command: Command, rules: &Rules, now: Stamp) -> Result<Next, &'static str> {
        let bounds = &rules.bounds;
        match command.kind {
            Kind::Missing => Err(NO_TYPE),
            Kind::Ping => pong(command.ping).map(Next::Say),
            Kind::Bind => Err("already bound"),
            Kind::List if rules.allow_list => Ok(Next::Ask(Ask::List)),
            Kind::List => Ok(Next::Say(Answer::Nameplates(Vec::new()))),
            Kind::Allocate if self.allocated => Err("you already allocated one, don't be greedy"),
            Kind::Allocate => {
                self.allocated = true;
                Ok(Next::Ask(Ask::Allocate))
            }
            Kind::Claim => self.claim(command.nameplate),
            Kind::Release => self.release(command.nameplate),
            Kind::Open => self.open(command.mailbox, bounds),
            Kind::Add => self.add(command, bounds, now),
            Kind::Close => self.close(command.mailbox, command.mood, bounds),
            Kind::SubmitPermission | Kind::Unknown => Err("unknown type"),
        }
    }

    fn claim(&mut self, field: Field) -> Result<Next, &'static str> {
        if field == Field::Missing {
            return Err("claim requires 'nameplate'");
        }
        if self.claimed.is_some() {
            return Err("only one claim per connection");
        }
        let nameplate = nameplate(field)?;
        self.claimed = Some(nameplate.clone());
        Ok(Next::Ask(Ask::Claim { nameplate, make: true }))
    }

    fn release(&mut self, field: Field) -> Result<Next, &'static str> {
        if self.released {
            return Err("only one release per connection");
        }
        let nameplate = match (field, &self.claimed) {
            (Field::Missing, Some(claimed)) => claimed.clone(),
            (Field::Missing, None) => return Err("release without nameplate must follow claim"),
            (field @ (Field::Text(_) | Field::Other), claimed) => {
                let nameplate = nameplate(field)?;
                if claimed.as_ref().is_some_and(|claimed| *claimed != nameplate) {
                    return Err("release and claim must use same nameplate");
                }
                nameplate
            }
        };
        self.released = true;
        Ok(Next::Ask(Ask::Release { nameplate }))
    }

    fn open(&self, field: Field, bounds: &Bounds) -> Result<Next, &'static str> {
        if self.mailbox.is_some() {
            return Err("only one open per connection");
        }
        if field == Field::Missing {
            return Err("open requires 'mailbox'");
        }
        let mailbox = name(field, bounds, MAILBOX)?;
        Ok(Next::Ask(Ask::Open { mailbox }))
    }

    fn add(&self, command: Command, bounds: &Bounds, now: Stamp) -> Result<Next, &'static str> {
        let Some(mailbox) = self.mailbox.clone() else {
            return Err(Refusal::NotOpen.as_str());
        };
        if command.phase == Field::Missing {
            return Err("missing 'phase'");
        }
        if command.body == Field::Missing {
            return Err("missing 'body'");
        }
        let phase = name(command.phase, bounds, "'phase' must be a string, and not too long")?;
        let Field::Text(body) = command.body else { return Err("'body' must be a string") };
        let side = self.member.side.clone();
        let message = Message { side, phase, body, id: command.id, received: now };
        Ok(Next::Ask(Ask::Add { mailbox, message }))
    }

    fn close(&mut self, field: Field, mood: Field, bounds: &Bounds) -> Result<Next, &'static str> {
        if self.closed {
            return Err("only one close per connection");
        }
        let mailbox = match (field, &self.mailbox) {
            (Field::Missing, Some(open)) => open.clone(),
            (Field::Missing, None) => return Err("close without mailbox must follow open"),
            (field @ (Field::Text(_) | Field::Other), open) => {
                let mailbox = name(field, bounds, MAILBOX)?;
                if open.as_ref().is_some_and(|open| *open != mailbox) {
                    return Err("open and close must use same mailbox");
                }
                mailbox
            }
        };
        self.closed = true;
        self.mailbox = None;
        // Any word is a mood, and what is none is passed over.
        let mood = name(mood, bounds, "no mood").ok();
        Ok(Next::Ask(Ask::Close { mailbox, mood }))
    }

    /// Says what the store has done.
    fn tell(&mut self, done: Done, out: &mut Vec<Output>) {
        let answer = match done {
            Done::Listed(nameplates) => Answer::Nameplates(nameplates),
            Done::Allocated(nameplate) => Answer::Allocated(nameplate),
            Done::Claimed { mailbox, found: _ } => Answer::Claimed(mailbox),
            Done::Released => Answer::Released,
            Done::Opened { mailbox, messages } => {
                self.mailbox = Some(mailbox);
                return out.push(Output::Replay(messages));
            }
            // The message itself comes back, which says more.
            Done::Added => return,
            Done::Closed => Answer::Closed,
        };
        out.push(Output::Say(answer));
    }

    fn pass_on(&self, message: Arc<Message>, out: &mut Vec<Output>) {
        // What crossed a `close` is no longer wanted.
        if self.mailbox.is_some() {
            out.push(Output::Say(Answer::Message(message)));
        }
    }
}

const MAILBOX: &str = "'mailbox' must be a string, and not too long";

fn name(field: Field, bounds: &Bounds, error: &'static str) -> Result<String, &'static str> {
    match field {
        Field::Text(text) if text.len() <= bounds.name_bytes => Ok(text),
        Field::Text(_) | Field::Missing | Field::Other => Err(error),
    }
}

/// ASCII digits only; leading zeros make another nameplate.
fn nameplate(field: Field) -> Result<String, &'static str> {
    match field {
        Field::Text(text)
            if (1..=limits::NAMEPLATE_DIGITS).contains(&text.len())
                && text.bytes().all(|byte| byte.is_ascii_digit()) =>
        {
            Ok(text)
        }
        Field::Text(_) | Field::Missing | Field::Other => Err("a nameplate is a string of 1 to 40 digits"),
    }
}

#[cfg(test)]
mod tests {
    use alloc::format;
    use alloc::string::ToString;
    use alloc::vec;
    use std::path::Path;
    use std::{env, fs};

    use super::*;

    /// The file that the table is kept in, below the root of the workspace.
    const TABLE: &str = "docs/machines/server-session.md";

    #[test]
    fn the_table_of_transitions_is_the_one_in_the_docs() {
        let mut text = String::from("# session (of the mailbox server)\n\n");
        text += "An answer in quotes is the text of an `error`. `ask` asks the store and waits for it.\n\n";
        text += "Written by a test of `server/src/session.rs`.\n\n";
        text += "| state | input | output | next |\n| --- | --- | --- | --- |\n";
        for (state, inputs, outputs, next) in rows() {
            text += &format!("| {state} | {} | {outputs} | {next} |\n", inputs.join(", "));
        }
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(TABLE);
        if env::var_os("REGENERATE_TABLES").is_some() {
            fs::write(&path, &text).unwrap();
        }
        let kept = fs::read_to_string(&path).unwrap_or_default();
        assert!(kept == text, "{TABLE} differs; REGENERATE_TABLES=1 writes it anew");
    }

    #[test]
    fn an_ended_session_says_nothing_more() {
        let mut session = Session::new(None);
        let out = session.handle(Input::Said(b"nonsense".to_vec(), Stamp::default()), &rules());
        assert_eq!(out.last(), Some(&Output::Finish(NO_COMMAND)));
        assert_eq!(session.handle(Input::Said(b"{}".to_vec(), Stamp::default()), &rules()), []);
        assert!(!session.is_listening());
    }

    fn rules() -> Rules {
        Rules { allow_list: true, bounds: Bounds::default() }
    }

    /// Inputs that do the same in one state share a row.
    fn rows() -> Vec<(String, Vec<String>, String, String)> {
        let mut rows: Vec<(String, Vec<String>, String, String)> = Vec::new();
        for state in states() {
            for (name, input) in inputs() {
                let mut out = Vec::new();
                let before = show_state(&state);
                let after = show_state(&state.clone().step(input, &rules(), &mut out));
                let next = if after == before { "same".to_string() } else { after };
                let outputs: Vec<String> = out.iter().filter_map(show_output).collect();
                let outputs = outputs.join(", ");
                match rows.iter_mut().find(|row| row.0 == before && row.2 == outputs && row.3 == next) {
                    Some(row) => row.1.push(name),
                    None => rows.push((before, vec![name], outputs, next)),
                }
            }
        }
        rows
    }

    fn states() -> Vec<State> {
        let command = r#"{"type":"bind","appid":"x","side":"a"}"#;
        let bound = Bound::new(Command::parse(command).unwrap(), &Bounds::default()).unwrap();
        let claimed = Bound { allocated: true, claimed: Some("4".into()), ..bound.clone() };
        let open = Bound { mailbox: Some("m".into()), ..bound.clone() };
        let done = Bound { released: true, closed: true, ..claimed.clone() };
        let demand = Demand { bits: 6, resource: "resource-string".into() };
        vec![
            State::Stranger(demand),
            State::Unbound,
            State::Bound(bound),
            State::Bound(claimed),
            State::Bound(open.clone()),
            State::Bound(done),
            State::Asking(open, "{}".into()),
            State::Ended,
        ]
    }

    fn inputs() -> Vec<(String, Input)> {
        let submit =
            |stamp: &str| format!(r#"{{"type":"submit-permissions","method":"hashcash","stamp":"{stamp}"}}"#);
        let commands = [
            ("ping", r#"{"type":"ping","ping":1}"#),
            ("bind", r#"{"type":"bind","appid":"x","side":"a"}"#),
            ("list", r#"{"type":"list"}"#),
            ("allocate", r#"{"type":"allocate"}"#),
            ("claim 4", r#"{"type":"claim","nameplate":"4"}"#),
            ("release", r#"{"type":"release"}"#),
            ("release 4", r#"{"type":"release","nameplate":"4"}"#),
            ("release 5", r#"{"type":"release","nameplate":"5"}"#),
            ("open m", r#"{"type":"open","mailbox":"m"}"#),
            ("add", r#"{"type":"add","phase":"p","body":"00"}"#),
            ("close", r#"{"type":"close"}"#),
            ("close m", r#"{"type":"close","mailbox":"m"}"#),
            ("close n", r#"{"type":"close","mailbox":"n"}"#),
            ("a stamp", &submit("1:6:260101:resource-string::0123456789abcdef:10b")),
            ("no stamp", &submit("1:6:260101:another-string::0123456789abcdef:10b")),
            ("another method", r#"{"type":"submit-permissions","method":"coin","stamp":""}"#),
            ("unknown type", r#"{"type":"bogus"}"#),
            ("no type", "{}"),
            ("no object", "[]"),
        ];
        let said = |(name, text): (&str, &str)| {
            (name.to_string(), Input::Said(text.as_bytes().to_vec(), Stamp::default()))
        };
        let mut inputs: Vec<_> = commands.into_iter().map(said).collect();
        let opened = Done::Opened { mailbox: "m".into(), messages: Vec::new() };
        inputs.push(("(store) opened m".into(), Input::Done(Ok(opened))));
        inputs.push(("(store) added".into(), Input::Done(Ok(Done::Added))));
        inputs.push(("(store) closed".into(), Input::Done(Ok(Done::Closed))));
        inputs.push(("(store) crowded".into(), Input::Done(Err(Refusal::Crowded))));
        inputs.push(("(address) too much".into(), Input::Refused("too many")));
        let message = Message {
            side: "b".into(),
            phase: "p".into(),
            body: "00".into(),
            id: None,
            received: Stamp::default(),
        };
        inputs.push(("(store) a message".into(), Input::Added(Arc::new(message))));
        inputs
    }

    fn show_state(state: &State) -> String {
        let (name, bound) = match state {
            State::Stranger(_) => return "Stranger".into(),
            State::Unbound => return "Unbound".into(),
            State::Ended => return "Ended".into(),
            State::Bound(bound) => ("Bound", bound),
            State::Asking(bound, _) => ("Asking", bound),
        };
        let mut parts = vec![name.to_string()];
        parts.extend(bound.allocated.then(|| "allocated".into()));
        parts.extend(bound.claimed.iter().map(|name| format!("claimed {name}")));
        parts.extend(bound.released.then(|| "released".into()));
        parts.extend(bound.mailbox.iter().map(|name| format!("open {name}")));
        parts.extend(bound.closed.then(|| "closed".into()));
        parts.join(", ")
    }

    fn show_output(output: &Output) -> Option<String> {
        Some(match output {
            // Every command with a type has one.
            Output::Say(Answer::Ack(_)) => return None,
            Output::Say(Answer::Error { error, .. }) => format!("\"{error}\""),
            Output::Say(answer) => {
                let text: serde_json::Value =
                    serde_json::from_slice(&answer.encode(Stamp::default())).unwrap();
                text["type"].as_str().unwrap().into()
            }
            Output::Replay(_) => "what the mailbox holds".into(),
            Output::Ask(_, ask) => match ask {
                Ask::List => "ask: list",
                Ask::Allocate => "ask: allocate",
                Ask::Claim { .. } => "ask: claim",
                Ask::Release { .. } => "ask: release",
                Ask::Open { .. } => "ask: open",
                Ask::Add { .. } => "ask: add",
                Ask::Close { .. } => "ask: close",
            }
            .into(),
            // For the statistics; the client hears nothing of it.
            Output::Bound(..) => return None,
            Output::Finish(code) => format!("finish: {code}"),
        })
    }
}
