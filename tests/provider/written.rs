//! Providers from settings as people write them.

use revocation_worker::config::{Config, Environment, ProviderConfig};

/// What every configuration has, and the providers in `toml`.
pub(crate) fn providers(toml: &str) -> Vec<(String, ProviderConfig)> {
    let base = "amqp.url = 'amqp://localhost'\ndatabase.url = 'postgres://localhost/x'\n\
        sealing.keys = ['a:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=']\n";
    let file = std::env::temp_dir().join(format!("providers-{}.toml", uuid::Uuid::now_v7()));
    std::fs::write(&file, format!("{base}{toml}")).unwrap();
    let config = Config::load(Some(&file), &Environment::new(Vec::<(String, String)>::new()));
    std::fs::remove_file(&file).unwrap();
    let config = config.unwrap_or_else(|error| panic!("{error}\n{toml}"));
    config.providers.into_iter().map(|(name, config)| (name.to_string(), config)).collect()
}

/// The one provider that these lines make.
pub(crate) fn provider(lines: &str) -> ProviderConfig {
    providers(&format!("[providers.main]\n{lines}")).remove(0).1
}
