//! A message of the mailbox server.

use wormhole_core::wire::server::{FromServer, NAMEPLATES, ToServer};
use wormhole_core::wire::{Phase, Side};

/// The input is the message.
pub fn run(data: &[u8]) {
    let Ok(message) = FromServer::decode(data) else { return };
    assert_eq!(FromServer::decode(data), Ok(message.clone()));
    match message {
        FromServer::Message { side, phase, body } => comes_back(&side, &phase, body),
        FromServer::Nameplates(nameplates) => {
            assert!(nameplates.len() <= NAMEPLATES);
            for nameplate in nameplates {
                let claim = ToServer::Claim(nameplate).encode("0");
                assert_eq!(FromServer::decode(&claim), Ok(FromServer::Unknown));
            }
        }
        FromServer::Welcome(welcome) => {
            for text in [welcome.motd, welcome.error, welcome.current_cli_version].into_iter().flatten() {
                super::untrusted::check_text(&text);
            }
        }
        FromServer::Error(text) => super::untrusted::check_text(&text),
        FromServer::Ack
        | FromServer::Allocated(_)
        | FromServer::Claimed(_)
        | FromServer::Released
        | FromServer::Closed
        | FromServer::Pong
        | FromServer::Unknown => {}
    }
}

/// What a client adds is what a server passes on, but for the type and the side.
fn comes_back(side: &Side, phase: &Phase, body: Vec<u8>) {
    let add = ToServer::Add { phase: phase.clone(), body: body.clone() }.encode("0");
    let echo = serde_json::from_slice::<serde_json::Value>(&add).map(|mut echo| {
        if let Some(fields) = echo.as_object_mut() {
            fields.insert("type".into(), "message".into());
            fields.insert("side".into(), side.as_str().into());
        }
        FromServer::decode(echo.to_string().as_bytes())
    });
    let message = FromServer::Message { side: side.clone(), phase: phase.clone(), body };
    assert!(echo.is_ok_and(|echo| echo == Ok(message)));
}
