//! What an error of the system means to a machine.

use std::io;

use wormhole_core::driver::Why;

/// Why a connection ended, in the words of the border.
pub(crate) fn why(error: &io::Error) -> Why {
    use io::ErrorKind as Kind;
    #[expect(clippy::wildcard_enum_match_arm, reason = "the list of kinds is open")]
    match error.kind() {
        Kind::ConnectionRefused => Why::Refused,
        Kind::HostUnreachable | Kind::NetworkUnreachable | Kind::NetworkDown | Kind::AddrNotAvailable => {
            Why::Unreachable
        }
        Kind::TimedOut => Why::TimedOut,
        Kind::ConnectionReset
        | Kind::ConnectionAborted
        | Kind::BrokenPipe
        | Kind::NotConnected
        | Kind::UnexpectedEof
        | Kind::WriteZero => Why::Reset,
        _ => Why::Other(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_machine_can_tell_apart_is_told_apart() {
        let of = |kind: io::ErrorKind| why(&io::Error::from(kind));
        assert_eq!(of(io::ErrorKind::ConnectionRefused), Why::Refused);
        assert_eq!(of(io::ErrorKind::NetworkUnreachable), Why::Unreachable);
        assert_eq!(of(io::ErrorKind::TimedOut), Why::TimedOut);
        assert_eq!(of(io::ErrorKind::BrokenPipe), Why::Reset);
        assert_eq!(why(&io::Error::other("odd")), Why::Other("odd".into()));
    }
}
