//! Sockets that listen: bound by address, at a path, or handed over by systemd.

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, ToSocketAddrs};
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::{env, fs};

use listenfd::ListenFd;
use wormhole_runtime::tune;

use super::place::{At, Place};

/// A socket that listens, and what stands before the protocol there.
#[derive(Debug)]
pub(crate) struct Bound {
    pub(crate) proxy: bool,
    pub(crate) tls: bool,
    pub(crate) socket: Socket,
}

#[derive(Debug)]
pub(crate) enum Socket {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Bound {
    /// Where it can be reached, as a place that says so.
    pub(crate) fn place(&self) -> io::Result<Place> {
        let at = match &self.socket {
            Socket::Tcp(socket) => {
                let at = socket.local_addr()?;
                At::Tcp(at.ip().to_string(), at.port())
            }
            Socket::Unix(socket) => {
                At::Unix(socket.local_addr()?.as_pathname().unwrap_or_else(|| Path::new("")).into())
            }
        };
        Ok(Place { proxy: self.proxy, tls: self.tls, at })
    }
}

/// The sockets that systemd has opened for us, by name (`sd_listen_fds(3)`).
#[derive(Debug, Default)]
pub(crate) struct Passed(BTreeMap<String, Vec<Socket>>);

impl Passed {
    /// Takes them over. To be called once.
    pub(crate) fn take() -> io::Result<Self> {
        let names = env::var("LISTEN_FDNAMES").unwrap_or_default();
        let mut names = names.split(':');
        let mut passed = ListenFd::from_env();
        let mut sockets: BTreeMap<String, Vec<Socket>> = BTreeMap::new();
        for index in 0..passed.len() {
            // This is what systemd calls a socket without a name.
            let name = names.next().filter(|name| !name.is_empty()).unwrap_or("unknown");
            let socket = match passed.take_tcp_listener(index) {
                Ok(socket) => socket.map(Socket::Tcp),
                Err(_) => passed.take_unix_listener(index)?.map(Socket::Unix),
            };
            sockets.entry(name.to_owned()).or_default().extend(socket);
        }
        Ok(Self(sockets))
    }

    /// The names of those that nobody has asked for.
    pub(crate) fn left(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}

/// Paths of Unix sockets that are ours, removed at the end.
#[derive(Debug, Default)]
pub(crate) struct Paths(Vec<PathBuf>);

impl Drop for Paths {
    fn drop(&mut self) {
        for path in &self.0 {
            // It may be gone already; then there is nothing to do.
            let _ = fs::remove_file(path);
        }
    }
}

/// Opens everything that belongs to a place.
pub(crate) fn bind(place: &Place, passed: &mut Passed, paths: &mut Paths) -> io::Result<Vec<Bound>> {
    let sockets = match &place.at {
        At::Tcp(host, port) => {
            wormhole_runtime::bind(&addresses(host, *port)?)?.into_iter().map(Socket::Tcp).collect()
        }
        At::Unix(path) => {
            let socket = bind_unix(path)?;
            paths.0.push(path.clone());
            vec![Socket::Unix(socket)]
        }
        At::Passed(name) => passed.0.remove(name).ok_or_else(|| {
            io::Error::other(format!("systemd has passed no socket with FileDescriptorName={name}"))
        })?,
    };
    for socket in &sockets {
        match socket {
            Socket::Tcp(socket) => {
                // Callers inherit it where the system is Linux; one that systemd has made is tuned only here.
                tune(socket);
                socket.set_nonblocking(true)?;
            }
            Socket::Unix(socket) => socket.set_nonblocking(true)?,
        }
    }
    Ok(sockets.into_iter().map(|socket| Bound { proxy: place.proxy, tls: place.tls, socket }).collect())
}

fn addresses(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    if host.is_empty() {
        return Ok(vec![
            SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), port),
            SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), port),
        ]);
    }
    let mut addresses: Vec<SocketAddr> = (host, port).to_socket_addrs()?.collect();
    addresses.sort_unstable();
    addresses.dedup();
    Ok(addresses)
}

/// Listens at a path. A socket that nobody listens at any more is replaced; anything else there is left alone.
fn bind_unix(path: &Path) -> io::Result<UnixListener> {
    match fs::symlink_metadata(path) {
        Ok(there) if !there.file_type().is_socket() => {
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, "there is a file, and it is no socket"));
        }
        Ok(_) => match UnixStream::connect(path) {
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => fs::remove_file(path)?,
            Ok(_) => return Err(io::Error::new(io::ErrorKind::AddrInUse, "somebody listens there")),
            Err(error) => return Err(error),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    UnixListener::bind(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_without_a_listener_is_replaced_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("socket");
        let first = bind_unix(&path).unwrap();
        assert_eq!(bind_unix(&path).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        drop(first);
        assert!(path.exists());
        drop(bind_unix(&path).unwrap());

        let file = dir.path().join("file");
        fs::write(&file, "mine").unwrap();
        assert_eq!(bind_unix(&file).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read(&file).unwrap(), b"mine");
    }
}
