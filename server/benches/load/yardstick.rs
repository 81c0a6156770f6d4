//! Relays that do nothing but what none can leave out.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use rustix::event::epoll;
use rustix::io::Errno;
use rustix::net::{SocketFlags, accept_with};
use rustix::pipe::{PipeFlags, SpliceFlags, fcntl_setpipe_size, pipe_with, splice};

use crate::Outcome;

/// Takes two connections and moves what comes from the first to the second, by nothing but `step`.
pub(crate) fn stream(step: fn(&TcpStream, &TcpStream) -> Outcome<()>) -> Outcome<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    println!("{}\nready", listener.local_addr()?);
    loop {
        let ((from, _), (to, _)) = (listener.accept()?, listener.accept()?);
        step(&from, &to)?;
    }
}

pub(crate) fn by_splice(from: &TcpStream, to: &TcpStream) -> Outcome<()> {
    const PIPE: usize = 256 << 10;
    let (reader, writer) = pipe_with(PipeFlags::CLOEXEC)?;
    fcntl_setpipe_size(&writer, PIPE)?;
    loop {
        let count = splice(from.as_fd(), None, &writer, None, PIPE, SpliceFlags::MOVE)?;
        if count == 0 {
            return Ok(());
        }
        let mut left = count;
        while left > 0 {
            left -= splice(&reader, None, to.as_fd(), None, left, SpliceFlags::MOVE)?;
        }
    }
}

pub(crate) fn by_copy(mut from: &TcpStream, mut to: &TcpStream) -> Outcome<()> {
    let mut buffer = vec![0; 64 << 10];
    loop {
        let count = from.read(&mut buffer)?;
        if count == 0 {
            return Ok(());
        }
        to.write_all(buffer.get(..count).unwrap_or(&[]))?;
    }
}

/// Brings those together whose lines have the same token, and passes on what they say: without TLS, limits, clocks or accounts.
pub(crate) fn pairs() -> Outcome<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    listener.set_nonblocking(true)?;
    println!("{}\nready", listener.local_addr()?);
    let poll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    epoll::add(&poll, &listener, epoll::EventData::new_u64(0), epoll::EventFlags::IN)?;
    let (mut events, mut here) = (Vec::with_capacity(256), Here::default());
    loop {
        events.clear();
        epoll::wait(&poll, rustix::buffer::spare_capacity(&mut events), None)?;
        for event in &events {
            match event.data.u64() {
                0 => here.accept(&listener, &poll)?,
                key => here.hear(key)?,
            }
        }
    }
}

/// Who is there, by descriptor, and who waits, by token.
#[derive(Default)]
struct Here {
    ends: HashMap<u64, End>,
    waiting: HashMap<Vec<u8>, u64>,
}

struct End {
    fd: OwnedFd,
    other: Option<u64>,
}

impl Here {
    fn accept(&mut self, listener: &TcpListener, poll: &OwnedFd) -> Outcome<()> {
        loop {
            match accept_with(listener, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC) {
                Ok(fd) => {
                    let key = u64::try_from(fd.as_raw_fd())?;
                    let flags = epoll::EventFlags::IN | epoll::EventFlags::ET;
                    epoll::add(poll, &fd, epoll::EventData::new_u64(key), flags)?;
                    self.ends.insert(key, End { fd, other: None });
                }
                Err(Errno::AGAIN) => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Reads once: nobody in this measurement says more than that in one go.
    fn hear(&mut self, key: u64) -> Outcome<()> {
        let mut buffer = [0; 4096];
        let Some(end) = self.ends.get_mut(&key) else { return Ok(()) };
        let heard = match rustix::io::read(&end.fd, &mut buffer) {
            Ok(0) => {
                self.ends.remove(&key);
                return Ok(());
            }
            Ok(count) => buffer.get(..count).unwrap_or(&[]),
            Err(Errno::AGAIN) => return Ok(()),
            Err(_) => {
                self.ends.remove(&key);
                return Ok(());
            }
        };
        if let Some(other) = end.other {
            if let Some(other) = self.ends.get(&other) {
                rustix::io::write(&other.fd, heard)?;
            }
            return Ok(());
        }
        let token = heard.split(|byte| *byte == b' ').nth(2).ok_or("no line of a client")?;
        let Some(first) = self.waiting.remove(token) else {
            self.waiting.insert(token.to_vec(), key);
            return Ok(());
        };
        for (one, other) in [(key, first), (first, key)] {
            if let Some(end) = self.ends.get_mut(&one) {
                end.other = Some(other);
                rustix::io::write(&end.fd, b"ok\n")?;
            }
        }
        Ok(())
    }
}
