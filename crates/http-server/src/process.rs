//! What every program tells of its process (<https://prometheus.io/docs/instrumenting/writing_clientlibs/>,
//! "Process metrics"), as Linux has it.

use std::{fmt, fs};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::{Registry, Unit};
use rustix::param::{clock_ticks_per_second, page_size};
use rustix::process::{Resource, getrlimit};

/// Adds the metrics `process_…`, read anew each time. Where there is no `/proc`, there are none.
pub fn register_process(registry: &mut Registry) {
    registry.sub_registry_with_prefix("process").register_collector(Box::new(Process));
}

#[derive(Debug)]
struct Process;

/// Times in seconds, sizes in bytes.
struct Figures {
    cpu: f64,
    started_at: f64,
    virtual_memory: i64,
    resident_memory: i64,
    open_files: i64,
}

impl Figures {
    fn read() -> Option<Self> {
        let stat = fs::read_to_string("/proc/self/stat").ok()?;
        let ticks = clock_ticks_per_second() as f64;
        let boot = fs::read_to_string("/proc/stat").ok()?;
        let boot: f64 = boot.lines().find_map(|line| line.strip_prefix("btime ")?.trim().parse().ok())?;
        // proc_pid_stat(5), from the third field on: the name before it may hold anything.
        let fields: Vec<&str> = stat.rsplit_once(") ")?.1.split(' ').collect();
        let field = |number: usize| fields.get(number - 3)?.parse::<i64>().ok();
        Some(Self {
            cpu: (field(14)? + field(15)?) as f64 / ticks,
            started_at: boot + field(22)? as f64 / ticks,
            virtual_memory: field(23)?,
            resident_memory: field(24)?.saturating_mul(i64::try_from(page_size()).ok()?),
            // But for the one by which this is read.
            open_files: i64::try_from(fs::read_dir("/proc/self/fd").ok()?.count()).ok()? - 1,
        })
    }
}

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let Some(figures) = Figures::read() else { return Ok(()) };
        let (seconds, bytes) = (Some(&Unit::Seconds), Some(&Unit::Bytes));
        let cpu = encoder.encode_descriptor("cpu", "Processor time used.", seconds, MetricType::Counter)?;
        ConstCounter::new(figures.cpu).encode(cpu)?;
        let began = "When the process began, since the epoch.";
        let started_at = encoder.encode_descriptor("start_time", began, seconds, MetricType::Gauge)?;
        ConstGauge::new(figures.started_at).encode(started_at)?;
        for (name, help, value) in [
            ("virtual_memory", "Address space.", figures.virtual_memory),
            ("resident_memory", "Memory in use.", figures.resident_memory),
        ] {
            ConstGauge::new(value).encode(encoder.encode_descriptor(
                name,
                help,
                bytes,
                MetricType::Gauge,
            )?)?;
        }
        let most = getrlimit(Resource::Nofile).current.and_then(|files| i64::try_from(files).ok());
        for (name, help, value) in [
            ("open_fds", "Open files.", figures.open_files),
            ("max_fds", "Most files that may be open.", most.unwrap_or(-1)),
        ] {
            ConstGauge::new(value).encode(encoder.encode_descriptor(
                name,
                help,
                None,
                MetricType::Gauge,
            )?)?;
        }
        Ok(())
    }
}
