//! Bytes through one pair, new pairs a second, and two thousand pairs at once.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::client::call;
use crate::servers::{Kind, Process, cpu};
use crate::{Outcome, median};

const ROUNDS: usize = 3;
const GIGABYTE: usize = 1_000_000_000;
/// What a client writes and reads at a time.
const PIECE: usize = 256 << 10;
/// Bytes of one message, as clients send records.
const MESSAGE: usize = 128 << 10;
const AT_ONCE: usize = 16;
const CROWD: usize = 2_000;

/// How a pair speaks.
#[derive(Clone, Copy, PartialEq, Eq)]
enum How {
    /// Without a handshake, to a yardstick.
    Bare,
    Tcp,
    WebSocket,
}

/// The rate of one pair, against a loop that does nothing else.
pub(crate) fn stream() -> Outcome<()> {
    println!("bytes one way through one pair");
    let rows = [
        ("splice", Kind::Splice, How::Bare, 4),
        ("copy", Kind::Copy, How::Bare, 4),
        ("ours, TCP", Kind::OurRelay, How::Tcp, 4),
        ("reference, TCP", Kind::TheirRelay, How::Tcp, 2),
        ("ours, WebSocket", Kind::OurRelay, How::WebSocket, 2),
        ("reference, WebSocket", Kind::TheirRelay, How::WebSocket, 1),
    ];
    let processes: Vec<Option<Process>> =
        rows.iter().map(|row| Process::start(row.1)).collect::<Outcome<_>>()?;
    let mut figures = vec![Vec::new(); rows.len()];
    for _ in 0..ROUNDS {
        for ((row, process), figures) in rows.iter().zip(&processes).zip(&mut figures) {
            if let Some(process) = process {
                figures.push(flow(process, row.2, row.3 * GIGABYTE)?);
            }
        }
    }
    let mut bare = 0.0;
    for ((row, process), figures) in rows.iter().zip(&processes).zip(figures) {
        let Some(process) = process else { continue };
        let wall = median(figures.iter().map(|it| it.0).collect());
        let cpu = median(figures.iter().map(|it| it.1).collect());
        if row.2 == How::Bare && bare == 0.0 {
            bare = cpu;
        }
        println!(
            "  {:<21} {wall:5.2} GB a second, {cpu:5.2} GB a CPU-second ({:.2} of splice), {:.1} MB",
            row.0,
            cpu / bare,
            process.memory()? / 1e6
        );
    }
    Ok(())
}

/// Gigabytes a second, by the clock and by the CPU.
fn flow(process: &Process, how: How, bytes: usize) -> Outcome<(f64, f64)> {
    let (mut from, mut to) = (connect(process, how, 'a')?, connect(process, how, 'b')?);
    if how != How::Bare {
        to.expect(b"ok\n")?;
        from.expect(b"ok\n")?;
    }
    let (before, begun) = (process.cpu()?, Instant::now());
    thread::scope(|scope| {
        let writer = scope.spawn(move || from.send(bytes).map(|()| from));
        let read = to.receive(bytes);
        let _from = writer.join().map_err(|_| "the writer failed")??;
        read
    })?;
    let gigabytes = bytes as f64 / 1e9;
    Ok((gigabytes / begun.elapsed().as_secs_f64(), gigabytes / (process.cpu()? - before)))
}

struct End {
    stream: TcpStream,
    how: How,
}

fn connect(process: &Process, how: How, side: char) -> Outcome<End> {
    let at = if how == How::WebSocket { process.at.get(1).copied() } else { None };
    let mut stream = TcpStream::connect(at.unwrap_or_else(|| process.address()))?;
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    if how == How::WebSocket {
        let request = "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
            Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
        stream.write_all(request.as_bytes())?;
        let mut last = [0; 4];
        while &last != b"\r\n\r\n" {
            last.rotate_left(1);
            let mut byte = [0];
            stream.read_exact(&mut byte)?;
            last[3] = byte[0];
        }
    }
    let mut end = End { stream, how };
    if how != How::Bare {
        let line = line(0, side);
        let message = if how == How::WebSocket { framed(line.as_bytes()) } else { line.into_bytes() };
        end.stream.write_all(&message)?;
    }
    Ok(end)
}

