//! The side that is to be let in: it sends one public key.

use std::fs::{self, File};
use std::io::{self, Read};
use std::iter;
use std::path::{Path, PathBuf};

use wormhole_core::untrusted::Name;
use wormhole_core::wormhole::Event as Session;
use wormhole_tokio::transfer::error::Error;
use wormhole_tokio::transfer::{Content, Event, Sender};

use super::key::Key;
use super::{Accept, config, people};
use crate::arguments::Common;
use crate::failure::Failure;
use crate::interrupts::Interrupts;
use crate::json;
use crate::prompt::{self, Answer};
use crate::screen::{Screen, shown};
use crate::sides::{self, or_interrupted};
use crate::verifier;
use crate::view::View;

/// The largest file that is read for a key.
const FILE_BYTES: u64 = 64 << 10;

/// The most keys that are offered for choice.
const KEYS: usize = 100;

pub(super) async fn run(
    common: &Common,
    options: &Accept,
    interrupts: &mut Interrupts,
) -> Result<(), Failure> {
    let secret = options.secret.with(&common.secret);
    secret.makes_none()?;
    let given = options.code.as_deref().map(sides::code).transpose()?;
    let Some(code) = secret.zero_code(&common.secret, given.is_some())?.or(given) else {
        return Err(Failure::Usage(
            "the code of the invitation is wanted: `wormhole ssh accept CODE`".to_owned(),
        ));
    };
    let screen = Screen::new(true);
    let (key, text) = or_interrupted(interrupts, choose(options, &screen)).await??;
    or_interrupted(interrupts, agree(options, &key, &screen)).await??;
    let mut sender = Sender::new(config(common, &secret, interrupts).await?, Content::text(text))?;
    let view = View::new(screen, common.mailbox()).of(common, "send");
    if view.traces() {
        sender.trace();
    }
    sender.set_code(code)?;
    Accepting { sender, view, compare: secret.verify, asked: None }.until_done(interrupts).await
}

/// The key that is sent, and the text of its file.
async fn choose(options: &Accept, screen: &Screen) -> Result<(Key, String), Failure> {
    let place = options.key_file.clone();
    let found = on_disk(move || {
        let home = || people::home(None).map(|home| home.join(".ssh"));
        let place = place.or_else(home).ok_or("nobody knows where your home is: name the key with -F")?;
        candidates(&place)
    });
    let mut files = found.await?;
    let path = if let [only] = files.as_slice() {
        only.clone()
    } else {
        files.swap_remove(one_of(&files, screen).await?)
    };
    let (key, text) = on_disk(move || read(&path)).await?;
    print(
        screen,
        &format!(
            "Sending public key type='{}' keyid='{}'\n{}",
            key.kind(),
            Name::from(key.id()),
            key.fingerprint()
        ),
    )?;
    Ok((key, text))
}

/// Which of several files, as the user says.
async fn one_of(files: &[PathBuf], screen: &Screen) -> Result<usize, Failure> {
    screen.note("Multiple public-keys found:");
    for (number, path) in files.iter().enumerate() {
        screen.note(format_args!("  {number}: {}", shown(Path::new(path.file_name().unwrap_or_default()))));
    }
    loop {
        let answer = prompt::ask("Send which one?: ".to_owned()).await.unwrap_or_default();
        let Some(line) = answer else {
            return Err(Failure::Here(
                "there are several keys, and none was chosen: name it with -F".to_owned(),
            ));
        };
        match line.trim().parse() {
            Ok(number) if number < files.len() => return Ok(number),
            Ok(_) | Err(_) => {}
        }
    }
}

async fn agree(options: &Accept, key: &Key, screen: &Screen) -> Result<(), Failure> {
    if options.yes {
        return Ok(());
    }
    let question = format!("Really send public key '{}' ? [y/N]: ", Name::from(key.id()));
    let answer = prompt::ask(question).await.unwrap_or_default();
    if prompt::agrees(answer.as_deref()) {
        return Ok(());
    }
    screen.note("Aborted!");
    Err(Error::Wormhole(wormhole_core::error::Error::Rejected).into())
}

/// The public keys at this place: a file, or those in a directory.
fn candidates(place: &Path) -> Result<Vec<PathBuf>, String> {
    if fs::metadata(place).map_err(|error| unreadable(place, &error))?.is_file() {
        return Ok(vec![place.to_owned()]);
    }
    let entries = fs::read_dir(place).map_err(|error| unreadable(place, &error))?;
    let paths = entries.filter_map(|entry| entry.ok().map(|entry| entry.path()));
    let mut keys: Vec<PathBuf> = paths
        .filter(|path| path.extension().is_some_and(|it| it == "pub") && path.is_file())
        .take(KEYS)
        .collect();
    keys.sort_unstable();
    if keys.is_empty() {
        return Err(format!("there is no public key in '{}': ssh-keygen makes one", shown(place)));
    }
    Ok(keys)
}

