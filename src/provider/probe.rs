//! Whether the provider accepts our credentials, shown by a request that names no target: what each kind has
//! for it, and what its answer means.
//!
//! Servers answer like bad credentials to a target of somebody else (401, 403, 404, `unauthorized_client`),
//! so such an answer alone pauses nobody.
//!
//! | kind | tokens | sessions and subjects |
//! |---|---|---|
//! | `rfc7009`, `genauth` | the revocation of a random string; with `verify = "introspect"` its introspection too | `genauth`: kick-users for a user that is not there |
//! | `keycloak` | as `rfc7009` | the end of a session that is not there: it asks for the role that logouts need, where a look at users does not |
//! | `okta` | as `rfc7009` | the end of the sessions of a user that is not there: 404 with an `errorCode` |
//! | `hydra` | as `rfc7009` | the logout of a subject that is not there: 204 |
//! | `baanx` | none: the token is the call's own credential, and whether it or the client's key is looked at first is not documented | |
//! | `global_token_revocation` | | the logout of a user that is not there: 404, 422, or 2xx where the server does not say |
//!
//! To a random string servers of RFC 7009 answer 200 (section 2.2; Hydra, Okta, GitLab, Zitadel, Spring,
//! authentik, MAS, oidc-provider, Django OAuth Toolkit), Keycloak 200 and Google 400 with `invalid_token`,
//! Cognito 400 with `unsupported_token_type`: all of them have let the client in. A 400 with any other code
//! tells nothing, because it may come before the client is looked at. rauthy refuses every string that is
//! none of its tokens, whoever asks; so a refusal that does not blame the client by its OAuth code is not
//! plain, and is believed only of a server that is known to accept the probe. Doorkeeper before 5.5 answers
//! 200 before it looks at the client; `admission/doubts.rs` is careful for that reason.

use super::dialect::Dialect;
use super::http::Http;
use crate::config::Verify;
use crate::outcome::{Answer, Verdict};
use crate::target::{PresentedToken, Scope, Token, TokenIssuer, TokenTypeHint};

/// What a probe showed of our credentials.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Probed {
    /// The provider lets us in.
    Accepted,
    /// It does not, or the address is wrong; the answer is `Misconfigured`.
    Refused {
        /// Its answer.
        answer: Answer,
        /// Whether it could not have said so of the probe alone.
        plainly: bool,
    },
    /// No answer; this one is `Transient`.
    Unanswered(Answer),
    /// An answer that tells nothing of the credentials.
    Nothing,
}

impl Dialect {
    /// Whether there is a request that names no target, for wide calls or for tokens.
    pub(super) fn has_probe(&self, scope: Scope) -> bool {
        match (self, scope) {
            (Self::Baanx(_) | Self::GlobalTokenRevocation(_), Scope::Token) => false,
            (Self::Genauth(_), Scope::Token) => true,
            (_, Scope::Token) => self.tokens().is_some(),
            (_, Scope::Wide) => self.has_admin(),
        }
    }

    /// Makes that request; changes nothing at the provider. `None` where there is none.
    pub(super) async fn try_credentials(&self, http: &Http, verify: Verify, scope: Scope) -> Option<Probed> {
        let (token, nobody) = (unknown_token(), unknown_name());
        Some(match (self, scope) {
            (Self::Baanx(_), _) | (Self::GlobalTokenRevocation(_), Scope::Token) => return None,
            (Self::Genauth(application), Scope::Token) => {
                by_code(application.try_client(http, verify, &token).await, CLIENT)
            }
            (Self::Rfc7009(server), Scope::Token) => {
                by_code(server.try_client(http, verify, &token).await, CLIENT)
            }
            (_, Scope::Token) => {
                read(self.tokens()?.try_client(http, verify, &token).await, CLIENT, true, is_accepted)
            }
            (Self::Keycloak(realm), Scope::Wide) => {
                read(realm.end_session(http, &nobody).await, KEYCLOAK, true, is_accepted)
            }
            (Self::Genauth(application), Scope::Wide) => read(
                application.kick_users()?.log_out(http, &nobody).await,
                "check the access key and app_ids",
                true,
                is_no_user,
            ),
            (Self::Okta(organisation), Scope::Wide) => read(
                organisation.log_out(http, organisation.bearers()?, &nobody).await,
                "check api_token and network zones",
                true,
                is_no_user,
            ),
            (Self::Hydra(server), Scope::Wide) => {
                read(server.admin()?.log_out(http, &nobody).await, "check admin_url", true, is_accepted)
            }
            (Self::GlobalTokenRevocation(server), Scope::Wide) => read(
                server.try_bearer(http, &nobody).await,
                "check the endpoint, the bearer and its scope",
                false,
                is_no_user,
            ),
            (Self::Rfc7009(_), Scope::Wide) => return None,
        })
    }
}

const CLIENT: &str = "check the endpoint, client_id, client_secret and client_auth";
const KEYCLOAK: &str = "check base_url, realm, and that the client's service account has the role \
    manage-users of realm-management";

