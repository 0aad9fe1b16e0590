//! The settings of kinds that revoke tokens and little else.

use super::Reader;
use crate::config::{
    BaanxConfig, BasicEncoding, ClientAuth, GenauthConfig, GenauthProtocol, Rfc7009Config, Verify,
};

impl Reader<'_> {
    pub(super) fn rfc7009(&mut self) -> Option<Rfc7009Config> {
        self.check_discovery();
        let revocation_endpoint = self.raw.revocation_endpoint.take();
        let introspection_endpoint = self.raw.introspection_endpoint.take();
        let config = Rfc7009Config {
            revocation_endpoint: revocation_endpoint
                .and_then(|url| self.endpoint("revocation_endpoint", url)),
            introspection_endpoint: introspection_endpoint
                .and_then(|url| self.endpoint("introspection_endpoint", url)),
            client: self.client(ClientAuth::SecretBasic)?,
            basic_encoding: self.raw.basic_encoding.unwrap_or(BasicEncoding::Rfc6749),
        };
        Some(config)
    }

    /// Where an endpoint is left out, `issuer` must be an address to discover it from.
    fn check_discovery(&mut self) {
        let lacks_introspection =
            self.raw.verify == Some(Verify::Introspect) && self.raw.introspection_endpoint.is_none();
        let absent = match self.raw.revocation_endpoint {
            None => "revocation_endpoint",
            Some(_) if lacks_introspection => "introspection_endpoint",
            Some(_) => return,
        };
        match self.raw.issuer.clone() {
            Some(issuer) => drop(self.endpoint("issuer", issuer)),
            None => self.missing(absent, "give its address, or set issuer to have it discovered"),
        }
    }

    pub(super) fn genauth(&mut self) -> Option<GenauthConfig> {
        let app_host = self.raw.app_host.take();
        let app_host = self.base(
            "app_host",
            app_host,
            "give the application's address, such as https://shop.genauth.ai",
        );
        let client = self.client(ClientAuth::SecretPost);
        let protocol = self.raw.protocol.unwrap_or(GenauthProtocol::Oidc);
        let management = self.genauth_management();
        Some(GenauthConfig { app_host: app_host?, protocol, client: client?, management })
    }

    pub(super) fn baanx(&mut self) -> Option<BaanxConfig> {
        let base_url = self.raw.base_url.take();
        let base_url =
            self.base("base_url", base_url, "give the API's address, such as https://dev.api.baanx.com");
        let client_key = self.secret("client_key", |raw| (raw.client_key.take(), raw.client_key_file.take()));
        if client_key.is_none() {
            self.missing(
                "client_key",
                "set client_key or client_key_file to the public key that Baanx gave you",
            );
        }
        let us_env = self.raw.us_env.as_ref().map(|flag| flag.0);
        Some(BaanxConfig { base_url: base_url?, client_key: client_key?, us_env })
    }
}
