use super::*;

/// 90 targets on record, one of them a client; 100 were approved, and three clients.
fn known() -> Fuse {
    Fuse {
        received: 90,
        needing_approval: 1,
        allowance: Some(Allowance::new(
            10,
            Some(Extent { approval_kinds: vec![Kind::Client], needing_approval: 3, targets: 100 }),
        )),
        coming: Default::default(),
    }
}

fn tokens(targets: i64) -> Ordered {
    Ordered {
        approval_kinds: vec![],
        needing_approval: 0,
        needing_approval_expected: None,
        targets,
        declared: targets,
    }
}

fn clients(needing_approval: i64) -> Ordered {
    Ordered { approval_kinds: vec![Kind::Client], needing_approval, ..tokens(needing_approval) }
}

fn lacks(fuse: &mut Fuse, order: &Ordered) -> bool {
    fuse.arrive(order, 10).0
}

#[test]
fn what_is_on_record_and_what_is_on_its_way_there_counts_together() {
    let mut fuse = Fuse::default();
    assert!(!lacks(&mut fuse, &tokens(10)), "as many as one person may order");
    assert!(lacks(&mut fuse, &tokens(1)), "one more");
    let mut fuse = known();
    let (withheld, ten) = fuse.arrive(&tokens(10), 1);
    assert!(!withheld, "what was approved counts, not the setting");
    fuse.land(ten, true);
    let (withheld, one) = fuse.arrive(&tokens(1), 1);
    assert!(withheld, "what is committed counts as it did before");
    fuse.land(one, false);
    fuse.begin_poll();
    let (withheld, one) = fuse.arrive(&tokens(1), 1);
    assert!(withheld, "until a poll that began after the commit has found it");
    fuse.land(one, false);
    fuse.settle();
    assert!(!lacks(&mut fuse, &tokens(10)), "what had been known before counts once");
}

#[test]
fn an_announced_total_counts_before_it_has_come() {
    assert!(lacks(&mut Fuse::default(), &Ordered { declared: 11, ..tokens(1) }));
    assert!(!lacks(&mut known(), &Ordered { declared: 100, ..tokens(1) }));
    assert!(lacks(&mut known(), &Ordered { declared: 101, ..tokens(1) }));
}

#[test]
fn an_approval_covers_kinds_and_how_many_of_them() {
    assert!(!lacks(&mut known(), &clients(2)));
    assert!(lacks(&mut known(), &clients(3)), "one is on record and three were approved");
    assert!(
        lacks(&mut known(), &Ordered { needing_approval_expected: Some(4), ..clients(1) }),
        "four are announced"
    );
    assert!(lacks(&mut known(), &Ordered { approval_kinds: vec![Kind::Client, Kind::Issuer], ..clients(1) }));
    assert!(lacks(&mut Fuse::default(), &clients(1)), "nothing is, of what is not known");
    let mut fuse = known();
    assert!(!lacks(&mut fuse, &clients(1)));
    assert!(!lacks(&mut fuse, &clients(1)));
    assert!(lacks(&mut fuse, &clients(1)), "those on their way count");
}

#[test]
fn what_comes_behind_an_event_that_needs_an_approval_waits_until_that_is_on_record() {
    let mut fuse = known();
    let (_, issuer) = fuse.arrive(&Ordered { approval_kinds: vec![Kind::Issuer], ..clients(1) }, 10);
    assert!(fuse.is_doubted());
    fuse.begin_poll();
    fuse.settle();
    assert!(fuse.is_doubted(), "it is not committed");
    fuse.begin_poll();
    fuse.land(issuer, true);
    fuse.settle();
    assert!(fuse.is_doubted(), "that poll had begun before");
    fuse.begin_poll();
    fuse.settle();
    assert!(!fuse.is_doubted() && !fuse.is_arriving());
    fuse.arrive(&tokens(1), 10);
    assert!(!fuse.is_doubted() && fuse.is_arriving(), "a token is no reason to doubt");
}

#[test]
fn what_is_given_up_or_was_known_leaves_nothing_behind() {
    let mut fuse = Fuse::default();
    let (_, counted) = fuse.arrive(&clients(5), 10);
    fuse.land(counted, false);
    assert!(!fuse.is_doubted() && !fuse.is_arriving());
}