fn line(token: usize, side: char) -> String {
    format!("please relay {token:064} for side {}\n", String::from(side).repeat(16))
}

/// A message with a mask of zeros.
fn framed(bytes: &[u8]) -> Vec<u8> {
    let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX).to_be_bytes();
    let (short, head) = match bytes.len() {
        0..126 => (length[7], &[][..]),
        126..65_536 => (126, &length[6..]),
        _ => (127, &length[..]),
    };
    [&[0x82, 0x80 | short][..], head, &[0; 4], bytes].concat()
}

impl End {
    fn expect(&mut self, word: &[u8]) -> Outcome<()> {
        let head = if self.how == How::WebSocket { 2 } else { 0 };
        let mut came = vec![0; word.len() + head];
        self.stream.read_exact(&mut came)?;
        if came.ends_with(word) { Ok(()) } else { Err("the relay did not pair".into()) }
    }

    fn send(&mut self, bytes: usize) -> Outcome<()> {
        let (piece, size) = match self.how {
            How::WebSocket => (framed(&vec![7; MESSAGE]), MESSAGE),
            How::Bare | How::Tcp => (vec![7; PIECE], PIECE),
        };
        for _ in 0..bytes.div_ceil(size) {
            self.stream.write_all(&piece)?;
        }
        Ok(())
    }

    fn receive(&mut self, bytes: usize) -> Outcome<()> {
        let mut buffer = vec![0; PIECE];
        let mut got = 0;
        while got < bytes {
            match self.stream.read(&mut buffer)? {
                0 => return Err("it ended early".into()),
                count => got += count,
            }
        }
        Ok(())
    }
}

/// New pairs a second of both makes, and of a loop that does nothing else.
pub(crate) fn pairs() -> Outcome<()> {
    println!("new pairs, {AT_ONCE} at a time");
    let rows = [("ours", Kind::OurRelay), ("bare epoll", Kind::Bare), ("reference", Kind::TheirRelay)];
    let processes: Vec<Option<Process>> =
        rows.iter().map(|row| Process::start(row.1)).collect::<Outcome<_>>()?;
    let mut figures = vec![Vec::new(); rows.len()];
    for _ in 0..ROUNDS {
        for (process, figures) in processes.iter().zip(&mut figures) {
            let Some(process) = process else { continue };
            let (before, ours, begun) = (process.cpu()?, cpu("self")?, Instant::now());
            let count = executor()?.block_on(meet(process.address(), begun)).map(|count| count as f64)?;
            let (theirs, ours) = (process.cpu()? - before, cpu("self")? - ours);
            figures.push((count / begun.elapsed().as_secs_f64(), count / theirs, count / ours));
        }
    }
    let mut first = None;
    for (((name, _), process), figures) in rows.iter().zip(&processes).zip(figures) {
        if process.is_none() {
            continue;
        }
        let wall = median(figures.iter().map(|it: &(f64, f64, f64)| it.0).collect());
        let cpu = median(figures.iter().map(|it| it.1).collect());
        let client = median(figures.iter().map(|it| it.2).collect());
        println!(
            "  {name:<10} {wall:7.0} a second, {cpu:7.0} a CPU-second ({client:.0} of one of the clients)"
        );
        let (ours, a_second) = *first.get_or_insert((wall, cpu));
        if *name != "ours" {
            println!("    to ours  {:7.1} in rate, {:.2} in CPU", ours / wall, a_second / cpu);
        }
    }
    Ok(())
}

fn executor() -> Outcome<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_current_thread().enable_all().build()?)
}

