//! Identity providers: the only user of reqwest. One file per kind.
