//! Archives there and back, and what others make of them.

use std::fs::{self, File};
use std::io::{Cursor, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use proptest::prelude::*;
use tempfile::TempDir;
use wormhole_core::wire::peer::Attributes;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipArchive, ZipWriter};

use super::layout::{BIG, End, Entry, MARK};
use super::spool::Waiting;
use super::tree::{Limits, Tree, shown};
use super::{unpack, write};
use crate::error::{BadArchive, Error};
use crate::flow::doubles::{Chunks, Collected, Unwanted};
use crate::flow::{Sink, Source};
use crate::walk::Listing;

const MANY: Limits = Limits { bytes: 1 << 26, files: 1 << 20 };

#[test]
fn an_archive_has_the_size_that_was_measured_and_unpacks_as_it_arrives() {
    let from = sample();
    let (archive, listing) = archive_of(from.path());
    assert_eq!(archive.len() as u64, listing.archive_len());
    for at_once in [1, 7, 1000, archive.len()] {
        let to = TempDir::new().unwrap();
        unpack_into(&archive, at_once, to.path(), MANY).unwrap();
        assert_eq!(tree(to.path()), tree(from.path()));
    }
}

#[test]
fn the_zip_crate_reads_our_archive() {
    let from = sample();
    let (archive, listing) = archive_of(from.path());
    let mut read = ZipArchive::new(Cursor::new(archive)).unwrap();
    assert_eq!(read.len(), listing.items().count());
    let mut text = String::new();
    read.by_name("sub/script.sh").unwrap().read_to_string(&mut text).unwrap();
    assert_eq!(text, "#!/bin/sh\n");
    assert_eq!(read.by_name("sub/script.sh").unwrap().unix_mode(), Some(0o100_755));
    assert!(read.by_name("empty/").unwrap().is_dir());
    assert_eq!(read.by_name("nothing").unwrap().size(), 0);
}

#[test]
fn modes_and_times_of_files_and_directories_are_kept_where_the_archive_says_them() {
    let from = sample();
    fs::create_dir(from.path().join("sub/locked")).unwrap();
    fs::write(from.path().join("sub/locked/x"), "1").unwrap();
    let set = |name: &str, mode, seconds| {
        let path = from.path().join(name);
        let time = SystemTime::UNIX_EPOCH + Duration::new(seconds, 123_456_700);
        File::open(&path).unwrap().set_modified(time).unwrap();
        crate::system::set_mode(&path, mode).unwrap();
    };
    set("sub/locked/x", 0o600, 1_000_000_000);
    set("sub/locked", 0o555, 1_100_000_000);
    set("empty", 0o750, 5_000_000_000);
    set("sub", 0o700, 1);
    set(".", 0o711, 1_200_000_000);
    let mut listing = Listing::of(from.path()).unwrap();
    let plain_len = listing.archive_len();
    listing.keep().unwrap();
    let mut sink = Collected::default();
    write::write(&listing, &mut sink).unwrap();
    assert!(sink.bytes.len() as u64 == listing.archive_len() && listing.archive_len() > plain_len);
    assert_eq!(ZipArchive::new(Cursor::new(&sink.bytes)).unwrap().len(), listing.items().count());
    for at_once in [1, 1000, sink.bytes.len()] {
        let to = TempDir::new().unwrap();
        unpack_into(&sink.bytes, at_once, to.path(), MANY).unwrap();
        assert_eq!(tree(to.path()), tree(from.path()));
        assert_eq!(times(to.path()), times(from.path()));
        assert_eq!(mode(to.path()), 0o711);
        crate::system::set_mode(&to.path().join("sub/locked"), 0o755).unwrap();
    }
    crate::system::set_mode(&from.path().join("sub/locked"), 0o755).unwrap();
}

