//! Who has a share: a small number that stands for a broker user.

use aws_lc_rs::digest;

/// How many there are, so that neither memory nor a claim grows with the number of names.
const PARTIES: u16 = 4096;

/// Stands for a broker user wherever work is shared out fairly. The same name has the same number in every
/// worker; two names may, one time in 4,095, have one, and then share a share. Those without a name are one
/// party.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Party(i16);

impl Party {
    /// Of what is published without a `user_id`, and of what was put on record by a release from before there
    /// were parties.
    pub const UNNAMED: Self = Self(0);

    /// The party of a broker user.
    pub fn of(broker_user: Option<&str>) -> Self {
        let Some(name) = broker_user else { return Self::UNNAMED };
        let hash = digest::digest(&digest::SHA256, name.as_bytes());
        let first = hash.as_ref().iter().take(4).fold(0_u32, |number, byte| number << 8 | u32::from(*byte));
        Self(i16::try_from(1 + first % u32::from(PARTIES - 1)).unwrap_or_default())
    }

    /// As it is on record.
    pub fn stored(self) -> i16 {
        self.0
    }

    /// From the record.
    pub fn read(stored: i16) -> Self {
        Self(stored)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn a_name_has_one_number_and_those_without_a_name_are_one() {
        assert_eq!(Party::of(None), Party::UNNAMED);
        for name in ["shop", "", "0", "a name of two hundred and fifty-five bytes would do"] {
            assert_eq!(Party::of(Some(name)), Party::of(Some(name)), "{name}");
            assert_ne!(Party::of(Some(name)), Party::UNNAMED, "{name}");
            assert_eq!(Party::read(Party::of(Some(name)).stored()), Party::of(Some(name)));
        }
        // On record, and so the same in every release.
        assert_eq!(Party::of(Some("shop")).stored(), 2913);
    }

    #[test]
    fn names_spread_over_all_numbers_and_are_no_more_than_those() {
        let parties: HashSet<_> =
            (0..100_000).map(|number| Party::of(Some(&format!("user-{number}")))).collect();
        assert_eq!(parties.len(), usize::from(PARTIES) - 1);
    }
}
