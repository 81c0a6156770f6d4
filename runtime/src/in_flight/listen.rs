//! Listening: sockets of both families on one port, and the addresses at which a peer might reach them.

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::ops::RangeInclusive;
use std::task::{Context, Poll};
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};
use wormhole_core::driver::{Address, Conn, Instant};

use crate::driver::{Sockets, tune};

/// Callers that the system holds ready for us.
const BACKLOG: i32 = 1024;
/// How often both families are tried on one free port before they get two.
const PORT_TRIES: usize = 8;
/// How long nobody is accepted after the system had no descriptor left.
const PAUSE: Duration = Duration::from_millis(100);
/// The most callers accepted in one go.
const ROUND: usize = 64;

/// The sockets of one listener, and those for whom a caller is wanted.
pub(super) struct Listening<L> {
    sockets: Vec<L>,
    pub(super) waiting: VecDeque<Conn>,
    /// Nobody is accepted before.
    pub(super) paused_until: Option<Instant>,
}

impl<L> Listening<L> {
    pub(super) fn new(sockets: Vec<L>, waiting: VecDeque<Conn>) -> Self {
        Self { sockets, waiting, paused_until: None }
    }

    /// Accepts for those who wait, a bounded number. Says whether it should soon be called again.
    pub(super) fn poll<S: Sockets<Listener = L>>(
        &mut self,
        sockets: &S,
        cx: &mut Context<'_>,
        now: Instant,
        mut accepted: impl FnMut(Conn, S::Stream, SocketAddr),
    ) -> bool {
        if self.paused_until.is_some_and(|until| now < until) {
            return false;
        }
        self.paused_until = None;
        for _ in 0..ROUND {
            let mut any = false;
            for listener in &mut self.sockets {
                let Some(&conn) = self.waiting.front() else { return false };
                match sockets.poll_accept(listener, cx) {
                    Poll::Pending => {}
                    Poll::Ready(Ok((stream, peer))) => {
                        self.waiting.pop_front();
                        accepted(conn, stream, peer);
                        any = true;
                    }
                    // The caller has left again; that is no reason to keep others waiting.
                    Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::ConnectionAborted => any = true,
                    Poll::Ready(Err(_)) => {
                        self.paused_until = Some(now.plus(PAUSE));
                        return false;
                    }
                }
            }
            if !any {
                return false;
            }
        }
        true
    }
}

/// Any address of every family.
pub(super) fn anywhere(port: u16) -> Vec<SocketAddr> {
    vec![
        SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), port),
        SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), port),
    ]
}

/// Listens at any address of every family on the first of these ports that is free.
pub(super) fn bind_among(ports: &RangeInclusive<u16>) -> io::Result<Vec<TcpListener>> {
    let mut failure = io::ErrorKind::AddrInUse.into();
    for port in ports.clone() {
        match bind(&anywhere(port)) {
            Ok(bound) => return Ok(bound),
            Err(error) => failure = error,
        }
    }
    Err(failure)
}

/// Listens at all of `at` that this host has; on one port, where they name none.
///
/// # Errors
///
/// An address is in use or forbidden, or the host has none of them.
pub fn bind(at: &[SocketAddr]) -> io::Result<Vec<TcpListener>> {
    for _ in 1..PORT_TRIES {
        match bind_on_one_port(at) {
            // Free in one family, taken in the other: another port may be free in both.
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && at.iter().all(|at| at.port() == 0) => {}
            outcome => return outcome,
        }
    }
    at.iter().map(|at| bind_one(*at)).collect()
}

fn bind_on_one_port(at: &[SocketAddr]) -> io::Result<Vec<TcpListener>> {
    let mut bound: Vec<TcpListener> = Vec::new();
    let mut failure = None;
    for wanted in at {
        let mut wanted = *wanted;
        if wanted.port() == 0
            && let Some(first) = bound.first()
        {
            wanted.set_port(first.local_addr()?.port());
        }
        match bind_one(wanted) {
            Ok(listener) => bound.push(listener),
            Err(error)
                if matches!(error.kind(), io::ErrorKind::AddrInUse | io::ErrorKind::PermissionDenied) =>
            {
                return Err(error);
            }
            // A host without this family.
            Err(error) => failure = Some(error),
        }
    }
    match failure {
        Some(error) if bound.is_empty() => Err(error),
        Some(_) | None => Ok(bound),
    }
}

