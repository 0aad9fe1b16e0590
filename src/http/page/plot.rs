//! Pictures, as inline SVG: how far an incident is, a provider's calls, how long things took. Each says in
//! words what it shows.

use maud::{Markup, html};

use crate::telemetry::latencies::quantile_ms;

/// The last hour, minute by minute.
const MINUTES: u32 = 60;
/// The lowest line of a plot of durations, and the largest time that has a line, ms.
const FLOOR_MS: f64 = 1.0;
const CEILING_MS: f64 = 1e7;

/// A part of a bar: how many, and of what class.
pub(super) type Part = (u64, &'static str);

/// Parts of a whole, side by side.
pub(super) fn bar(says: &str, whole: u64, parts: &[Part]) -> Markup {
    let width = |count: u64| count as f64 * 1000.0 / whole.max(1) as f64;
    let mut from = 0.0;
    let rects = parts.iter().map(|(count, class)| {
        let (x, width) = (from, width(*count));
        from += width;
        (x, width, *class)
    });
    let rects: Vec<_> = rects.filter(|(_, width, _)| *width > 0.0).collect();
    html! {
        svg.bar role="img" viewBox="0 0 1000 10" preserveAspectRatio="none" {
            title { (says) }
            rect.rest x="0" y="0" width="1000" height="10" {}
            @for (x, width, class) in rects {
                rect class=(class) x={ (tenth(x)) } y="0" width={ (tenth(width)) } height="10" {}
            }
        }
    }
}

/// Calls of each ten seconds, and how many of them failed.
pub(super) fn sparkline(says: &str, calls: &[u64], failures: &[u64]) -> Markup {
    let most = calls.iter().copied().max().unwrap_or(0).max(1);
    let height = |count: u64| count as f64 * 30.0 / most as f64;
    html! {
        svg.spark role="img" viewBox={ "0 0 " (calls.len().max(1) * 10) " 32" } preserveAspectRatio="none" {
            title { (says) }
            line.ground x1="0" y1="31.5" x2={ (calls.len().max(1) * 10) } y2="31.5" {}
            @for (place, count) in calls.iter().enumerate().filter(|(_, count)| **count > 0) {
                rect.calls x={ (place * 10 + 1) } y={ (tenth(31.0 - height(*count))) } width="8"
                    height={ (tenth(height(*count))) } {}
            }
            @for (place, count) in failures.iter().enumerate().filter(|(_, count)| **count > 0) {
                rect.failures x={ (place * 10 + 1) } y={ (tenth(31.0 - height(*count))) } width="8"
                    height={ (tenth(height(*count))) } {}
            }
        }
    }
}

/// A minute of durations: how many minutes ago, how many fell into each class.
pub(super) type Minute<'a> = (u32, &'a [u64]);

/// How long things took, minute by minute: half of them, and 99 of 100.
pub(super) fn durations(what: &str, minutes: &[Minute<'_>]) -> Markup {
    let quantiles = minutes
        .iter()
        .filter_map(|(ago, classes)| Some((*ago, quantile_ms(classes, 0.5)?, quantile_ms(classes, 0.99)?)));
    let quantiles: Vec<_> = quantiles.filter(|(ago, ..)| *ago < MINUTES).collect();
    let longest = quantiles.iter().map(|(_, _, most)| *most).fold(10.0 * FLOOR_MS, f64::max);
    let decades = (longest.min(CEILING_MS) / FLOOR_MS).log10().ceil().max(1.0);
    let y = |ms: f64| 100.0 - (ms.max(FLOOR_MS) / FLOOR_MS).log10() / decades * 100.0;
    let lines: Vec<_> = (0..=decades as i32).rev().map(|decade| FLOOR_MS * 10_f64.powi(decade)).collect();
    let says = told(what, minutes);
    html! {
        figure.durations {
            figcaption { (says) }
            div.plot {
                ol.axis aria-hidden="true" { @for ms in &lines { li { (duration(*ms)) } } }
                svg role="img" viewBox="0 0 600 100" preserveAspectRatio="none" {
                    title { (what) " in the last hour. " (says) }
                    @for ms in &lines {
                        line.grid x1="0" x2="600" y1={ (tenth(y(*ms))) } y2={ (tenth(y(*ms))) } {}
                    }
                    @for (ago, half, most) in &quantiles {
                        @let x = (MINUTES - 1 - ago) * 10 + 1;
                        (column("most", x, y(*most)))
                        (column("half", x, y(*half)))
                    }
                }
            }
            p.ends aria-hidden="true" { span { "1 h ago" } span { "now" } }
        }
    }
}

/// From the ground up to `y`.
fn column(class: &str, x: u32, y: f64) -> Markup {
    html! { rect class=(class) x=(x) width="8" y=(tenth(y)) height=(tenth(100.0 - y)) {} }
}

/// The last hour in words.
fn told(what: &str, minutes: &[Minute<'_>]) -> String {
    let mut all = Vec::new();
    for (_, classes) in minutes {
        all.resize(all.len().max(classes.len()), 0);
        all.iter_mut().zip(*classes).for_each(|(sum, count)| *sum += count);
    }
    match (quantile_ms(&all, 0.5), quantile_ms(&all, 0.99)) {
        (Some(half), Some(most)) => {
            format!("{what}: half within {}, 99 of 100 within {}", duration(half), duration(most))
        }
        _ => format!("{what}: none in the last hour"),
    }
}

/// A duration as people say it, to two digits.
pub(super) fn duration(ms: f64) -> String {
    let digits = |value: f64| if value < 9.95 { format!("{value:.1}") } else { format!("{value:.0}") };
    let (value, unit) = match ms {
        ms if ms < 999.5 => (ms, "ms"),
        ms if ms < 119_999.5 => (ms / 1e3, "s"),
        ms if ms < 7_199_999.5 => (ms / 6e4, "min"),
        ms => (ms / 3.6e6, "h"),
    };
    let digits = digits(value);
    format!("{} {unit}", digits.strip_suffix(".0").unwrap_or(&digits))
}

/// To a tenth of a picture's unit.
fn tenth(value: f64) -> String {
    format!("{value:.1}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::latencies::{CLASSES, class};
    use std::time::Duration;

    #[test]
    fn durations_are_told_to_two_digits() {
        for (ms, said) in [
            (0.5, "0.5 ms"),
            (1.0, "1 ms"),
            (12.34, "12 ms"),
            (999.4, "999 ms"),
            (1000.0, "1 s"),
            (2500.0, "2.5 s"),
            (1e5, "100 s"),
            (6e5, "10 min"),
            (7.2e6, "2 h"),
        ] {
            assert_eq!(duration(ms), said);
        }
    }

    #[test]
    fn a_plot_says_in_words_what_it_shows() {
        let mut classes = [0; CLASSES];
        classes[class(Duration::from_millis(4))] = 99;
        classes[class(Duration::from_secs(2))] = 1;
        let plot = durations("Denial", &[(0, &classes), (59, &classes)]).into_string();
        assert!(plot.contains("Denial: half within "), "{plot}");
        assert_eq!(plot.matches("class=\"most\"").count(), 2);
        let empty = durations("Denial", &[]).into_string();
        assert!(empty.contains("none in the last hour") && !empty.contains("class=\"most\""));
    }

    #[test]
    fn parts_of_a_bar_fill_it_at_most() {
        let bar = bar("x", 4, &[(1, "done"), (0, "parked"), (3, "pending")]).into_string();
        assert!(
            bar.contains("width=\"250.0\"") && bar.contains("x=\"250.0\" y=\"0\" width=\"750.0\""),
            "{bar}"
        );
        assert!(!bar.contains("parked"));
    }
}
