//! Whether an incident has more than one person may order: pure counting over what is on record, what was
//! approved, and what is on its way to the record.

use crate::store::ActiveIncident;
use crate::target::Kind;

/// What an event orders.
pub(in crate::worker) struct Ordered {
    /// Kinds that need an approval, its own and those that its incident is said to have.
    pub(in crate::worker) asks: Vec<Kind>,
    /// Its own targets of those kinds, and those that its incident is said to have.
    pub(in crate::worker) asking: i64,
    /// See `asking`.
    pub(in crate::worker) asking_expected: Option<i64>,
    /// Its own targets.
    pub(in crate::worker) targets: i64,
    /// Those that its incident is said to have.
    pub(in crate::worker) declared: i64,
}

/// What counts of an event until it is on record.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counted {
    targets: i64,
    asking: i64,
    /// One for an event that needs an approval which is not on record.
    doubts: i64,
}

/// A number of something that has come and may not be in what was last read from Postgres.
#[derive(Default)]
struct Flow {
    /// Not committed.
    arrived: i64,
    /// Committed since the last look began.
    landed: i64,
    /// Committed before that, but maybe not before its snapshot.
    settling: i64,
}

impl Flow {
    fn land(&mut self, number: i64, is_new: bool) {
        self.arrived -= number;
        self.landed += if is_new { number } else { 0 };
    }

    fn begin_look(&mut self) {
        self.settling += std::mem::take(&mut self.landed);
    }

    fn total(&self) -> i64 {
        self.arrived + self.landed + self.settling
    }
}

/// The fuse of one incident.
#[derive(Default)]
pub(super) struct Fuse {
    received: i64,
    asking: i64,
    /// Most targets that go, by the incident's own setting or by its approval; `None`: it is not on record,
    /// as far as is known.
    up_to: Option<i64>,
    approved: Vec<Kind>,
    approved_asking: i64,
    coming: [Flow; 3],
}

impl Fuse {
    /// Whether what is on record was read.
    pub(super) fn is_known(&self) -> bool {
        self.up_to.is_some()
    }

    /// Takes over what was read.
    pub(super) fn update(&mut self, row: &ActiveIncident) {
        self.settle();
        self.received = row.received;
        self.asking = row.asking;
        self.up_to = Some(row.approved_up_to);
        self.approved = row.approved_asks.iter().filter_map(|kind| Kind::parse(kind)).collect();
        self.approved_asking = row.approved_asking;
    }

    /// A look has found what was committed before it began.
    pub(super) fn settle(&mut self) {
        self.coming.iter_mut().for_each(|flow| flow.settling = 0);
    }

    /// A look begins: what is committed from here on may not be in what it finds.
    pub(super) fn begin_look(&mut self) {
        self.coming.iter_mut().for_each(Flow::begin_look);
    }

    /// Whether something is on its way to the record.
    pub(super) fn is_arriving(&self) -> bool {
        self.coming.iter().any(|flow| flow.total() > 0)
    }

    /// Whether an event has come that needs an approval, and Postgres may not know of it yet: what comes
    /// behind it waits with it.
    pub(super) fn is_doubted(&self) -> bool {
        self.coming[2].total() > 0
    }

    /// Counts an event, where one person may order `above` targets. Returns whether it needs an approval that
    /// is not known, and what was counted.
    pub(super) fn arrive(&mut self, order: &Ordered, above: i64) -> (bool, Counted) {
        let coming = |flow: &Flow, more: i64| flow.total() + more;
        let up_to = self.up_to.unwrap_or(above);
        let asking =
            order.asking_expected.unwrap_or(0).max(self.asking + coming(&self.coming[1], order.asking));
        let unapproved = !order.asks.is_empty()
            && (asking > self.approved_asking || order.asks.iter().any(|kind| !self.approved.contains(kind)));
        let lacks = unapproved || order.declared > up_to;
        let is_too_many = self.received + coming(&self.coming[0], order.targets) > up_to;
        let counted = Counted { targets: order.targets, asking: order.asking, doubts: i64::from(lacks) };
        self.coming.iter_mut().zip(counted.numbers()).for_each(|(flow, number)| flow.arrived += number);
        (lacks || is_too_many, counted)
    }

    /// What had arrived is committed, or was known before, or was given up.
    pub(super) fn land(&mut self, counted: Counted, is_new: bool) {
        self.coming.iter_mut().zip(counted.numbers()).for_each(|(flow, number)| flow.land(number, is_new));
    }
}

impl Counted {
    fn numbers(self) -> [i64; 3] {
        [self.targets, self.asking, self.doubts]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 90 targets on record, one of them a client; 100 were approved, and three clients.
    fn known() -> Fuse {
        Fuse {
            received: 90,
            asking: 1,
            up_to: Some(100),
            approved: vec![Kind::Client],
            approved_asking: 3,
            coming: Default::default(),
        }
    }

    fn tokens(targets: i64) -> Ordered {
        Ordered { asks: vec![], asking: 0, asking_expected: None, targets, declared: targets }
    }

    fn clients(asking: i64) -> Ordered {
        Ordered { asks: vec![Kind::Client], asking, ..tokens(asking) }
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
        fuse.begin_look();
        let (withheld, one) = fuse.arrive(&tokens(1), 1);
        assert!(withheld, "until a look that began after the commit has found it");
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
            lacks(&mut known(), &Ordered { asking_expected: Some(4), ..clients(1) }),
            "four are announced"
        );
        assert!(lacks(&mut known(), &Ordered { asks: vec![Kind::Client, Kind::Issuer], ..clients(1) }));
        assert!(lacks(&mut Fuse::default(), &clients(1)), "nothing is, of what is not known");
        let mut fuse = known();
        assert!(!lacks(&mut fuse, &clients(1)));
        assert!(!lacks(&mut fuse, &clients(1)));
        assert!(lacks(&mut fuse, &clients(1)), "those on their way count");
    }

    #[test]
    fn what_comes_behind_an_event_that_needs_an_approval_waits_until_that_is_on_record() {
        let mut fuse = known();
        let (_, issuer) = fuse.arrive(&Ordered { asks: vec![Kind::Issuer], ..clients(1) }, 10);
        assert!(fuse.is_doubted());
        fuse.begin_look();
        fuse.settle();
        assert!(fuse.is_doubted(), "it is not committed");
        fuse.begin_look();
        fuse.land(issuer, true);
        fuse.settle();
        assert!(fuse.is_doubted(), "that look had begun before");
        fuse.begin_look();
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
}
