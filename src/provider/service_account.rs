//! A Google service account, which is granted tokens for a JWT of its own signing (RFC 7523 section 2.1).

use reqwest::Method;
use serde::{Deserialize, Serialize};
use url::Url;
use url::form_urlencoded::Serializer;

use super::bearer::Bearer;
use super::call::Call;
use super::grant;
use super::http::Http;
use super::setup::{ProviderSetupError, Setup};
use super::signer::{Key, Signer};
use crate::config::{KeyAlgorithm, Secret};
use crate::outcome::Answer;

const GRANT_TYPE: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
/// How long an assertion is good, seconds; Google takes an hour at most.
const LIFETIME_S: i64 = 300;
/// What a form takes beside the assertion.
const FORM_BYTES: usize = 128;

/// A service account and what it asks for.
pub(super) struct ServiceAccount {
    signer: Signer,
    email: String,
    /// The user for whom it acts, where it acts for one (domain-wide delegation).
    user: Option<String>,
    scope: &'static str,
    endpoint: Url,
    /// As the file writes it: the assertion's `aud`.
    audience: String,
    project: Option<String>,
}

/// The file that Google gives.
#[derive(Deserialize)]
struct File {
    client_email: String,
    private_key: String,
    private_key_id: Option<String>,
    token_uri: String,
    project_id: Option<String>,
}

#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    sub: Option<&'a str>,
    scope: &'a str,
    aud: &'a str,
    iat: i64,
    exp: i64,
}

impl ServiceAccount {
    /// The account of the JSON in the setting `service_account`.
    pub(super) fn new(
        setup: &Setup<'_>,
        json: &Secret,
        scope: &'static str,
    ) -> Result<Self, ProviderSetupError> {
        let setting = "service_account";
        // The parser's own words may quote the key.
        let file: File = serde_json::from_str(json.expose())
            .map_err(|_| setup.refuse(setting, "is not the JSON file of a service account's key"))?;
        let (text, id) = (Secret::new(file.private_key), file.private_key_id.as_deref());
        let algorithm = Some(KeyAlgorithm::Rs256);
        let key = Key { id, algorithm, ..Key::new(setting, &text) };
        let signer = Signer::private(setup, key)?;
        let endpoint = setup.url(setting, &file.token_uri)?;
        let (email, audience, project) = (file.client_email, file.token_uri, file.project_id);
        Ok(Self { signer, email, user: None, scope, endpoint, audience, project })
    }

    /// The same, acting for a user of the account's domain.
    pub(super) fn acting_for(self, user: &str) -> Self {
        Self { user: Some(user.to_owned()), ..self }
    }

    /// One request for a token.
    pub(super) async fn ask(&self, http: &Http) -> Result<Bearer, Answer> {
        let now = http.clock().now().unix_timestamp();
        let (iss, aud) = (self.email.as_str(), self.audience.as_str());
        let (sub, scope) = (self.user.as_deref(), self.scope);
        let claims = Claims { iss, sub, scope, aud, iat: now, exp: now + LIFETIME_S };
        let assertion = self.signer.sign(&claims)?;
        let call =
            Call::new(Method::POST, &self.endpoint).form(form(&assertion)).secrets([assertion.as_str()]);
        grant::bearer(&http.send(call).await?)
    }

    /// Where the token is asked for.
    pub(super) fn endpoint(&self) -> &Url {
        &self.endpoint
    }

    /// The project that it belongs to.
    pub(super) fn project(&self) -> Option<&str> {
        self.project.as_deref()
    }
}

fn form(assertion: &str) -> String {
    let mut form = Serializer::new(String::with_capacity(FORM_BYTES + assertion.len()));
    form.append_pair("grant_type", GRANT_TYPE).append_pair("assertion", assertion);
    form.finish()
}
