//! A code as a link: `wormhole-transfer:7-crossover-clockwork`, for QR codes and for programs that open each other.
//!
//! The application is always that of file transfer. What is written escapes more than it must, so that every reader gets the
//! code back. What is read is decoded once, and refused where two readers could understand it differently: a key that is
//! unknown or comes twice, a fragment, an authority.

use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::{self, Write};

use crate::code::Code;
use crate::defaults::MAILBOX;
use crate::error::CodeFault;
use crate::untrusted::Text;

/// The scheme, which is read whatever its case.
pub const SCHEME: &str = "wormhole-transfer";
/// The most bytes of a URI that is read. A QR code holds less.
pub const URI_BYTES: usize = 4096;

/// What a `wormhole-transfer:` URI says.
///
/// ```
/// use wormhole_core::code::Code;
/// use wormhole_core::uri::{Role, Uri};
///
/// let uri = Uri::new(Code::parse("7-crossover-clockwork")?).mailbox("wss://example.com/v1")?;
/// let written = "wormhole-transfer:7-crossover-clockwork?rendezvous=wss%3A%2F%2Fexample.com%2Fv1";
/// assert_eq!(uri.to_string(), written);
///
/// let read = Uri::parse(written)?;
/// assert_eq!(read.server(), Some("wss://example.com/v1"));
/// assert_eq!(read.role(), Role::Follower);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Uri {
    code: Code,
    server: Option<String>,
    role: Role,
}

/// What the side does that reads the URI.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Role {
    /// It receives.
    #[default]
    Follower,
    /// It sends.
    Leader,
}

impl Uri {
    /// For who is to receive with this code, at the public mailbox server.
    pub const fn new(code: Code) -> Self {
        Self { code, server: None, role: Role::Follower }
    }

    /// Both meet at this mailbox server.
    pub fn mailbox(self, url: &str) -> Result<Self, UriFault> {
        let (scheme, rest) = url.split_once("://").ok_or(UriFault::Mailbox)?;
        let is_known = ["ws", "wss"].iter().any(|known| scheme.eq_ignore_ascii_case(known));
        let host = rest.split(['/', '?']).next().unwrap_or_default();
        let is_clean = url.bytes().all(|byte| byte.is_ascii_graphic()) && !rest.contains('#');
        if !is_known || !is_clean || host.is_empty() || host.contains('@') {
            return Err(UriFault::Mailbox);
        }
        Ok(Self { server: (url != MAILBOX).then(|| String::from(url)), ..self })
    }

    /// The side that reads it does this.
    #[must_use]
    pub fn for_role(self, role: Role) -> Self {
        Self { role, ..self }
    }

    /// Reads a URI, without white space around it.
    pub fn parse(text: &str) -> Result<Self, UriFault> {
        if text.len() > URI_BYTES {
            return Err(UriFault::TooLong);
        }
        let rest = after_scheme(text).ok_or(UriFault::Scheme)?;
        if rest.starts_with("//") {
            return Err(UriFault::Authority);
        }
        if rest.contains('#') {
            return Err(UriFault::Fragment);
        }
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        let code = Code::parse(&decoded(path)?)?;
        if !code.has_words() {
            return Err(CodeFault::NoWords.into());
        }
        query
            .split('&')
            .filter(|pair| !pair.is_empty())
            .try_fold(Read::new(code), Read::pair)
            .map(|read| read.uri)
    }

    /// Whether the text claims to be such a URI, and so is no code.
    pub fn is_meant(text: &str) -> bool {
        after_scheme(text).is_some()
    }

    /// The code.
    pub const fn code(&self) -> &Code {
        &self.code
    }

    /// The mailbox server, where it is not the public one.
    pub fn server(&self) -> Option<&str> {
        self.server.as_deref()
    }

    /// What the side does that reads it.
    pub const fn role(&self) -> Role {
        self.role
    }
}

impl fmt::Display for Uri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{SCHEME}:{}", Escaped(self.code.as_str()))?;
        let mut before = '?';
        if let Some(server) = &self.server {
            write!(f, "{before}rendezvous={}", Escaped(server))?;
            before = '&';
        }
        match self.role {
            Role::Follower => Ok(()),
            Role::Leader => write!(f, "{before}role=leader"),
        }
    }
}