/// A token of nobody, of a shape that tells it apart in the provider's log.
fn unknown_token() -> PresentedToken {
    let token = Token::new(unknown_name());
    PresentedToken {
        fingerprint: token.fingerprint(),
        token,
        signed: None,
        hint: Some(TokenTypeHint::RefreshToken),
        jti: None,
        jti_iss: TokenIssuer::NotSaid,
        expires_at: None,
    }
}

/// An id of nobody.
fn unknown_name() -> String {
    format!("probe-{:032x}", rand::random::<u128>())
}

/// Of a server whose answer to an unknown token is not known.
fn by_code(answer: Answer, advice: &str) -> Probed {
    let blames_client = |error: &String| {
        ["invalid_client", "unauthorized_client"].iter().any(|code| error.contains(&format!(" {code}")))
    };
    let plainly = answer.error.as_ref().is_some_and(blames_client);
    read(answer, advice, plainly, is_accepted)
}

fn is_accepted(answer: &Answer) -> bool {
    matches!(answer.verdict, Verdict::Done(_) | Verdict::Contradicted | Verdict::Unsupported)
}

/// What says that there is no such user has let us in.
fn is_no_user(answer: &Answer) -> bool {
    is_accepted(answer)
        || (answer.verdict == Verdict::Refused && matches!(answer.http_status, Some(200 | 404 | 422)))
}

fn read(answer: Answer, advice: &str, plainly: bool, lets_in: fn(&Answer) -> bool) -> Probed {
    match answer.verdict {
        _ if lets_in(&answer) => Probed::Accepted,
        // This names no target in any case: a bearer that is not granted, metadata, a certificate.
        Verdict::Misconfigured => Probed::Refused { answer, plainly: true },
        Verdict::Doubted => Probed::Refused { answer: answer.ruled(Verdict::Misconfigured, advice), plainly },
        Verdict::Transient => Probed::Unanswered(answer),
        _ => Probed::Nothing,
    }
}

#[cfg(test)]
mod tests {
    use super::super::reply::tests::reply;
    use super::super::rfc7009::classify;
    use super::*;

    #[test]
    fn what_servers_answer_to_a_random_string() {
        let rows = [
            ("most", 200, "", "accepted"),
            ("GitLab", 200, "{}", "accepted"),
            ("Keycloak", 200, r#"{"error":"invalid_token"}"#, "accepted"),
            (
                "Google",
                400,
                r#"{"error":"invalid_token","error_description":"Token expired or revoked"}"#,
                "accepted",
            ),
            ("Cognito", 400, r#"{"error":"unsupported_token_type"}"#, "accepted"),
            ("a wrong secret", 401, r#"{"error":"invalid_client"}"#, "refused plainly"),
            ("GitLab, a wrong secret", 403, r#"{"error":"unauthorized_client"}"#, "refused plainly"),
            ("a wrong client", 400, r#"{"error":"unauthorized_client"}"#, "refused plainly"),
            ("rauthy", 401, r#"{"error":"Unauthorized","message":"Invalid token"}"#, "refused"),
            ("a firewall", 403, "<html>blocked</html>", "refused"),
            ("a moved endpoint", 404, "", "refused"),
            ("a moved endpoint", 405, "", "refused"),
            ("a moved endpoint", 410, "", "refused"),
            ("a proxy", 407, "", "refused"),
            ("a redirect", 302, "", "refused plainly"),
            ("a strict one", 400, r#"{"error":"invalid_request"}"#, "nothing"),
            ("a busy one", 429, "", "unanswered"),
            ("an ill one", 503, "", "unanswered"),
        ];
        for (server, status, body, meaning) in rows {
            let found = match by_code(classify(&reply(status, body)), CLIENT) {
                Probed::Accepted => "accepted",
                Probed::Refused { plainly: true, .. } => "refused plainly",
                Probed::Refused { plainly: false, .. } => "refused",
                Probed::Unanswered(_) => "unanswered",
                Probed::Nothing => "nothing",
            };
            assert_eq!(found, meaning, "{server}: {status} {body}");
        }
    }

    #[test]
    fn a_refusal_says_what_to_check() {
        let Probed::Refused { answer, .. } =
            by_code(classify(&reply(401, r#"{"error":"invalid_client"}"#)), CLIENT)
        else {
            panic!("a refusal");
        };
        let sentence = "POST https://id.example.com/revoke answered 401 invalid_client; check the endpoint, \
            client_id, client_secret and client_auth";
        assert_eq!((answer.verdict, answer.error.as_deref()), (Verdict::Misconfigured, Some(sentence)));
    }

    #[test]
    fn unknown_tokens_and_ids_differ() {
        let (one, other) = (unknown_token(), unknown_name());
        assert!(one.token.expose() != other && other.starts_with("probe-") && other.len() == 38, "{other}");
    }
}
