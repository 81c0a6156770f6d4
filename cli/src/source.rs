//! What is sent: files, directories, a text, or what comes from standard input.

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use wormhole_core::untrusted::Name;
use wormhole_core::wormhole::RECORD_BYTES;
use wormhole_tokio::transfer::{Content, Error, OurOffer};

use crate::arguments::Send;
use crate::failure::Failure;
use crate::json::{self, Kind};
use crate::mode::mode;
use crate::prompt::{self, Question};
use crate::screen::Screen;
use crate::sides;
use crate::sizes::Bytes;

/// What stands for standard input.
const INPUT: &str = "-";
/// What it is called where the user does not say.
const INPUT_NAME: &str = "stdin";

/// What to send. All that may take its time happens on a thread.
pub(crate) async fn content(options: &Send, verify: bool, screen: &Screen) -> Result<Content, Failure> {
    let content = match (&*options.paths, &options.text) {
        ([], Some(text)) if text == INPUT => {
            screen.note("Reading text message from stdin..");
            return prompt::on_a_thread(read_text).await.unwrap_or_else(|_| Err(sides::no_thread()));
        }
        ([], Some(text)) => match text.to_str() {
            Some(text) => Ok(Content::text(text)),
            None => Err(not_text("what --text has")),
        },
        ([], None) => match prompt::ask(Question::new(Kind::Text, "Text to send: ")).await {
            Ok(Some(text)) => Ok(Content::text(text)),
            Ok(None) | Err(_) => {
                Err(Failure::Here("there is no text to send: the input has ended".to_owned()))
            }
        },
        ([path], _) if path == Path::new(INPUT) => input(verify),
        ([path], _) if options.ignore_unsendable_files => {
            let path = path.clone();
            readable(move || Content::open_readable(&path), screen).await
        }
        ([path], _) => open(path.clone()).await,
        (paths, _) if paths.iter().any(|path| path == Path::new(INPUT)) => {
            Err(Failure::Usage("standard input, \"-\", is sent alone; a file of that name is ./-".to_owned()))
        }
        (paths, _) => {
            let (paths, name) = (paths.to_vec(), together(paths));
            if options.ignore_unsendable_files {
                readable(move || Content::several_readable(&paths, name), screen).await
            } else {
                looked(move || Content::several(&paths, name)).await
            }
        }
    }?;
    Ok(match &options.name {
        Some(name) => content.named(name),
        None => content,
    })
}

/// Whether standard input is what is sent.
pub(crate) fn is_input(options: &Send) -> bool {
    matches!(&*options.paths, [path] if path == Path::new(INPUT))
}

/// Standard input, read while it is sent.
fn input(verify: bool) -> Result<Content, Failure> {
    if mode().json {
        return Err(Failure::Usage("with --json, standard input has answers and nothing to send".to_owned()));
    }
    if verify && !prompt::has_terminal() {
        let why = "with --verify and standard input as what is sent, a terminal is needed for the answer";
        return Err(Failure::Usage(why.to_owned()));
    }
    Ok(Content::stream(INPUT_NAME, io::stdin()))
}

/// Looks at a file, or walks through a directory.
pub(crate) async fn open(path: PathBuf) -> Result<Content, Failure> {
    looked(move || Content::open(&path)).await
}

/// The name of a directory that has several.
fn together(paths: &[PathBuf]) -> String {
    let first = paths.first().and_then(|path| path.file_name()).unwrap_or_default().to_string_lossy();
    match (&*first, paths.len().saturating_sub(1)) {
        ("", _) => "files".to_owned(),
        (first, more) => format!("{first} and {more} more"),
    }
}

/// Looks at what is to be sent, and says what of it cannot be and is left out.
async fn readable(
    look: impl FnOnce() -> Result<(Content, Vec<Error>), Error> + std::marker::Send + 'static,
    screen: &Screen,
) -> Result<Content, Failure> {
    let (content, left_out) = looked(look).await?;
    for error in left_out {
        screen.note(format_args!("{error} (left out)"));
    }
    Ok(content)
}

async fn looked<T: std::marker::Send + 'static>(
    look: impl FnOnce() -> Result<T, Error> + std::marker::Send + 'static,
) -> Result<T, Failure> {
    Ok(prompt::on_a_thread(look).await.map_err(|_| sides::no_thread())??)
}

fn not_text(what: &str) -> Failure {
    Failure::Here(format!("{what} is not valid UTF-8, and so no text. Send it as a file"))
}

/// All of standard input.
fn read_text() -> Result<Content, Failure> {
    let mut bytes = Vec::new();
    // One byte more than can be sent is enough to find out that it is too long.
    let limit = u64::try_from(RECORD_BYTES).unwrap_or(u64::MAX).saturating_add(1);
    let read = io::stdin().lock().take(limit).read_to_end(&mut bytes);
    read.map_err(|error| Failure::Here(format!("standard input cannot be read: {error}")))?;
    String::from_utf8(bytes).map(Content::text).map_err(|_| not_text("standard input"))
}

/// Says what will be sent.
pub(crate) fn announce(content: &Content, screen: &Screen) {
    json::ours(content.offer());
    match content.offer() {
        OurOffer::Text(text) => {
            screen.note(format_args!("Sending text message ({})", Bytes(text.len() as u64)));
        }
        OurOffer::File { name, size, .. } => {
            let what = if content.is_device() { "block device" } else { "file" };
            screen.note(format_args!(
                "Sending {} {what} named '{}'",
                Bytes(*size),
                Name::from(name.as_str())
            ));
        }
        OurOffer::Stream { name } => {
            let name = Name::from(name.as_str());
            screen.note(format_args!("Sending standard input as a file named '{name}'"));
        }
        OurOffer::Directory { name, zip_size, files, .. } => {
            let (size, name) = (Bytes(*zip_size), Name::from(name.as_str()));
            screen.note(format_args!("Sending directory ({size}, {files} files) named '{name}'"));
        }
        OurOffer::Several { items, zip_size, files, .. } => {
            let (count, size) = (items.len(), Bytes(*zip_size));
            screen.note(format_args!("Sending {count} files and directories ({size}, {files} files)"));
        }
    }
    match content.renamed() {
        0 => {}
        1 => screen.note("One name in it is no plain text and is sent with substitutes."),
        several => screen
            .note(format_args!("{several} names in it are no plain text and are sent with substitutes.")),
    }
}