#[test]
fn what_an_entry_keeps_is_bounded_and_never_set_user_id() {
    for (bits, seconds, expected) in [(0o7755, u64::MAX, 0o755), (0, 1 << 40, 0), (0o177_777, 5, 0o777)] {
        let kept = Some(Attributes::new(Some(0o600), Some((7, 7))));
        let entry = Entry { name: "a", size: 0, mode: 0, kept };
        let (mut archive, mut list) = (Vec::new(), Vec::new());
        entry.write_local(true, &mut archive);
        let at = archive.windows(2).position(|it| it == b"WA").unwrap() + 4;
        archive[at..at + 2].copy_from_slice(&(bits as u16).to_le_bytes());
        archive[at + 2..at + 10].copy_from_slice(&u64::to_le_bytes(seconds));
        entry.write_central(0, 0, &mut list);
        let end = End { count: 1, list_len: list.len() as u64, list_at: archive.len() as u64 };
        archive.extend(list);
        end.write(&mut archive);
        let to = TempDir::new().unwrap();
        unpack_into(&archive, 10, to.path(), MANY).unwrap();
        let found = fs::metadata(to.path().join("a")).unwrap();
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = found.permissions().mode() & 0o7777;
            assert!(mode == expected || expected == 0 && mode & 0o7000 == 0, "{mode:o}");
        }
        let age = found.modified().unwrap().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
        assert_eq!(age == 5, seconds == 5);
    }
}

#[test]
fn python_reads_our_archive() {
    let from = sample();
    let (archive, _) = archive_of(from.path());
    let script = "import sys, zipfile\n\
        z = zipfile.ZipFile(sys.argv[1])\n\
        assert z.testzip() is None\n\
        z.extractall(sys.argv[2])\n\
        print(*(f'{i.external_attr >> 16:o} {i.filename}' for i in z.infolist()), sep='\\n')";
    let work = TempDir::new().unwrap();
    let file = work.path().join("a.zip");
    fs::write(&file, archive).unwrap();
    let target = work.path().join("target");
    fs::create_dir(&target).unwrap();
    let Some(listed) = python(script, &[&file, &target]) else { return };
    let names = |tree: Vec<(PathBuf, u32, Option<Vec<u8>>)>| {
        tree.into_iter().map(|(path, _, content)| (path, content)).collect::<Vec<_>>()
    };
    assert_eq!(names(tree(&target)), names(tree(from.path())));
    assert!(listed.lines().any(|line| line == "100755 sub/script.sh"), "{listed}");
    assert!(listed.lines().any(|line| line == "40755 empty/"), "{listed}");
}

#[test]
fn an_archive_of_python_is_unpacked_from_its_list() {
    // As the reference sends it: to a stream that cannot be read again, so that no local header has a size.
    let script = "import sys, zipfile\n\
        class Stream:\n\
        \x20   def __init__(self, f): self.f = f\n\
        \x20   def write(self, b): return self.f.write(b)\n\
        \x20   def flush(self): self.f.flush()\n\
        method = zipfile.ZIP_STORED if sys.argv[2] == 'stored' else zipfile.ZIP_DEFLATED\n\
        with zipfile.ZipFile(Stream(open(sys.argv[1], 'wb')), 'w', method) as z:\n\
        \x20   i = zipfile.ZipInfo('sub/a.txt'); i.external_attr = 0o100640 << 16; i.compress_type = method\n\
        \x20   z.writestr(i, b'hello ' * 1000)\n\
        \x20   i = zipfile.ZipInfo('none/'); i.external_attr = 0o40750 << 16 | 0x10\n\
        \x20   z.writestr(i, b'')\n\
        \x20   z.writestr(zipfile.ZipInfo('./'), b'')";
    for method in ["stored", "deflated"] {
        let work = TempDir::new().unwrap();
        let file = work.path().join("a.zip");
        if python(script, &[&file, Path::new(method)]).is_none() {
            return;
        }
        let archive = fs::read(&file).unwrap();
        let to = TempDir::new().unwrap();
        unpack_into(&archive, 100, to.path(), Limits { bytes: 6000, files: 1 }).unwrap();
        assert_eq!(fs::read(to.path().join("sub/a.txt")).unwrap(), b"hello ".repeat(1000));
        assert_eq!(mode(&to.path().join("sub/a.txt")), 0o640);
        assert_eq!(mode(&to.path().join("none")), 0o750);
    }
}

#[test]
fn an_empty_directory_is_an_archive_without_entries() {
    let from = TempDir::new().unwrap();
    let (archive, listing) = archive_of(from.path());
    assert_eq!((archive.len(), listing.archive_len()), (22, 22));
    let to = TempDir::new().unwrap();
    unpack_into(&archive, 5, to.path(), Limits { bytes: 0, files: 0 }).unwrap();
    assert_eq!(tree(to.path()), []);
}

