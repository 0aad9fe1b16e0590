//! How long one check takes, with a million denials held: `cargo bench -p revocation-verifier --bench check`.

#![expect(clippy::expect_used, reason = "a benchmark that cannot start has nothing to measure")]

use std::sync::LazyLock;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use divan::{Bencher, black_box};
use revocation_verifier::message::{Entry, TokenIssuer};
use revocation_verifier::{Claims, Denylist, Options, StalenessPolicy, TokenView};
use time::OffsetDateTime;

const ENTRIES: u64 = 1_000_000;
const ISSUER: &str = "https://id.example/realms/main";
/// What 128 random bits look like in base64.
const OPAQUE: &str = "Zm9vYmFyYmF6cXV4Y29ycGw";

static RUNTIME: LazyLock<tokio::runtime::Runtime> =
    LazyLock::new(|| tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime"));

/// A million JWTs and a thousand subjects denied. No broker is there: the answer of a stale denylist takes
/// the longer way.
static DENYLIST: LazyLock<Denylist> = LazyLock::new(|| {
    let _runtime = RUNTIME.enter();
    let options = Options::new("amqp://127.0.0.1:1/%2f", "bench", StalenessPolicy::FailOpen);
    let denylist = Denylist::connect(options).expect("usable options");
    let (not_before, expires_at) =
        (OffsetDateTime::now_utc(), OffsetDateTime::now_utc() + Duration::from_secs(3600));
    for number in 0..ENTRIES {
        let (token_sha256, signed_sha256) =
            (format!("{number:064x}"), Some(format!("{:064x}", ENTRIES + number)));
        let (jti, iss) = (Some(format!("jti-{number}")), TokenIssuer::Named(ISSUER.to_owned()));
        denylist.deny(&Entry::Token {
            token_sha256,
            signed_sha256,
            token_type_hint: None,
            jti,
            iss,
            expires_at,
        });
    }
    for number in 0..1000 {
        denylist.deny(&Entry::Subject {
            iss: None,
            sub: format!("user-{number}"),
            subject_claims: Vec::new(),
            claims_iss: None,
            not_before,
            expires_at,
        });
    }
    denylist
});

/// About 800 bytes, as identity providers make them.
static JWT: LazyLock<String> = LazyLock::new(|| {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
    let claims = format!(
        concat!(
            r#"{{"iss":"{}","sub":"7a1f1c1e-4be0-4c53-9d1b-3f2b8a1b9c55","aud":["shop-api","account"],"#,
            r#""azp":"shop","client_id":"shop","sid":"0f8fad5b-d9cb-469f-a165-70867728950e","#,
            r#""jti":"6fa459ea-ee8a-3ca4-894e-db77e160355e","iat":{},"exp":{},"#,
            r#""scope":"openid profile email"}}"#,
        ),
        ISSUER,
        now,
        now + 3600
    );
    format!(
        "{}.{}.{}",
        URL_SAFE_NO_PAD.encode(r#"{"alg":"RS256","typ":"at+jwt"}"#),
        URL_SAFE_NO_PAD.encode(claims),
        "s".repeat(342)
    )
});

static CLAIMS: LazyLock<Claims> = LazyLock::new(|| Claims::peek(&JWT));

fn main() {
    LazyLock::force(&DENYLIST);
    divan::main();
}

#[divan::bench]
fn opaque_token(bencher: Bencher<'_, '_>) {
    let claims = Claims::default();
    bencher.bench(|| DENYLIST.check(&TokenView::with_claims(black_box(OPAQUE), &claims)));
}

/// All seven names are looked up.
#[divan::bench]
fn jwt_with_its_verified_claims(bencher: Bencher<'_, '_>) {
    bencher.bench(|| DENYLIST.check(&TokenView::with_claims(black_box(&JWT), &CLAIMS)));
}

#[divan::bench]
fn claims_alone(bencher: Bencher<'_, '_>) {
    bencher.bench(|| DENYLIST.check(&TokenView::claims(black_box(&CLAIMS))));
}

/// With the decoding of the claims, as the gate does it.
#[divan::bench]
fn jwt_from_its_bytes(bencher: Bencher<'_, '_>) {
    bencher.bench(|| DENYLIST.check(&TokenView::bearer(black_box(&JWT))));
}

/// Read in vain to its end, then denied by what is in force.
#[divan::bench]
fn jwt_that_cannot_be_read(bencher: Bencher<'_, '_>) {
    let cut = JWT.replacen("fQ.", "f.", 1).replacen("In0.", "I.", 1);
    bencher.bench(|| DENYLIST.check(&TokenView::bearer(black_box(&cut))));
}

#[divan::bench(threads = 2)]
fn jwt_with_its_verified_claims_on_two_threads(bencher: Bencher<'_, '_>) {
    bencher.bench(|| DENYLIST.check(&TokenView::with_claims(black_box(&JWT), &CLAIMS)));
}
