//! Commands that need a part of the settings.

use super::*;

#[test]
fn migrate_needs_only_the_database() {
    let variables = [
        ("DATABASE_URL", "postgres://db/r"),
        ("AMQP_URL_FILE", "/absent"),
        ("REVOCATION__RETRY__MAX", "9000d"),
    ];
    let settings =
        DatabaseSettings::load(None, &Environment::new(variables)).unwrap_or_else(|error| panic!("{error}"));
    assert!(settings.database.url.expose() == "postgres://db/r" && settings.log.filter == "info");

    let typo = variables.into_iter().chain([("REVOCATION__AMQP__PREFETSCH", "1")]);
    let error = DatabaseSettings::load(None, &Environment::new(typo)).err().expect("it must be refused");
    assert!(error.to_string().starts_with("amqp.prefetsch (from"), "{error}");
    let error = DatabaseSettings::load(None, &Environment::default()).err().expect("it must be refused");
    assert_eq!(error.problems().len(), 1, "{error}");
}

#[test]
fn submit_needs_only_the_broker() {
    let variables = [("AMQP_URL", "amqp://b"), ("REVOCATION__DEFAULT_PROVIDER", "main")];
    let settings =
        BrokerSettings::load(None, &Environment::new(variables)).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!((settings.amqp.prefetch, settings.limits.max_targets), (300, 1000));
    assert!(settings.default_provider.as_deref() == Some("main") && settings.providers.is_empty());

    let known = [
        ("AMQP_URL", "amqp://b"),
        ("REVOCATION__PROVIDERS__MAIN__ISSUER", "https://id"),
        ("REVOCATION__PROVIDERS__MAIN__CLIENT_SECRET_FILE", "/absent"),
    ];
    let settings =
        BrokerSettings::load(None, &Environment::new(known)).unwrap_or_else(|error| panic!("{error}"));
    let [rule] = settings.providers.as_slice() else { panic!("one provider expected") };
    assert_eq!(
        (&*rule.name, rule.issuer.as_deref(), rule.token_ttl),
        ("main", Some("https://id"), seconds(30 * 86_400))
    );
    assert!(
        BrokerSettings::load(None, &Environment::default()).is_err_and(|error| error.problems().len() == 1)
    );
}
