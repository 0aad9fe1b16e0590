//! The events: two tokens each, persistent and confirmed, all at once or at a steady rate.

use std::collections::VecDeque;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use lapin::options::BasicPublishOptions;
use lapin::types::ShortString;
use lapin::{BasicProperties, Channel, Confirmation};
use rand::distributions::{Alphanumeric, DistString};
use tokio::time::Instant;

use crate::Result;
use crate::measure::now_us;

/// CloudEvents `source` of every event; the `id` is the event's number.
pub(crate) const SOURCE: &str = "/bench";
/// Both tokens of an event end in its number, with leading zeros.
pub(crate) const NUMBER_DIGITS: usize = 12;

const ACCESS_TOKEN_BYTES: usize = 800;
const REFRESH_TOKEN_BYTES: usize = 40;
/// 2096-10-02: no token ends while it is measured.
const FAR_AHEAD: i64 = 4_000_000_000;
/// Publishes that wait for their confirm at once.
pub(crate) const WINDOW: usize = 2000;

/// A string of `length` that no other call returns and that ends in `number`.
fn opaque(length: usize, number: u32) -> String {
    let filler = Alphanumeric.sample_string(&mut rand::thread_rng(), length.saturating_sub(NUMBER_DIGITS));
    format!("{filler}{number:0NUMBER_DIGITS$}")
}

/// A refresh token that ends in `number`.
pub(crate) fn refresh_token(number: u32) -> String {
    opaque(REFRESH_TOKEN_BYTES, number)
}

/// A token of three parts with the claims that identity providers send; the signature is filler.
fn access_token(number: u32) -> String {
    let claims = serde_json::json!({
        "iss": "https://id.bench.example/realms/main", "sub": opaque(36, number),
        "aud": ["shop-api", "account"], "azp": "shop",
        "client_id": "shop", "sid": opaque(36, number), "jti": opaque(36, number),
        "iat": FAR_AHEAD - 2_300_000_000, "exp": FAR_AHEAD,
        "scope": "openid profile email offline_access",
    });
    let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"RS256","typ":"at+jwt","kid":"bench-2026"}"#);
    let signed = format!("{header}.{}.", URL_SAFE_NO_PAD.encode(claims.to_string()));
    let signature = opaque(ACCESS_TOKEN_BYTES - signed.len(), number);
    signed + &signature
}

/// The logout event `number`.
pub(crate) fn event(number: u32) -> Vec<u8> {
    let targets = serde_json::json!([
        { "token": access_token(number), "token_type_hint": "access_token" },
        { "token": refresh_token(number), "token_type_hint": "refresh_token" } ]);
    event_of(&number.to_string(), &targets)
}

/// A logout event of these targets.
pub(crate) fn event_of(id: &str, targets: &serde_json::Value) -> Vec<u8> {
    let event = serde_json::json!({
        "specversion": "1.0", "id": id, "source": SOURCE, "type": "auth.logout.v1",
        "time": "2026-11-20T22:30:00.123Z",
        "data": { "provider": "main", "reason": "user_logout", "actor": format!("user-{id}"),
            "targets": targets } });
    event.to_string().into_bytes()
}

/// Who publishes: a channel in confirm mode, and the broker user that it belongs to.
#[derive(Clone)]
pub(crate) struct Producer {
    pub(crate) channel: Channel,
    pub(crate) user: ShortString,
}

impl Producer {
    /// What an application says of each of its events.
    pub(crate) fn properties(&self) -> BasicProperties {
        let properties = BasicProperties::default().with_content_type("application/cloudevents+json".into());
        properties.with_delivery_mode(2).with_user_id(self.user.clone())
    }

    /// Publishes to `auth.events` as an ordinary logout. Returns a future of the broker's confirm.
    pub(crate) async fn publish(
        &self,
        body: &[u8],
        properties: BasicProperties,
    ) -> Result<impl Future<Output = lapin::Result<Confirmation>> + use<>> {
        let options = BasicPublishOptions { mandatory: true, ..Default::default() };
        Ok(self
            .channel
            .basic_publish("auth.events".into(), "auth.logout".into(), options, body, properties)
            .await?)
    }
}

pub(crate) async fn confirmed(confirm: impl Future<Output = lapin::Result<Confirmation>>) -> Result {
    match confirm.await? {
        Confirmation::Ack(None) => Ok(()),
        _ => Err("the broker refused or returned an event of the benchmark".into()),
    }
}

/// Publishes as fast as the broker confirms, with so many unconfirmed at once.
pub(crate) async fn all_at_once<B: AsRef<[u8]>>(
    producer: &Producer,
    bodies: impl IntoIterator<Item = B>,
    properties: &BasicProperties,
    window: usize,
) -> Result {
    let mut open = VecDeque::new();
    for body in bodies {
        if open.len() >= window
            && let Some(oldest) = open.pop_front()
        {
            confirmed(oldest).await?;
        }
        open.push_back(producer.publish(body.as_ref(), properties.clone()).await?);
    }
    for confirm in open {
        confirmed(confirm).await?;
    }
    Ok(())
}

/// Events 0 to `count`.
pub(crate) fn events(count: u32) -> Vec<Vec<u8>> {
    (0..count).map(event).collect()
}

/// Publishes events, `rate` a second, whatever becomes of them. Returns when each was published, in
/// microseconds since 1970.
pub(crate) async fn at_rate<B: AsRef<[u8]>>(
    producer: &Producer,
    bodies: impl IntoIterator<Item = B>,
    rate: impl Into<f64>,
) -> Result<Vec<i64>> {
    at_rate_with(producer, bodies, &producer.properties(), rate.into()).await
}

/// Publishes new events, `rate` a second or as fast as the broker confirms them. Returns how many.
pub(crate) async fn steadily(producer: &Producer, rate: f64, seconds: u32) -> Result<u32> {
    let (start, mut open, mut number) = (Instant::now(), VecDeque::new(), 0);
    while start.elapsed() < Duration::from_secs(seconds.into()) {
        tokio::time::sleep_until(start + Duration::from_secs_f64(f64::from(number) / rate)).await;
        if open.len() >= WINDOW
            && let Some(oldest) = open.pop_front()
        {
            confirmed(oldest).await?;
        }
        open.push_back(producer.publish(&event(number), producer.properties()).await?);
        number += 1;
    }
    for confirm in open {
        confirmed(confirm).await?;
    }
    Ok(number)
}

/// The same with these properties.
pub(crate) async fn at_rate_with<B: AsRef<[u8]>>(
    producer: &Producer,
    bodies: impl IntoIterator<Item = B>,
    properties: &BasicProperties,
    rate: f64,
) -> Result<Vec<i64>> {
    let (mut published, mut open) = (Vec::new(), Vec::new());
    let start = Instant::now();
    for (number, body) in (0_u32..).zip(bodies) {
        tokio::time::sleep_until(start + Duration::from_secs_f64(f64::from(number) / rate)).await;
        published.push(now_us());
        open.push(producer.publish(body.as_ref(), properties.clone()).await?);
    }
    for confirm in open {
        confirmed(confirm).await?;
    }
    Ok(published)
}
