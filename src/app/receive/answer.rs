//! What became of a request, in the words of the standard that it came by.

use std::time::Duration;

use revocation_http_server::header::{CACHE_CONTROL, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use revocation_http_server::{Reply, StatusCode, empty, json};
use serde_json::json;

use crate::receive::{Code, Refused, shared_signals};
use crate::senders::Failed;

/// A standard by HTTP.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Input {
    /// OpenID Connect Back-Channel Logout 1.0
    BackchannelLogout,
    /// draft-parecki-oauth-global-token-revocation
    GlobalTokenRevocation,
    /// Shared Signals by push, RFC 8935
    SignalPush,
    /// Shared Signals by poll, RFC 8936: no request, but counted and logged as one.
    SignalPoll,
}

impl Input {
    /// Each, by the first part of its addresses.
    pub(super) const ALL: [(&str, Self); 3] = [
        ("backchannel-logout", Self::BackchannelLogout),
        ("global-token-revocation", Self::GlobalTokenRevocation),
        ("ssf", Self::SignalPush),
    ];

    /// As it is in the log and in metrics.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::BackchannelLogout => "backchannel_logout",
            Self::GlobalTokenRevocation => "global_token_revocation",
            Self::SignalPush => "signal_push",
            Self::SignalPoll => "signal_poll",
        }
    }

    /// It is done, or there was nothing to do.
    pub(super) fn done(self) -> Reply {
        uncached(empty(match self {
            // Section 2.8.
            Self::BackchannelLogout => StatusCode::OK,
            Self::GlobalTokenRevocation => StatusCode::NO_CONTENT,
            // RFC 8935 section 2.2.
            Self::SignalPush | Self::SignalPoll => StatusCode::ACCEPTED,
        }))
    }

    /// It is not done.
    pub(super) fn failed(self, failed: &Failed) -> Reply {
        let (status, wait) = match failed {
            Failed::Refused(refused) => return uncached(self.refused(refused)),
            Failed::Unavailable(_, wait) => (StatusCode::SERVICE_UNAVAILABLE, wait),
            Failed::OverRate(wait) => (StatusCode::TOO_MANY_REQUESTS, wait),
        };
        later(status, *wait)
    }

    fn refused(self, refused: &Refused) -> Reply {
        match self {
            // Section 2.8, with the members of RFC 6749 section 5.2.
            Self::BackchannelLogout => {
                let body = json!({ "error": "invalid_request", "error_description": refused.why });
                json(StatusCode::BAD_REQUEST, body.to_string())
            }
            Self::GlobalTokenRevocation => of_global_token_revocation(refused),
            // RFC 8935 section 2.3.
            Self::SignalPush | Self::SignalPoll => {
                let err = shared_signals::error_code(refused.code);
                json(StatusCode::BAD_REQUEST, json!({ "err": err, "description": refused.why }).to_string())
            }
        }
    }
}

/// Its senders look at the status alone; the body is for people.
fn of_global_token_revocation(refused: &Refused) -> Reply {
    let status = match refused.code {
        Code::BadRequest | Code::TooLarge => StatusCode::BAD_REQUEST,
        Code::NotAllowed => StatusCode::FORBIDDEN,
        Code::EmailNotMapped | Code::UnknownSubject => StatusCode::UNPROCESSABLE_ENTITY,
        _ => StatusCode::UNAUTHORIZED,
    };
    let body = json!({ "error": refused.code.as_str(), "error_description": refused.why });
    let mut reply = json(status, body.to_string());
    if status == StatusCode::UNAUTHORIZED {
        let challenge = HeaderValue::from_static(r#"Bearer error="invalid_token""#);
        reply.headers_mut().insert(WWW_AUTHENTICATE, challenge);
    }
    reply
}

/// The same again may work after a while.
fn later(status: StatusCode, wait: Duration) -> Reply {
    let body =
        json!({ "error": "temporarily_unavailable", "error_description": "send the same again later" });
    let mut reply = uncached(json(status, body.to_string()));
    reply.headers_mut().insert(RETRY_AFTER, HeaderValue::from(wait.as_secs()));
    reply
}

fn uncached(mut reply: Reply) -> Reply {
    reply.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    reply
}