#[test]
fn an_archive_that_ends_anywhere_is_refused() {
    let from = small_sample();
    let (archive, _) = archive_of(from.path());
    for end in 0..archive.len() {
        let to = TempDir::new().unwrap();
        let outcome = unpack_into(&archive[..end], 64, to.path(), MANY);
        assert!(matches!(outcome, Err(Error::BadArchive(_))), "{end}: {outcome:?}");
    }
    let to = TempDir::new().unwrap();
    let longer = [archive, vec![0]].concat();
    assert_eq!(unpack_into(&longer, 64, to.path(), MANY), Err(BadArchive::Mismatch.into()));
}

#[test]
fn an_archive_with_any_byte_changed_is_refused_or_harmless() {
    let from = small_sample();
    let (archive, _) = archive_of(from.path());
    let work = TempDir::new().unwrap();
    for place in 0..archive.len() {
        let mut changed = archive.clone();
        changed[place] ^= 0x41;
        let to = work.path().join("inner");
        fs::create_dir(&to).unwrap();
        // A time, a version or a mode may change without harm; content may not.
        if unpack_into(&changed, 64, &to, MANY).is_ok() {
            crate::system::set_mode(&to.join("f"), 0o600).unwrap();
            let contents = |tree: Vec<(PathBuf, u32, Option<Vec<u8>>)>| {
                tree.into_iter().filter_map(|it| it.2).collect::<Vec<_>>()
            };
            assert_eq!(contents(tree(&to)), contents(tree(from.path())), "{place}");
        }
        fs::remove_dir_all(&to).unwrap();
        assert_eq!(fs::read_dir(work.path()).unwrap().count(), 0, "{place}");
    }
}

#[test]
fn what_python_extracts_badly_is_safe_here() {
    let cases = include_str!("../../tests/data/zip_extraction.txt");
    for case in cases.lines().filter(|line| !line.starts_with('#')) {
        let [entry, attributes, expected, mode_of_file] = case.split('\t').collect::<Vec<_>>()[..] else {
            panic!("not four columns: {case}");
        };
        let attributes = u32::from_str_radix(attributes, 16).unwrap();
        let archive = single(entry, b"content", attributes);
        let work = TempDir::new().unwrap();
        let to = work.path().join("target");
        fs::create_dir(&to).unwrap();
        let outcome = unpack_into(&archive, 10, &to, MANY);
        let names: Vec<_> = fs::read_dir(work.path()).unwrap().map(|it| it.unwrap().file_name()).collect();
        assert_eq!(names, ["target"], "{case}");
        match expected {
            "refused" => {
                assert_eq!(outcome, Err(BadArchive::Path(shown(entry.as_bytes())).into()), "{case}");
            }
            made => {
                outcome.unwrap();
                let made = if made == "." { to.clone() } else { to.join(made) };
                assert!(made.exists(), "{case}");
                if let Ok(wanted) = u32::from_str_radix(mode_of_file, 8) {
                    assert_eq!(mode(&made), wanted, "{case}");
                }
            }
        }
    }
}

#[test]
fn bombs_go_no_further_than_was_announced() {
    let zeros = deflated(&[("zeros", &vec![0; 1 << 20])]);
    assert!(zeros.len() < 4096);
    let cases = [
        (zeros, Limits { bytes: 1000, files: 1 }, BadArchive::TooManyBytes),
        (deflated(&[("a", b"1"), ("b", b"2")]), Limits { bytes: 2, files: 1 }, BadArchive::TooManyFiles),
    ];
    for (archive, limits, why) in cases {
        let to = TempDir::new().unwrap();
        assert_eq!(unpack_into(&archive, 1000, to.path(), limits), Err(why.into()));
        let written: usize = tree(to.path()).into_iter().filter_map(|it| it.2).map(|it| it.len()).sum();
        assert!(written as u64 <= limits.bytes);
    }
    let from = sample();
    let (ours, listing) = archive_of(from.path());
    let (bytes, files) = (listing.bytes(), listing.files());
    let too_small = [
        (Limits { bytes: bytes - 1, files }, BadArchive::TooManyBytes),
        (Limits { bytes, files: files - 1 }, BadArchive::TooManyFiles),
    ];
    for (limits, why) in too_small {
        let to = TempDir::new().unwrap();
        assert_eq!(unpack_into(&ours, 1000, to.path(), limits), Err(why.into()));
    }
    let to = TempDir::new().unwrap();
    unpack_into(&ours, 1000, to.path(), Limits { bytes, files }).unwrap();
}

