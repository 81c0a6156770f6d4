//! Every adapter with the reference's library on the other side, driven by a small program, by way of either server: which
//! of them makes the code, records both ways, verifier, versions, derived keys, and the end.
#![cfg(test)]

use std::time::Duration;

use sha2::{Digest, Sha256};
use wormhole_core::error::Mood;
use wormhole_runtime::Config;
use wormhole_tests::{Adapter, Channel, Make, Peers, Program, Servers, Side};

/// The other side.
const LIBRARY: &str = include_str!("../src/library.py");
const APPID: &str = "example.com/library";
/// Records each way.
const RECORDS: usize = 400;
/// No step takes longer than this.
const LIMIT: Duration = Duration::from_secs(60);

/// A module for each adapter, and in it a test for each server and each side that makes the code.
macro_rules! adapters {
    ($($name:ident: $adapter:ident;)*) => {$(
        mod $name {
            use super::*;

            #[test]
            fn it_makes_the_code_at_our_server() {
                ours_makes_the_code(Adapter::$adapter, Make::Ours);
            }

            #[test]
            fn it_makes_the_code_at_their_server() {
                ours_makes_the_code(Adapter::$adapter, Make::Reference);
            }

            #[test]
            fn it_is_told_the_code_at_our_server() {
                theirs_makes_the_code(Adapter::$adapter, Make::Ours);
            }

            #[test]
            fn it_is_told_the_code_at_their_server() {
                theirs_makes_the_code(Adapter::$adapter, Make::Reference);
            }
        }
    )*};
}

adapters! {
    tokio: Tokio;
    async_std: AsyncStd;
    smol: Smol;
    blocking: Blocking;
}

fn ours_makes_the_code(adapter: Adapter, make: Make) {
    let Some((peers, servers)) = Peers::find().zip(Servers::shared(make)) else { return };
    let mut side = open(adapter, servers);
    side.allocate_code(3).unwrap();
    let code = side.code().unwrap();
    let program = start(peers, servers, Some(code.as_str()));
    assert_eq!(program.line_after(Channel::Output, "code: ", LIMIT), code.as_str());
    talk(side, program);
}

fn theirs_makes_the_code(adapter: Adapter, make: Make) {
    let Some((peers, servers)) = Peers::find().zip(Servers::shared(make)) else { return };
    let program = start(peers, servers, None);
    let mut side = open(adapter, servers);
    side.set_code(&program.line_after(Channel::Output, "code: ", LIMIT)).unwrap();
    talk(side, program);
}

/// Everything from the proof to the end, and what both must have alike.
fn talk(mut side: Box<dyn Side>, program: Program) {
    let says = |name: &str| program.line_after(Channel::Output, &format!("{name}: "), LIMIT);
    assert_eq!(side.verifier().unwrap().to_string(), says("verifier"));
    let versions = side.versions().unwrap();
    assert_eq!(
        serde_json::from_str::<serde_json::Value>(versions.app_versions.as_str()).unwrap(),
        serde_json::json!({"of": "python", "list": [1, "é"]})
    );
    assert_eq!(says("versions"), "number=7 of=rust");
    let key = side.derive_key("example.com/purpose é", 40).unwrap();
    assert_eq!(hex(key.as_bytes()), says("key"));
    // In turn, since neither side may say without end what the other does not take.
    let mut said = Sha256::new();
    for number in 0..RECORDS {
        let ours = record("rust", number);
        said.update(u32::try_from(ours.len()).unwrap().to_be_bytes());
        said.update(&ours);
        side.send(&ours).unwrap();
        assert!(side.receive().unwrap() == record("python", number), "record {number}");
    }
    side.stored().unwrap();
    assert_eq!(says("heard"), hex(&said.finalize()));
    side.close().unwrap();
    assert_eq!(side.status().mood, Some(Mood::Happy));
    assert_eq!(says("closed"), "happy");
    let outcome = program.succeed(LIMIT);
    assert!(!outcome.output.contains("wrong: "), "{}", outcome.output);
}

fn start(peers: &Peers, servers: &Servers, code: Option<&str>) -> Program {
    let mut command = peers.python(LIBRARY);
    command.args([&servers.mailbox_url(), APPID, &RECORDS.to_string()]).args(code);
    Program::start("the reference's library", command)
}

fn open(adapter: Adapter, servers: &Servers) -> Box<dyn Side> {
    let config = Config::new(APPID).mailbox(&servers.mailbox_url());
    adapter.wormhole(config.app_versions(r#"{"of": "rust", "number": 7}"#)).unwrap()
}

/// The same as in the program.
fn record(sender: &str, number: usize) -> Vec<u8> {
    let len = if number % 50 == 49 { 60_000 } else { number * 7 % 300 };
    format!("{sender} {number} ").bytes().cycle().take(len).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
