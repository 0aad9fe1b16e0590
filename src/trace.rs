//! The trace that an event belongs to (W3C Trace Context), and the spans that are told of it.

mod parse;
mod spans;

use std::fmt;

use crate::visible::hex;

pub use spans::{Ended, Kind, Queue, Span, Spans, Value};

/// How long a row has it: trace id, span id, flags.
pub const STORED: usize = 25;

/// W3C Trace Context, level 1 and 2, without `tracestate`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trace {
    id: [u8; 16],
    /// The span that is the parent of what follows.
    span: [u8; 8],
    flags: u8,
}

/// Somebody records this trace.
const SAMPLED: u8 = 0b01;
/// The trace id is random (level 2).
const RANDOM: u8 = 0b10;

impl Trace {
    /// A trace that begins here, recorded.
    pub fn start() -> Self {
        Self { id: non_zero(), span: non_zero(), flags: SAMPLED | RANDOM }
    }

    /// Another span of the same trace.
    #[must_use]
    pub fn next(self) -> Self {
        Self { span: non_zero(), ..self }
    }

    /// Whether somebody records it.
    pub fn is_sampled(self) -> bool {
        self.flags & SAMPLED != 0
    }

    /// The trace's id.
    pub fn id(self) -> [u8; 16] {
        self.id
    }

    /// The span's id.
    pub fn span(self) -> [u8; 8] {
        self.span
    }

    /// Flags, as in `traceparent`.
    pub fn flags(self) -> u8 {
        self.flags
    }

    /// The trace's id as `traceparent`, rows and log lines show it.
    pub fn shown_id(self) -> String {
        hex(&self.id)
    }

    /// As a row has it.
    pub fn stored(self) -> [u8; STORED] {
        let mut bytes = [0; STORED];
        bytes[..16].copy_from_slice(&self.id);
        bytes[16..24].copy_from_slice(&self.span);
        bytes[24] = self.flags;
        bytes
    }

    /// From a row.
    pub fn read(stored: &[u8]) -> Option<Self> {
        let (id, rest) = stored.split_first_chunk()?;
        let (span, rest) = rest.split_first_chunk()?;
        let [flags] = rest else { return None };
        Self::of(*id, *span, *flags)
    }

    /// `None` where an id is all zeros.
    fn of(id: [u8; 16], span: [u8; 8], flags: u8) -> Option<Self> {
        let is_valid = id != [0; 16] && span != [0; 8];
        is_valid.then_some(Self { id, span, flags: flags & (SAMPLED | RANDOM) })
    }
}

/// `traceparent` of version 00.
impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{}-{}-{:02x}", hex(&self.id), hex(&self.span), self.flags)
    }
}

fn non_zero<const N: usize>() -> [u8; N] {
    loop {
        let mut bytes = [0; N];
        bytes.fill_with(rand::random);
        if bytes != [0; N] {
            return bytes;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_keeps_it_whole() {
        let trace = Trace::start();
        assert_eq!(Trace::read(&trace.stored()), Some(trace));
        assert_eq!(Trace::parse(&trace.to_string()), Some(trace));
        for stored in [&[][..], &[1; 24], &[1; 26], &[0; 25]] {
            assert_eq!(Trace::read(stored), None, "{} bytes", stored.len());
        }
    }

    #[test]
    fn the_next_span_is_of_the_same_trace() {
        let trace = Trace::start();
        let next = trace.next();
        assert_eq!((next.id, next.flags), (trace.id, trace.flags));
        assert_ne!(next.span, trace.span);
        assert!(trace.is_sampled());
    }
}
