//! A public key as OpenSSH writes it: one line, whose meaning is a login. So nothing is taken that is not exactly that.

use ssh_key::{Algorithm, HashAlg, PublicKey};
use wormhole_core::untrusted::is_harmful;

/// The longest line that is taken; an RSA key of 16,384 bits has 2,800 bytes.
const LINE_BYTES: usize = 16 << 10;

/// One well-formed public key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Key(PublicKey);

impl Key {
    /// Takes one line, whose end may be there; without options before the key, and without anything after its comment.
    pub(super) fn parse(text: &str) -> Result<Self, &'static str> {
        if text.len() > LINE_BYTES {
            return Err("it is too long");
        }
        if text.contains("PRIVATE KEY") {
            return Err("it is a private key, which nobody else must see: its public one ends in .pub");
        }
        let line = text.strip_suffix('\n').unwrap_or(text);
        let line = line.strip_suffix('\r').unwrap_or(line);
        if line.trim().is_empty() {
            return Err("it is empty");
        }
        if line.contains(['\n', '\r']) {
            return Err("it has more than one line");
        }
        // Also a tab would be a separator to one program and a part of the comment to another.
        if line.chars().any(|c| c.is_control() || is_harmful(c)) {
            return Err("it has characters that cannot be seen");
        }
        let key = PublicKey::from_openssh(line)
            .map_err(|_| "it does not begin with the type of a key and the key itself")?;
        match key.algorithm() {
            Algorithm::Other(_) => Err("it is of an unknown type"),
            Algorithm::Dsa => Err("it is a DSA key, which is no longer secure"),
            Algorithm::Ecdsa { .. }
            | Algorithm::Ed25519
            | Algorithm::Rsa { .. }
            | Algorithm::SkEcdsaSha2NistP256
            | Algorithm::SkEd25519 => Ok(Self(key)),
            _ => Err("it is of an unknown type"),
        }
    }

    /// The type, as in `ssh-ed25519`.
    pub(super) fn kind(&self) -> String {
        self.0.algorithm().to_string()
    }

    /// The comment, mostly who has the key and where.
    pub(super) fn id(&self) -> &str {
        match self.0.comment() {
            "" => "unknown",
            comment => comment,
        }
    }

    /// What two people compare: `SHA256:` and 43 characters, as `ssh-keygen -l` shows it.
    pub(super) fn fingerprint(&self) -> String {
        self.0.fingerprint(HashAlg::Sha256).to_string()
    }

    /// The line, without its end.
    pub(super) fn line(&self) -> Result<String, ssh_key::Error> {
        self.0.to_openssh()
    }

    /// Whether a line of `authorized_keys` has this key, with whatever options and comment.
    pub(super) fn is_in(&self, line: &str) -> bool {
        let line = line.trim();
        if line.starts_with('#') {
            return false;
        }
        // The options before a key may have blanks, but no key in them that would let anybody in.
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        words.windows(2).any(|pair| {
            PublicKey::from_openssh(&pair.join(" ")).is_ok_and(|other| other.key_data() == self.0.key_data())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ED25519: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqti user@example.com";

    #[test]
    fn a_key_is_one_line_with_or_without_a_comment() {
        let bare = ED25519.trim_end_matches(" user@example.com");
        for text in [ED25519.to_owned(), format!("{ED25519}\n"), format!("{ED25519}\r\n"), bare.to_owned()] {
            let key = Key::parse(&text).unwrap();
            assert_eq!(key.kind(), "ssh-ed25519");
            assert_eq!(key.line().unwrap(), text.trim_end());
        }
        assert_eq!(Key::parse(bare).unwrap().id(), "unknown");
        let key = Key::parse(ED25519).unwrap();
        assert_eq!(
            (key.id(), key.fingerprint().as_str()),
            ("user@example.com", "SHA256:UCUiLr7Pjs9wFFJMDByLgc3NrtdU344OgUM45wZPcIQ")
        );
    }

    #[test]
    fn whatever_could_let_in_somebody_else_is_refused() {
        let (head, tail) = ED25519.split_at(40);
        for text in [
            String::new(),
            "\n".to_owned(),
            "hello".to_owned(),
            format!("{ED25519}\n\n"),
            format!("{ED25519}\n{ED25519}\n"),
            format!("\n{ED25519}"),
            format!("{ED25519}\r{ED25519}"),
            format!("command=\"sh\" {ED25519}"),
            format!("restrict {ED25519}"),
            format!("# {ED25519}"),
            format!("{ED25519}\u{1b}[2J"),
            format!("{ED25519}\u{202e}x"),
            format!("{ED25519}\u{85}x"),
            ED25519.replacen(' ', "\t", 1),
            format!("{head}{head}{tail}"),
            ED25519.replace("ssh-ed25519", "ssh-rsa"),
            ED25519.replace("ssh-ed25519", "ssh-unheard-of"),
            ED25519.replace("Sqti ", "Sqt "),
            format!("{ED25519}{}", "x".repeat(LINE_BYTES)),
            "-----BEGIN OPENSSH PRIVATE KEY-----".to_owned(),
        ] {
            assert!(Key::parse(&text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_key_is_found_behind_options_and_with_another_comment() {
        let key = Key::parse(ED25519).unwrap();
        let other = ED25519.replace("user@example.com", "somebody else");
        assert!(key.is_in(&other));
        assert!(key.is_in(&format!("  command=\"echo a b\",no-pty {other}")));
        assert!(!key.is_in(&format!("# {ED25519}")));
        assert!(!key.is_in(&ED25519.replace("ILM+", "ILN+")));
        assert!(!key.is_in(""));
    }
}
