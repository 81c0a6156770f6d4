//! What is on its way between two ends, and what goes wrong with it there.

use std::time::Duration;

use wormhole_core::driver::{Instant, Why};

use super::EndId;
use crate::fault::{Fault, Kind, What};
use crate::net::sniff::{field, is_message};
use crate::net::{Event, State};

impl State {
    /// These bytes leave, with whatever happens to them on the way.
    pub(super) fn transmit(&mut self, at: EndId, mut bytes: Vec<u8>) {
        let Some(link) = self.links.get_mut(at.link) else { return };
        let (kind, host, faults) = (link.kind, link.host(at.side), link.faults.clone());
        let end = link.end(at.side);
        let before = end.sent;
        end.sent = before.saturating_add(bytes.len() as u64);
        let passes = |after: u64| before <= after && after < before.saturating_add(bytes.len() as u64);
        let struck: Vec<_> =
            faults.into_iter().filter(|fault| fault.side == at.side && passes(fault.after)).collect();
        if kind == Kind::Mailbox
            && at.side == 0
            && let Ok(frame) = std::str::from_utf8(&bytes)
            && let Some(sender) = self.hosts.get_mut(host)
            && let Some(wrong) = sender.sniffed.said(frame)
        {
            self.fail(format!("{}: {wrong}", self.name(host)));
        }
        self.note(|state| format!("{} > {}", state.name(host), shown(kind, &bytes)));
        let mut stalled = Duration::ZERO;
        let mut cut = None;
        for fault in struck {
            self.strikes(|| format!("{fault:?} on a link of the {kind:?}"));
            match fault.what {
                What::Stall(lasts) => stalled = stalled.saturating_add(lasts),
                What::Cut(seen) => {
                    let kept = usize::try_from(fault.after.saturating_sub(before)).unwrap_or(usize::MAX);
                    bytes.truncate(if kind == Kind::Mailbox { 0 } else { kept });
                    cut = Some(seen);
                }
                What::HalfClose => {
                    let moment = self.arrival(at, Duration::ZERO);
                    self.at(moment, Event::Ended(at.other()));
                    self.with(at, |end| end.is_muted = true);
                    bytes.clear();
                }
            }
        }
        self.deliver(at, kind, bytes, stalled);
        if let Some(seen) = cut {
            self.cut(at, seen);
        }
    }

    fn deliver(&mut self, at: EndId, kind: Kind, bytes: Vec<u8>, stalled: Duration) {
        if bytes.is_empty() || self.with(at, |end| end.is_muted) == Some(true) {
            return;
        }
        if !stalled.is_zero() {
            self.struck = Some(self.now.plus(stalled));
        }
        let to = at.other();
        let odd = kind == Kind::Mailbox && at.side == 1 && self.faults.contains(&Fault::OddServer);
        let odd = odd && std::str::from_utf8(&bytes).is_ok_and(is_message);
        if odd {
            self.struck = Some(self.now);
        }
        let moment = self.arrival(at, stalled);
        let mut on_the_way = bytes.len();
        if odd && self.chance.one_in(4) {
            on_the_way = on_the_way.saturating_mul(2);
            let later = moment.plus(self.chance.millis(2000));
            self.at(later, Event::Arrived { at: to, bytes: bytes.clone(), late: true });
        }
        let late = if odd && self.chance.one_in(4) { self.chance.millis(1000) } else { Duration::ZERO };
        self.with(at, |end| end.on_the_way = end.on_the_way.saturating_add(on_the_way));
        if kind != Kind::Mailbox && bytes.len() > 1 && self.chance.one_in(4) {
            // Cut in two, which come apart.
            let middle = usize::try_from(self.chance.below(bytes.len() as u64)).unwrap_or(0);
            let (first, second) = bytes.split_at(middle.max(1));
            self.at(moment, Event::Arrived { at: to, bytes: first.to_vec(), late: false });
            let stalled = self.chance.millis(20);
            let moment = self.arrival(at, stalled);
            self.at(moment, Event::Arrived { at: to, bytes: second.to_vec(), late: false });
        } else {
            self.at(moment.plus(late), Event::Arrived { at: to, bytes, late: !late.is_zero() });
        }
    }

    /// When something arrives that leaves now: never before what left earlier.
    pub(super) fn arrival(&mut self, at: EndId, more: Duration) -> Instant {
        let now = self.now;
        let arrival = self.with(at, |end| {
            end.last_arrival = end.last_arrival.max(now.plus(end.delay).plus(more));
            end.last_arrival
        });
        arrival.unwrap_or(now)
    }

    fn cut(&mut self, at: EndId, seen: [Duration; 2]) {
        let moment = self.arrival(at, Duration::ZERO);
        for (side, after) in seen.into_iter().enumerate() {
            self.at(moment.plus(after), Event::Broken(EndId { link: at.link, side }, Why::Reset));
        }
        let both = [EndId { link: at.link, side: 0 }, EndId { link: at.link, side: 1 }];
        for end in both {
            self.with(end, |end| (end.is_shut, end.is_muted) = (true, true));
        }
        let last = seen.into_iter().max().unwrap_or_default();
        self.struck = Some(moment.plus(last));
    }
}

/// What a trace shows of what was said.
pub(super) fn shown(kind: Kind, bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(frame) if kind == Kind::Mailbox => {
            let member = |name| field(frame, name).map(|text| format!(" {text}")).unwrap_or_default();
            format!("{}{}{}{}", member("type"), member("phase"), member("nameplate"), member("error"))
        }
        Ok(_) | Err(_) => format!(" {} bytes ({kind:?})", bytes.len()),
    }
}
