//! `kind = "hydra"`: Ory Hydra 2.x.

use super::client::{ClientConfig, client};
use crate::config::providers::{base, optional_base};
use crate::config::section::Section;
use crate::config::setting::settings;

settings! {
    /// `kind = "hydra"`
    pub struct HydraConfig {
        /// Address of the public port.
        pub base_url: String = base("give the public port's address, such as https://id.example.com"),
        /// The client whose tokens are revoked.
        pub client: ClientConfig = client(),
        /// Address of the administrative port; absent: subjects are unsupported.
        pub admin_url: Option<String> = optional_base(),
    }
    check can_introspect
}

fn can_introspect(hydra: &HydraConfig, section: &mut Section<'_>) {
    if hydra.admin_url.is_none() && section.is("verify", "introspect") {
        let remedy = "introspection is at the administrative port: give its address, or remove verify";
        section.missing("admin_url", remedy);
    }
}
