//! What a client is answered who speaks TLS.

use crate::layered::{End, feed};
use crate::script::Script;

/// Where the stream is cut, and the stream.
pub fn run(data: &[u8]) {
    let mut script = Script::new(data);
    let cuts = script.chunk();
    let stream = script.rest();
    let whole = feed(End::Tls, |_| Vec::new(), stream, &[]);
    let cut = feed(End::Tls, |_| Vec::new(), stream, cuts);
    assert_eq!(whole.told, cut.told, "it matters where it is cut");
}
