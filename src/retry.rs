//! The retry schedule: pure.
