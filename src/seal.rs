//! Sealing of tokens at rest.
