//! What is counted, in the text format of Prometheus.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::exemplar::Exemplar;
use prometheus_client::registry::Registry;
use wormhole_runtime::Carried;
use wormhole_server::counters::{Connections, Latency, MailboxCounts, Named, RelayCounts};

use super::arrival::Arrival;
use super::health::Health;

/// Everything that is counted.
#[derive(Clone, Debug, Default)]
pub(crate) struct Metrics {
    pub(crate) arrival: Arc<Arrival>,
    pub(crate) health: Arc<Health>,
    pub(crate) mailbox: Option<Arc<MailboxCounts>>,
    pub(crate) relay: Option<Arc<RelayCounts>>,
    pub(crate) carried: Carried,
}

impl Metrics {
    /// As Prometheus reads it.
    pub(crate) fn text(&self) -> String {
        let mut registry = Registry::with_prefix("wormhole");
        registry.register_collector(Box::new(self.clone()));
        let mut out = String::new();
        // Writing to a string does not fail.
        let _ = text::encode(&mut out, &registry);
        out
    }
}

impl Collector for Metrics {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut page = Page(encoder);
        let attack = u64::from(self.health.attack.load(Ordering::Relaxed));
        page.gauge("attack_mode", "Whether attack mode is on", attack)?;
        page.named(
            "arrival_refusals",
            "Connections refused before the protocol began",
            "reason",
            &self.arrival.refusals,
        )?;
        if let Some(mailbox) = &self.mailbox {
            page.connections("mailbox", "clients of the mailbox server", &mailbox.connections)?;
            page.named(
                "mailbox_nameplates_allocated",
                "Nameplates given out",
                "digits",
                &mailbox.nameplates,
            )?;
            page.counter("mailbox_messages", "Messages stored", mailbox.messages.total())?;
            page.counter("mailbox_message_bytes", "Bytes of the bodies of messages", mailbox.bytes.total())?;
            page.named("mailbox_refusals", "Errors that clients were told", "reason", &mailbox.refusals)?;
            page.named(
                "mailbox_nameplates",
                "Nameplates that are free again",
                "result",
                &self.health.nameplates,
            )?;
            page.named("mailbox_mailboxes", "Mailboxes that are gone", "result", &self.health.mailboxes)?;
            page.counter("mailbox_expired", "Mailboxes that have expired", self.health.expired.total())?;
            page.gauge(
                "mailbox_storing",
                "Whether messages can be stored",
                u64::from(self.health.is_storing()),
            )?;
            page.latency("mailbox_store_seconds", "How long the store took for a command", &mailbox.store)?;
        }
        if let Some(relay) = &self.relay {
            page.connections("relay", "clients of the relay", &relay.connections)?;
            page.counter(
                "relay_waits",
                "Clients that had to wait for their partner",
                relay.waits.came.total(),
            )?;
            page.gauge("relay_waiting", "Clients that wait for their partner", relay.waits.now())?;
            page.counter("relay_pairs", "Partners that have met", relay.pairs.total())?;
            page.counter("relay_bytes", "Bytes carried, once their pair has ended", relay.bytes.total())?;
            page.gauge(
                "relay_incomplete_bytes",
                "Bytes carried by pairs that are still there",
                self.carried.bytes(),
            )?;
            page.named(
                "relay_results",
                "Pairs and single clients that are gone",
                "result",
                &self.health.transits,
            )?;
            page.named("relay_refusals", "Clients that were sent away", "reason", &relay.refusals)?;
        }
        Ok(())
    }
}

struct Page<'e>(DescriptorEncoder<'e>);

impl Page<'_> {
    fn counter(&mut self, name: &str, help: &str, total: u64) -> fmt::Result {
        let mut metric = self.0.encode_descriptor(name, help, None, MetricType::Counter)?;
        metric.encode_counter::<NoLabelSet, _, u64>(&total, None)
    }

    fn gauge(&mut self, name: &str, help: &str, now: u64) -> fmt::Result {
        let mut metric = self.0.encode_descriptor(name, help, None, MetricType::Gauge)?;
        metric.encode_gauge(&i64::try_from(now).unwrap_or(i64::MAX))
    }

    fn connections(&mut self, of: &str, whose: &str, connections: &Connections) -> fmt::Result {
        let name = format!("{of}_connections_accepted");
        self.counter(&name, &format!("Connections of {whose}"), connections.came.total())?;
        self.gauge(
            &format!("{of}_connections"),
            &format!("Connections of {whose} at present"),
            connections.now(),
        )
    }

    fn named(&mut self, name: &str, help: &str, label: &'static str, counts: &Named) -> fmt::Result {
        let mut metric = self.0.encode_descriptor(name, help, None, MetricType::Counter)?;
        for (value, total) in counts.totals() {
            let labels = [(label, value)];
            metric.encode_family(&labels)?.encode_counter::<NoLabelSet, _, u64>(&total, None)?;
        }
        Ok(())
    }

    fn latency(&mut self, name: &str, help: &str, latency: &Latency) -> fmt::Result {
        let mut metric = self.0.encode_descriptor(name, help, None, MetricType::Histogram)?;
        let buckets = latency.buckets();
        let count = buckets.iter().map(|(_, count)| count).sum();
        let exemplars: Option<&HashMap<usize, Exemplar<NoLabelSet, f64>>> = None;
        metric.encode_histogram(latency.sum(), count, &buckets, exemplars)
    }
}
