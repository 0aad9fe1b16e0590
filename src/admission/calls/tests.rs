use super::*;

#[test]
fn counts_leave_after_five_minutes() {
    let start = Instant::now();
    let mut calls = Calls::new(start);
    for second in 0..100 {
        calls.note(start + Duration::from_secs(second), Duration::from_millis(5), second % 2 == 0);
    }
    let end = start + Duration::from_secs(99);
    assert_eq!(calls.all(end), Count { calls: 100, failures: 50 });
    assert_eq!(calls.recent(end), Count { calls: 30, failures: 15 });
    assert_eq!(calls.busy(end), Duration::from_millis(30 * 5));
    assert_eq!(calls.all(end + Duration::from_secs(300)), Count::default());
}

#[test]
fn quantiles_are_exact_to_a_quarter() {
    let start = Instant::now();
    let (mut calls, mut others) = (Calls::new(start), Calls::new(start));
    assert_eq!(Calls::quantile_ms([&calls, &others], start, 0.5), None);
    for ms in 1..=100 {
        if ms % 2 == 0 { &mut calls } else { &mut others }.note(start, Duration::from_millis(ms), true);
    }
    let quantile = |share| Calls::quantile_ms([&calls, &others], start, share).unwrap();
    let (p50, p95) = (quantile(0.5), quantile(0.95));
    assert!((50.0..=62.5).contains(&p50), "{p50}");
    assert!((95.0..=118.8).contains(&p95), "{p95}");
}

#[test]
fn extreme_durations_have_a_class() {
    let mut calls = Calls::new(Instant::now());
    for took in [Duration::ZERO, Duration::from_nanos(1), Duration::MAX] {
        calls.note(Instant::now(), took, true);
    }
    assert_eq!(calls.all(Instant::now()).calls, 3);
}