/// Why a text is no URI that can be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UriFault {
    /// It does not begin with the scheme.
    Scheme,
    /// It is longer than [`URI_BYTES`].
    TooLong,
    /// `//` follows the scheme.
    Authority,
    /// It contains `#`.
    Fragment,
    /// A percent sign is not followed by two hexadecimal digits, or what is escaped is not UTF-8.
    Escape,
    /// The code is none; the fault says why.
    Code(CodeFault),
    /// It is of a version that is not known here.
    Version,
    /// It has a key that is not known here.
    UnknownKey(Text),
    /// This key comes twice.
    RepeatedKey(&'static str),
    /// The role is neither of the two.
    Role,
    /// The mailbox server is no `ws://` or `wss://` URL.
    Mailbox,
}

impl fmt::Display for UriFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Scheme => "such a link begins with wormhole-transfer:",
            Self::TooLong => return write!(f, "a link has at most {URI_BYTES} bytes"),
            Self::Authority => "the code follows wormhole-transfer: without // between them",
            Self::Fragment => "a link has no # in it: write %23",
            Self::Escape => "a percent sign in the link stands for nothing: copy the whole of it",
            Self::Code(fault) => return fault.fmt(f),
            Self::Version => "the link is of a later version: use a newer version of this program",
            Self::UnknownKey(key) => {
                return write!(f, "the link says something that is not known here: '{}'", key.short());
            }
            Self::RepeatedKey(key) => return write!(f, "the link says '{key}' twice"),
            Self::Role => "the role in a link is follower or leader",
            Self::Mailbox => "the mailbox server in a link begins with ws:// or wss://, and a host follows",
        })
    }
}

impl core::error::Error for UriFault {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Code(fault) => Some(fault),
            Self::Scheme
            | Self::TooLong
            | Self::Authority
            | Self::Fragment
            | Self::Escape
            | Self::Version
            | Self::UnknownKey(_)
            | Self::RepeatedKey(_)
            | Self::Role
            | Self::Mailbox => None,
        }
    }
}

impl From<CodeFault> for UriFault {
    fn from(fault: CodeFault) -> Self {
        Self::Code(fault)
    }
}

/// A URI whose keys are being read.
struct Read {
    uri: Uri,
    seen: Vec<&'static str>,
}

impl Read {
    const fn new(code: Code) -> Self {
        Self { uri: Uri::new(code), seen: Vec::new() }
    }

    /// Takes one more `KEY=VALUE`, which is escaped as forms are.
    fn pair(mut self, pair: &str) -> Result<Self, UriFault> {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        let (key, value) = (form_decoded(key)?, form_decoded(value)?);
        match key.as_str() {
            "version" if value == "0" => self.once("version"),
            "version" => Err(UriFault::Version),
            "role" => {
                self.uri.role = match value.as_str() {
                    "follower" => Role::Follower,
                    "leader" => Role::Leader,
                    _ => return Err(UriFault::Role),
                };
                self.once("role")
            }
            "rendezvous" => {
                self.uri = self.uri.mailbox(&with_path(&value))?;
                self.once("rendezvous")
            }
            key => Err(UriFault::UnknownKey(Text::from(key))),
        }
    }

    fn once(mut self, key: &'static str) -> Result<Self, UriFault> {
        if self.seen.contains(&key) {
            return Err(UriFault::RepeatedKey(key));
        }
        self.seen.push(key);
        Ok(self)
    }
}

fn after_scheme(text: &str) -> Option<&str> {
    let (scheme, rest) = text.split_once(':')?;
    scheme.eq_ignore_ascii_case(SCHEME).then_some(rest)
}

/// The protocol's text leaves out the path `/v1` that every server has.
fn with_path(url: &str) -> Cow<'_, str> {
    let whole = match url.split_once("://") {
        Some((_, rest)) => match rest.split_once('/') {
            None => !rest.is_empty() && !rest.contains('?'),
            Some((_, path)) => path.is_empty(),
        },
        None => false,
    };
    if whole { Cow::Owned(alloc::format!("{}/v1", url.trim_end_matches('/'))) } else { Cow::Borrowed(url) }
}

fn form_decoded(text: &str) -> Result<String, UriFault> {
    decoded(&text.replace('+', " "))
}

fn decoded(text: &str) -> Result<String, UriFault> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(if byte == b'%' {
            escaped(rest.next(), rest.next()).ok_or(UriFault::Escape)?
        } else {
            byte
        });
    }
    String::from_utf8(bytes).map_err(|_| UriFault::Escape)
}

