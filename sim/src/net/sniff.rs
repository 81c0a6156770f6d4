//! What a listener on the line to the mailbox server can tell about a client: whether it used its key too early.

/// What was seen of a client.
#[derive(Debug, Default)]
pub(crate) struct Sniffed {
    side: Option<String>,
    /// The other side's proof that it has the key has been delivered.
    proven: bool,
    /// How often it has asked for a nameplate. What the first answer named is held by the server until it expires.
    pub(crate) allocations: u32,
    /// The server has let it go, which it asks for last.
    pub(crate) is_closed: bool,
}

impl Sniffed {
    /// A command on its way to the server. Says what is wrong with it.
    pub(crate) fn said(&mut self, frame: &str) -> Option<String> {
        match field(frame, "type")? {
            "allocate" => self.allocations = self.allocations.saturating_add(1),
            "bind" => self.side = field(frame, "side").map(str::to_owned),
            "add" => {
                let phase = field(frame, "phase")?;
                if phase.starts_with(|first: char| first.is_ascii_digit()) && !self.proven {
                    return Some(format!("record {phase} was sent before the key was confirmed"));
                }
            }
            _ => {}
        }
        None
    }

    /// A message on its way from the server.
    pub(crate) fn heard(&mut self, frame: &str) {
        self.is_closed |= field(frame, "type") == Some("closed");
        // Whatever is sealed with the key is as good a proof as the first of it.
        if is_message(frame)
            && field(frame, "phase") != Some("pake")
            && field(frame, "side") != self.side.as_deref()
        {
            self.proven = true;
        }
    }
}

pub(crate) fn is_message(frame: &str) -> bool {
    field(frame, "type") == Some("message")
}

/// The text of a member of an object, as our own programs write it.
pub(crate) fn field<'a>(frame: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = frame.split_once(&format!("\"{name}\":"))?;
    rest.trim_start().strip_prefix('"')?.split('"').next()
}
