//! What random tests throw: all of it from one seed, which a failure prints.

use std::ops::{Deref, DerefMut};

use rand::SeedableRng;
use rand::rngs::StdRng;

/// The variable that sets the seed. It is proptest's own, so that one number repeats both kinds of random
/// test.
const SEED: &str = "PROPTEST_RNG_SEED";

/// The random choices of one test.
pub(crate) struct Chance {
    seed: u64,
    random: StdRng,
}

impl Chance {
    /// Choices by the seed in the environment, else by a new one.
    pub(crate) fn new() -> Self {
        let given = std::env::var(SEED).ok();
        let seed = given.map_or_else(rand::random, |seed| seed.parse().expect("the seed is a number"));
        Self { seed, random: StdRng::seed_from_u64(seed) }
    }
}

impl Deref for Chance {
    type Target = StdRng;

    fn deref(&self) -> &StdRng {
        &self.random
    }
}

impl DerefMut for Chance {
    fn deref_mut(&mut self) -> &mut StdRng {
        &mut self.random
    }
}

impl Drop for Chance {
    #[expect(clippy::print_stdout, reason = "a failed test shows how to repeat it")]
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("{SEED}={} repeats what was random", self.seed);
        }
    }
}
