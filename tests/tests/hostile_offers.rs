//! What a peer that knows the code may offer: names, sizes, archives and texts. `HOSTILE.md` has the whole table.
#![cfg(test)]

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::time::timeout;
use wormhole_core::code::Code;
use wormhole_tests::hostile::Foe;
use wormhole_tests::{Servers, expect_names, new_code};
use wormhole_tokio::transfer::{Config, Destination, Received, Receiver};
use zip::write::{FileOptions, SimpleFileOptions};
use zip::{CompressionMethod, ZipWriter};

/// Nothing here takes long.
const LIMIT: Duration = Duration::from_secs(60);

/// What is promised.
#[derive(Clone, Copy, Debug)]
enum Outcome {
    /// It is there, under this name.
    Stored(&'static str),
    /// Nothing is there, and the error has this in it.
    Refused(&'static str),
}
use Outcome::{Refused, Stored};

#[tokio::test]
async fn no_name_leads_out_of_the_directory_or_steers_a_terminal() {
    let unusable = Refused("cannot be used here");
    let long = format!("\"{}\"", "n".repeat(4096));
    let rows: &[(&str, Outcome)] = &[
        (r#""../x""#, Stored("x")),
        (r#""../../../../etc/passwd""#, Stored("passwd")),
        (r#""/etc/passwd""#, Stored("passwd")),
        (r#""a\\b""#, Stored("b")),
        (r#""..\\..\\b""#, Stored("b")),
        (r#""C:\\b""#, Stored("b")),
        (r#""new\nline""#, Stored("new_line")),
        (r#""\u001b[31mred\u0007""#, Stored("_[31mred_")),
        (r#""\u009b31mred""#, Stored("_31mred")),
        (r#""invoice\u202efdp.exe""#, Stored("invoice_fdp.exe")),
        (r#""\u200finvoice\u200e\u061c""#, Stored("_invoice__")),
        (r#""\u2066a\u2069\u2028b""#, Stored("_a__b")),
        (r#""\udcffa""#, Stored("\u{fffd}a")),
        (r#""\ud83d\ude48""#, Stored("🙈")),
        (r#""-rf""#, Stored("-rf")),
        (r#""CON""#, Stored(if cfg!(windows) { "_CON" } else { "CON" })),
        (r#""nul.txt""#, Stored(if cfg!(windows) { "_nul.txt" } else { "nul.txt" })),
        (r#""a\u0000b""#, unusable),
        (r#""""#, unusable),
        (r#"".""#, unusable),
        (r#""..""#, unusable),
        (r#""a/..""#, unusable),
        (r#""a/""#, unusable),
        (&long, unusable),
        ("5", Refused("a message that cannot be read")),
        ("null", Refused("a message that cannot be read")),
        (r#"["a"]"#, Refused("a message that cannot be read")),
    ];
    for (name, outcome) in rows {
        let offer = format!(r#"{{"offer": {{"file": {{"filename": {name}, "filesize": 5}}}}}}"#);
        check(name, offer.as_bytes(), b"12345", *outcome).await;
    }
}

#[tokio::test]
async fn no_size_is_believed() {
    let unreadable = Refused("a message that cannot be read");
    let rows: &[(&str, Outcome)] = &[
        ("5", Stored("a")),
        ("-1", unreadable),
        ("\"5\"", unreadable),
        ("5.5", unreadable),
        ("1e400", unreadable),
        ("true", unreadable),
        ("null", unreadable),
        ("[5]", unreadable),
        ("18446744073709551616", unreadable),
        ("9223372036854775808", Refused("not enough free space")),
        ("18446744073709551615", Refused("not enough free space")),
        ("4", Refused("more than it had announced")),
        ("6", Refused("the connection was lost")),
    ];
    for (size, outcome) in rows {
        let offer = format!(r#"{{"offer": {{"file": {{"filename": "a", "filesize": {size}}}}}}}"#);
        check(size, offer.as_bytes(), b"12345", *outcome).await;
    }
}

#[tokio::test]
async fn no_directory_is_believed() {
    let honest = archive(&[("f", b"12345")], CompressionMethod::Deflated);
    let size = honest.len();
    let rows: &[(&str, Value, Outcome)] = &[
        ("honest", directory("d", size, 5, 1), Stored("d")),
        ("a name that leads out", directory("../d", size, 5, 1), Stored("d")),
        ("a name that is none", directory("..", size, 5, 1), Refused("cannot be used here")),
        ("fewer bytes", directory("d", size, 4, 1), Refused("larger than was announced")),
        ("fewer files", directory("d", size, 5, 0), Refused("more files than were announced")),
        ("an archive without end", directory("d", 1_usize << 60, 5, 1), Refused("free space")),
        ("bytes without end", directory("d", size, 1_usize << 60, 1), Refused("free space")),
        ("a shorter archive", directory("d", size - 1, 5, 1), Refused("more than it had announced")),
        ("a longer archive", directory("d", size + 1, 5, 1), Refused("the connection was lost")),
        (
            "another mode",
            json!({"offer": {"directory": {"mode": "tar", "dirname": "d", "zipsize": size, "numbytes": 5, "numfiles": 1}}}),
            Refused("does not know"),
        ),
        (
            "no numbers",
            json!({"offer": {"directory": {"mode": "zipfile/deflated", "dirname": "d", "zipsize": -1, "numbytes": "5", "numfiles": []}}}),
            Refused("a message that cannot be read"),
        ),
    ];
    for (row, offer, outcome) in rows {
        check(row, offer.to_string().as_bytes(), &honest, *outcome).await;
    }
}

#[tokio::test]
async fn no_archive_does_what_its_peer_wants() {
    let stored = CompressionMethod::Stored;
    let deflated = CompressionMethod::Deflated;
    let rows: Vec<(&str, Vec<u8>, Outcome)> = vec![
        ("above", archive(&[("../x", b"1")], deflated), Refused("not allowed")),
        ("above, later", archive(&[("a/../../x", b"1")], deflated), Refused("not allowed")),
        ("absolute", archive(&[("/tmp/x", b"1")], deflated), Refused("not allowed")),
        ("backslashes", archive(&[("..\\x", b"1")], deflated), Refused("not allowed")),
        ("a drive", archive(&[("C:/x", b"1")], deflated), Refused("not allowed")),
        ("NUL", archive(&[("a\0b", b"1")], deflated), Refused("not allowed")),
        ("too deep", archive(&[(&"d/".repeat(200), b"")], stored), Refused("not allowed")),
        ("a long name", archive(&[(&"n".repeat(300), b"1")], stored), Refused("not allowed")),
        ("a link out of it", linked(), Refused("is a link")),
        ("the same name twice", twice(), Refused("two entries have the same name")),
        ("a file as a directory", archive(&[("a", b"1"), ("a/b", b"2")], deflated), Refused("there twice")),
        (
            "a bomb",
            archive(&[("zeros", &vec![0; 50_000_000])], deflated),
            Refused("larger than was announced"),
        ),
        ("many files", archive(&files(100), deflated), Refused("more files than were announced")),
        ("encrypted", changed(|it, list| (it[6] |= 1, it[list + 8] |= 1)), Refused("encrypted")),
        ("an unknown method", changed(|it, list| (it[8] = 97, it[list + 10] = 97)), Refused("unknown way")),
        ("a smaller size", changed(|it, list| it[list + 24] -= 1), Refused("cannot be unpacked")),
        ("a larger size", changed(|it, list| it[list + 24] += 1), Refused("cannot be unpacked")),
        // Harmless: what came is what its size and checksum say.
        ("a packed size of 4 GiB", changed(|it, list| it[list + 23] = 0xff), Stored("d")),
        ("a wrong checksum", changed(|it, list| it[list + 16] ^= 1), Refused("cannot be unpacked")),
        ("an entry beyond the end", changed(|it, list| it[list + 44] = 0xff), Refused("cannot be unpacked")),
        ("truncated", truncated(), Refused("the archive is broken")),
        ("no archive", b"PK\x03\x04 and nothing".to_vec(), Refused("the archive is broken")),
        ("nothing", Vec::new(), Refused("the archive is broken")),
        ("overlapping entries", overlapping(), Refused("cannot be unpacked")),
    ];
    for (row, archive, outcome) in rows {
        let offer = directory("d", archive.len(), 1000, 5).to_string();
        check(row, offer.as_bytes(), &archive, outcome).await;
    }
}

#[tokio::test]
async fn names_that_are_equal_for_some_systems_never_replace_each_other() {
    let rows: [[&str; 2]; 3] = [["a", "A"], ["stra\u{df}e", "STRASSE"], ["caf\u{e9}", "cafe\u{301}"]];
    for names in rows {
        let work = TempDir::new().unwrap();
        let archive = archive(&[(names[0], b"1"), (names[1], b"2")], CompressionMethod::Deflated);
        let offer = directory("d", archive.len(), 2, 2).to_string();
        match receive(work.path(), offer.as_bytes(), &archive).await {
            Ok(_) => {
                assert_eq!(fs::read(work.path().join("d").join(names[0])).unwrap(), b"1", "{names:?}");
                assert_eq!(fs::read(work.path().join("d").join(names[1])).unwrap(), b"2", "{names:?}");
            }
            // Where the file system takes them for the same.
            Err(error) => {
                assert!(error.contains("there twice"), "{error}");
                expect_names(work.path(), &[]);
            }
        }
    }
}

#[tokio::test]
async fn offers_that_are_none_are_refused() {
    let unreadable = "a message that cannot be read";
    let deep = format!("{{\"offer\": {}{}}}", "[".repeat(100_000), "]".repeat(100_000));
    let rows: &[(&str, &[u8], &str)] = &[
        ("no JSON", b"{", unreadable),
        ("no UTF-8", b"\xff\xfe{}", unreadable),
        ("a list", b"[]", unreadable),
        ("a number", br#"{"offer": 5}"#, unreadable),
        ("nothing known", br#"{"offer": {"virus": {}}}"#, "does not know"),
        ("deep", deep.as_bytes(), unreadable),
        ("an answer", br#"{"answer": {"file_ack": "ok"}, "offer": {"x": 1}}"#, "does not know"),
        ("an error", br#"{"error": "\u001b[2Jgone\nand more"}"#, r"ended the transfer: \x1b[2Jgone and more"),
    ];
    for (row, offer, sentence) in rows {
        let work = TempDir::new().unwrap();
        let error = receive(work.path(), offer, b"").await.unwrap_err();
        assert!(error.contains(sentence) && !error.contains('\x1b'), "{row}: {error}");
    }
}

/// Offers it, sends the content if it is wanted, and looks at what came of it.
async fn check(row: &str, offer: &[u8], content: &[u8], outcome: Outcome) {
    let work = TempDir::new().unwrap();
    let inner = work.path().join("inner");
    fs::create_dir(&inner).unwrap();
    let received = receive(&inner, offer, content).await;
    // Nothing outside, whatever happened.
    expect_names(work.path(), &["inner"]);
    match outcome {
        Stored(name) => {
            assert_eq!(received, Ok(inner.join(name)), "{row}");
            expect_names(&inner, &[name]);
        }
        Refused(sentence) => {
            let error = received.expect_err(row);
            assert!(error.contains(sentence), "{row}: {error}");
            expect_names(&inner, &[]);
        }
    }
}

/// Our receiver, which accepts whatever can be accepted, and a peer that offers this.
async fn receive(directory: &Path, offer: &[u8], content: &[u8]) -> Result<PathBuf, String> {
    let url = Servers::ours().mailbox_url();
    let code = new_code();
    let receiving = async {
        let mut receiver =
            Receiver::new(Config::default().mailbox(&url).relays([""; 0]).listen(false)).unwrap();
        receiver.set_code(Code::parse(&code).unwrap()).unwrap();
        let accepted = async {
            receiver.offer().await?;
            receiver.accept(&Destination::Into(directory.to_owned()))
        };
        // What cannot be accepted ends with that error, of which the peer is told.
        drop(accepted.await);
        match receiver.finish().await {
            Ok(Received::Stored(path)) => Ok(path),
            Ok(other) => panic!("nobody sent that: {other:?}"),
            Err(error) => Err(error.to_string()),
        }
    };
    let attacking = async {
        let mut foe = Foe::meet(&url, &code).await;
        foe.say_where().await;
        foe.say(offer).await;
        let mut is_wanted = false;
        while let Some(said) = foe.hear().await {
            if said.get("answer").is_some() {
                is_wanted = true;
                break;
            }
            if said.get("error").is_some() {
                break;
            }
        }
        if is_wanted {
            let mut stream = foe.send_to().await;
            for part in content.chunks(1 << 20) {
                let record = stream.sealed(part);
                stream.write(&record).await;
            }
            // The other side must not depend on our patience; and an end shows it that there is no more.
            let _ = tokio::io::AsyncWriteExt::shutdown(&mut stream.socket).await;
            stream.until_left().await;
        }
        std::future::pending::<()>().await;
    };
    let both = async {
        tokio::select! { received = receiving => received, () = attacking => panic!("it never ends") }
    };
    timeout(LIMIT, both).await.unwrap()
}

fn directory(name: &str, zip_size: usize, bytes: usize, files: usize) -> Value {
    json!({"offer": {"directory": {
        "mode": "zipfile/deflated", "dirname": name, "zipsize": zip_size, "numbytes": bytes, "numfiles": files,
    }}})
}

fn archive(entries: &[(&str, &[u8])], method: CompressionMethod) -> Vec<u8> {
    let mut writer = ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let options: SimpleFileOptions = FileOptions::default().compression_method(method);
    for (name, content) in entries {
        if let Some(name) = name.strip_suffix('/') {
            writer.add_directory(name, options).unwrap();
        } else {
            writer.start_file(*name, options).unwrap();
            writer.write_all(content).unwrap();
        }
    }
    writer.finish().unwrap().into_inner()
}

fn files(count: usize) -> Vec<(&'static str, &'static [u8])> {
    (0..count).map(|number| (&*number.to_string().leak(), &b""[..])).collect()
}

fn linked() -> Vec<u8> {
    let mut writer = ZipWriter::new(std::io::Cursor::new(Vec::new()));
    writer.add_symlink("out", "/etc", SimpleFileOptions::default()).unwrap();
    writer.finish().unwrap().into_inner()
}

/// The writer makes no such thing, so the second name is changed into the first.
fn twice() -> Vec<u8> {
    let mut bytes = archive(&[("same", b"1"), ("sane", b"2")], CompressionMethod::Stored);
    for at in 0..bytes.len() - 4 {
        if &bytes[at..at + 4] == b"sane" {
            bytes[at + 2] = b'm';
        }
    }
    bytes
}

/// Two entries of the list whose content is the same bytes.
fn overlapping() -> Vec<u8> {
    let mut bytes = archive(&[("one", b"123"), ("two", b"456")], CompressionMethod::Stored);
    let lists: Vec<usize> = (0..bytes.len() - 4).filter(|at| &bytes[*at..at + 4] == b"PK\x01\x02").collect();
    let place = lists[1] + 42;
    bytes[place..place + 4].copy_from_slice(&[0; 4]);
    bytes
}

fn truncated() -> Vec<u8> {
    let mut bytes = archive(&[("f", b"12345")], CompressionMethod::Stored);
    bytes.truncate(bytes.len() - 10);
    bytes
}

/// An honest archive in which something is changed; the change is told where its list begins.
fn changed<T>(change: impl FnOnce(&mut Vec<u8>, usize) -> T) -> Vec<u8> {
    let mut bytes = archive(&[("f", b"1234512345")], CompressionMethod::Deflated);
    let list = (0..bytes.len() - 4).find(|at| &bytes[*at..at + 4] == b"PK\x01\x02").unwrap();
    change(&mut bytes, list);
    bytes
}
