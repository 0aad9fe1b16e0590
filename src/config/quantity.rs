//! Numbers and durations, and their ranges.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::form::Form;
use super::rule::{Rule, optional};

/// What has a range.
pub(super) trait Quantity: Copy + PartialOrd + 'static {
    /// What it is read as.
    type Given: Form + Copy;

    fn of(given: Self::Given) -> Option<Self>;
    fn shown(self) -> String;
    fn shown_given(given: Self::Given) -> String;
}

macro_rules! whole_numbers {
    ($($type:ty)+) => { $(
        impl Quantity for $type {
            type Given = i64;

            fn of(given: i64) -> Option<Self> {
                given.try_into().ok()
            }

            fn shown(self) -> String {
                self.to_string()
            }

            fn shown_given(given: i64) -> String {
                given.to_string()
            }
        }
    )+ };
}
whole_numbers!(u16 u32 u64 usize i64);

impl Quantity for Duration {
    type Given = Self;

    fn of(given: Self) -> Option<Self> {
        Some(given)
    }

    fn shown(self) -> String {
        humantime::format_duration(self).to_string()
    }

    fn shown_given(given: Self) -> String {
        given.shown()
    }
}

/// A number or duration within a range, absent where it is not given.
pub(super) fn ranged<T: Quantity>(range: RangeInclusive<T>) -> Rule<Option<T>> {
    let (least, most) = (range.start().shown(), range.end().shown());
    let form = format!("{}, {least} to {most}", T::Given::name());
    optional::<T::Given>().form(form).then(move |given, key, section| {
        let given = given?;
        let fitting = T::of(given).filter(|quantity| range.contains(quantity));
        if fitting.is_none() {
            let given = T::shown_given(given);
            section.unless_refused(key, format_args!("{given} is out of range; choose {least} to {most}"));
        }
        fitting
    })
}

/// A number or duration within a range.
pub(super) fn within<T: Quantity>(default: T, range: RangeInclusive<T>) -> Rule<T> {
    ranged(range).default(default.shown()).then(move |given, _, _| given.unwrap_or(default))
}
