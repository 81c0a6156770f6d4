//! A wormhole that was written down, as another process reads it.

use serde_json::Value;
use wormhole_core::code::Code;
use wormhole_core::driver::{Conn, Conns};
use wormhole_core::wormhole::{Config, Snapshot, Wormhole};

use super::wormhole::end;
use crate::peer::CODE;
use crate::world::World;

/// The input is the text.
pub fn run(data: &[u8]) {
    let Ok(snapshot) = serde_json::from_slice::<Snapshot>(data) else { return };
    let written = serde_json::to_value(&snapshot).unwrap_or_default();
    let again = serde_json::from_value::<Snapshot>(written.clone());
    let again = again.map(|again| serde_json::to_value(&again).unwrap_or_default());
    assert!(again.is_ok_and(|again| again == written), "it is another one when it is read again");
    let text = |key: &str| written.get(key).and_then(Value::as_str).unwrap_or_default();
    let Ok(config) = Config::new(text("appid")) else { return };
    let other = Wormhole::restore(config.clone(), snapshot.clone(), [3; 32], Conns::all());
    let config = config.mailbox(text("mailbox_url"));
    let Ok(wormhole) = Wormhole::restore(config, snapshot, [3; 32], Conns::all()) else {
        unreachable!("it is for this configuration");
    };
    assert!(other.is_err() || other == Ok(wormhole.clone()), "a configuration for another server is taken");
    let mut world = World::new(wormhole);
    world.pass_to_deadline();
    if let Ok(code) = Code::parse(CODE) {
        // Refused, unless none was chosen before.
        let _ = world.machine_mut().set_code(code);
        world.poll();
    }
    world.open(Conn(0));
    for message in [
        r#"{"type": "welcome", "welcome": {}}"#,
        r#"{"type": "claimed", "mailbox": "mb"}"#,
        r#"{"type": "message", "side": "other", "phase": "0", "body": "00"}"#,
    ] {
        world.receive(Conn(0), message.as_bytes());
    }
    world.machine_mut().close();
    end(&mut world);
}
