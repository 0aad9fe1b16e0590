//! What to claim: of each provider and lane as much as there is room for, of each incident its share.

use super::TARGETS;
use crate::admission::Admission;
use crate::event::Lane;
use crate::store::{Kinds, Want};
use crate::target::Scope;
use crate::worker::incidents::Share;

/// What to claim of a provider and lane: of everything where calls for tokens and wider ones are taken alike,
/// else of either what is taken.
pub(super) fn wants_of_lane<'a>(
    provider: &'a str,
    admission: &Admission,
    lane: Lane,
    shares: &'a [Share],
) -> Vec<Want<'a>> {
    match Scope::ALL.map(|scope| admission.wanted(lane, scope).min(TARGETS)) {
        [tokens, wide] if tokens == wide => {
            wants_of(provider, lane, tokens, Kinds { tokens: true, wide: true }, shares)
        }
        // Of one kind none are taken, or one for a probe: that leaves its room to the other.
        [tokens, wide] if tokens < wide => apart(provider, lane, (tokens, wide - tokens), shares),
        [tokens, wide] => apart(provider, lane, (tokens - wide, wide), shares),
    }
}

fn apart<'a>(
    provider: &'a str,
    lane: Lane,
    (tokens, wide): (usize, usize),
    shares: &'a [Share],
) -> Vec<Want<'a>> {
    let mut wants = wants_of(provider, lane, tokens, Kinds { tokens: true, wide: false }, shares);
    wants.extend(wants_of(provider, lane, wide, Kinds { tokens: false, wide: true }, shares));
    wants
}

/// What to claim with room for `appetite` targets: all that is due, or of each incident its share.
fn wants_of<'a>(
    provider: &'a str,
    lane: Lane,
    mut appetite: usize,
    kinds: Kinds,
    shares: &'a [Share],
) -> Vec<Want<'a>> {
    let want = |incident: &'a str, most: usize, lets_in| {
        let limit = i64::try_from(most).unwrap_or(i64::MAX);
        let is_likely = lane == Lane::Interactive || !incident.is_empty();
        Want {
            provider,
            lane: lane.as_str(),
            kinds,
            incident,
            limit,
            max_waiting: if lets_in { limit } else { 0 },
            is_likely,
        }
    };
    match lane {
        _ if appetite == 0 => Vec::new(),
        Lane::Interactive => vec![want("", appetite, false)],
        Lane::Mass => {
            let ours: Vec<_> =
                shares.iter().filter(|share| share.providers.iter().any(|name| name == provider)).collect();
            let each = appetite.div_ceil(ours.len().max(1));
            let wants = ours.into_iter().map(|share| {
                let most = share.most.min(each).min(appetite);
                appetite -= most;
                want(share.incident.name(), most, share.lets_in)
            });
            let mut wants: Vec<_> = wants.filter(|want| want.limit > 0).collect();
            // A worker from before incidents had rows of their own may have left some without.
            wants.extend((appetite > 0).then(|| want("", appetite, false)));
            wants
        }
    }
}
