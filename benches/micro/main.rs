//! What one event costs the worker before and after its waits, step by step: `cargo bench --bench micro`.
//! The events are those of the system benchmark: an access token (a JWT of 800 bytes) and an opaque refresh
//! token.

#![expect(clippy::expect_used, reason = "a benchmark that cannot start has nothing to measure")]

mod event;

use divan::{Bencher, black_box};
use revocation_worker::event::{LogoutEvent, content, parse};
use revocation_worker::invalidation::{Composer, EventOf, EventRef, Named, Phase};
use revocation_worker::provider::classify;
use revocation_worker::seal::{Keyring, SealContext, Sealed, generate};
use revocation_worker::target::{TargetId, Token};
use time::OffsetDateTime;
use uuid::Uuid;

/// The worker's.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() {
    divan::main();
}

fn parsed() -> LogoutEvent {
    let (body, origin, rules) = (event::body(), event::origin(), event::rules());
    parse(&body, &origin, &rules, OffsetDateTime::now_utc()).expect("a valid event")
}

/// From the bytes of a delivery to a valid event, claims and fingerprints included.
#[divan::bench]
fn parse_an_event(bencher: Bencher<'_, '_>) {
    let (body, origin, rules) = (event::body(), event::origin(), event::rules());
    let now = OffsetDateTime::now_utc();
    bencher.bench(|| parse(black_box(&body), &origin, &rules, now).is_ok());
}

/// The digest by which an event that comes again is known.
#[divan::bench]
fn digest_of_the_content(bencher: Bencher<'_, '_>) {
    let event = parsed();
    bencher.bench(|| content(black_box(&event)));
}

/// SHA-256 of a JWT as a whole and of its signed parts, in one pass.
#[divan::bench]
fn fingerprints_of_a_jwt(bencher: Bencher<'_, '_>) {
    let token = Token::new(event::jwt());
    bencher.bench(|| black_box(&token).fingerprints());
}

#[divan::bench]
fn claims_of_a_jwt(bencher: Bencher<'_, '_>) {
    let token = Token::new(event::jwt());
    bencher.bench(|| black_box(&token).claims());
}

fn keyring() -> Keyring {
    let key = generate("bench").expect("a key");
    Keyring::parse(&[key]).expect("a keyring")
}

const CONTEXT: SealContext<'static> =
    SealContext { id: TargetId { event: Uuid::nil(), ordinal: 0 }, provider: "main" };

#[divan::bench]
fn seal_a_jwt(bencher: Bencher<'_, '_>) {
    let (keyring, token) = (keyring(), Token::new(event::jwt()));
    bencher.bench(|| keyring.seal(&CONTEXT, black_box(&token)).map(|sealed| sealed.bytes).ok());
}

#[divan::bench]
fn open_a_sealed_jwt(bencher: Bencher<'_, '_>) {
    let keyring = keyring();
    let sealed: Sealed = keyring.seal(&CONTEXT, &Token::new(event::jwt())).expect("it seals");
    bencher.bench(|| keyring.open(&CONTEXT, black_box(&sealed)).is_ok());
}

/// From one event's targets to the message that denies them.
#[divan::bench]
fn compose_a_denial(bencher: Bencher<'_, '_>) {
    let (composer, event) = (Composer::new("worker-1"), parsed());
    bencher.bench(|| denial(&composer, black_box(&event)));
}

fn denial(composer: &Composer, event: &LogoutEvent) -> usize {
    let reference = EventRef { source: event.source.clone(), id: event.id.clone() };
    let event_of = EventOf { event: reference, incident: None, traceparent: None };
    let entries = event
        .targets
        .iter()
        .filter_map(|target| Some((target.provider.clone(), Named::of(target, event.not_before).entry()?)))
        .collect();
    composer.invalidations(Phase::Requested, [(event_of, entries)]).len()
}

/// A provider's usual yes: an empty body.
#[divan::bench]
fn classify_a_yes(bencher: Bencher<'_, '_>) {
    classify_an_answer(bencher, 200, "");
}

#[divan::bench]
fn classify_an_error(bencher: Bencher<'_, '_>) {
    let error = r#"{"error":"invalid_token","error_description":"Token expired or revoked"}"#;
    classify_an_answer(bencher, 400, error);
}

fn classify_an_answer(bencher: Bencher<'_, '_>, status: u16, body: &str) {
    let endpoint = "https://id.example.com/revoke".parse().expect("a URL");
    let json = Some("application/json");
    bencher.bench(|| classify(&endpoint, status, json, black_box(body.as_bytes())).verdict);
}
