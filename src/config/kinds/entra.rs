//! `kind = "entra"`: a tenant of Microsoft Entra ID.

use super::client::{ClientAuth, ClientConfig, confidential_client, posting};
use crate::config::providers::optional_base;
use crate::config::rule::{Rule, required};
use crate::config::setting::settings;

settings! {
    /// `kind = "entra"`
    pub struct EntraConfig {
        /// The tenant's id or one of its domains.
        pub tenant_id: String = required("give the tenant's id"),
        /// An application with the permission `User.RevokeSessions.All`.
        pub client: ClientConfig = application(),
        /// Where it is granted a token; national clouds have addresses of their own.
        pub login_url: Option<String> = optional_base().default("`https://login.microsoftonline.com`"),
        /// Address of Microsoft Graph.
        pub graph_url: Option<String> = optional_base().default("`https://graph.microsoft.com`"),
    }
}

/// An application with a secret, or with a certificate, by which alone Entra knows a key.
fn application() -> Rule<ClientConfig> {
    confidential_client().then(posting).then(|client, _, section| {
        if client.auth == ClientAuth::PrivateKeyJwt && client.assertion.certificate.is_none() {
            let remedy = "name the PEM file of the certificate that the application has at Entra";
            section.missing("client_certificate_file", remedy);
        }
        client
    })
}
