//! The keys that sign.

use super::*;

const SEALING: &str = "2026-11:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

/// Archives of years ago were signed by it: it may never become another. Computed with Python's hmac and
/// OpenSSL.
#[test]
fn the_derived_key_stays_the_same() {
    let signer = SigningKey::derived(&Secret::new(SEALING.to_owned())).unwrap().signer();
    assert_eq!(signer.key_id, "sealing:2026-11");
    assert_eq!(signer.public_key.to_string(), "MCowBQYDK2VwAyEAPy67kWnsXEa+DBlDm0ywtFaR4T3nUGfWjPOoU1pZMao=");
    assert_ne!(signer.public_key, SigningKey::parse(&Secret::new(SEALING.to_owned())).unwrap().public());
}

/// RFC 8032, section 7.1, test 1.
#[test]
fn the_seed_is_that_of_ed25519() {
    let seed = "nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A=";
    let signer = SigningKey::parse(&Secret::new(format!("rfc:{seed}"))).unwrap().signer();
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

#[test]
fn a_bad_entry_is_refused_without_its_value() {
    for (entry, why) in [
        ("AAAA", "has no colon between id and key"),
        ("a b:AAAA", "has a bad id: 1 to 32 of A-Z a-z 0-9 . _ - are allowed"),
        ("a:AAAA", "has a key that is not 32 bytes long"),
        ("a:????", "has a key that is not padded standard base64"),
    ] {
        for read in [SigningKey::parse, SigningKey::derived] {
            assert_eq!(read(&Secret::new(entry.to_owned())).err(), Some(why));
        }
    }
}