#[test]
fn a_name_that_comes_twice_is_refused() {
    let mut archive = Vec::new();
    let entries = [Entry { name: "a", size: 0, mode: 0o644, kept: None }; 2];
    entries[0].write_local(true, &mut archive);
    entries[1].write_local(false, &mut archive);
    let to = TempDir::new().unwrap();
    assert_eq!(unpack_into(&archive, 9, to.path(), MANY), Err(BadArchive::Twice("a".to_owned()).into()));

    let file_and_directory = deflated(&[("a", b"1"), ("a/b", b"2")]);
    let to = TempDir::new().unwrap();
    let outcome = unpack_into(&file_and_directory, 9, to.path(), MANY);
    assert_eq!(outcome, Err(BadArchive::Twice("a".to_owned()).into()));
}

#[test]
fn an_archive_that_nobody_wants_any_more_is_not_unpacked() {
    // Ours as soon as that is so, others once they have come.
    for (archive, left) in [(archive_of(sample().path()).0, usize::MAX), (deflated(&[("a", b"1")]), 0)] {
        let to = TempDir::new().unwrap();
        let waiting = Waiting { directory: to.path().parent().unwrap(), len: archive.len() as u64 };
        let mut source = Unwanted(Chunks { bytes: &archive, at_once: 9 }, left);
        let outcome = unpack::unpack(&mut source, &mut Tree::new(to.path(), MANY), waiting);
        assert_eq!(outcome, Err(wormhole_core::error::Error::Cancelled.into()));
        assert_eq!(tree(to.path()), []);
    }
}

#[test]
fn permissions_of_other_systems_are_those_of_any_new_file() {
    let mut archive = single("a", b"content", 0x20);
    let list = archive.windows(4).position(|it| it == b"PK\x01\x02").unwrap();
    archive[list + 5] = 0; // made on DOS
    let to = TempDir::new().unwrap();
    unpack_into(&archive, 9, to.path(), MANY).unwrap();
    fs::write(to.path().join("usual"), "").unwrap();
    assert_eq!(mode(&to.path().join("a")), mode(&to.path().join("usual")));
}

#[test]
fn permissions_hinder_nothing_that_comes_later_in_whatever_order() {
    let attributes = |mode: u32| (0o040_000 | mode) << 16;
    let directories = [("a/b/c/", 0o700), ("a/", 0o500), ("a/b/", 0o100), ("./", 0o500)];
    let mut archive = Vec::new();
    let mut list = Vec::new();
    for (name, mode) in directories {
        let entry = Entry { name, size: 0, mode: 0, kept: None };
        let place = list.len() + 38;
        entry.write_central(0, archive.len() as u64, &mut list);
        list[place..place + 4].copy_from_slice(&attributes(mode).to_le_bytes());
        entry.write_local(false, &mut archive);
    }
    let (list_at, list_len) = (archive.len() as u64, list.len() as u64);
    archive.extend(list);
    End { count: 4, list_len, list_at }.write(&mut archive);
    let work = TempDir::new().unwrap();
    let to = work.path().join("to");
    fs::create_dir(&to).unwrap();
    unpack_into(&archive, 9, &to, MANY).unwrap();
    assert_eq!((mode(&to), mode(&to.join("a"))), (0o500, 0o500));
    // So that who is not root can remove it again.
    crate::system::set_mode(&to, 0o700).unwrap();
    crate::system::set_mode(&to.join("a"), 0o700).unwrap();
    // Our user can at least look.
    assert_eq!(mode(&to.join("a/b")), 0o500);
    crate::system::set_mode(&to.join("a/b"), 0o700).unwrap();
    assert_eq!(mode(&to.join("a/b/c")), 0o700);
}

#[test]
fn names_of_old_archives_are_read_as_code_page_437() {
    let mut archive = single("ab", b"content", 0o100_644 << 16);
    for (place, pair) in archive.clone().windows(2).enumerate() {
        if pair == b"ab" {
            archive[place..place + 2].copy_from_slice(b"\x81\x84");
        }
    }
    let list = archive.windows(4).position(|it| it == b"PK\x01\x02").unwrap();
    archive[7] = 0; // the flag of UTF-8
    archive[list + 9] = 0;
    let to = TempDir::new().unwrap();
    unpack_into(&archive, 9, to.path(), MANY).unwrap();
    assert_eq!(tree(to.path())[0].0, Path::new("üä"));
}

