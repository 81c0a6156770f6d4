//! Relays, proxies and servers, as users and settings name them.

use wormhole_core::driver::{Conn, Input, Op, Target, Why};
use wormhole_core::wire::hints::parse_relay_argument;
use wormhole_runtime::{Layered, Proxy, Runtime};

use crate::below::{Below, told};

/// The input is the address.
pub fn run(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else { return };
    if let Ok(Some(relay)) = parse_relay_argument(text) {
        assert!(relay.address.port != 0 && !relay.address.host.is_empty());
        let again = format!("tcp:{}:priority={}", relay.address, relay.priority.get());
        assert_eq!(parse_relay_argument(&again), Ok(Some(relay)), "{again}");
    }
    if let Ok(proxy) = Proxy::parse(text) {
        assert!(format!("{proxy:?}").contains("Proxy("));
    }
    let mut layer = Layered::new(Below::default());
    layer.start(Op::Open { conn: Conn(0), target: Target::Mailbox(text.into()) });
    match told(&mut layer).as_slice() {
        [] => {}
        [Input::Closed { conn: Conn(0), why: why @ Why::BadUrl(_) }] => {
            assert!(!why.to_string().contains(char::is_control));
        }
        other => assert!(other.is_empty(), "{other:?}"),
    }
}
