//! What is in a directory that is to be sent: one compact listing, made before anything is offered.
//!
//! Symbolic links are followed, but a directory is listed once only, so that a loop ends; and it is listed where it
//! really is, if that is in the tree, and not where a link to it comes first in the alphabet.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, FileType, Metadata};
use std::io::{self, Read};
use std::mem;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use wormhole_core::untrusted::{NAME_BYTES, PATH_BYTES, PATH_DEPTH};
use wormhole_core::wire::peer::Attributes;

use crate::archive::layout::{self, Measure};
use crate::error::{Error, Unsendable, reason};
use crate::system;

/// The files of a directory, and those of its directories that are empty, in the order of their names.
#[derive(Clone, Debug)]
pub(crate) struct Listing {
    roots: Roots,
    /// All paths, one behind the other, as the system has them, with slashes between the components.
    paths: Vec<u8>,
    items: Vec<Item>,
    bytes: u64,
    files: u64,
    renamed: u64,
    /// Whether the archive says what each entry keeps, and so has an entry for each directory.
    keeps: bool,
    archive_len: u64,
}

/// Where the files are.
#[derive(Clone, Debug)]
enum Roots {
    /// Below this directory.
    One(PathBuf),
    /// Each below one of these, by the first component of its name in the archive.
    Several(BTreeMap<Vec<u8>, PathBuf>),
}

impl Roots {
    fn path(&self, relative: &[u8]) -> PathBuf {
        match self {
            Self::One(root) => root.join(system::path_of(relative)),
            Self::Several(roots) => {
                let mut parts = relative.splitn(2, |byte| *byte == b'/');
                let root = parts.next().and_then(|name| roots.get(name)).cloned().unwrap_or_default();
                match parts.next() {
                    Some(rest) => root.join(system::path_of(rest)),
                    None => root,
                }
            }
        }
    }
}

/// One file, or one directory.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Item {
    start: usize,
    len: usize,
    size: u64,
    mode: u32,
    kept: Attributes,
    is_directory: bool,
    /// It is listed only for what it keeps.
    is_extra: bool,
}

impl Listing {
    /// Lists what is below `root`, following links.
    pub(crate) fn of(root: &Path) -> Result<Self, Error> {
        Walk::one(root)?.list_all()
    }

    /// As [`Listing::of`], without what cannot be sent, which is named.
    pub(crate) fn of_readable(root: &Path) -> Result<(Self, Vec<Error>), Error> {
        Walk::one(root)?.list_readable()
    }

    /// Lists these, each with all that is below it, by the names that they travel with.
    pub(crate) fn of_several(roots: &BTreeMap<Vec<u8>, PathBuf>) -> Result<Self, Error> {
        Walk::several(roots)?.list_all()
    }

    /// As [`Listing::of_several`], without what cannot be sent of directories, which is named.
    pub(crate) fn of_several_readable(
        roots: &BTreeMap<Vec<u8>, PathBuf>,
    ) -> Result<(Self, Vec<Error>), Error> {
        Walk::several(roots)?.list_readable()
    }

    /// Has the archive say what each entry keeps.
    pub(crate) fn keep(&mut self) -> Result<(), Error> {
        self.keeps = true;
        self.measure()
    }

    /// Bytes of all files together.
    pub(crate) const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// How many files.
    pub(crate) const fn files(&self) -> u64 {
        self.files
    }

    /// How many names are no plain text and travel with something in place of what cannot be written.
    pub(crate) const fn renamed(&self) -> u64 {
        self.renamed
    }

    /// The exact size of the archive of all this.
    pub(crate) const fn archive_len(&self) -> u64 {
        self.archive_len
    }

    /// What the archive has an entry for.
    pub(crate) fn items(&self) -> impl Iterator<Item = &Item> {
        self.items.iter().filter(|item| self.keeps || !item.is_extra)
    }

    /// What stands for it in the archive.
    pub(crate) fn entry<'a>(&self, item: &Item, name: &'a str) -> layout::Entry<'a> {
        layout::Entry { name, size: item.size, mode: item.mode, kept: self.keeps.then_some(item.kept) }
    }

    /// Where the file is.
    pub(crate) fn path(&self, item: &Item) -> PathBuf {
        self.roots.path(self.relative(item))
    }

    /// Its name in the archive.
    pub(crate) fn entry_name(&self, item: &Item) -> Cow<'_, str> {
        let name = without_drive(travelling(self.relative(item)));
        match (item.is_directory, &*name) {
            (true, "") => Cow::Borrowed("./"),
            (true, name) => Cow::Owned(format!("{name}/")),
            (false, _) => name,
        }
    }

    fn relative(&self, item: &Item) -> &[u8] {
        self.paths.get(item.start..item.start.saturating_add(item.len)).unwrap_or_default()
    }

    fn measure(&mut self) -> Result<(), Error> {
        let mut measure = Measure::new();
        let added = self.items().try_for_each(|item| measure.add(&self.entry(item, &self.entry_name(item))));
        let total = added.and_then(|()| measure.total());
        self.archive_len =
            total.ok_or_else(|| Error::unsendable(&self.roots.path(b""), Unsendable::TooLarge))?;
        Ok(())
    }
}

