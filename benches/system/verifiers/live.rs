//! Users log out at a steady rate; each of many verifiers notes when it refuses the access token.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use revocation_verifier::{Claims, Denylist, Options, StalenessPolicy, TokenView, Verdict};
use serde_json::Value;

use crate::client::Client;
use crate::contender::Contender;
use crate::latency::{Spread, spread};
use crate::measure::now_us;
use crate::stage::{Servers, Stage};
use crate::{Result, load};

/// From publishing an event to its refusal at every one of `verifiers`.
pub(crate) async fn run(servers: &mut Servers, verifiers: usize, rate: u32, seconds: u32) -> Result<Spread> {
    let stage = Stage::raise(servers).await?;
    Contender::Worker.prepare(&stage).await?;
    let reader = stage.reader().await?;
    servers.provider.reset().await?;
    let mut client = Client::start(Contender::Worker, &stage, &servers.provider.url)?;
    let bodies = load::events(rate * (seconds + 1));
    let tokens: Arc<Vec<(String, Claims)>> =
        Arc::new(bodies.iter().map(|body| access_token(body)).collect::<Result<_>>()?);
    let mut watches = Vec::new();
    for number in 0..verifiers {
        let options = Options::new(&*stage.amqp_url, "shop-api", StalenessPolicy::FailClosed)
            .instance(format!("pod-{number}"));
        let denylist = Denylist::connect(options)?;
        let start = Instant::now();
        while denylist.staleness().is_some() {
            client.check("a verifier to be up to date", start)?;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        watches.push(tokio::spawn(watch(denylist, tokens.clone())));
    }
    stage.calm().await?;
    let published = load::at_rate(&stage.producer, &bodies, rate).await?;
    let mut refused = vec![0; published.len()];
    for watch in watches {
        let watched = tokio::time::timeout(Duration::from_secs(60), watch).await;
        let seen = watched.map_err(|_| "a verifier does not refuse every token")??;
        refused.iter_mut().zip(seen).for_each(|(latest, at)| *latest = at.max(*latest));
    }
    client.stop().await?;
    reader.stop().await?;
    stage.strike(servers).await?;
    Ok(spread(&published, &refused, rate as usize))
}

fn access_token(event: &[u8]) -> Result<(String, Claims)> {
    let event: Value = serde_json::from_slice(event)?;
    let token = event["data"]["targets"][0]["token"].as_str().ok_or("an event without a token")?;
    Ok((token.to_owned(), Claims::peek(token)))
}

/// Returns when the verifier refused each token, in microseconds since 1970.
async fn watch(denylist: Denylist, tokens: Arc<Vec<(String, Claims)>>) -> Vec<i64> {
    /// How many accepted tokens a look passes over: events overtake each other by less.
    const AHEAD: usize = 5;
    let (mut refused, mut position) = (vec![0; tokens.len()], denylist.position());
    let mut open: BTreeMap<usize, &(String, Claims)> = tokens.iter().enumerate().collect();
    while !open.is_empty() && position.changed().await.is_ok() {
        let is_denied = |(token, claims): &(String, Claims)| {
            matches!(denylist.check(&TokenView::with_claims(token, claims)), Verdict::Denied(_))
        };
        let (mut denied, mut accepted) = (Vec::new(), 0);
        for (number, token) in &open {
            if is_denied(token) {
                denied.push(*number);
            } else if accepted == AHEAD {
                break;
            } else {
                accepted += 1;
            }
        }
        for number in denied {
            refused[number] = now_us();
            open.remove(&number);
        }
    }
    refused
}
