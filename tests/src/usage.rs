//! What a program costs: processor time and memory, as Linux counts them.

use std::fs;
use std::thread;
use std::time::Duration;

/// How often a program is looked at.
const EVERY: Duration = Duration::from_millis(4);

/// What a program has cost.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Usage {
    /// Processor time, its own and the system's for it.
    pub cpu_seconds: f64,
    /// The most memory that was resident.
    pub peak_bytes: u64,
}

impl Usage {
    /// Looks at a process until it has ended. It must not be waited for before this has returned.
    pub(crate) fn watch(process: u32) -> Self {
        let mut usage = Self::default();
        while let Some((has_ended, cpu_seconds)) = time_of(process) {
            usage.cpu_seconds = cpu_seconds;
            if has_ended {
                break;
            }
            usage.peak_bytes = usage.peak_bytes.max(peak_of(process).unwrap_or_default());
            thread::sleep(EVERY);
        }
        usage
    }
}

/// Whether the process has ended, and its processor time, from `/proc/PID/stat`.
fn time_of(process: u32) -> Option<(bool, f64)> {
    let text = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // The name before it may hold blanks and parentheses.
    let (_, fields) = text.rsplit_once(')')?;
    let fields: Vec<&str> = fields.split_whitespace().collect();
    let ticks = |at: usize| fields.get(at).and_then(|field| field.parse::<f64>().ok());
    let seconds = (ticks(11)? + ticks(12)?) / rustix::param::clock_ticks_per_second() as f64;
    Some((matches!(fields.first(), Some(&("Z" | "X"))), seconds))
}

/// The peak of the resident memory, from `/proc/PID/status`.
fn peak_of(process: u32) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes = line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?;
    Some(kibibytes << 10)
}
