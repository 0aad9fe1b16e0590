//! Who is told how far the work has come.

/// A bar on a terminal, or nobody.
pub(crate) trait Observer {
    /// So many good pieces are done, the last of them at `position`.
    fn done(&mut self, pieces: u64, position: u64);
    /// So many good pieces are done, at the end of all that is done so far.
    fn advanced(&mut self, pieces: u64);
    /// So many pieces were done before.
    fn skipped(&mut self, pieces: u64);
    /// A line was refused; it ends at `position`.
    fn refused(&mut self, line: u64, why: &str, position: u64);
}

/// Nobody.
#[cfg(test)]
impl Observer for () {
    fn done(&mut self, _: u64, _: u64) {}
    fn advanced(&mut self, _: u64) {}
    fn skipped(&mut self, _: u64) {}
    fn refused(&mut self, _: u64, _: &str, _: u64) {}
}
