//! Whether an incident has more than one person may order: pure counting over what is on record, what was
//! approved, and what is on its way to the record.

use crate::approval::{Allowance, Extent};
use crate::store::ActiveIncident;
use crate::target::Kind;

/// What an event orders.
pub(super) struct Ordered {
    /// Kinds that need an approval, its own and those that its incident is said to have.
    pub(super) approval_kinds: Vec<Kind>,
    /// Its own targets of those kinds, and those that its incident is said to have.
    pub(super) needing_approval: i64,
    /// See `needing_approval`.
    pub(super) needing_approval_expected: Option<i64>,
    /// Its own targets.
    pub(super) targets: i64,
    /// Those that its incident is said to have.
    pub(super) declared: i64,
}

/// What counts of an event until it is on record.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counted {
    targets: i64,
    needing_approval: i64,
    /// One for an event that needs an approval which is not on record.
    doubts: i64,
}

/// A number of something that has come and may not be in what was last read from Postgres.
#[derive(Default)]
struct Flow {
    /// Not committed.
    arrived: i64,
    /// Committed since the last poll began.
    landed: i64,
    /// Committed before the current poll began, but possibly missing from that poll's snapshot.
    settling: i64,
}

impl Flow {
    fn land(&mut self, number: i64, is_new: bool) {
        self.arrived -= number;
        self.landed += if is_new { number } else { 0 };
    }

    fn begin_poll(&mut self) {
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
    needing_approval: i64,
    /// What goes by the incident's own setting or by its approval; `None`: it is not on record, as far as is
    /// known.
    allowance: Option<Allowance>,
    /// Targets, those that need an approval, and doubts (see [`Counted`]).
    coming: [Flow; 3],
}

impl Fuse {
    /// Whether what is on record was read.
    pub(super) fn is_known(&self) -> bool {
        self.allowance.is_some()
    }

    /// Takes over what was read.
    pub(super) fn update(&mut self, row: &ActiveIncident) {
        self.settle();
        self.received = row.received;
        self.needing_approval = row.needing_approval;
        self.allowance = Some(row.allowance());
    }

    /// A poll has found what was committed before it began.
    pub(super) fn settle(&mut self) {
        self.coming.iter_mut().for_each(|flow| flow.settling = 0);
    }

    /// A poll begins: what is committed from here on may not be in what it finds.
    pub(super) fn begin_poll(&mut self) {
        self.coming.iter_mut().for_each(Flow::begin_poll);
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
        let allowance = self.allowance.clone().unwrap_or_else(|| Allowance::new(above, None));
        let lacks = !allowance.covers(&self.asked_by(order));
        let targets = self.received + self.coming[0].total() + order.targets;
        let is_too_many = !allowance.covers(&Extent { targets, ..Extent::default() });
        let counted = Counted {
            targets: order.targets,
            needing_approval: order.needing_approval,
            doubts: i64::from(lacks),
        };
        self.coming.iter_mut().zip(counted.numbers()).for_each(|(flow, number)| flow.arrived += number);
        (lacks || is_too_many, counted)
    }

    /// What an event says that its incident orders. Where none of its own kinds needs an approval, those of
    /// the events before it are no reason to hold it.
    fn asked_by(&self, order: &Ordered) -> Extent {
        let so_far = self.needing_approval + self.coming[1].total() + order.needing_approval;
        let needing_approval = match order.approval_kinds.is_empty() {
            true => 0,
            false => so_far.max(order.needing_approval_expected.unwrap_or(0)),
        };
        Extent { approval_kinds: order.approval_kinds.clone(), needing_approval, targets: order.declared }
    }

    /// What had arrived is committed, or was known before, or was given up.
    pub(super) fn land(&mut self, counted: Counted, is_new: bool) {
        self.coming.iter_mut().zip(counted.numbers()).for_each(|(flow, number)| flow.land(number, is_new));
    }
}

impl Counted {
    fn numbers(self) -> [i64; 3] {
        [self.targets, self.needing_approval, self.doubts]
    }
}

#[cfg(test)]
mod tests;