fn bind_one(at: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(at), Type::STREAM, Some(Protocol::TCP))?;
    if at.is_ipv6() {
        // Each family has a socket of its own, so that no address comes in disguise.
        socket.set_only_v6(true)?;
    }
    // Else nobody could listen here for a minute after us. On Windows this option would let others share the port.
    if cfg!(unix) {
        socket.set_reuse_address(true)?;
    }
    // Callers inherit it where the system is Linux.
    tune(&socket);
    socket.bind(&at.into())?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

/// Where a peer might reach sockets that are bound to these addresses.
pub(super) fn reachable(bound: &[SocketAddr]) -> Vec<Address> {
    let interfaces = if_addrs::get_if_addrs().unwrap_or_default();
    reachable_at(bound, &interfaces.iter().map(if_addrs::Interface::ip).collect::<Vec<_>>())
}

fn reachable_at(bound: &[SocketAddr], interfaces: &[IpAddr]) -> Vec<Address> {
    let mut at = Vec::new();
    for want_loopback in [false, true] {
        for ip in interfaces.iter().filter(|ip| ip.is_loopback() == want_loopback && !is_link_local(ip)) {
            let port = bound.iter().find(|bound| bound.is_ipv4() == ip.is_ipv4()).map(SocketAddr::port);
            let Some(port) = port else { continue };
            let address = Address::from(SocketAddr::new(*ip, port));
            if !at.contains(&address) {
                at.push(address);
            }
        }
        if !at.is_empty() {
            break;
        }
    }
    at
}

/// Whether the address means nothing without the name of an interface.
fn is_link_local(ip: &IpAddr) -> bool {
    match ip {
        IpAddr::V4(_) => false,
        IpAddr::V6(six) => six.is_unicast_link_local(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_families_share_one_port() {
        let bound = bind(&anywhere(0)).unwrap();
        let at: Vec<_> = bound.iter().map(|one| one.local_addr().unwrap()).collect();
        assert!(at.iter().all(|one| one.port() == at[0].port() && one.port() != 0), "{at:?}");
    }

    #[test]
    fn a_port_in_use_is_said_so() {
        let bound = bind(&["127.0.0.1:0".parse().unwrap()]).unwrap();
        let taken = bound[0].local_addr().unwrap();
        assert_eq!(bind(&[taken]).unwrap_err().kind(), io::ErrorKind::AddrInUse);
    }

    #[test]
    fn a_port_is_taken_from_those_that_may_be_used() {
        let taken = bind(&anywhere(0)).unwrap();
        let port = taken[0].local_addr().unwrap().port();
        assert_eq!(bind_among(&(port..=port)).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        let bound = bind_among(&(port..=u16::MAX)).unwrap();
        assert!(bound[0].local_addr().unwrap().port() > port);
    }

    #[test]
    fn loopback_is_named_only_where_there_is_nothing_else() {
        let bound = ["0.0.0.0:7".parse().unwrap(), "[::]:8".parse().unwrap()];
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        let all =
            [ip("127.0.0.1"), ip("::1"), ip("10.0.0.5"), ip("fe80::1"), ip("2001:db8::1"), ip("10.0.0.5")];
        assert_eq!(reachable_at(&bound, &all), [Address::new("10.0.0.5", 7), Address::new("2001:db8::1", 8)]);
        let lonely = [ip("127.0.0.1"), ip("::1"), ip("fe80::1")];
        assert_eq!(reachable_at(&bound, &lonely), [Address::new("127.0.0.1", 7), Address::new("::1", 8)]);
        assert_eq!(reachable_at(&bound[..1], &lonely), [Address::new("127.0.0.1", 7)]);
    }
}
