//! Something to send, made up the same way each time, which knows whether it arrived whole.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::{fail, ok};

/// What kinds of content there are, and their awkward sizes and names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// One line.
    Text,
    /// A file of so many bytes.
    File(usize),
    /// A file whose name has blanks, quotes, other scripts and what shells and formats take for their own.
    OddFile,
    /// A directory with files, directories in directories, and empty ones.
    Directory,
    /// A directory that is itself, and whose entries are, oddly named.
    OddDirectory,
}

/// A name that is legal everywhere and comfortable nowhere.
const ODD_NAME: &str = "-odd 'näme' $HOME %s {} ‱ 名前 🙂.tar.gz";

/// One line of text with two scripts.
const TEXT: &str = "meet me at the café, 七時";

/// Something that can be sent.
#[derive(Debug)]
pub struct Sample {
    kind: Kind,
    path: PathBuf,
}

/// What is found at each path: the permissions, and the bytes unless it is a directory.
type Tree = BTreeMap<PathBuf, (u32, Option<[u8; 32]>)>;

impl Sample {
    /// Makes it up inside `directory`.
    #[track_caller]
    pub fn make(kind: Kind, directory: &Path) -> Self {
        let path = match kind {
            Kind::Text => directory.to_path_buf(),
            Kind::File(len) => {
                let path = directory.join(format!("file-{len}.bin"));
                write(&path, &noise(len));
                path
            }
            Kind::OddFile => {
                let path = directory.join(ODD_NAME);
                write(&path, &noise(3000));
                path
            }
            Kind::Directory => {
                let path = directory.join("directory");
                fill(&path, ["a.txt", "sub", "empty"]);
                path
            }
            Kind::OddDirectory => {
                let path = directory.join("odd dîrectory 🙂");
                fill(&path, [ODD_NAME, "sub dîr ‱", "empty dîr"]);
                path
            }
        };
        Self { kind, path }
    }

    /// What to put behind `send`.
    pub fn arguments(&self) -> Vec<String> {
        match self.kind {
            Kind::Text => vec!["--text".to_owned(), TEXT.to_owned()],
            Kind::File(_) | Kind::OddFile | Kind::Directory | Kind::OddDirectory => {
                vec![self.path.display().to_string()]
            }
        }
    }

    /// Where it is; for a text, where it was made up.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Fails unless the receiver, who ran in `directory` and wrote `output`, has exactly this.
    #[track_caller]
    pub fn expect_in(&self, directory: &Path, output: &str) {
        match self.kind {
            Kind::Text => {
                if output.trim_end() != TEXT {
                    fail(format_args!("{TEXT:?} arrived as {output:?}"));
                }
                expect_names(directory, &[]);
            }
            Kind::File(_) | Kind::OddFile | Kind::Directory | Kind::OddDirectory => {
                let name = self.path.file_name().unwrap_or_default();
                expect_names(directory, &[&name.to_string_lossy()]);
                let (sent, arrived) = (tree(&self.path), tree(&directory.join(name)));
                if sent != arrived {
                    fail(format_args!("{name:?} arrived differently:\n{sent:?}\n{arrived:?}"));
                }
            }
        }
    }
}

/// Fails unless the directory holds exactly these names: also no temporary file was left.
#[track_caller]
pub fn expect_names(directory: &Path, wanted: &[&str]) {
    let entries = ok(fs::read_dir(directory), "reading the directory");
    let mut found: Vec<String> =
        entries.map(|entry| ok(entry, "an entry").file_name().to_string_lossy().into_owned()).collect();
    found.sort();
    if found != wanted {
        fail(format_args!("{} holds {found:?} instead of {wanted:?}", directory.display()));
    }
}

/// Bytes that do not compress, the same each time.
pub fn noise(len: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut bytes = Vec::with_capacity(len + 8);
    while bytes.len() < len {
        // xorshift64
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(len);
    bytes
}

#[track_caller]
fn fill(root: &Path, [file, sub, empty]: [&str; 3]) {
    let deep = root.join(sub).join("deeper");
    ok(fs::create_dir_all(&deep), "a directory");
    ok(fs::create_dir_all(root.join(empty).join("inner")), "a directory");
    ok(fs::create_dir_all(root.join(sub).join(empty)), "a directory");
    write(&root.join(file), b"top\n");
    write(&deep.join(file), &noise(40_000));
    write(&deep.join("nothing"), b"");
    let script = root.join(sub).join("run.sh");
    write(&script, b"#!/bin/sh\n");
    make_executable(&script);
}

#[track_caller]
fn write(path: &Path, bytes: &[u8]) {
    ok(fs::write(path, bytes), "writing a sample");
}

#[cfg(unix)]
#[track_caller]
fn make_executable(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    ok(fs::set_permissions(path, fs::Permissions::from_mode(0o755)), "the mode of a sample");
}

#[cfg(not(unix))]
fn make_executable(_: &Path) {}

#[cfg(unix)]
fn mode(found: &fs::Metadata) -> u32 {
    use std::os::unix::fs::PermissionsExt;
    // A receiver gives new directories its own mode.
    if found.is_dir() { 0 } else { found.permissions().mode() & 0o111 }
}

#[cfg(not(unix))]
fn mode(_: &fs::Metadata) -> u32 {
    0
}

#[track_caller]
fn tree(root: &Path) -> Tree {
    let mut found = Tree::new();
    let mut todo = vec![PathBuf::new()];
    while let Some(relative) = todo.pop() {
        // Joined with nothing, the name of a file would end in a slash.
        let path = if relative.as_os_str().is_empty() { root.to_path_buf() } else { root.join(&relative) };
        let metadata = ok(fs::symlink_metadata(&path), "looking at what arrived");
        if metadata.is_dir() {
            let entries = ok(fs::read_dir(&path), "reading a directory");
            todo.extend(entries.map(|entry| relative.join(ok(entry, "an entry").file_name())));
            found.insert(relative, (mode(&metadata), None));
        } else {
            let hash = Sha256::digest(ok(fs::read(&path), "reading what arrived"));
            found.insert(relative, (mode(&metadata), Some(hash.into())));
        }
    }
    found
}
