//! Clients that sign or show a certificate, and declared calls: what their settings have to say together.

use super::*;

fn provider_problems(lines: &str) -> Vec<String> {
    problems(&format!("{BASE}\n[providers.main]\n{lines}"), &[])
}

#[test]
fn each_way_to_show_a_client_has_its_settings_and_no_others() {
    let client = "kind = 'rfc7009'\nrevocation_endpoint = 'https://id.example.com/revoke'\nclient_id = 'a'\n";
    let with = |lines: &str| format!("{client}{lines}");
    let rows = [
        (with("client_auth = 'private_key_jwt'"), "client_private_key", "not set"),
        (
            with("client_auth = 'private_key_jwt'\nclient_private_key = 'k'\nclient_secret = 's'"),
            "client_secret",
            "superfluous with client_auth = \"private_key_jwt\"",
        ),
        (
            with("client_auth = 'private_key_jwt'\nclient_private_key = 'k'\nclient_key_algorithm = 'HS256'"),
            "client_key_algorithm",
            "must be one of `RS256`, `PS256`, `ES256`",
        ),
        (with("client_secret = 's'\nclient_private_key = 'k'"), "client_private_key", "without effect with"),
        (with("client_secret = 's'\nclient_key_id = 'k'"), "client_key_id", "without effect with"),
        (with("client_auth = 'client_secret_jwt'"), "client_secret", "not set"),
        (
            with("client_secret = 's'\nclient_assertion_audience = 'a'"),
            "client_assertion_audience",
            "without effect with client_auth = \"client_secret_basic\"",
        ),
        (
            with("client_secret = 's'\nclient_certificate_file = '/a'"),
            "client_certificate_file",
            "without effect",
        ),
        (with("client_auth = 'tls_client_auth'"), "tls_certificate_file", "shows a certificate"),
        (with("client_auth = 'self_signed_tls_client_auth'"), "tls_certificate_file", "shows a certificate"),
        (with("client_secret = 's'\ntls_certificate_file = '/a'"), "tls_key", "not set"),
        (with("client_secret = 's'\ntls_key = 'k'"), "tls_certificate_file", "not set"),
    ];
    for (lines, key, sentence) in rows {
        assert_only(&provider_problems(&lines), &format!("providers.main.{key}"), sentence);
    }
    for lines in [
        "client_auth = 'private_key_jwt'\nclient_private_key = 'k'\nclient_assertion_audience = 'a'",
        "client_auth = 'client_secret_jwt'\nclient_secret = 's'\nclient_assertion_audience = 'a'",
        "client_auth = 'tls_client_auth'\ntls_certificate_file = '/a'\ntls_key = 'k'",
    ] {
        load(&format!("{BASE}\n[providers.main]\n{client}{lines}"));
    }
}

#[test]
fn one_way_to_authorize_is_enough() {
    let gtr = "kind = 'global_token_revocation'\n";
    let endpoint = "global_token_revocation_endpoint = 'https://id.example.com/gtr'\n";
    let caller = "caller_private_key = 'k'\ncaller_issuer = 'i'\ncaller_subject = 's'\n";
    let okta = "kind = 'okta'\nbase_url = 'https://example.okta.com'\n";
    let service = "service_client_id = 'a'\nservice_private_key = 'k'\n";
    let rows = [
        (format!("{gtr}{endpoint}{caller}bearer_token = 't'"), "bearer_token", "without effect beside"),
        (format!("{gtr}{caller}issuer = 'https://a'"), "global_token_revocation_endpoint", "it is the aud"),
        (
            format!("{gtr}{endpoint}caller_issuer = 'i'\ncaller_subject = 's'"),
            "caller_private_key",
            "not set",
        ),
        (format!("{okta}{service}api_token = 't'"), "api_token", "given together with service_client_id"),
        (format!("{okta}service_client_id = 'a'"), "service_private_key", "not set"),
    ];
    for (lines, key, sentence) in rows {
        assert_only(&provider_problems(&lines), &format!("providers.main.{key}"), sentence);
    }
    load(&format!("{BASE}\n[providers.main]\n{okta}{service}"));
    load(&format!("{BASE}\n[providers.main]\n{gtr}{endpoint}{caller}"));
}

#[test]
fn declared_calls_are_whole() {
    let token = "[providers.main.token]\nurl = 'https://a.example.com/{token}'\n";
    let sessions = "[providers.main.sessions]\nurl = 'https://a.example.com/{sub}'\nitems = 'data'\n";
    let session = "[providers.main.session]\nurl = 'https://a.example.com/{sid}'\nrevoked = ['2xx']\n";
    let subject = "[providers.main.subject]\nurl = 'https://a.example.com/{sub}'\nrevoked = ['2xx']\n";
    let http = "kind = 'http'\n";
    let rows = [
        (http.to_owned(), "token", "declare at least one call"),
        (format!("{http}{token}"), "token.revoked", "say which answers mean that it is done"),
        (format!("{http}[providers.main.token]\nrevoked = ['204']"), "token.url", "give the address"),
        (
            format!("{http}{token}revoked = ['204']\nform = {{ a = 'b' }}\njson = {{ a = 'b' }}"),
            "token.json",
            "a call has one body",
        ),
        (format!("{http}{token}revoked = ['204']\nmethod = 'TRACE'"), "token.method", "must be one of `GET`"),
        (
            format!("{http}{token}revoked = ['204']\nheaders = 'x'"),
            "token.headers",
            "must hold texts by name",
        ),
        (format!("{http}{token}revoked = ['204']\njson = '{{'"), "token.json", "must be a table, or JSON"),
        (format!("{http}{token}revoked = ['204']\nrevokes = 1"), "token.revokes", "unknown setting"),
        (format!("{http}{sessions}"), "session", "declare the call that ends each session"),
        (format!("{http}{session}{subject}{sessions}"), "sessions", "given together with subject"),
        (format!("{http}only_tokens = 'access_token'\n{session}"), "only_tokens", "without effect"),
        (format!("{http}scope = 'a'\n{session}"), "scope", "no token_endpoint"),
    ];
    for (lines, key, sentence) in rows {
        assert_only(&provider_problems(&lines), &format!("providers.main.{key}"), sentence);
    }
    load(&format!("{BASE}\n[providers.main]\n{http}{session}{sessions}"));
}

#[test]
fn what_belongs_together_is_given_together() {
    let entra = "kind = 'entra'\ntenant_id = 't'\nclient_id = 'a'\nclient_auth = 'private_key_jwt'\n\
        client_private_key = 'k'\n";
    let google = "kind = 'google'\n";
    let rows = [
        (entra.to_owned(), "client_certificate_file", "name the PEM file"),
        (format!("{google}service_account = 'k'"), "workspace_administrator", "give the email address"),
        (format!("{google}workspace_administrator = 'a'"), "service_account", "not set"),
    ];
    for (lines, key, sentence) in rows {
        assert_only(&provider_problems(&lines), &format!("providers.main.{key}"), sentence);
    }
    load(&format!("{BASE}\n[providers.main]\n{entra}client_certificate_file = '/a'"));
    load(&format!("{BASE}\n[providers.main]\n{google}"));
}
