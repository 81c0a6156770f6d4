//! Links that stand for codes.

use wormhole_core::code::Code;
use wormhole_core::uri::{URI_BYTES, Uri, UriFault};

/// The input is the link.
pub fn run(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else { return };
    assert!(!Uri::is_meant(text) || Code::parse(text).is_err(), "it is a link and a code");
    match Uri::parse(text) {
        Ok(uri) => {
            assert!(Uri::is_meant(text) && uri.code().has_words());
            assert!(uri.server().is_none_or(|url| Uri::new(uri.code().clone()).mailbox(url).is_ok()));
            let written = uri.to_string();
            assert!(written.bytes().all(|byte| byte.is_ascii_graphic()), "{written}");
            let again = if written.len() > URI_BYTES { Err(UriFault::TooLong) } else { Ok(uri) };
            assert_eq!(Uri::parse(&written), again, "{written}");
        }
        Err(fault) => {
            let is_meant = fault != UriFault::Scheme;
            assert!(Uri::is_meant(text) == is_meant || fault == UriFault::TooLong, "{fault:?}");
            assert!(!fault.to_string().contains(char::is_control), "{fault}");
        }
    }
}