impl Item {
    pub(crate) const fn is_directory(&self) -> bool {
        self.is_directory
    }
}

/// A name as it travels: what is no UTF-8 becomes U+FFFD, and a backslash, which separates names elsewhere, `_`.
pub(crate) fn travelling(name: &[u8]) -> Cow<'_, str> {
    let text = String::from_utf8_lossy(name);
    if text.contains('\\') { Cow::Owned(text.replace('\\', "_")) } else { text }
}

/// The name of an entry as no system takes it for one on a drive.
pub(crate) fn without_drive(name: Cow<'_, str>) -> Cow<'_, str> {
    match name.as_bytes() {
        [letter, b':', ..] if letter.is_ascii_alphabetic() => Cow::Owned(name.replacen(':', "_", 1)),
        _ => name,
    }
}

/// A name in this directory as it travels.
fn travelling_in<'a>(directory: &[u8], name: &'a [u8]) -> Cow<'a, str> {
    let shown = travelling(name);
    if directory.is_empty() { without_drive(shown) } else { shown }
}

struct Walk {
    listing: Listing,
    seen: BTreeSet<system::Identity>,
    /// Directories to be listed, by their relative paths.
    open: Vec<Vec<u8>>,
    /// Links to directories, which are followed when everything that is really there has been listed.
    links: BTreeSet<Vec<u8>>,
    /// The directories that were listed.
    directories: Vec<Directory>,
    following: bool,
    /// What could not be sent, where that is left out instead of ending the walk.
    left_out: Option<Vec<Error>>,
}

struct Directory {
    relative: Vec<u8>,
    metadata: Metadata,
    /// There was no file and no directory in it, so far.
    is_bare: bool,
}

impl Walk {
    fn new(roots: Roots) -> Self {
        let listing = Listing {
            roots,
            paths: Vec::new(),
            items: Vec::new(),
            bytes: 0,
            files: 0,
            renamed: 0,
            keeps: false,
            archive_len: 0,
        };
        Self {
            listing,
            seen: BTreeSet::new(),
            open: Vec::new(),
            links: BTreeSet::new(),
            directories: Vec::new(),
            following: false,
            left_out: None,
        }
    }

    /// Through one directory.
    fn one(root: &Path) -> Result<Self, Error> {
        let mut walk = Self::new(Roots::One(root.to_owned()));
        walk.is_new(root)?;
        walk.open.push(Vec::new());
        Ok(walk)
    }

    /// Through several. What was named is sent, also where it is a link, or below another of them.
    fn several(roots: &BTreeMap<Vec<u8>, PathBuf>) -> Result<Self, Error> {
        let mut walk = Self::new(Roots::Several(roots.clone()));
        for (name, path) in roots {
            if path.is_dir() {
                walk.is_new(path)?;
                walk.open.push(name.clone());
            } else {
                walk.take(b"", name)?;
            }
        }
        Ok(walk)
    }

    fn list_all(mut self) -> Result<Listing, Error> {
        self.run()?;
        self.finish()
    }

    fn list_readable(mut self) -> Result<(Listing, Vec<Error>), Error> {
        self.left_out = Some(Vec::new());
        self.run()?;
        let left_out = self.left_out.take().unwrap_or_default();
        Ok((self.finish()?, left_out))
    }

    fn run(&mut self) -> Result<(), Error> {
        loop {
            while let Some(directory) = self.open.pop() {
                match self.list(&directory) {
                    Err(error) if !directory.is_empty() => self.leave_out(error)?,
                    listed => listed?,
                }
            }
            let Some(link) = self.links.pop_first() else { return Ok(()) };
            self.following = true;
            if self.is_new(&self.absolute(&link))? {
                self.open.push(link);
            }
        }
    }

    /// Leaves out what cannot be sent, where that is wanted; else it is the end.
    fn leave_out(&mut self, error: Error) -> Result<(), Error> {
        match &mut self.left_out {
            Some(left_out) => {
                left_out.push(error);
                Ok(())
            }
            None => Err(error),
        }
    }

