//! What the settings say once and every call may name.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use super::template::{Name, Values};
use crate::config::{ClientConfig, Secret};

/// Credentials by the names that calls have for them. It cannot be printed.
#[derive(Default)]
pub(in crate::provider) struct Constants {
    client_id: String,
    client_secret: Option<Secret>,
    basic: Zeroizing<String>,
    api_key: Option<Secret>,
    has_grant: bool,
}

impl Constants {
    /// An API key alone.
    pub(in crate::provider) fn api_key(key: &Secret) -> Self {
        Self { api_key: Some(key.clone()), ..Self::default() }
    }

    /// A client, by whichever of its parts calls name.
    pub(in crate::provider) fn client(client: &ClientConfig) -> Self {
        let secret = client.secret.as_ref().map_or("", Secret::expose);
        let pair = Zeroizing::new(format!("{}:{secret}", client.id));
        let basic = Zeroizing::new(STANDARD.encode(pair.as_bytes()));
        Self { client_id: client.id.clone(), client_secret: client.secret.clone(), basic, ..Self::default() }
    }

    /// The same with an API key.
    pub(in crate::provider) fn and_api_key(self, key: Option<&Secret>) -> Self {
        Self { api_key: key.cloned(), ..self }
    }

    /// The same where the client is granted tokens.
    pub(in crate::provider) fn granted(self, has_grant: bool) -> Self {
        Self { has_grant, ..self }
    }

    /// What calls name of a target that has none of the rest.
    pub(in crate::provider) fn values(&self) -> Values<'_> {
        Values {
            client_id: &self.client_id,
            client_secret: self.client_secret.as_ref().map_or("", Secret::expose),
            basic: if self.client_secret.is_some() { &self.basic } else { "" },
            api_key: self.api_key.as_ref().map_or("", Secret::expose),
            ..Values::default()
        }
    }

    /// Whether each of `names` stands for something.
    pub(super) fn explain(&self, names: &[Name]) -> Result<(), String> {
        for name in names {
            let setting = match name {
                Name::ClientId if self.client_id.is_empty() => "client_id",
                Name::ClientSecret | Name::Basic if self.client_secret.is_none() => {
                    "client_id and client_secret"
                }
                Name::ApiKey if self.api_key.is_none() => "api_key",
                Name::Granted if !self.has_grant => "token_endpoint and a client",
                _ => continue,
            };
            return Err(format!("{} stands for nothing: set {setting}", name.written()));
        }
        Ok(())
    }
}
