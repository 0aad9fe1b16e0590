//! What is wrong with an archive, a sentence each.

use std::fmt;

use super::chain::{STRIDE, Seen};
use super::{Entry, Hash, MANIFEST, SIGNATURE, Signer};

/// One thing that is not as it was exported.
pub(super) enum Finding<'a> {
    /// No manifest can be found: there is nothing to compare with.
    NoManifest { at: u64, name: &'static str, length: u64 },
    /// It is no manifest.
    BadManifest(String),
    /// The signer's fingerprint is another key's.
    BadFingerprint,
    /// There is no signature in `signature.json`.
    NoSignature,
    /// It is not the named key's signature over the manifest.
    BadSignature(&'a Signer),
    /// A header is not the one that follows from the manifest.
    Header(&'a str),
    /// Not zeros.
    Padding(&'a str),
    /// The bytes are others than those that were exported.
    Content { entry: &'a Entry, seen: Seen, is_shifted: bool },
    /// The bytes are right, their chain is not.
    Chain(&'a str),
    /// The members' bytes together are so many, and should be so many.
    Length { found: u64, exported: u64 },
    /// From the manifest's header on, this is the first byte that is not as it was written.
    Tail { at: u64 },
    /// The file ends here, and should end there.
    CutOff { length: u64, exported: u64 },
    /// So many bytes follow the end.
    Appended { bytes: u64 },
}

impl fmt::Display for Finding<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoManifest { at, name, length } if at >= length => {
                write!(
                    f,
                    "no {MANIFEST} is left: the file was cut off at byte {length}, before the header of \
                        {name}"
                )
            }
            Self::NoManifest { at, name, .. } => {
                write!(
                    f,
                    "no {MANIFEST} can be found, and byte {at} does not start the header of {name}: no \
                        archive of this kind, or a damaged one"
                )
            }
            Self::BadManifest(why) => write!(f, "{MANIFEST}: {why}"),
            Self::BadFingerprint => {
                write!(f, "{MANIFEST}: the signer's fingerprint is not that of the public key beside it")
            }
            Self::NoSignature => write!(f, "{SIGNATURE}: it is missing, or no signature can be read from it"),
            Self::BadSignature(signer) => {
                write!(
                    f,
                    "{SIGNATURE}: not the signature of key {:?} over {MANIFEST}: one of the two was changed, \
                        or another key signed",
                    signer.key_id
                )
            }
            Self::Header(name) => write!(f, "{name}: its tar header was changed"),
            Self::Padding(name) => write!(f, "{name}: the padding after it was changed"),
            Self::Content { entry, seen, is_shifted } => content(f, entry, seen, *is_shifted),
            Self::Chain(name) => write!(f, "{MANIFEST}: the hash chain of {name} does not fit its lines"),
            Self::Length { found, exported } if found < exported => {
                write!(f, "{} bytes were removed before {MANIFEST}", exported - found)
            }
            Self::Length { found, exported } => {
                write!(f, "{} bytes were added before {MANIFEST}", found - exported)
            }
            Self::Tail { at } => {
                write!(
                    f,
                    "from byte {at} on, headers, padding, {SIGNATURE} or end of the archive are not as they \
                        were written"
                )
            }
            Self::CutOff { length, exported } => {
                write!(f, "the file was cut off: it ends at byte {length} instead of {exported}")
            }
            Self::Appended { bytes } => write!(f, "{bytes} bytes were appended after the end of the archive"),
        }
    }
}

/// The hash chain tells where the first change is, to a thousand lines.
fn content(f: &mut fmt::Formatter<'_>, entry: &Entry, seen: &Seen, is_shifted: bool) -> fmt::Result {
    let pairs = || entry.checkpoints.iter().zip(&seen.checkpoints);
    let same = pairs().take_while(|(exported, found): &(&Hash, &Hash)| exported == found).count() as u64;
    write!(
        f,
        "{}: lines were changed, removed, added or moved, the first of them between line {} and ",
        entry.name,
        same * STRIDE + 1
    )?;
    if same < pairs().count() as u64 {
        write!(f, "line {}", (same + 1) * STRIDE)?;
    } else {
        write!(f, "the end")?;
    }
    if seen.rows == entry.rows || is_shifted {
        return Ok(());
    }
    write!(f, "; lines found: {}, lines exported: {}", seen.rows, entry.rows)
}
