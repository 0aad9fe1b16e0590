//! One publisher's worst minute beside the logouts of another: everything that a producer can send in numbers
//! or badly, all at once.

use std::time::{Duration, Instant};

use futures::FutureExt;
use futures::future::{BoxFuture, try_join_all};
use lapin::BasicProperties;
use lapin::types::{AMQPValue, FieldTable};
use serde_json::{Value, json};

use crate::client::Client;
use crate::contender::Contender;
use crate::latency::{self, Beside};
use crate::load::{Producer, WINDOW, all_at_once, at_rate_with, event_of};
use crate::stage::{Servers, Stage, queue};
use crate::{Result, poison, report};

/// What to measure.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Messages that are no events.
    #[arg(long, default_value_t = 20_000)]
    refusals: u32,
    /// Refused messages whose headers all but fill a frame.
    #[arg(long, default_value_t = 320)]
    headers: u32,
    /// Events of 0.9 MiB.
    #[arg(long, default_value_t = 300)]
    large: u32,
    /// Messages of 16 MiB, which is too large.
    #[arg(long, default_value_t = 20)]
    huge: u32,
    /// Events under ten identities, each with a token of its own.
    #[arg(long, default_value_t = 1000)]
    identities: u32,
    /// Events of 1,000 tokens.
    #[arg(long, default_value_t = 20)]
    crowds: u32,
    /// Poison tokens, each an event of its own.
    #[arg(long, default_value_t = 200)]
    poison: u32,
    /// Logouts a second, alone and beside it.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1000))]
    rate: u32,
    /// Seconds of logouts, after one second of warm-up.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..))]
    seconds: u32,
    /// How often both are measured, in turns.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Publishes all of it as fast as the broker takes it, part by part, instead of spread over the seconds.
    #[arg(long)]
    at_once: bool,
    /// Who takes the logouts; the bare loop drops what is no event, and says what the broker alone costs.
    #[arg(long, default_value = "worker")]
    contender: Contender,
    /// Milliseconds that the pretend provider takes to answer.
    #[arg(long, default_value_t = 20)]
    provider_ms: u64,
    /// Adds the figures as a line of JSON.
    #[arg(long)]
    json: bool,
}

/// Bytes of the one header of a message whose headers all but fill a frame.
const HEADER_BYTES: usize = 130_900;
const LARGE_BYTES: usize = 9 * 1024 * 1024 / 10;
const HUGE_BYTES: usize = 16 * 1024 * 1024;
const CROWD: u32 = 1000;
const IDENTITIES: u32 = 10;
/// Large messages that wait for their confirm at once.
const FEW: usize = 8;

#[tokio::main]
pub(crate) async fn run(options: &Options) -> Result {
    let mut servers = Servers::boot(options.provider_ms).await?;
    let load = (options.contender, options.rate, options.seconds);
    let [idle, beside] = latency::in_turns(&mut servers, options.rounds, load, || options).await?;
    println!("\n{} logouts a second, beside one publisher's worst minute:\n", options.rate);
    report::compare("beside it", &idle, &beside);
    if options.json {
        println!("{}", json!({ "rate": options.rate, "idle": idle, "beside": beside }));
    }
    Ok(())
}

impl Options {
    async fn part(
        &self,
        producer: &Producer,
        count: u32,
        body: impl Fn(u32) -> Vec<u8> + Send,
        properties: &BasicProperties,
        window: usize,
    ) -> Result {
        let bodies = (0..count).map(body);
        if self.at_once {
            return all_at_once(producer, bodies, properties, window).await;
        }
        at_rate_with(producer, bodies, properties, f64::from(count) / f64::from(self.seconds)).await.map(drop)
    }

    /// Messages that must be refused.
    fn refused(&self) -> u32 {
        self.refusals + self.headers + self.huge
    }

    /// Tokens that must be revoked or, where they are poison, parked.
    fn tokens(&self) -> u32 {
        self.large + self.identities + self.crowds * CROWD + self.poison
    }
}

impl Beside for &Options {
    async fn publish(&self, producer: &Producer) -> Result {
        let (began, plain) = (Instant::now(), producer.properties());
        let headers = with_headers(producer);
        let (p, plain) = (producer, &plain);
        let parts: [BoxFuture<'_, Result>; 7] = [
            self.part(p, self.refusals, |number| format!("no event {number}").into_bytes(), plain, WINDOW)
                .boxed(),
            self.part(p, self.headers, |_| b"no event".to_vec(), &headers, FEW).boxed(),
            self.part(p, self.crowds, crowd, plain, FEW).boxed(),
            self.part(p, self.identities, |number| one_of(number % IDENTITIES), plain, WINDOW).boxed(),
            self.part(p, self.poison, poison::event, plain, WINDOW).boxed(),
            self.part(p, self.large, large, plain, FEW).boxed(),
            self.part(p, self.huge, |_| vec![b' '; HUGE_BYTES], plain, FEW).boxed(),
        ];
        if self.at_once {
            for part in parts {
                part.await?;
            }
        } else {
            try_join_all(parts).await?;
        }
        println!("published in {:.1} s", began.elapsed().as_secs_f64());
        Ok(())
    }

    /// Waits until everything is on record: refused, revoked or parked.
    async fn settle(&self, stage: &Stage, client: &mut Client) -> Result {
        if self.contender != Contender::Worker {
            return Ok(());
        }
        let start = Instant::now();
        let (refused, tokens) = (i64::from(self.refused()), i64::from(self.tokens()));
        while stage.count(REFUSED).await? < refused || stage.count(SETTLED).await? < tokens {
            client.check("everything to be on record", start)?;
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        println!("on record {:.1} s after the last logout", start.elapsed().as_secs_f64());
        let (dead, _) = queue(&stage.producer.channel, "revocation.dead").await?;
        let (on_record, settled) = (stage.count(REFUSED).await?, stage.count(SETTLED).await?);
        if (on_record, settled, i64::from(dead)) == (refused, tokens, refused) {
            return Ok(());
        }
        Err(format!(
            "{on_record} refusals on record and {dead} put away of {refused}, {settled} tokens \
            settled of {tokens}"
        )
        .into())
    }
}

const REFUSED: &str = "SELECT count(*) FROM audit.rejected_events";
const SETTLED: &str =
    "SELECT count(*) FROM audit.revocations WHERE event_id !~ '^[0-9]+$' AND state IN ('revoked', 'parked')";

fn with_headers(producer: &Producer) -> BasicProperties {
    let mut headers = FieldTable::default();
    headers.insert("x".into(), AMQPValue::LongString("x".repeat(HEADER_BYTES).into()));
    producer.properties().with_headers(headers)
}

/// A token that ends in no event's number.
fn token() -> Value {
    json!({ "token": format!("{:032x}x", rand::random::<u128>()) })
}

fn crowd(number: u32) -> Vec<u8> {
    event_of(&format!("crowd-{number}"), &(0..CROWD).map(|_| token()).collect())
}

fn one_of(identity: u32) -> Vec<u8> {
    event_of(&format!("identity-{identity}"), &json!([token()]))
}

fn large(number: u32) -> Vec<u8> {
    let mut event = event_of(&format!("large-{number}"), &json!([token()]));
    event.resize(LARGE_BYTES, b' ');
    event
}
