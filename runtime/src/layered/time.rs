//! What is done when time passes: limits for those who open, keep-alive for those who stand.

use std::time::Duration;

use tungstenite::protocol::Role;
use wormhole_core::driver::{Conn, Instant, Why};

use super::Layered;
use super::layer::Layer;
use super::serving::Serving;
use crate::driver::{ABSENCE, Runtime};

/// The most callers of a server that are not WebSockets yet; one more, and the oldest must go.
const OPENING: usize = 4096;
/// How often we look who should be pinged, and who has been silent for too long; oftener where one wants to know it
/// sooner, within bounds.
const SWEEP: Duration = Duration::from_secs(5);
const SHORTEST_SWEEP: Duration = Duration::from_millis(100);
/// How often a client pings, and how long it waits for a sign of life (`docs/server-protocol.md`, "Keep-alive").
const CLIENT_PING: (Duration, Duration) = (Duration::from_secs(30), Duration::from_secs(60));

impl<R: Runtime> Layered<R> {
    /// Something begins to open, for which there is a limit.
    pub(super) fn opens(&mut self, below: Conn) {
        self.opening.push_back((self.below.now().plus(self.serving.opening_limit), below));
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        let sweep = (!self.open.is_empty()).then_some(self.sweep_at);
        let opening = self.opening.front().map(|(at, _)| *at);
        opening.into_iter().chain(sweep).chain(self.look_at()).min()
    }

    pub(super) fn keep_time(&mut self, now: Instant) {
        self.look_after_joins(now);
        while let Some((at, below)) = self.opening.pop_front_if(|(at, _)| *at <= now) {
            if !self.open.get(&below).is_some_and(Layer::is_opening) {
                continue;
            }
            if now > at.plus(ABSENCE) {
                // Nobody ran us, so that nothing could come.
                self.opens(below);
            } else {
                self.end(below, Why::TimedOut);
            }
        }
        if self.open.is_empty() {
            self.sweep_at = now.plus(self.sweeps());
        } else if now >= self.sweep_at {
            // Whoever was not running proves nothing about the silence of others.
            let slept = now > self.sweep_at.plus(SWEEP);
            self.sweep_at = now.plus(self.sweeps());
            self.sweep(now, slept);
        }
    }

    fn sweeps(&self) -> Duration {
        let Serving { ping_every, silence_limit, .. } = self.serving;
        (ping_every.min(silence_limit) / 4).clamp(SHORTEST_SWEEP, SWEEP)
    }

    /// Pings those whose turn it is, and ends those who have been silent for too long.
    fn sweep(&mut self, now: Instant, slept: bool) {
        let (mut due, mut silent) = (Vec::new(), Vec::new());
        for (below, layer) in &mut self.open {
            let (every, limit) = match layer.role() {
                Some(Role::Client) => CLIENT_PING,
                Some(Role::Server) => (self.serving.ping_every, self.serving.silence_limit),
                None => continue,
            };
            if slept || !layer.is_watched() {
                // It may be alive, and we have not looked.
                layer.unanswered = layer.unanswered.map(|_| now);
            }
            if layer.unanswered.is_some_and(|since| now >= since.plus(limit)) {
                silent.push(*below);
            } else if now >= layer.pinged.plus(every) {
                due.push(*below);
            }
        }
        for below in silent {
            self.end(below, Why::TimedOut);
        }
        for below in due {
            if let Some(layer) = self.open.get_mut(&below).filter(|layer| layer.gone.is_none()) {
                let mut out = Vec::new();
                layer.ping(now, &mut out);
                self.send(below, out, false);
            }
        }
    }

    /// A caller more: the oldest that is no WebSocket yet must go, if there are too many.
    pub(super) fn make_room(&mut self) {
        let mut dials = Vec::new();
        while self.callers > OPENING
            && let Some((at, below)) = self.opening.pop_front()
        {
            match self.open.get(&below) {
                Some(layer) if layer.counted => {
                    self.uncount(below);
                    self.end(below, Why::TimedOut);
                }
                Some(layer) if layer.is_opening() => dials.push((at, below)),
                Some(_) | None => {}
            }
        }
        for dial in dials.into_iter().rev() {
            self.opening.push_front(dial);
        }
    }
}