    fn list(&mut self, directory: &[u8]) -> Result<(), Error> {
        let path = self.absolute(directory);
        let failed = |why: io::Error| unreadable(&path, &why);
        let mut names = fs::read_dir(&path)
            .map_err(failed)?
            .map(|entry| entry.map(|it| it.file_name()))
            .collect::<Result<Vec<_>, _>>()
            .map_err(failed)?;
        names.sort_unstable();
        let mut is_bare = true;
        let mut odd = false;
        let mut travelled = BTreeSet::new();
        for name in &names {
            let Some(bytes) = system::name_bytes(name) else {
                return Err(Error::unsendable(&path.join(name), Unsendable::NameClash));
            };
            if matches!(travelling_in(directory, bytes), Cow::Owned(_)) {
                odd = true;
                self.listing.renamed = self.listing.renamed.saturating_add(1);
            }
            match self.take(directory, bytes) {
                Ok(is_there) => is_bare &= !is_there,
                Err(error) => self.leave_out(error)?,
            }
        }
        if odd {
            for name in &names {
                let bytes = system::name_bytes(name).unwrap_or_default();
                if !travelled.insert(travelling_in(directory, bytes).into_owned()) {
                    return Err(Error::unsendable(&path.join(name), Unsendable::NameClash));
                }
            }
        }
        let metadata = fs::metadata(&path).map_err(failed)?;
        self.directories.push(Directory { relative: directory.to_owned(), metadata, is_bare });
        Ok(())
    }

    /// Takes up one name of a directory. Answers whether there is certainly something by that name in the archive.
    fn take(&mut self, directory: &[u8], name: &[u8]) -> Result<bool, Error> {
        let relative = if directory.is_empty() { name.to_owned() } else { [directory, b"/", name].concat() };
        let path = self.absolute(&relative);
        let shown = travelling(&relative);
        let deep = relative.iter().filter(|byte| **byte == b'/').count() >= PATH_DEPTH;
        if travelling(name).len() > NAME_BYTES || shown.len() >= PATH_BYTES || deep {
            return Err(Error::unsendable(&path, Unsendable::NameTooLong));
        }
        let own = fs::symlink_metadata(&path).map_err(|why| unreadable(&path, &why))?;
        let is_link = own.file_type().is_symlink();
        let metadata = if is_link { follow(&path)? } else { own };
        if metadata.is_dir() {
            if is_link {
                self.links.insert(relative);
                return Ok(false);
            }
            let is_new = self.is_new(&path)? || !self.following;
            if is_new {
                self.open.push(relative);
            }
            return Ok(is_new);
        }
        check_file(&path, &metadata)?;
        self.listing.files = self.listing.files.saturating_add(1);
        self.listing.bytes = self.listing.bytes.saturating_add(metadata.len());
        self.push(&relative, metadata.len(), &metadata, false);
        Ok(true)
    }

    fn is_new(&mut self, path: &Path) -> Result<bool, Error> {
        let identity = system::identity(path).map_err(|why| unreadable(path, &why))?;
        Ok(self.seen.insert(identity))
    }

    /// Lists something. A directory has no size.
    fn push(&mut self, relative: &[u8], size: u64, metadata: &Metadata, is_extra: bool) {
        let (start, len) = (self.listing.paths.len(), relative.len());
        self.listing.paths.extend_from_slice(relative);
        let (mode, kept, is_directory) = (system::mode(metadata), attributes(metadata), metadata.is_dir());
        self.listing.items.push(Item { start, len, size, mode, kept, is_directory, is_extra });
    }

    fn absolute(&self, relative: &[u8]) -> PathBuf {
        self.listing.roots.path(relative)
    }

    fn finish(mut self) -> Result<Listing, Error> {
        self.sort();
        let directories = mem::take(&mut self.directories);
        let is_empty =
            |it: &Directory| it.is_bare && !it.relative.is_empty() && !self.has_below(&it.relative);
        let empty: Vec<_> = directories.iter().map(is_empty).collect();
        for (directory, is_empty) in directories.iter().zip(empty) {
            self.push(&directory.relative, 0, &directory.metadata, !is_empty);
        }
        self.sort();
        self.listing.measure()?;
        Ok(self.listing)
    }

    fn sort(&mut self) {
        let mut items = mem::take(&mut self.listing.items);
        items.sort_unstable_by(|a, b| self.listing.relative(a).cmp(self.listing.relative(b)));
        self.listing.items = items;
    }

