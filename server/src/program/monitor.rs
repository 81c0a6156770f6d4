//! Health and metrics over HTTP, for machines that watch over this one: `/healthz`, `/readyz`, `/metrics`.

use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};

use super::bound::Bound;
use super::caller::Raw;
use super::metrics::Metrics;
use super::net::Listening;

/// Requests at a time; more wait.
const REQUESTS: usize = 16;
/// The longest request.
const REQUEST_BYTES: usize = 4 << 10;
/// How long one may take.
const REQUEST_LIMIT: Duration = Duration::from_secs(5);
/// How long accepting rests after it failed.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What is told about the program.
#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) metrics: Metrics,
    pub(crate) draining: AtomicBool,
}

impl State {
    /// Why new clients should go elsewhere, where they should.
    fn unready(&self) -> Option<&'static str> {
        if self.draining.load(Ordering::Relaxed) {
            Some("draining\n")
        } else if self.metrics.health.is_storing() {
            None
        } else {
            Some("nothing can be stored\n")
        }
    }
}

/// Serves at these sockets for as long as the runtime runs.
pub(crate) fn serve(bound: Vec<Bound>, state: &Arc<State>) -> io::Result<()> {
    let slots = Arc::new(Semaphore::new(REQUESTS));
    for bound in bound {
        let listening = Listening::new(bound.socket)?;
        tokio::spawn(listen(listening, Arc::clone(state), Arc::clone(&slots)));
    }
    Ok(())
}

async fn listen(listening: Listening, state: Arc<State>, slots: Arc<Semaphore>) {
    while let Ok(slot) = Arc::clone(&slots).acquire_owned().await {
        let Ok((stream, _)) = poll_fn(|cx| listening.poll_accept(cx)).await else {
            sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let state = Arc::clone(&state);
        tokio::spawn(async move {
            // Whoever asks and does not listen gets no answer.
            let _ = timeout(REQUEST_LIMIT, answer(stream, &state)).await;
            drop(slot);
        });
    }
}

/// Answers one request, and closes.
async fn answer(mut stream: Raw, state: &State) -> io::Result<()> {
    let mut head = Vec::new();
    while !head.windows(4).any(|end| end == b"\r\n\r\n") && head.len() < REQUEST_BYTES {
        if stream.read_buf(&mut head).await? == 0 {
            break;
        }
    }
    stream.write_all(reply(&head, state).as_bytes()).await?;
    stream.shutdown().await
}

fn reply(head: &[u8], state: &State) -> String {
    let mut headers = [httparse::EMPTY_HEADER; 32];
    let mut request = httparse::Request::new(&mut headers);
    if !request.parse(head).is_ok_and(|status| status.is_complete()) {
        return page("400 Bad Request", TEXT, "bad request\n");
    }
    if !matches!(request.method, Some("GET" | "HEAD")) {
        return page("405 Method Not Allowed", TEXT, "only GET\n");
    }
    let path = request.path.unwrap_or_default().split('?').next().unwrap_or_default();
    let full = match (path, state.unready()) {
        ("/readyz", None) if state.metrics.health.attack.load(Ordering::Relaxed) => {
            page("200 OK", TEXT, "ok, in attack mode\n")
        }
        ("/healthz", _) | ("/readyz", None) => page("200 OK", TEXT, "ok\n"),
        ("/readyz", Some(why)) => page("503 Service Unavailable", TEXT, why),
        ("/metrics", _) => page("200 OK", METRICS, &state.metrics.text()),
        _ => page("404 Not Found", TEXT, "there are /healthz, /readyz and /metrics\n"),
    };
    match (request.method, full.split_once("\r\n\r\n")) {
        (Some("HEAD"), Some((head, _))) => format!("{head}\r\n\r\n"),
        _ => full,
    }
}

const TEXT: &str = "text/plain; charset=utf-8";
const METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

fn page(status: &str, kind: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
}

#[cfg(test)]
mod tests {
    use wormhole_server::Event;
    use wormhole_server::store::Note;

    use super::*;

    #[test]
    fn a_program_that_drains_is_healthy_but_not_ready() {
        let state = State::default();
        let status = |path: &str| {
            let reply = reply(format!("GET {path} HTTP/1.1\r\nHost: h\r\n\r\n").as_bytes(), &state);
            reply.split(' ').nth(1).unwrap().to_owned()
        };
        assert_eq!((status("/healthz"), status("/readyz?x=1")), ("200".into(), "200".into()));
        state.draining.store(true, Ordering::Relaxed);
        assert_eq!((status("/healthz"), status("/readyz")), ("200".into(), "503".into()));
        assert_eq!((status("/"), status("/metrics")), ("404".into(), "200".into()));
    }

    #[test]
    fn a_program_that_cannot_store_is_not_ready_until_it_can_again() {
        let state = State::default();
        let is_ready = || reply(b"GET /readyz HTTP/1.1\r\n\r\n", &state).starts_with("HTTP/1.1 200 ");
        state.metrics.health.note(&Event::Store(Note::Failing("the disk is full".into())));
        assert!(!is_ready());
        state.metrics.health.note(&Event::Store(Note::Recovered));
        assert!(is_ready());
    }

    #[test]
    fn what_is_no_request_is_answered_and_a_head_has_no_body() {
        let state = State::default();
        assert!(reply(b"GET /healthz", &state).starts_with("HTTP/1.1 400 "));
        assert!(reply(b"POST /healthz HTTP/1.1\r\n\r\n", &state).starts_with("HTTP/1.1 405 "));
        assert!(reply(b"HEAD /healthz HTTP/1.1\r\n\r\n", &state).ends_with("close\r\n\r\n"));
    }
}