fn read(path: &Path) -> Result<(Key, String), String> {
    let mut text = String::new();
    let file = File::open(path).map_err(|error| unreadable(path, &error))?;
    file.take(FILE_BYTES).read_to_string(&mut text).map_err(|error| unreadable(path, &error))?;
    let key = Key::parse(&text).map_err(|why| format!("'{}' is no public key: {why}", shown(path)))?;
    Ok((key, text))
}

fn unreadable(path: &Path, error: &io::Error) -> String {
    format!("'{}' cannot be read: {error}", shown(path))
}

async fn on_disk<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, String> + Send + 'static,
) -> Result<T, Failure> {
    let done = prompt::on_a_thread(work).await;
    done.unwrap_or_else(|_| Err("no thread can be started".to_owned())).map_err(Failure::Here)
}

fn print(screen: &Screen, text: &str) -> Result<(), Failure> {
    screen.result(text).map_err(|error| Failure::Here(format!("standard output cannot be written: {error}")))
}

/// The conversation, and what its user sees of it.
struct Accepting {
    sender: Sender,
    view: View,
    compare: bool,
    asked: Option<Answer>,
}

impl Accepting {
    async fn until_done(&mut self, interrupts: &mut Interrupts) -> Result<(), Failure> {
        loop {
            self.view.steps(iter::from_fn(|| self.sender.transition()));
            tokio::select! {
                biased;
                () = interrupts.next() => return self.leave(interrupts).await,
                line = prompt::answered(&mut self.asked) => self.compared(line.as_deref())?,
                event = self.sender.next_event() => {
                    if let Some(end) = self.see(event) {
                        return end;
                    }
                }
                () = self.view.due() => self.view.tick(&self.sender.progress()),
            }
        }
    }

    fn see(&mut self, event: Event) -> Option<Result<(), Failure>> {
        json::event(&event);
        match event {
            Event::Session(event) => {
                self.view.session(&event);
                if let Session::Verifier(verifier) = &event
                    && self.compare
                {
                    self.view.screen.note(verifier::both(verifier));
                    self.asked = Some(prompt::ask(verifier::question()));
                }
                None
            }
            Event::Closed(outcome) => {
                if self.asked.is_some() {
                    // The question is still on the last line.
                    self.view.screen.note("");
                }
                Some(outcome.map_err(Failure::from).and_then(|()| print(&self.view.screen, "Key sent.")))
            }
            Event::Offered(_)
            | Event::Answered
            | Event::OurHints(_)
            | Event::TheirHints(_)
            | Event::Connected(_)
            | Event::Spooling
            | Event::Sent
            | Event::Stored(_)
            | Event::Complete => None,
        }
    }

    fn compared(&mut self, line: Option<&str>) -> Result<(), Failure> {
        match prompt::confirms(line) {
            Some(same) => sides::unless_over(self.sender.confirm_verifier(same)),
            None => {
                self.asked = Some(prompt::ask(verifier::question()));
                Ok(())
            }
        }
    }

    /// Tells the other side and ends; at once if the user insists.
    async fn leave(&mut self, interrupts: &mut Interrupts) -> Result<(), Failure> {
        self.sender.cancel();
        let goodbye = sides::goodbye(async || self.sender.next_event().await);
        match or_interrupted(interrupts, goodbye).await? {
            Ok(()) => print(&self.view.screen, "Key sent."),
            Err(_) => Err(Failure::Interrupted),
        }
    }
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqti me\n";

    #[test]
    fn keys_are_found_in_a_directory_or_as_a_file() {
        let place = TempDir::new().unwrap();
        assert!(candidates(place.path()).unwrap_err().contains("no public key"));
        for (name, text) in [("b.pub", KEY), ("a.pub", KEY), ("id_ed25519", "secret"), ("known_hosts", "")] {
            fs::write(place.path().join(name), text).unwrap();
        }
        fs::create_dir(place.path().join("c.pub")).unwrap();
        let found = candidates(place.path()).unwrap();
        assert_eq!(found, [place.path().join("a.pub"), place.path().join("b.pub")]);
        assert_eq!(candidates(&found[1]).unwrap(), [found[1].clone()]);
        assert_eq!(read(&found[0]).unwrap().1, KEY);
        assert!(read(&place.path().join("id_ed25519")).unwrap_err().contains("no public key"));
        assert!(candidates(&place.path().join("gone")).is_err());
    }
}
