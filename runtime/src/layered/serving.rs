//! How callers are served that come in as WebSockets.

use std::time::Duration;

/// How callers are served that come in as WebSockets: what whoever runs a server may choose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Serving {
    /// How often each is pinged (`docs/server-protocol.md`, "Keep-alive").
    pub ping_every: Duration,
    /// How long one may then be silent.
    pub silence_limit: Duration,
    /// How long one may take to become a WebSocket, once it is connected.
    pub opening_limit: Duration,
    /// The pages in browsers that may come, by their `Origin`; all, where none is named. Programs send none.
    pub origins: Vec<String>,
    /// The code of the close frame for those whom we leave.
    pub goodbye: u16,
}

impl Default for Serving {
    fn default() -> Self {
        Self {
            ping_every: Duration::from_secs(60),
            silence_limit: Duration::from_secs(600),
            opening_limit: Duration::from_secs(10),
            origins: Vec::new(),
            goodbye: 1000,
        }
    }
}

impl Serving {
    /// Whether a caller with this `Origin` may come.
    pub(super) fn admits(&self, origin: Option<&[u8]>) -> bool {
        match origin {
            None => true,
            Some(origin) => {
                self.origins.is_empty() || self.origins.iter().any(|allowed| allowed.as_bytes() == origin)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_may_always_come_and_pages_where_they_are_named_or_none_is() {
        let open = Serving::default();
        let named = Serving { origins: vec!["https://a.example".into()], ..Serving::default() };
        assert!(open.admits(None) && open.admits(Some(b"https://b.example")));
        assert!(named.admits(None) && named.admits(Some(b"https://a.example")));
        assert!(!named.admits(Some(b"https://b.example")) && !named.admits(Some(b"null")));
    }
}
