//! When things happened, written to the file of `--dump-timing` in the shape that the reference's tools read: a JSON
//! array of objects with `name`, `start`, `stop` and `details`, the times in seconds since 1970.
//!
//! There is one record for the program, as there is one command in it. Without the option nothing is kept.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use wormhole_core::wormhole::Event as Session;

use crate::failure::Failure;
use crate::screen::{note, shown};

/// What is kept, if anything.
static RECORD: Mutex<Option<Record>> = Mutex::new(None);

struct Record {
    path: PathBuf,
    file: File,
    moments: Vec<Moment>,
}

/// The most that is kept: a session that loses its server again and again tells so each time.
const MOMENTS: usize = 10_000;

#[derive(Clone, Debug, PartialEq)]
struct Moment {
    name: &'static str,
    /// Who was waited for, in the reference's words.
    waiting: Option<&'static str>,
    start: f64,
    stop: Option<f64>,
}

/// From now on everything is kept, for this file. That it can be written is found out now.
pub(crate) fn keep(path: &Path) -> Result<(), Failure> {
    let file = File::create(path)
        .map_err(|error| Failure::Here(format!("'{}' cannot be written: {error}", shown(path))))?;
    *record() = Some(Record { path: path.to_owned(), file, moments: Vec::new() });
    at("command dispatch");
    at("connect");
    Ok(())
}

/// This happens, or begins, now.
pub(crate) fn at(name: &'static str) {
    add(name, None);
}

/// The user is waited for from now on.
pub(crate) fn begin_to_ask(name: &'static str) {
    add(name, Some("user"));
}

/// The last of this name ends now, if it has not ended.
pub(crate) fn end(name: &'static str) {
    if let Some(record) = &mut *record()
        && let Some(moment) = record.moments.iter_mut().rfind(|moment| moment.name == name)
    {
        moment.stop.get_or_insert_with(now);
    }
}

/// What the session tells.
pub(crate) fn session(event: &Session) {
    match event {
        Session::LinkUp => end("connect"),
        Session::LinkDown { .. } => at("connect"),
        Session::Welcome(_) => at("welcome"),
        Session::Code(_) => at("code established"),
        Session::PeerHeard => at("peer heard"),
        Session::UnverifiedKey => at("key established"),
        Session::Verifier(_) => at("key verified"),
        Session::Versions(_) => at("versions"),
        Session::Closed(_) => at("closed"),
        Session::Nameplates(_) | Session::WordsWanted | Session::Record(_) | Session::CodeConsumed => {}
    }
}

/// Writes down what was kept.
pub(crate) fn write() {
    let Some(mut record) = record().take() else { return };
    record.moments.push(Moment { name: "exit", waiting: None, start: now(), stop: None });
    let text = json(&record.moments);
    match record.file.write_all(text.as_bytes()) {
        Ok(()) => note(format_args!("Timing data written to {}", shown(&record.path))),
        Err(error) => note(format_args!("Timing data cannot be written to {}: {error}", shown(&record.path))),
    }
}

fn add(name: &'static str, waiting: Option<&'static str>) {
    if let Some(record) = &mut *record()
        && record.moments.len() < MOMENTS
    {
        record.moments.push(Moment { name, waiting, start: now(), stop: None });
    }
}

/// The names are ours and need no escapes.
fn json(moments: &[Moment]) -> String {
    let one = |moment: &Moment| {
        let stop = moment.stop.map_or_else(|| "null".to_owned(), |stop| format!("{stop:.6}"));
        let details = moment.waiting.map_or_else(String::new, |who| format!("\"waiting\": \"{who}\""));
        format!(
            " {{\n  \"name\": \"{}\",\n  \"start\": {:.6},\n  \"stop\": {stop},\n  \"details\": {{{details}}}\n }}",
            moment.name, moment.start
        )
    };
    format!("[\n{}\n]\n", moments.iter().map(one).collect::<Vec<_>>().join(",\n"))
}

fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

fn record() -> MutexGuard<'static, Option<Record>> {
    RECORD.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn what_is_written_is_json_as_the_reference_has_it() {
        let moments = [
            Moment { name: "welcome", waiting: None, start: 1.5, stop: None },
            Moment { name: "permission", waiting: Some("user"), start: 2.0, stop: Some(2.25) },
        ];
        let written: Value = serde_json::from_str(&json(&moments)).unwrap();
        assert_eq!(
            written,
            serde_json::json!([
                {"name": "welcome", "start": 1.5, "stop": null, "details": {}},
                {"name": "permission", "start": 2.0, "stop": 2.25, "details": {"waiting": "user"}},
            ])
        );
    }
}
