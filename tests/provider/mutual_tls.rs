//! The certificate that a provider is shown (RFC 8705).

use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;

use revocation_worker::config::{ClientAuth, DiscoveryConfig, IdentityConfig, KindConfig, ProviderConfig};
use revocation_worker::outcome::{Proof, Verdict};
use revocation_worker::provider::Provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned};

use crate::keys::{Keys, text};
use crate::scripted_idp::{Reply, ScriptedIdp};
use crate::settings::{client, config, oauth_server, provider, revoke, rfc7009, secret};

/// A server that lets in nobody without a certificate of the CA; what it has read once is the result.
fn serve(keys: &Keys, authority: &Path) -> (String, thread::JoinHandle<String>) {
    let (certificate, key) = keys.signed("server", "subjectAltName=IP:127.0.0.1");
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(authority).unwrap()).unwrap();
    let crypto = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let clients = WebPkiClientVerifier::builder_with_provider(roots.into(), crypto.clone()).build().unwrap();
    let builder = ServerConfig::builder_with_provider(crypto).with_safe_default_protocol_versions().unwrap();
    let chain = CertificateDer::pem_file_iter(certificate).unwrap().map(Result::unwrap).collect();
    let config = builder
        .with_client_cert_verifier(clients)
        .with_single_cert(chain, PrivateKeyDer::from_pem_file(key).unwrap())
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    let task = thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        let mut stream = StreamOwned::new(ServerConnection::new(config.into()).unwrap(), stream);
        let mut buffer = [0; 4096];
        let read = stream.read(&mut buffer).unwrap_or(0);
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        let _ = stream.flush();
        String::from_utf8_lossy(&buffer[..read]).into_owned()
    });
    (url, task)
}

fn showing((certificate, key): &(PathBuf, PathBuf), config: ProviderConfig) -> ProviderConfig {
    let identity = IdentityConfig { certificate: Some(certificate.clone()), key: Some(secret(&text(key))) };
    ProviderConfig { identity, ..config }
}

fn by_certificate(base: &str, authority: &Path) -> ProviderConfig {
    let mut config = ProviderConfig { ca_file: Some(authority.to_owned()), ..rfc7009(base) };
    if let KindConfig::Rfc7009(kind) = &mut config.kind {
        kind.client = client(ClientAuth::None);
        kind.client.auth = ClientAuth::Tls;
    }
    config
}

#[tokio::test]
async fn the_certificate_is_shown_and_the_client_named() {
    let keys = Keys::new();
    let authority = keys.authority();
    let shown = keys.signed("shop", "basicConstraints=CA:FALSE");
    let (url, task) = serve(&keys, &authority);
    let answer = revoke(&showing(&shown, by_certificate(&url, &authority))).await;
    assert_eq!((answer.verdict, answer.error), (Verdict::Done(Proof::Accepted), None));
    let seen = tokio::task::spawn_blocking(|| task.join()).await.unwrap().unwrap();
    assert!(seen.contains("client_id=APP%2FID") && !seen.contains("client_secret"), "{seen}");
}

#[tokio::test]
async fn a_certificate_that_the_server_refuses_needs_a_person_and_sees_no_token_spent() {
    let keys = Keys::new();
    let authority = keys.authority();
    let other = keys.self_signed("stranger");
    for shown in [None, Some(&other)] {
        let (url, task) = serve(&keys, &authority);
        let config = by_certificate(&url, &authority);
        let answer =
            revoke(&shown.map_or_else(|| by_certificate(&url, &authority), |shown| showing(shown, config)))
                .await;
        assert_eq!(answer.verdict, Verdict::Misconfigured, "{:?}", answer.error);
        let seen = tokio::task::spawn_blocking(|| task.join()).await.unwrap().unwrap();
        assert_eq!(seen, "", "nothing was read");
    }
}

#[test]
fn files_that_make_no_identity_are_refused_by_name() {
    let keys = Keys::new();
    let (certificate, key) = keys.self_signed("a");
    let (other, _) = keys.self_signed("b");
    let rows = [
        ((keys.file("nowhere.pem"), key.clone()), "tls_certificate_file"),
        ((key.clone(), key.clone()), "tls_certificate_file"),
        ((certificate.clone(), certificate.clone()), "tls_key"),
        ((other, key), "tls_key"),
    ];
    for (files, setting) in rows {
        let config = showing(&files, rfc7009("https://id.example.com"));
        let refusal = Provider::new("main".into(), &config).err().expect("refused").to_string();
        assert!(refusal.starts_with(&format!("providers.main.{setting}: ")), "{refusal}");
    }
}

/// RFC 8705 section 5: who shows a certificate goes where the metadata says that such clients go.
#[tokio::test]
async fn the_alias_in_the_metadata_is_for_those_who_show_a_certificate() {
    let keys = Keys::new();
    let shown = keys.self_signed("shop");
    let idp = ScriptedIdp::start(|request| {
        let base = format!("http://{}", request.header("host").unwrap());
        match request.path.as_str() {
            "/.well-known/openid-configuration" => {
                let metadata = serde_json::json!({
                    "issuer": base, "revocation_endpoint": format!("{base}/revoke"),
                    "introspection_endpoint": format!("{base}/introspect"),
                    "mtls_endpoint_aliases": { "revocation_endpoint": format!("{base}/mtls/revoke") },
                });
                Reply::json(200, metadata.to_string())
            }
            _ => Reply::status(200),
        }
    })
    .await;
    let discovering = || ProviderConfig {
        issuer: Some(idp.url().to_owned()),
        discovery: DiscoveryConfig::default(),
        ..config(KindConfig::Rfc7009(oauth_server()))
    };
    for (config, path) in [(discovering(), "/revoke"), (showing(&shown, discovering()), "/mtls/revoke")] {
        assert_eq!(
            provider(&config).revoke(&crate::settings::token("t", None)).await.verdict,
            Verdict::Done(Proof::Accepted)
        );
        assert_eq!(idp.ledger().last().unwrap().path, path);
    }
}