#[cfg(unix)]
#[test]
fn what_took_the_place_of_a_file_is_not_sent() {
    use rustix::fs::{CWD, FileType, Mode, mknodat};
    let replaced: [fn(&Path); 3] = [
        |at| mknodat(CWD, at, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap(),
        |at| std::os::unix::fs::symlink("/dev/null", at).unwrap(),
        |at| fs::create_dir(at).unwrap(),
    ];
    for content in ["", "12345"] {
        for replace in replaced {
            let from = TempDir::new().unwrap();
            let at = from.path().join("f");
            fs::write(&at, content).unwrap();
            let listing = Listing::of(from.path()).unwrap();
            fs::remove_file(&at).unwrap();
            replace(&at);
            let outcome = write::write(&listing, &mut Collected::default());
            assert_eq!(outcome, Err(Error::Changed { path: at }));
        }
    }
}

#[test]
fn no_link_is_made() {
    let link = single("link", b"/etc/passwd", 0o120_777 << 16);
    let to = TempDir::new().unwrap();
    assert_eq!(unpack_into(&link, 9, to.path(), MANY), Err(BadArchive::Link("link".to_owned()).into()));
    assert_eq!(tree(to.path()), []);
}

#[test]
fn a_list_that_says_something_else_than_the_entries_is_refused() {
    let from = TempDir::new().unwrap();
    fs::write(from.path().join("one"), "1").unwrap();
    fs::write(from.path().join("two"), "2").unwrap();
    let (archive, _) = archive_of(from.path());
    let list = archive.windows(4).position(|it| it == b"PK\x01\x02").unwrap();
    for place in list + 16..list + 28 {
        let mut changed = archive.clone();
        changed[place] ^= 1;
        let to = TempDir::new().unwrap();
        assert!(unpack_into(&changed, 9, to.path(), MANY).is_err(), "{}", place - list);
    }
    let mut renamed = archive;
    let name = list + 46;
    assert_eq!(&renamed[name..name + 3], b"one");
    renamed[name] = b'O';
    let to = TempDir::new().unwrap();
    assert_eq!(unpack_into(&renamed, 9, to.path(), MANY), Err(BadArchive::Mismatch.into()));
}

#[test]
fn sizes_of_zip64_are_read_from_the_local_header() {
    // As an entry of 4 GiB has them, around five bytes.
    let mut archive = Vec::new();
    Entry { name: "a", size: BIG, mode: 0o644, kept: None }.write_local(true, &mut archive);
    let sizes = archive.len() - MARK.len() - 16;
    for place in [sizes, sizes + 8] {
        archive[place..place + 8].copy_from_slice(&5_u64.to_le_bytes());
    }
    archive.extend_from_slice(b"hello");
    archive.extend_from_slice(b"PK\x07\x08");
    archive.extend_from_slice(&crc32fast::hash(b"hello").to_le_bytes());
    archive.extend_from_slice(&5_u64.to_le_bytes());
    archive.extend_from_slice(&5_u64.to_le_bytes());
    let list_at = archive.len() as u64;
    let listed = Entry { name: "a", size: 5, mode: 0o644, kept: None };
    listed.write_central(crc32fast::hash(b"hello"), 0, &mut archive);
    End { count: 1, list_len: listed.central_len(0), list_at }.write(&mut archive);
    let to = TempDir::new().unwrap();
    unpack_into(&archive, 9, to.path(), MANY).unwrap();
    assert_eq!(fs::read(to.path().join("a")).unwrap(), b"hello");
}

#[test]
fn more_entries_than_sixteen_bits_can_count_are_listed_in_zip64() {
    const COUNT: usize = 66_000;
    let archive = |listing: &Listing| {
        let mut sink = Collected::default();
        write::write(listing, &mut sink).unwrap();
        assert_eq!(sink.bytes.len() as u64, listing.archive_len());
        sink.bytes
    };
    let named = archive(&Listing::of_directories((0..COUNT).map(|number| number.to_string())));
    assert_eq!(ZipArchive::new(Cursor::new(&named)).unwrap().len(), COUNT);
    let work = TempDir::new().unwrap();
    let file = work.path().join("a.zip");
    fs::write(&file, named).unwrap();
    let script = "import sys, zipfile; print(len(zipfile.ZipFile(sys.argv[1]).infolist()))";
    if let Some(listed) = python(script, &[&file]) {
        assert_eq!(listed.trim(), COUNT.to_string());
    }
    // Each is the directory itself, so that the disk has no work with them.
    let same = archive(&Listing::of_directories((0..COUNT).map(|_| ".".to_owned())));
    let to = TempDir::new().unwrap();
    unpack_into(&same, 100_000, to.path(), MANY).unwrap();
    assert_eq!(tree(to.path()), []);
}

#[test]
fn a_file_of_more_than_four_gibibytes_is_stored_in_zip64() {
    let from = TempDir::new().unwrap();
    let size = BIG + 10;
    File::create(from.path().join("huge")).unwrap().set_len(size).unwrap();
    fs::write(from.path().join("later"), "behind four gibibytes").unwrap();
    let listing = Listing::of(from.path()).unwrap();
    let work = TempDir::new().unwrap();
    let at = work.path().join("a.zip");
    let mut sparse =
        Sparse { file: File::create(&at).unwrap(), room: vec![0; 1 << 20], zeros: vec![0; 1 << 20] };
    write::write(&listing, &mut sparse).unwrap();
    let end = sparse.file.stream_position().unwrap();
    assert_eq!(end, listing.archive_len());
    let mut read = ZipArchive::new(File::open(&at).unwrap()).unwrap();
    assert_eq!(read.by_name("huge").unwrap().size(), size);
    let mut text = String::new();
    read.by_name("later").unwrap().read_to_string(&mut text).unwrap();
    assert_eq!(text, "behind four gibibytes");
    let script = "import sys, zipfile\n\
        z = zipfile.ZipFile(sys.argv[1])\n\
        print(z.getinfo('huge').file_size, z.read('later').decode())";
    if let Some(listed) = python(script, &[&at]) {
        assert_eq!(listed.trim(), format!("{size} behind four gibibytes"));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn any_tree_has_exactly_the_measured_size_and_comes_back(
        files in proptest::collection::btree_map(
            "[a-zäß ]{1,12}(/[a-z.]{1,3}x){0,3}",
            proptest::collection::vec(any::<u8>(), 0..3000),
            0..12,
        ),
        at_once in 1_usize..5000,
    ) {
        let from = TempDir::new().unwrap();
        for (name, content) in &files {
            let at = from.path().join(name);
            // A file may stand where another one needs a directory.
            if fs::create_dir_all(at.parent().unwrap()).is_ok() {
                fs::write(&at, content).ok();
            }
        }
        let (archive, listing) = archive_of(from.path());
        prop_assert_eq!(archive.len() as u64, listing.archive_len());
        let to = TempDir::new().unwrap();
        let limits = Limits { bytes: listing.bytes(), files: listing.files() };
        unpack_into(&archive, at_once, to.path(), limits).unwrap();
        prop_assert_eq!(tree(to.path()), tree(from.path()));
    }

    #[test]
    fn whatever_comes_is_refused_without_a_panic(
        bytes in proptest::collection::vec(any::<u8>(), 0..400),
        begins_like_ours: bool,
    ) {
        let mut archive = Vec::new();
        if begins_like_ours {
            Entry { name: "a", size: 3, mode: 0, kept: None }.write_local(true, &mut archive);
        }
        archive.extend(bytes);
        let to = TempDir::new().unwrap();
        prop_assert!(unpack_into(&archive, 50, to.path(), MANY).is_err());
    }
}

/// Everything that makes a difference: nested, empty, executable, without content.
fn sample() -> TempDir {
    let directory = TempDir::new().unwrap();
    let at = |name: &str| directory.path().join(name);
    fs::create_dir_all(at("sub/deeper")).unwrap();
    fs::create_dir(at("empty")).unwrap();
    fs::write(at("a.txt"), "hello\n").unwrap();
    fs::write(at("nothing"), "").unwrap();
    fs::write(at("sub/script.sh"), "#!/bin/sh\n").unwrap();
    fs::write(at("sub/deeper/grüße"), vec![7; 300]).unwrap();
    crate::system::set_mode(&at("sub/script.sh"), 0o755).unwrap();
    crate::system::set_mode(&at("a.txt"), 0o640).unwrap();
    directory
}

/// As little as is needed to have an entry of each kind.
fn small_sample() -> TempDir {
    let directory = TempDir::new().unwrap();
    fs::create_dir(directory.path().join("d")).unwrap();
    fs::write(directory.path().join("f"), "12345").unwrap();
    directory
}

fn archive_of(directory: &Path) -> (Vec<u8>, Listing) {
    let listing = Listing::of(directory).unwrap();
    let mut sink = Collected::default();
    write::write(&listing, &mut sink).unwrap();
    (sink.bytes, listing)
}

fn unpack_into(archive: &[u8], at_once: usize, to: &Path, limits: Limits) -> Result<(), Error> {
    let waiting = Waiting { directory: to.parent().unwrap(), len: archive.len() as u64 };
    let mut tree = Tree::new(to, limits);
    unpack::unpack(&mut Chunks { bytes: archive, at_once }, &mut tree, waiting)?;
    tree.finish(0o755)
}

/// All paths, with their permissions and contents.
fn tree(root: &Path) -> Vec<(PathBuf, u32, Option<Vec<u8>>)> {
    let mut found = Vec::new();
    let mut open = vec![root.to_owned()];
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            let content = if path.is_dir() {
                open.push(path.clone());
                None
            } else {
                Some(fs::read(&path).unwrap())
            };
            found.push((path.strip_prefix(root).unwrap().to_owned(), mode(&path), content));
        }
    }
    found.sort();
    found
}

