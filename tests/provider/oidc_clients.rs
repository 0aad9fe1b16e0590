//! Clients that sign or show a certificate, at a real authorization server, npm's `oidc-provider`.

use jsonwebtoken::Algorithm;
use revocation_sandbox::{OidcProvider, TlsFiles};
use serde_json::{Value, json};

use crate::harness::{App, Setup, Stage, logout};
use crate::keys::{Keys, public_jwk, text};

/// The server, and the keys of its clients.
struct Server {
    oidc: OidcProvider,
    keys: Keys,
}

impl Server {
    fn start() -> Self {
        let keys = Keys::new();
        let authority = keys.authority();
        let (certificate, key) = keys.signed("server", "subjectAltName=IP:127.0.0.1");
        keys.signed("named", "basicConstraints=CA:FALSE");
        keys.self_signed("known");
        let (rsa, p256) = (keys.rsa("rsa"), keys.p256("p256"));
        let signs = |id: &str, algorithm: &str, jwk: Value| {
            json!({
                "client_id": id, "token_endpoint_auth_method": "private_key_jwt",
                "token_endpoint_auth_signing_alg": algorithm, "jwks": { "keys": [jwk] },
            })
        };
        let mut known = public_jwk(&text(&keys.file("known.key")), Algorithm::ES256, "c");
        known["x5c"] = json!([pem_body(&text(&keys.file("known.pem")))]);
        let clients = [
            signs("rs256", "RS256", public_jwk(&rsa, Algorithm::RS256, "r")),
            signs("ps256", "PS256", public_jwk(&rsa, Algorithm::PS256, "r")),
            signs("es256", "ES256", public_jwk(&p256, Algorithm::ES256, "e")),
            json!({
                "client_id": "named", "token_endpoint_auth_method": "tls_client_auth",
                "tls_client_auth_subject_dn": "CN=named",
            }),
            json!({
                "client_id": "known", "token_endpoint_auth_method": "self_signed_tls_client_auth",
                "jwks": { "keys": [known] },
            }),
        ];
        let tls = TlsFiles { key, certificate, authority };
        let oidc = OidcProvider::start_with(&clients, None, Some(&tls)).expect("start oidc-provider");
        Self { oidc, keys }
    }

    /// A worker that is this client.
    fn worker(&self, stage: &Stage, client: &str, auth: &str) -> Setup {
        let worker = stage
            .worker_at(&self.oidc)
            .set("REVOCATION__PROVIDERS__MAIN__CLIENT_ID", client)
            .set("REVOCATION__PROVIDERS__MAIN__CLIENT_SECRET", "");
        worker.set("REVOCATION__PROVIDERS__MAIN__CLIENT_AUTH", auth)
    }

    /// The same with a private key.
    fn signing(&self, stage: &Stage, client: &str, key: &str, id: &str) -> Setup {
        let file = self.keys.file(key).display().to_string();
        let algorithm = client.to_uppercase();
        self.worker(stage, client, "private_key_jwt")
            .set("REVOCATION__PROVIDERS__MAIN__ISSUER", self.oidc.issuer())
            .set("REVOCATION__PROVIDERS__MAIN__CLIENT_PRIVATE_KEY_FILE", &file)
            .set("REVOCATION__PROVIDERS__MAIN__CLIENT_KEY_ALGORITHM", &algorithm)
            .set("REVOCATION__PROVIDERS__MAIN__CLIENT_KEY_ID", id)
    }

    /// The same with a certificate, and the endpoint that the metadata names for such clients.
    fn certified(&self, stage: &Stage, client: &str, auth: &str, certificate: &str) -> Setup {
        let file = |name: String| self.keys.file(&name).display().to_string();
        self.worker(stage, client, auth)
            .set("REVOCATION__PROVIDERS__MAIN__REVOCATION_ENDPOINT", "")
            .set("REVOCATION__PROVIDERS__MAIN__ISSUER", self.oidc.issuer())
            .set("REVOCATION__PROVIDERS__MAIN__DISCOVERY_ORIGINS", &self.oidc.tls_origin().unwrap())
            .set("REVOCATION__PROVIDERS__MAIN__ALLOW_PRIVATE_ADDRESSES", "true")
            .set("REVOCATION__PROVIDERS__MAIN__CA_FILE", &file("ca.pem".to_owned()))
            .set("REVOCATION__PROVIDERS__MAIN__TLS_CERTIFICATE_FILE", &file(format!("{certificate}.pem")))
            .set("REVOCATION__PROVIDERS__MAIN__TLS_KEY_FILE", &file(format!("{certificate}.key")))
    }

    /// Logs users of this client out, and returns their tokens.
    async fn log_out(&self, stage: &Stage, client: &str) -> Vec<revocation_sandbox::Tokens> {
        let (app, mut all) = (App::connect(&stage.amqp_url).await, Vec::new());
        for user in 0..2 {
            let tokens = self.oidc.issue_for(client, &format!("user-{user}")).await.expect("issue tokens");
            let id = format!("{client}-{user}");
            app.publish(&logout(&id, tokens.access.expose(), tokens.refresh.expose())).await;
            all.push(tokens);
        }
        all
    }

    async fn active(&self, tokens: &[revocation_sandbox::Tokens]) -> usize {
        let mut active = 0;
        for tokens in tokens {
            active += usize::from(self.oidc.introspect(&tokens.refresh).await.expect("introspect"));
        }
        active
    }
}

fn pem_body(pem: &str) -> String {
    pem.lines().filter(|line| !line.starts_with('-')).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_sign_or_show_a_certificate_revoke_their_tokens() {
    let server = Server::start();
    let stage = Stage::new().await;
    for client in ["rs256", "ps256", "es256", "named", "known"] {
        let setup = match client {
            "named" => server.certified(&stage, client, "tls_client_auth", "named"),
            "known" => server.certified(&stage, client, "self_signed_tls_client_auth", "known"),
            "es256" => server.signing(&stage, client, "p256", "e"),
            _ => server.signing(&stage, client, "rsa", "r"),
        };
        let mut worker = setup.start().await;
        let tokens = server.log_out(&stage, client).await;
        let revoked = format!("audit.revocations WHERE state = 'revoked' AND event_id LIKE '{client}-%'");
        stage.wait_for_count(4, &revoked).await;
        assert_eq!(server.active(&tokens).await, 0, "{client}");
        assert!(worker.stop().await.success());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_key_or_certificate_pauses_the_provider_and_parks_nothing() {
    let server = Server::start();
    for (client, is_signed) in [("es256", true), ("named", false)] {
        let stage = Stage::new().await;
        server.keys.p256("wrong");
        let wrong = match is_signed {
            true => server.signing(&stage, client, "wrong", "e"),
            false => server.certified(&stage, client, "tls_client_auth", "known"),
        };
        let mut worker = wrong.start().await;
        let tokens = server.log_out(&stage, client).await;
        stage.wait_for_count(1, "audit.providers WHERE breaker = 'open' AND last_error IS NOT NULL").await;
        stage.wait_for_count(4, "audit.revocations WHERE state = 'pending' AND denied_at IS NOT NULL").await;
        assert_eq!(stage.count("revocation.targets WHERE failures > 0").await, 0, "{client}");
        assert_eq!(server.active(&tokens).await, 2);
        assert!(worker.stop().await.success());

        let right = match is_signed {
            true => server.signing(&stage, client, "p256", "e"),
            false => server.certified(&stage, client, "tls_client_auth", "named"),
        };
        let _mended = right.start().await;
        stage.wait_for_count(4, "audit.revocations WHERE state = 'revoked'").await;
        assert_eq!(server.active(&tokens).await, 0);
    }
}