    /// Whether anything is listed below this directory. The items are in order.
    fn has_below(&self, directory: &[u8]) -> bool {
        let prefix = [directory, b"/"].concat();
        let listing = &self.listing;
        let at = listing.items.partition_point(|item| listing.relative(item) < prefix.as_slice());
        listing.items.get(at).is_some_and(|item| listing.relative(item).starts_with(&prefix))
    }
}

/// What a file or directory keeps, where the other side can do that.
pub(crate) fn attributes(metadata: &Metadata) -> Attributes {
    let since = metadata.modified().ok().and_then(|it| it.duration_since(UNIX_EPOCH).ok());
    let modified = since.map(|since| (since.as_secs(), since.subsec_nanos().into()));
    Attributes::new(Some(system::mode(metadata).into()), modified)
}

/// What a link leads to.
fn follow(path: &Path) -> Result<Metadata, Error> {
    fs::metadata(path).map_err(|why| {
        if why.kind() == io::ErrorKind::NotFound || system::is_link_loop(&why) {
            Error::unsendable(path, Unsendable::BrokenLink)
        } else {
            unreadable(path, &why)
        }
    })
}

/// Whether this can be sent as a file, and read by us.
pub(crate) fn check_file(path: &Path, metadata: &Metadata) -> Result<(), Error> {
    if let Some(why) = special(metadata.file_type()) {
        return Err(Error::unsendable(path, why));
    }
    if metadata.len() == 0 {
        return check_empty(path);
    }
    system::check_readable(path).map_err(|why| unreadable(path, &why))
}

/// What the system makes up as it is read has content all the same, and a size that nobody knows before.
fn check_empty(path: &Path) -> Result<(), Error> {
    let first = system::open(path).and_then(|mut file| file.read(&mut [0]));
    match first.map_err(|why| unreadable(path, &why))? {
        0 => Ok(()),
        _ => Err(Error::unsendable(path, Unsendable::UnknownSize)),
    }
}

/// Why what is neither a file nor a directory cannot be sent.
pub(crate) fn special(kind: FileType) -> Option<Unsendable> {
    if kind.is_file() || kind.is_dir() { None } else { Some(system::special(kind)) }
}