/// When each was written last.
fn times(root: &Path) -> Vec<(PathBuf, SystemTime)> {
    let paths = tree(root).into_iter().map(|(path, ..)| path).chain([PathBuf::from(".")]);
    paths.map(|path| (path.clone(), fs::metadata(root.join(path)).unwrap().modified().unwrap())).collect()
}

fn mode(path: &Path) -> u32 {
    crate::system::mode(&fs::metadata(path).unwrap())
}

/// An archive with one entry, as Python makes them.
fn single(name: &str, content: &[u8], attributes: u32) -> Vec<u8> {
    let content = if name.ends_with('/') { &[] } else { content };
    let entry = Entry { name, size: content.len() as u64, mode: 0, kept: None };
    let mut archive = Vec::new();
    entry.write_local(false, &mut archive);
    archive.extend_from_slice(content);
    let crc = crc32fast::hash(content);
    entry.write_descriptor(crc, &mut archive);
    let list_at = archive.len() as u64;
    entry.write_central(crc, 0, &mut archive);
    let place = list_at as usize + 38;
    archive[place..place + 4].copy_from_slice(&attributes.to_le_bytes());
    End { count: 1, list_len: entry.central_len(0), list_at }.write(&mut archive);
    archive
}

fn deflated(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Deflated);
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, content) in entries {
        writer.start_file(*name, options).unwrap();
        writer.write_all(content).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

/// What a Python script prints; nothing where there is no Python.
fn python(script: &str, arguments: &[&Path]) -> Option<String> {
    let Ok(output) = Command::new("python3").arg("-c").arg(script).args(arguments).output() else {
        eprintln!("skipped: there is no python3");
        return None;
    };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(String::from_utf8(output.stdout).unwrap())
}

/// A file in which zeros take no room.
struct Sparse {
    file: File,
    room: Vec<u8>,
    zeros: Vec<u8>,
}

impl Sink for Sparse {
    fn room(&mut self) -> Result<&mut [u8], Error> {
        Ok(&mut self.room)
    }

    fn filled(&mut self, count: usize) {
        let bytes = &self.room[..count];
        if bytes == &self.zeros[..count] {
            self.file.seek(SeekFrom::Current(count as i64)).unwrap();
        } else {
            self.file.write_all(bytes).unwrap();
        }
    }
}

#[test]
fn a_source_that_fails_is_not_a_broken_archive() {
    struct Gone;
    impl Source for Gone {
        fn check_wanted(&self) -> Result<(), Error> {
            Ok(())
        }

        fn chunk(&mut self) -> Result<&[u8], Error> {
            Err(Error::NoThread)
        }
        fn used(&mut self, _: usize) {}
    }
    let to = TempDir::new().unwrap();
    let outcome =
        unpack::unpack(&mut Gone, &mut Tree::new(to.path(), MANY), Waiting { directory: to.path(), len: 0 });
    assert_eq!(outcome, Err(Error::NoThread));
}
