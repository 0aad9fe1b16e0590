//! The few lines of ustar that are needed (POSIX.1-2017, pax, "ustar Interchange Format"): one kind of
//! header, always the same bytes for the same member.
//!
//! The crate `tar` ends a checksum otherwise (seven digits and a NUL instead of six, a NUL and a space), so
//! that archives of before would no longer verify, and it stops reading at the first damage, where
//! [`verify`](super::verify) goes on.

/// Headers and contents start at multiples of this.
pub(super) const BLOCK: usize = 512;
/// Two blocks of zeros end an archive.
pub(super) const END: [u8; 2 * BLOCK] = [0; 2 * BLOCK];
/// Eleven octal digits.
pub(super) const LARGEST: u64 = 0o777_7777_7777;

const SIZE: std::ops::Range<usize> = 124..136;
const CHECKSUM: std::ops::Range<usize> = 148..156;

/// A regular file's header. `mtime`: seconds since 1970. `None`: a size or a time that has no place in it.
pub(super) fn header(name: &str, size: u64, mtime: u64) -> Option<[u8; BLOCK]> {
    let mut block = [0; BLOCK];
    if name.len() >= 100 || size > LARGEST || mtime > LARGEST {
        return None;
    }
    let mut put = |at: usize, text: &str| block[at..at + text.len()].copy_from_slice(text.as_bytes());
    put(0, name);
    put(100, "0000644"); // mode
    put(108, "0000000"); // user
    put(116, "0000000"); // group
    put(SIZE.start, &format!("{size:011o}"));
    put(136, &format!("{mtime:011o}"));
    put(CHECKSUM.start, "        "); // counts as spaces in itself
    put(156, "0"); // a regular file
    put(257, "ustar\x0000");
    put(329, "0000000"); // device numbers
    put(337, "0000000");
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    block[CHECKSUM].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    Some(block)
}

/// The size that a header of this name gives; `None`: it is no such header.
pub(super) fn size(block: &[u8], name: &str) -> Option<u64> {
    let is_its = block.len() == BLOCK
        && block.starts_with(name.as_bytes())
        && block[name.len()] == 0
        && &block[257..262] == b"ustar";
    let digits = std::str::from_utf8(block.get(SIZE)?.strip_suffix(b"\0")?).ok()?;
    if is_its && digits.bytes().all(|byte| byte.is_ascii_digit()) {
        u64::from_str_radix(digits, 8).ok()
    } else {
        None
    }
}

/// Zeros after so many bytes of content.
pub(super) fn padding(size: u64) -> usize {
    (size.next_multiple_of(BLOCK as u64) - size) as usize
}

/// Bytes of a member with its header and its padding.
pub(super) fn footprint(size: u64) -> u64 {
    BLOCK as u64 + size + padding(size) as u64
}
