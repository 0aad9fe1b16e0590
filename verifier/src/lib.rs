//! A denylist of revoked OAuth tokens.
pub mod message;
