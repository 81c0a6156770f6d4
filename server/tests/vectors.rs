//! The recordings of the reference servers, replayed against ours. Where ours differs on purpose, it is listed.

#[cfg(test)]
#[expect(dead_code, reason = "each test file uses its part")]
mod support;

#[cfg(test)]
mod mailbox_server {
    use std::collections::BTreeMap;

    use serde_json::{Value, json};
    use wormhole_core::driver::{Conn, Why};

    use super::support::MailboxWorld;

    /// What ours answers instead: the scene, its step, and then whether the connection has ended.
    const FIXES: [(&str, usize, &str, bool); 12] = [
        // The reference cuts the connection without a word.
        (
            "malformed-not-json",
            1,
            r#"[{"error": "a message must be a JSON object in UTF-8", "orig": null}]"#,
            true,
        ),
        (
            "malformed-json-list",
            1,
            r#"[{"error": "a message must be a JSON object in UTF-8", "orig": [1, 2]}]"#,
            true,
        ),
        (
            "malformed-bad-utf8",
            1,
            r#"[{"error": "a message must be a JSON object in UTF-8", "orig": null}]"#,
            true,
        ),
        (
            "bad-claim-alpha",
            2,
            r#"[{"id": null}, {"error": "a nameplate is a string of 1 to 40 digits", "orig": {"type": "claim", "nameplate": "abc"}}]"#,
            false,
        ),
        (
            "bad-claim-integer",
            2,
            r#"[{"id": null}, {"error": "a nameplate is a string of 1 to 40 digits", "orig": {"type": "claim", "nameplate": 4}}]"#,
            false,
        ),
        (
            "bad-claim-long",
            2,
            r#"[{"id": null}, {"error": "a nameplate is a string of 1 to 40 digits", "orig": {"type": "claim", "nameplate": "11111111111111111111111111111111111111111"}}]"#,
            false,
        ),
        (
            "bad-open-integer",
            2,
            r#"[{"id": null}, {"error": "'mailbox' must be a string, and not too long", "orig": {"type": "open", "mailbox": 4}}]"#,
            false,
        ),
        // The reference passes on what no client may send.
        (
            "bad-add-integer-body",
            3,
            r#"[{"id": null}, {"error": "'phase' must be a string, and not too long", "orig": {"type": "add", "phase": 5, "body": 6}}]"#,
            false,
        ),
        // The version is of no consequence.
        ("bind-bad-client-version", 1, r#"[{"id": null}]"#, false),
        // The third side leaves no trace, so the first two may come back.
        ("crowded", 16, r#"[{"id": null}, {"mailbox": "etcb27oye43t2"}]"#, false),
        (
            "crowded",
            17,
            r#"[{"id": null}, {"side": "aaaa", "phase": "x", "body": "00", "server_rx": 1700000000.5, "id": null}]"#,
            false,
        ),
        // Nobody has to release before.
        ("close-without-release", 9, r#"[{"id": null}, {"type": "closed"}]"#, false),
    ];

    #[test]
    fn every_scene_goes_as_recorded() {
        let recorded: Value = serde_json::from_str(include_str!("data/mailbox_server.json")).unwrap();
        let scenes = recorded["scenes"].as_array().unwrap();
        assert_eq!(scenes.len(), 25);
        let mut fixed = 0;
        for scene in scenes {
            fixed += replay(scene);
        }
        assert_eq!(fixed, FIXES.len());
    }

    /// Plays one scene; answers how many steps differ on purpose.
    fn replay(scene: &Value) -> usize {
        let name = scene["name"].as_str().unwrap();
        let mut world = world(name);
        let mut conns = BTreeMap::new();
        let mut renamed = BTreeMap::new();
        let mut fixed = 0;
        for (index, step) in scene["steps"].as_array().unwrap().iter().enumerate() {
            let who = step["conn"].as_str().unwrap();
            match step["action"].as_str() {
                Some("connect") => drop(conns.insert(who, world.connect("127.0.0.1:50000"))),
                Some("tcp connection dropped") => {
                    world.hang_up(conns.remove(who).unwrap(), Why::Reset);
                    continue;
                }
                Some(other) => panic!("{other}"),
                None => world.send(conns[who], &said(step, &renamed)),
            }
            let mut expected = step["server"].as_array().unwrap().clone();
            let mut ends = step.get("connection_closed").is_some();
            let fix = FIXES.iter().find(|(scene, at, ..)| *scene == name && *at == index);
            if let Some((_, _, ours, closed)) = fix {
                fixed += 1;
                expected = with_types(ours);
                ends = *closed;
            }
            let heard = hear(&mut world, conns[who]);
            learn(&expected, &heard, &mut renamed);
            assert_eq!(heard, rename(json!(expected), &renamed), "{name}, step {index}");
            assert_eq!(!world.is_open(conns[who]), ends, "{name}, step {index}");
            for (other, conn) in conns.iter().filter(|(other, _)| **other != who) {
                let pushed = step["pushed_to_others"].get(other).cloned().unwrap_or_else(|| json!([]));
                assert_eq!(
                    hear(&mut world, *conn),
                    rename(pushed, &renamed),
                    "{name}, step {index}: {other}"
                );
            }
        }
        fixed
    }

    fn world(scene: &str) -> MailboxWorld {
        MailboxWorld::mailbox_with(|options| match scene {
            "welcome-motd" => {
                options.motd = Some("hello from the operator".into());
                options.advertise_version = Some("9.9.9".into());
                options.allow_list = false;
            }
            "welcome-error" => options.error = Some("please upgrade".into()),
            _ => {}
        })
    }

    fn said(step: &Value, renamed: &BTreeMap<String, Value>) -> Vec<u8> {
        match step["client_raw_utf8"].as_str() {
            // The recording could not hold the bad byte itself.
            Some(raw) => raw.split('\u{fffd}').map(str::as_bytes).collect::<Vec<_>>().join(&0xff),
            None => rename(step["client"].clone(), renamed).to_string().into_bytes(),
        }
    }

    fn hear(world: &mut MailboxWorld, conn: Conn) -> Value {
        let heard = std::mem::take(&mut world.line(conn).heard);
        heard.iter().map(|bytes| serde_json::from_slice::<Value>(bytes).unwrap()).collect()
    }

    /// Adds what goes without saying in the table above.
    fn with_types(ours: &str) -> Vec<Value> {
        let mut messages: Vec<Value> = serde_json::from_str(ours).unwrap();
        for message in &mut messages {
            let kinds = [
                ("error", "error"),
                ("body", "message"),
                ("pong", "pong"),
                ("mailbox", "claimed"),
                ("id", "ack"),
            ];
            let kind = kinds.iter().find(|(key, _)| message.get(key).is_some()).map(|(_, kind)| json!(kind));
            let message = message.as_object_mut().unwrap();
            message.entry("type").or_insert_with(|| kind.unwrap());
            message.insert("server_tx".into(), json!(super::support::STARTED));
        }
        messages
    }

    /// Names are drawn by chance: learns which of ours stands for which of the recording's.
    fn learn(recorded: &[Value], ours: &Value, renamed: &mut BTreeMap<String, Value>) {
        for (index, message) in recorded.iter().enumerate() {
            for (kind, key) in [("allocated", "nameplate"), ("claimed", "mailbox")] {
                if message["type"] == kind && ours[index]["type"] == kind {
                    let name = message[key].as_str().unwrap();
                    let digits = |name: &str| (name.len(), name.bytes().all(|byte| byte.is_ascii_digit()));
                    assert_eq!(digits(name), digits(ours[index][key].as_str().unwrap()));
                    renamed.entry(name.into()).or_insert_with(|| ours[index][key].clone());
                }
            }
        }
    }

    fn rename(value: Value, renamed: &BTreeMap<String, Value>) -> Value {
        match value {
            Value::String(name) => renamed.get(&name).cloned().unwrap_or(Value::String(name)),
            Value::Array(list) => list.into_iter().map(|value| rename(value, renamed)).collect(),
            Value::Object(map) => map.into_iter().map(|(key, value)| (key, rename(value, renamed))).collect(),
            Value::Null | Value::Bool(_) | Value::Number(_) => value,
        }
    }
}

#[cfg(test)]
mod transit_relay {
    use std::collections::BTreeMap;

    use serde_json::Value;
    use wormhole_core::driver::Why;

    use super::support::RelayWorld;

    /// Scenes of clients that come by WebSocket: the relay has no such port yet.
    const SKIPPED: [&str; 6] = [
        "websocket-pair",
        "websocket-newline",
        "websocket-with-tcp",
        "websocket-extra-in-first",
        "websocket-text-frame",
        "websocket-bad",
    ];

    /// Which of several clients of one side is chosen is chance in the reference. Ours takes the newest, so that in
    /// this scene the two change places.
    const CHANGED_PLACES: (&str, [&str; 2]) = ("same-side-does-not-match", ["A", "A2"]);

    #[test]
    fn every_scene_over_tcp_goes_as_recorded() {
        let recorded: Value = serde_json::from_str(include_str!("data/transit_relay.json")).unwrap();
        let (skipped, played): (Vec<&Value>, Vec<&Value>) = recorded["scenes"]
            .as_array()
            .unwrap()
            .iter()
            .partition(|scene| scene.to_string().contains("WebSocket"));
        let names: Vec<&str> = skipped.iter().map(|scene| scene["name"].as_str().unwrap()).collect();
        assert_eq!(names, SKIPPED);
        assert_eq!(played.len(), 16);
        played.into_iter().for_each(replay);
    }

    fn replay(scene: &Value) {
        let mut world = RelayWorld::relay();
        let mut conns = BTreeMap::new();
        for (index, step) in scene["steps"].as_array().unwrap().iter().enumerate() {
            let who = step["conn"].as_str().unwrap();
            match step["do"].as_str() {
                Some("connect over TCP") => drop(conns.insert(who, world.connect("127.0.0.1:50000"))),
                Some("close") => world.hang_up(conns.remove(who).unwrap(), Why::Ended),
                Some(other) => panic!("{other}"),
                None => world.send(conns[who], &unhex(step["send_hex"].as_str().unwrap())),
            }
            for (name, conn) in &conns {
                let (scene_name, [one, other]) = CHANGED_PLACES;
                let recorded_as = match *name {
                    name if scene["name"] != scene_name => name,
                    name if name == one => other,
                    name if name == other => one,
                    name => name,
                };
                let expected = &step["received"][recorded_as];
                let heard = world.hear(*conn);
                let text = String::from_utf8_lossy(&heard);
                let place = format!("{}, step {index}: {name}", scene["name"]);
                assert_eq!(text, expected["text"].as_str().unwrap_or(""), "{place}");
                if expected["then"] == "connection closed by relay" {
                    assert!(!world.is_open(*conn), "{place}");
                } else if expected.is_object() {
                    assert!(world.is_open(*conn), "{place}");
                }
            }
        }
    }

    fn unhex(hex: &str) -> Vec<u8> {
        data_encoding::HEXLOWER.decode(hex.as_bytes()).unwrap()
    }
}
