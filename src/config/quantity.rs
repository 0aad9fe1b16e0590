//! Numbers and durations, and their ranges.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::form::Form;
use super::rule::{Rule, optional};

pub(super) const MILLISECOND: Duration = Duration::from_millis(1);
pub(super) const SECOND: Duration = Duration::from_secs(1);
pub(super) const MINUTE: Duration = Duration::from_secs(60);
pub(super) const DAY: Duration = Duration::from_secs(24 * 60 * 60);
pub(super) const YEAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);

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

impl Quantity for f64 {
    type Given = Self;

    fn of(given: Self) -> Option<Self> {
        Some(given)
    }

    fn shown(self) -> String {
        self.to_string()
    }

    fn shown_given(given: Self) -> String {
        given.to_string()
    }
}

impl Quantity for Duration {
    type Given = Self;

    fn of(given: Self) -> Option<Self> {
        Some(given)
    }

    /// Whole days as such: months and years have no fixed length.
    fn shown(self) -> String {
        let (seconds, day) = (self.as_secs(), DAY.as_secs());
        match seconds / day {
            days if days > 1 && self.subsec_nanos() == 0 && seconds % day == 0 => format!("{days}days"),
            _ => humantime::format_duration(self).to_string(),
        }
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
