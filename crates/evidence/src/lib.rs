//! An incident's record as one file that an auditor can check a year later, without this program's database
//! or its word.
//!
//! The file is an uncompressed POSIX ustar archive of [`MEMBERS`], `manifest.json` and `signature.json`. The
//! manifest pins every member: its size, its SHA-256, and a hash chain over its lines. An Ed25519 signature
//! covers the manifest's bytes. Headers, padding and `signature.json` follow from the manifest byte for byte
//! and are compared with what they must be, so no byte of the file is free. `docs/evidence.md` tells
//! auditors, and the program `revocation-evidence` serves them.

mod archive;
mod chain;
mod findings;
mod manifest;
mod report;
mod signer;
mod tar;
mod verify;

pub use archive::{Archive, Member};
pub use chain::Hash;
pub use manifest::{Entry, Manifest};
pub use report::Report;
pub use signer::{PublicKey, Signer, SigningKey};
pub use verify::{Verified, digest, verify};

/// The format's name and version, first in every manifest.
pub const FORMAT: &str = "revocation-worker evidence 1";

/// The members that hold the record, in the order of the archive.
pub const MEMBERS: [&str; 7] = [
    "incident.json",
    "revocations.ndjson",
    "attempts.ndjson",
    "operations.ndjson",
    "verifiers.ndjson",
    "propagation.ndjson",
    README,
];

/// What the archive is and how to check it, for whoever unpacks it.
const README: &str = "README.txt";
const MANIFEST: &str = "manifest.json";
const SIGNATURE: &str = "signature.json";

#[cfg(test)]
mod tests;
