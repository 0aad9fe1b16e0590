//! What tokens of somebody else do to the logouts beside them: the provider answers to each as it would to
//! bad credentials.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::client::Client;
use crate::contender::Contender;
use crate::latency::{self, Beside};
use crate::load::Producer;
use crate::stage::{Servers, Stage};
use crate::{Result, load, report};

/// What servers answer to a token of another client: status, and body.
const ANSWERS: [(&str, &str); 7] = [
    ("403 Forbidden", r#"{"error":"unauthorized_client"}"#),
    ("401 Unauthorized", r#"{"error":"invalid_client"}"#),
    ("401 Unauthorized", ""),
    ("404 Not Found", ""),
    ("400 Bad Request", r#"{"error":"unauthorized_client"}"#),
    ("410 Gone", ""),
    ("403 Forbidden", "<html>Forbidden</html>"),
];
/// How a poison token begins; the place of its answer follows.
const MARK: &str = "token=poison-";

/// What to measure.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Poison tokens, each an event of its own.
    #[arg(long, default_value_t = 200)]
    tokens: u32,
    /// The one sort of answer that all of them get, by its place among the sorts from 0; each its turn where
    /// this is not given.
    #[arg(long, value_parser = clap::value_parser!(u32).range(0..ANSWERS.len() as i64))]
    sort: Option<u32>,
    /// How many of them are published a second.
    #[arg(long, default_value_t = 20)]
    per_s: u32,
    /// Logouts a second, alone and beside the poison.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1000))]
    rate: u32,
    /// Seconds of logouts, after one second of warm-up.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    seconds: u32,
    /// How often both are measured, in turns.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Milliseconds that the pretend provider takes to answer.
    #[arg(long, default_value_t = 20)]
    provider_ms: u64,
    /// Adds the figures as a line of JSON.
    #[arg(long)]
    json: bool,
}

/// The provider's answer to a form, where it is poison.
pub(crate) fn answer(form: &[u8]) -> Option<Vec<u8>> {
    let form = std::str::from_utf8(form).ok()?;
    let place: usize = form.get(form.find(MARK)? + MARK.len()..)?.split('-').next()?.parse().ok()?;
    let (status, body) = ANSWERS.get(place)?;
    Some(format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes())
}

/// Events of tokens that the provider refuses as it refuses bad credentials, and how many of them are
/// published a second.
struct Poison {
    events: Vec<Vec<u8>>,
    per_s: f64,
}

impl Beside for Poison {
    async fn publish(&self, producer: &Producer) -> Result {
        load::at_rate(producer, &self.events, self.per_s).await.map(drop)
    }

    /// Waits until all are parked, and checks that none of them paused the provider.
    async fn settle(&self, stage: &Stage, client: &mut Client) -> Result {
        let (start, expected) = (Instant::now(), i64::try_from(self.events.len())?);
        while stage.count(PARKED).await? < expected {
            client.check("the poison to be parked", start)?;
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        if stage.count(MISCONFIGURED).await? > 0 { Err("poison paused the provider".into()) } else { Ok(()) }
    }
}

const PARKED: &str = "SELECT count(*) FROM audit.revocations WHERE state = 'parked'";
const MISCONFIGURED: &str = "SELECT count(*) FROM revocation.attempts WHERE outcome = 'misconfigured'";

/// An event of one poison token, the sorts in turns.
pub(crate) fn event(number: u32) -> Vec<u8> {
    event_of(number, number % ANSWERS.len() as u32)
}

fn event_of(number: u32, sort: u32) -> Vec<u8> {
    let token = format!("poison-{sort}-{number}-{:032x}x", rand::random::<u128>());
    load::event_of(&format!("poison-{number}"), &json!([{ "token": token }]))
}

#[tokio::main]
pub(crate) async fn run(options: &Options) -> Result {
    let mut servers = Servers::boot(options.provider_ms).await?;
    let of = |number| options.sort.map_or_else(|| event(number), |sort| event_of(number, sort));
    let poison = || Poison { events: (0..options.tokens).map(of).collect(), per_s: f64::from(options.per_s) };
    let [idle, beside] = latency::in_turns(
        &mut servers,
        options.rounds,
        (Contender::Worker, options.rate, options.seconds),
        poison,
    )
    .await?;
    let Options { tokens, per_s, rate, .. } = options;
    println!("\n{tokens} poison tokens, {per_s} a second and all parked, beside {rate} logouts a second:\n");
    report::compare("beside the poison", &idle, &beside);
    if options.json {
        println!(
            "{}",
            json!({ "tokens": tokens, "per_s": per_s, "rate": rate, "idle": idle, "beside": beside })
        );
    }
    Ok(())
}
