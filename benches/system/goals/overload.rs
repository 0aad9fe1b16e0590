//! Three times as many events as the worker can drain, for minutes.

use std::time::Instant;

use super::Options;
use super::line::Limit::AtMost;
use super::line::Line;
use crate::client::Client;
use crate::contender::Contender::Worker;
use crate::drain::Load;
use crate::latency::idle;
use crate::measure::{memory_mib, percentile};
use crate::report::number;
use crate::stage::{Servers, Stage};
use crate::{Result, drain, load};

/// How much more comes than a drain takes.
const TIMES: f64 = 3.0;

pub(super) async fn run(servers: &mut Servers, options: &Options) -> Result<Vec<Line>> {
    let drained = drain::run(servers, Worker, Load::new(options.events, 0)).await?.events_per_s;
    servers.at_once().await?;
    let stage = Stage::raise(servers).await?;
    Worker.prepare(&stage).await?;
    let reader = stage.reader().await?;
    stage.calm().await?;
    servers.provider.reset().await?;
    let mut worker = Client::start(Worker, &stage, &servers.provider.url)?;
    idle(&mut worker, &stage).await?;

    let seconds = options.overload_seconds;
    let published = load::steadily(&stage.producer, TIMES * drained, seconds).await?;
    worker.check("the end of an overload", Instant::now())?;
    let peak_mib = memory_mib(worker.pid, "VmHWM");
    worker.stop().await?;

    let taken = taken(&stage).await?;
    let (delays, repeated) = {
        let told = reader.told();
        let delay =
            |(number, at_us): &(u32, i64)| Some((told.requested.at_us(*number)? - at_us) as f64 / 1e3);
        (taken.iter().filter_map(delay).collect::<Vec<_>>(), told.confirmed.repeated())
    };
    reader.stop().await?;
    stage.strike(servers).await?;
    let times = f64::from(published) / f64::from(seconds) / drained;
    let overload = format!("{} times a drain for {seconds} s", number(times));
    let looked_at = format!("p50 {}, of {} events", number(percentile(&delays, 0.5)), delays.len());
    Ok(vec![
        Line::plain("overload: memory, MiB", peak_mib, overload).must(AtMost(128.0)),
        Line::plain("overload: denied after its receipt, p99 ms", percentile(&delays, 0.99), looked_at),
        Line::plain("overload: targets confirmed again", repeated as f64, "").must(AtMost(0.0)),
    ])
}

/// One in a hundred of the events on record: its number, and when the worker received it, in microseconds
/// since 1970.
async fn taken(stage: &Stage) -> Result<Vec<(u32, i64)>> {
    let statement = "SELECT DISTINCT event_id, (extract(epoch FROM received_at) * 1000000)::bigint FROM \
        audit.revocations WHERE event_id LIKE '%00'";
    let rows: Vec<(String, i64)> = sqlx::query_as(statement).fetch_all(&stage.database).await?;
    rows.into_iter().map(|(id, at_us)| Ok((id.parse()?, at_us))).collect()
}
