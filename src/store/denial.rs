//! What an invalidation message says of a target.

use time::OffsetDateTime;
use uuid::Uuid;

/// A target of an invalidation message, as the database knows it.
pub struct Denial {
    /// The event's row.
    pub event: Uuid,
    /// Place in the event.
    pub ordinal: i16,
    /// CloudEvents `source`.
    pub event_source: String,
    /// CloudEvents `id`.
    pub event_id: String,
    /// The event's trace, as [`Trace`](crate::trace::Trace) reads it.
    pub trace: Option<Vec<u8>>,
    /// Incident.
    pub incident: Option<String>,
    /// Provider.
    pub provider: String,
    /// The kind's name.
    pub kind: String,
    /// SHA-256 of the token.
    pub sha256: Option<Vec<u8>>,
    /// SHA-256 of its signed parts.
    pub signed: Option<Vec<u8>>,
    /// `access_token` or `refresh_token`.
    pub hint: Option<String>,
    /// JWT id.
    pub jti: Option<String>,
    /// The issuer beside it, as [`jti_iss`](super::jti_iss) reads it.
    pub jti_iss: Option<String>,
    /// Subject.
    pub sub: Option<String>,
    /// Session.
    pub sid: Option<String>,
    /// Client.
    pub client_id: Option<String>,
    /// Issuer.
    pub iss: Option<String>,
    /// Cutoff.
    pub not_before: OffsetDateTime,
    /// The denial's end.
    pub deny_until: OffsetDateTime,
}

/// Queries targets as [`Denial`]s: `denials!("FROM … WHERE …", parameters)`, of an event `e` and its target
/// `t`.
macro_rules! denials {
    ($from:literal, $($parameter:expr),+ $(,)?) => {
        sqlx::query_as!(
            crate::store::denial::Denial,
            r#"SELECT t.event_id AS event, t.ordinal, e.source AS event_source,
                   coalesce(e.real_id, e.id) AS "event_id!", e.trace, e.incident, t.provider, t.kind,
                   t.token_sha256 AS sha256, t.signed_sha256 AS signed, t.token_type_hint AS hint, t.jti,
                   t.jti_iss, t.sub, t.sid, t.client_id, t.iss,
                   coalesce(t.cutoff, e.not_before) AS "not_before!", t.deny_until
               "# + $from,
            $($parameter),+
        )
    };
}
