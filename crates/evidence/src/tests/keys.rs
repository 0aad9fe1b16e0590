//! The keys that sign.

use super::*;

const SEALING: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

/// Archives of years ago were signed by it: it may never become another. Computed with Python's hmac and
/// OpenSSL.
#[test]
fn the_derived_key_stays_the_same() {
    let signer = SigningKey::derived("2026-11", &decoded(SEALING)).unwrap().signer();
    assert_eq!(signer.key_id, "sealing:2026-11");
    assert_eq!(signer.public_key.to_string(), "MCowBQYDK2VwAyEAPy67kWnsXEa+DBlDm0ywtFaR4T3nUGfWjPOoU1pZMao=");
    assert_ne!(signer.public_key, SigningKey::new("2026-11", &decoded(SEALING)).unwrap().public());
}

/// RFC 8032, section 7.1, test 1.
#[test]
fn the_seed_is_that_of_ed25519() {
    let seed = "nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A=";
    let signer = SigningKey::new("rfc", &decoded(seed)).unwrap().signer();
    assert_eq!(signer.public_key.to_string(), "MCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=");
    // openssl pkey -pubin -inform DER -outform DER | sha256sum
    assert_eq!(
        signer.fingerprint.to_string(),
        "06e3fd8fda29bb60ab59557de61edb0aecdb231134be30e75b455f8e1b792fa9"
    );
}

#[test]
fn a_public_key_is_read_from_nothing_else() {
    let good = key("A").public();
    let text = good.to_string();
    assert_eq!(PublicKey::parse(&text), Some(good));
    let spare_bits = "MCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURp=";
    for bad in [
        "",
        "AAAA",
        &text[..59],
        &text[16..],
        &text.replace("MCow", "MCox"),
        &format!(" {text}"),
        &format!("{text}\n"),
        spare_bits,
    ] {
        assert_eq!(PublicKey::parse(bad), None, "{bad}");
    }
}