pub(crate) fn unreadable(path: &Path, why: &io::Error) -> Error {
    Error::unsendable(path, Unsendable::Unreadable(reason(why)))
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    impl Listing {
        /// A listing of directories that need not exist.
        pub(crate) fn of_directories(names: impl Iterator<Item = String>) -> Self {
            let mut walk = Walk::new(Roots::One("/nowhere".into()));
            let metadata = fs::metadata("/").unwrap();
            for name in names {
                walk.push(name.as_bytes(), 0, &metadata, false);
            }
            walk.finish().unwrap()
        }

        fn names(&self) -> Vec<String> {
            self.items().map(|item| self.entry_name(item).into_owned()).collect()
        }
    }

    #[test]
    fn files_and_empty_directories_are_listed_in_order() {
        let root = TempDir::new().unwrap();
        let at = |name: &str| root.path().join(name);
        fs::create_dir_all(at("b/empty")).unwrap();
        fs::create_dir_all(at("b/full")).unwrap();
        fs::write(at("b/full/x"), "123").unwrap();
        fs::write(at("c"), "45").unwrap();
        fs::write(at("a"), "").unwrap();
        let listing = Listing::of(root.path()).unwrap();
        assert_eq!(listing.names(), ["a", "b/empty/", "b/full/x", "c"]);
        assert_eq!((listing.bytes(), listing.files(), listing.renamed()), (5, 3, 0));
    }

    #[test]
    fn what_is_not_there_has_a_name_in_the_error() {
        let root = TempDir::new().unwrap().path().join("gone");
        let error = Listing::of(&root).unwrap_err();
        assert_eq!(
            error,
            Error::unsendable(&root, Unsendable::Unreadable("No such file or directory".to_owned()))
        );
    }

    #[cfg(unix)]
    mod unix {
        use std::ffi::OsStr;
        use std::os::unix::ffi::OsStrExt;
        use std::os::unix::fs::symlink;
        use std::os::unix::net::UnixListener;

        use super::*;

        #[test]
        fn a_link_that_leads_back_ends() {
            let root = TempDir::new().unwrap();
            let inner = root.path().join("top/inner");
            fs::create_dir_all(&inner).unwrap();
            fs::write(inner.join("f"), "1").unwrap();
            symlink("..", inner.join("up")).unwrap();
            symlink(".", inner.join("here")).unwrap();
            let listing = Listing::of(&root.path().join("top")).unwrap();
            assert_eq!(listing.names(), ["inner/f"]);
        }

        #[test]
        fn a_link_out_of_the_tree_is_followed_once() {
            let root = TempDir::new().unwrap();
            let (tree, outside) = (root.path().join("tree"), root.path().join("outside"));
            fs::create_dir(&tree).unwrap();
            fs::create_dir_all(outside.join("deep")).unwrap();
            fs::write(outside.join("deep/f"), "1").unwrap();
            symlink(&outside, tree.join("one")).unwrap();
            symlink(&outside, tree.join("two")).unwrap();
            symlink(outside.join("deep/f"), tree.join("file")).unwrap();
            symlink("../tree", outside.join("back")).unwrap();
            let listing = Listing::of(&tree).unwrap();
            assert_eq!(listing.names(), ["file", "one/deep/f"]);
        }

        #[test]
        fn a_directory_is_listed_where_it_is_and_not_where_a_link_comes_first() {
            let root = TempDir::new().unwrap();
            fs::create_dir(root.path().join("releases")).unwrap();
            fs::write(root.path().join("releases/f"), "1").unwrap();
            symlink("releases", root.path().join("current")).unwrap();
            fs::create_dir(root.path().join("only-links")).unwrap();
            symlink("../releases", root.path().join("only-links/again")).unwrap();
            let listing = Listing::of(root.path()).unwrap();
            assert_eq!(listing.names(), ["only-links/", "releases/f"]);
        }

        #[test]
        fn what_cannot_be_sent_is_named() {
            type Make = fn(&Path);
            let cases: [(&str, Make, Unsendable); 4] = [
                ("pipe", |at| mkfifo(at), Unsendable::Fifo),
                ("socket", |at| drop(UnixListener::bind(at).unwrap()), Unsendable::Socket),
                ("device", |at| symlink("/dev/null", at).unwrap(), Unsendable::Device),
                ("broken", |at| symlink("nowhere", at).unwrap(), Unsendable::BrokenLink),
            ];
            for (name, make, why) in cases {
                let root = TempDir::new().unwrap();
                let at = root.path().join("sub").join(name);
                fs::create_dir(root.path().join("sub")).unwrap();
                make(&at);
                assert_eq!(Listing::of(root.path()).unwrap_err(), Error::unsendable(&at, why));
            }
            let root = TempDir::new().unwrap();
            symlink("self", root.path().join("self")).unwrap();
            let error = Listing::of(root.path()).unwrap_err();
            assert_eq!(error, Error::unsendable(&root.path().join("self"), Unsendable::BrokenLink));
        }

        #[test]
        fn a_name_that_would_be_a_drive_elsewhere_travels_as_another() {
            let root = TempDir::new().unwrap();
            fs::create_dir(root.path().join("d:")).unwrap();
            fs::write(root.path().join("d:/e:f"), "1").unwrap();
            fs::write(root.path().join("c:x"), "2").unwrap();
            let listing = Listing::of(root.path()).unwrap();
            assert_eq!((listing.names(), listing.renamed()), (vec!["c_x".into(), "d_/e:f".into()], 2));
            assert!(listing.items().all(|item| listing.path(item).exists()));
            for name in listing.names() {
                crate::archive::tree::safe_path(name.as_bytes()).unwrap();
            }
            fs::write(root.path().join("c_x"), "3").unwrap();
            let error = Listing::of(root.path()).unwrap_err();
            assert!(matches!(error, Error::Unsendable { why: Unsendable::NameClash, .. }), "{error}");
        }

        #[test]
        fn a_name_that_is_no_text_is_replaced_unless_two_become_one() {
            let root = TempDir::new().unwrap();
            let odd = |bytes: &[u8]| root.path().join(OsStr::from_bytes(bytes));
            fs::write(odd(b"a\xff"), "1").unwrap();
            fs::write(odd(b"a\\b"), "2").unwrap();
            let listing = Listing::of(root.path()).unwrap();
            assert_eq!(listing.names(), ["a_b", "a\u{fffd}"]);
            assert_eq!(listing.renamed(), 2);
            let paths: Vec<_> = listing.items().map(|item| listing.path(item)).collect();
            assert!(paths.iter().all(|path| path.exists()), "{paths:?}");
            fs::write(odd(b"a\xfe"), "3").unwrap();
            let error = Listing::of(root.path()).unwrap_err();
            assert!(matches!(error, Error::Unsendable { why: Unsendable::NameClash, .. }), "{error}");
        }

        fn mkfifo(at: &Path) {
            use rustix::fs::{CWD, FileType, Mode, mknodat};
            mknodat(CWD, at, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        }
    }
}
