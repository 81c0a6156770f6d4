//! Where people are at home on this computer.

use std::env;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// The home of `user`, or of whoever runs the program.
pub(super) fn home(user: Option<&str>) -> Option<PathBuf> {
    match user {
        None => env::home_dir().filter(|home| home.is_absolute()),
        Some(user) => {
            of_passwd(&fs::read_to_string("/etc/passwd").ok()?, user).or_else(|| of_directory(user))
        }
    }
}

/// The home that this list of people has for `user`.
fn of_passwd(list: &str, user: &str) -> Option<PathBuf> {
    let line = list.lines().find(|line| line.split(':').next() == Some(user))?;
    line.split(':').nth(5).filter(|home| home.starts_with('/')).map(PathBuf::from)
}

/// People whom a directory service knows are not in the file.
fn of_directory(user: &str) -> Option<PathBuf> {
    let mut getent = Command::new("getent");
    let answer =
        getent.args(["passwd", "--", user]).stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
    of_passwd(&String::from_utf8(answer.stdout).ok()?, user)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_home_is_the_sixth_field_of_exactly_this_person() {
        let list =
            "root:x:0:0:root:/root:/bin/bash\nann:x:1:1:Ann,,,:/home/ann:/bin/sh\nodd:x\nrel:x:2:2::home:\n";
        assert_eq!(of_passwd(list, "ann"), Some(PathBuf::from("/home/ann")));
        for nobody in ["an", "annn", "", "odd", "rel", "x"] {
            assert_eq!(of_passwd(list, nobody), None, "{nobody}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn the_administrator_has_a_home_and_who_is_not_there_has_none() {
        assert!(home(Some("root")).is_some());
        assert_eq!(home(Some("nobody-of-this-name")), None);
    }
}
