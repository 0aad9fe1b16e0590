//! Clocks, processor time and memory of processes, from /proc (Linux).

use std::fs;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde::Serialize;

/// Clock ticks a second in /proc/PID/stat: USER_HZ, 100 on every architecture that Rust's std supports.
const TICKS_PER_SECOND: f64 = 100.0;

/// Microseconds since 1970: one clock for all processes of the machine, and Postgres's resolution.
pub(crate) fn now_us() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}

/// Processor time, user and system, in seconds.
#[derive(Clone, Copy, Default, Serialize)]
pub(crate) struct Cpu {
    /// The worker, or whoever takes the events in its place.
    pub(crate) client: f64,
    /// RabbitMQ's Erlang machine.
    pub(crate) broker: f64,
    /// All Postgres processes, those that have ended included.
    pub(crate) postgres: f64,
    /// The pretend provider.
    pub(crate) provider: f64,
}

impl Cpu {
    /// Totals up to now. A process that is not there counts as zero.
    pub(crate) fn now(clients: impl IntoIterator<Item = u32>, provider: u32) -> Self {
        let family = descendants(std::process::id());
        let of = |pid: u32| {
            family.iter().filter(|process| process.pid == pid).map(|process| process.own).sum::<f64>()
        };
        let named = |name: &str| {
            family.iter().filter(|process| process.name == name).map(|process| process.own).sum::<f64>()
        };
        // Whoever waited for a backend that has ended carries its time: the first of the server's processes.
        let ended: f64 = family
            .iter()
            .filter(|process| process.name == "postgres")
            .map(|process| process.ended_children)
            .sum();
        Self {
            client: clients.into_iter().map(of).sum(),
            broker: named("beam.smp"),
            postgres: named("postgres") + ended,
            provider: of(provider),
        }
    }

    /// All four.
    pub(crate) fn total(self) -> f64 {
        self.client + self.broker + self.postgres + self.provider
    }

    /// Time spent since `earlier`, for every 1,000 of `events`.
    pub(crate) fn per_thousand(self, earlier: Self, events: u32) -> Self {
        self.since(earlier).times(1000.0 / f64::from(events))
    }

    /// Time spent since `earlier`, or beyond it.
    pub(crate) fn since(self, earlier: Self) -> Self {
        Self {
            client: self.client - earlier.client,
            broker: self.broker - earlier.broker,
            postgres: self.postgres - earlier.postgres,
            provider: self.provider - earlier.provider,
        }
    }

    /// Each of the four times `factor`.
    pub(crate) fn times(self, factor: f64) -> Self {
        Self {
            client: self.client * factor,
            broker: self.broker * factor,
            postgres: self.postgres * factor,
            provider: self.provider * factor,
        }
    }
}

/// Waits until broker and database have done what they put off, such as flushing to disk; at most 15 s.
pub(crate) async fn calm() {
    const LOOK: Duration = Duration::from_millis(250);
    let deadline = Instant::now() + Duration::from_secs(15);
    let busy = |now: Cpu, before: Cpu| now.broker - before.broker + now.postgres - before.postgres;
    let (mut before, mut calm) = (Cpu::now(None, 0), 0);
    while calm < 3 && Instant::now() < deadline {
        tokio::time::sleep(LOOK).await;
        let now = Cpu::now(None, 0);
        calm = if busy(now, before) <= 0.02 { calm + 1 } else { 0 };
        before = now;
    }
}

/// A size from /proc/PID/status in MiB: `VmHWM`, the peak of resident memory, or `VmRSS`, the present.
pub(crate) fn memory_mib(pid: u32, what: &str) -> f64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(what)?.strip_prefix(':'));
    let kib = line.and_then(|line| line.trim().strip_suffix("kB")?.trim().parse::<f64>().ok());
    kib.unwrap_or(f64::NAN) / 1024.0
}

/// The value that `share` (0 to 1) of all values do not exceed.
pub(crate) fn percentile(values: &[f64], share: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let rank = (sorted.len() as f64 * share).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or(f64::NAN)
}

/// The middle value, or the mean of the two.
pub(crate) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let at = |index: usize| sorted.get(index).copied().unwrap_or(f64::NAN);
    (at(sorted.len() / 2) + at(sorted.len().saturating_sub(1) / 2)) / 2.0
}

/// The median of the rounds' ratios, so that what disturbs a round disturbs both sides of its ratio.
pub(crate) fn median_ratio(values: &[f64], of: &[f64]) -> f64 {
    median(&values.iter().zip(of).map(|(value, of)| value / of).collect::<Vec<_>>())
}

struct Process {
    pid: u32,
    parent: u32,
    name: String,
    own: f64,
    ended_children: f64,
}

impl Process {
    /// From /proc/PID/stat (proc_pid_stat(5)): the name may hold anything, so fields count from its closing
    /// bracket.
    fn read(pid: u32) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let (start, rest) = stat.rsplit_once(')')?;
        let fields: Vec<&str> = rest.split_whitespace().collect();
        let seconds = |index: usize| Some(fields.get(index)?.parse::<f64>().ok()? / TICKS_PER_SECOND);
        Some(Self {
            pid,
            parent: fields.get(1)?.parse().ok()?,
            name: start.split_once('(')?.1.to_owned(),
            own: seconds(11)? + seconds(12)?,
            ended_children: seconds(13)? + seconds(14)?,
        })
    }
}

fn descendants(root: u32) -> Vec<Process> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let mut others: Vec<Process> = pids.filter_map(Process::read).collect();
    let (mut family, mut parents) = (Vec::new(), vec![root]);
    while let Some(parent) = parents.pop() {
        let (children, rest): (Vec<_>, Vec<_>) =
            others.into_iter().partition(|process| process.parent == parent);
        parents.extend(children.iter().map(|child| child.pid));
        family.extend(children);
        others = rest;
    }
    family
}