fn escaped(high: Option<u8>, low: Option<u8>) -> Option<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    Some(digit(high?)? << 4 | digit(low?)?)
}

/// Text with everything escaped that may mean something to somebody.
struct Escaped<'a>(&'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.bytes().try_for_each(|byte| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                f.write_char(char::from(byte))
            }
            byte => write!(f, "%{byte:02X}"),
        })
    }
}

#[cfg(test)]
mod tests {
    use alloc::format;
    use alloc::string::ToString;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn each_fault_is_told_apart() {
        for (rest, fault) in [
            ("//host/4-a", UriFault::Authority),
            ("4-a#b", UriFault::Fragment),
            ("4-a%2", UriFault::Escape),
            ("4-a%zz", UriFault::Escape),
            ("4-%FF", UriFault::Escape),
            ("", UriFault::Code(CodeFault::Nameplate)),
            ("4-", UriFault::Code(CodeFault::NoWords)),
            ("4-a%20b", UriFault::Code(CodeFault::Space)),
            ("4-a?version=1", UriFault::Version),
            ("4-a?version", UriFault::Version),
            ("4-a?colour=red", UriFault::UnknownKey(Text::from("colour"))),
            ("4-a?role=leader&role=leader", UriFault::RepeatedKey("role")),
            ("4-a?role=Leader", UriFault::Role),
            ("4-a?rendezvous=http://h", UriFault::Mailbox),
            ("4-a?rendezvous=ws://", UriFault::Mailbox),
            ("4-a?rendezvous=ws://me@h/v1", UriFault::Mailbox),
            ("4-a?rendezvous=ws://h%0A/v1", UriFault::Mailbox),
            ("4-a?rendezvous=ws://h/v1%23x", UriFault::Mailbox),
        ] {
            assert_eq!(Uri::parse(&format!("wormhole-transfer:{rest}")), Err(fault), "{rest}");
        }
        assert_eq!(Uri::parse("wormhole:4-a"), Err(UriFault::Scheme));
        assert_eq!(Uri::parse(" wormhole-transfer:4-a"), Err(UriFault::Scheme));
    }

    #[test]
    fn the_length_is_bounded() {
        let longest = format!("wormhole-transfer:4-{:a<1$}", "", URI_BYTES - 20);
        assert!(Uri::parse(&longest).is_ok());
        assert_eq!(Uri::parse(&format!("{longest}a")), Err(UriFault::TooLong));
    }

    #[test]
    fn a_server_without_a_path_gets_the_usual_one() {
        for (given, server) in [
            ("ws://h:4000", Some("ws://h:4000/v1")),
            ("WSS://h/", Some("WSS://h/v1")),
            ("ws://h/v2", Some("ws://h/v2")),
            ("ws://h/?a=b", Some("ws://h/?a=b")),
            ("ws://relay.magic-wormhole.io:4000", None),
        ] {
            let uri = Uri::parse(&format!("wormhole-transfer:4-a?rendezvous={given}")).unwrap();
            assert_eq!(uri.server(), server, "{given}");
        }
    }

    #[test]
    fn a_link_is_told_from_a_code() {
        assert!(Uri::is_meant("Wormhole-Transfer:nonsense"));
        assert!(!Uri::is_meant("7-crossover-clockwork"));
        assert!(!Uri::is_meant("wormhole-transfer"));
    }

    proptest! {
        #[test]
        fn what_was_written_is_read_as_it_was(words in "[^ ]{1,40}", sends: bool) {
            let code = Code::parse(&format!("4-{words}")).unwrap();
            let role = if sends { Role::Leader } else { Role::Follower };
            let uri = Uri::new(code).mailbox("ws://localhost:4000/v1?x=%20").unwrap().for_role(role);
            prop_assert_eq!(Uri::parse(&uri.to_string()), Ok(uri));
        }

        #[test]
        fn what_was_read_is_written_so_that_it_is_read_again(rest in "[0-9\\-a?&=%#/:+.wsé\n]{0,60}") {
            for uri in [format!("wormhole-transfer:4-a{rest}"), format!("wormhole-transfer:4-a?rendezvous=ws://{rest}")] {
                if let Ok(read) = Uri::parse(&uri) {
                    prop_assert_eq!(Uri::parse(&read.to_string()), Ok(read));
                }
            }
        }
    }
}