/// Pairs that meet, say a word and leave, for a while; how many there were.
async fn meet(at: SocketAddr, begun: Instant) -> Outcome<usize> {
    let mut workers = JoinSet::new();
    for worker in 0..AT_ONCE {
        workers.spawn(async move {
            let mut count = 0;
            while begun.elapsed() < Duration::from_secs(3) {
                let (mut a, mut b) = pair(at, worker).await?;
                a.write_all(b"word").await?;
                b.read_exact(&mut [0; 4]).await?;
                count += 1;
            }
            Outcome::Ok(count)
        });
    }
    let mut all = 0;
    while let Some(count) = workers.join_next().await {
        all += count??;
    }
    Ok(all)
}

async fn pair(at: SocketAddr, token: usize) -> Outcome<(tokio::net::TcpStream, tokio::net::TcpStream)> {
    let (mut a, mut b) = (call(at).await?, call(at).await?);
    a.write_all(line(token, 'a').as_bytes()).await?;
    b.write_all(line(token, 'b').as_bytes()).await?;
    for end in [&mut a, &mut b] {
        let mut ok = [0; 3];
        end.read_exact(&mut ok).await?;
    }
    Ok((a, b))
}

/// Two thousand pairs at once: the rate of all of them, and what those cost that do not read.
pub(crate) fn crowd() -> Outcome<()> {
    println!("{CROWD} pairs at once");
    let process = Process::start(Kind::OurRelay)?.ok_or("ours is always there")?;
    let (_, one) = flow(&process, How::Tcp, 4 * GIGABYTE)?;
    let base = process.memory()?;
    executor()?.block_on(async {
        let mut pairs = Vec::new();
        for token in 0..CROWD {
            pairs.push(pair(process.address(), token).await?);
        }
        let idle = process.memory()?;
        let each = 2 * GIGABYTE / CROWD;
        let before = process.cpu()?;
        let mut flows = JoinSet::new();
        for (mut a, mut b) in pairs {
            flows.spawn(async move {
                let (piece, mut buffer) = (vec![7; 64 << 10], vec![0; 64 << 10]);
                let write = async {
                    for _ in 0..each.div_ceil(piece.len()) {
                        a.write_all(&piece).await?;
                    }
                    Outcome::Ok(())
                };
                let read = async {
                    let mut got = 0;
                    while got < each {
                        got += b.read(&mut buffer).await?;
                    }
                    Outcome::Ok(())
                };
                let (wrote, read) = tokio::join!(write, read);
                wrote?;
                read?;
                Outcome::Ok((a, b))
            });
        }
        let mut pairs = Vec::new();
        while let Some(pair) = flows.join_next().await {
            pairs.push(pair??);
        }
        let all = 2.0 / (process.cpu()? - before);
        println!("  one pair {one:.2} GB a CPU-second, {CROWD} pairs {all:.2}: {:.2}", all / one);
        println!(
            "  {:.2} kB each while idle, {:.1} MB in all at the end",
            (idle - base) / 1e3 / CROWD as f64,
            process.memory()? / 1e6
        );
        let before = process.memory()?;
        let written = stall(&pairs);
        println!(
            "  stalled: {:.2} MB taken from each sender, memory {:.1} MB more",
            written / 1e6,
            (process.memory()? - before) / 1e6
        );
        Outcome::Ok(())
    })
}

/// Writes to a tenth of the pairs what nobody reads, as long as it is taken; how much that was, on average.
fn stall(pairs: &[(tokio::net::TcpStream, tokio::net::TcpStream)]) -> f64 {
    let piece = vec![7; 64 << 10];
    let some = pairs.iter().step_by(10);
    let (mut total, mut still) = (0, 0);
    while still < 20 {
        let before = total;
        for (a, _) in some.clone() {
            while let Ok(count) = rustix::io::write(a, &piece) {
                total += count;
            }
        }
        // The relay may take more in a moment.
        thread::park_timeout(Duration::from_millis(20));
        still = if total == before { still + 1 } else { 0 };
    }
    total as f64 / some.count() as f64
}
