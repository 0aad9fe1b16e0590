//! Whether the provider accepts our credentials, shown by a request that names no target: what each kind has
//! for it, and what its answer means.
//!
//! Servers answer like bad credentials to a target of somebody else (401, 403, 404, `unauthorized_client`),
//! so such an answer alone pauses nobody.
//!
//! Tokens: the revocation of a random string, with `verify = "introspect"` its introspection, too. `baanx`
//! has no such probe, because the token is the call's own credential, and whether it or the client's key is
//! looked at first is not documented.
//!
//! Sessions and subjects:
//!
//! - `genauth`: kick-users for a user that is not there;
//! - `keycloak`: the end of a session that is not there: it asks for the role that logouts need, where a look
//!   at users does not;
//! - `okta`: the end of the sessions of a user that is not there: 404 with an `errorCode`;
//! - `hydra`: the logout of a subject that is not there: 204;
//! - `global_token_revocation`: the logout of a user that is not there: 404, 422, or 2xx where the server
//!   does not say.
//!
//! To a random string servers of RFC 7009 answer 200 (section 2.2; Hydra, Okta, GitLab, Zitadel, Spring,
//! authentik, MAS, oidc-provider, Django OAuth Toolkit), Keycloak 200 and Google 400 with `invalid_token`,
//! Cognito 400 with `unsupported_token_type`: all of them have let the client in. A 400 with any other code
//! tells nothing, because it may come before the client is looked at. rauthy refuses every string that is
//! none of its tokens, whoever asks; so a refusal that does not blame the client by its OAuth code is not
//! plain, and not believed of a server that has never accepted the probe. Doorkeeper before 5.5 answers
//! 200 before it looks at the client; `admission/doubts.rs` is careful for that reason.

use crate::outcome::{Answer, Verdict};
use crate::target::{PresentedToken, Token, TokenIssuer, TokenTypeHint};

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

/// What to check where the client is refused.
pub(super) const CLIENT: &str = "check the endpoint, client_id, client_secret and client_auth";

/// A token of nobody, of a shape that tells it apart in the provider's log.
pub(super) fn unknown_token() -> PresentedToken {
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
pub(super) fn unknown_name() -> String {
    format!("probe-{:032x}", rand::random::<u128>())
}

/// What no server that refuses all tokens it does not know says of the probe alone.
pub(super) fn blames_client(answer: &Answer) -> bool {
    let codes = [" invalid_client", " unauthorized_client"];
    answer.error.as_ref().is_some_and(|error| codes.iter().any(|code| error.contains(code)))
}

/// What lets us in, of a call that changes nothing for nobody.
pub(super) fn is_accepted(answer: &Answer) -> bool {
    matches!(answer.verdict, Verdict::Done(_) | Verdict::Contradicted | Verdict::Unsupported)
}

/// What says that there is no such user has let us in.
pub(super) fn is_no_user(answer: &Answer) -> bool {
    is_accepted(answer)
        || (answer.verdict == Verdict::Refused && matches!(answer.http_status, Some(200 | 404 | 422)))
}

/// What an answer shows of the credentials. `advice`: what to check where they are refused. `plainly`:
/// whether the server cannot have refused the probe for itself. `lets_in`: which answers tell that they are
/// good.
pub(super) fn read(answer: Answer, advice: &str, plainly: bool, lets_in: fn(&Answer) -> bool) -> Probed {
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
mod tests;
