//! `[authorization]`: who may order what, and when a second person is needed.

use super::AuthorizationConfig;
use super::findings::Findings;
use super::raw::{RawAuthorization, RawRights, Words};
use crate::authorization::Rights;
use crate::target::Kind;

const MOST_A_MINUTE: u32 = 1_000_000;

/// `[authorization]`
pub(super) fn authorization(raw: RawAuthorization, findings: &mut Findings) -> AuthorizationConfig {
    let above = findings.number(
        "authorization.approval_above_targets",
        raw.approval_above_targets,
        10_000,
        0..=1_000_000_000,
    );
    let asking = |names: Words, findings: &mut Findings| {
        kinds("authorization.approval_required_for", &names.0, findings)
    };
    let users = raw.users.into_iter().map(|(user, raw)| {
        let setting = format!("authorization.users.{user}");
        if !(1..=255).contains(&user.len()) {
            findings.refuse(&setting, "the name of a broker user has 1 to 255 bytes");
        }
        let rights = rights(&setting, raw, findings);
        (user, rights)
    });
    let users = users.collect();
    AuthorizationConfig {
        logout_users: raw.logout_users.map(|users| users.0),
        mass_revocation_users: raw.mass_revocation_users.map(|users| users.0).unwrap_or_default(),
        operators: raw.operators.map(|users| users.0).unwrap_or_default(),
        users,
        anonymous: raw.anonymous.map(|raw| rights("authorization.anonymous", raw, findings)),
        approval_required_for: raw
            .approval_required_for
            .map_or(vec![Kind::Client, Kind::Issuer], |names| asking(names, findings)),
        approval_above_targets: above,
    }
}

fn rights(setting: &str, raw: RawRights, findings: &mut Findings) -> Rights {
    let kinds = raw.kinds.map(|Words(names)| kinds(&format!("{setting}.kinds"), &names, findings));
    let rate = format!("{setting}.wide_targets_per_minute");
    let is_limited = raw.wide_targets_per_minute.is_some();
    let per_minute = findings.number(&rate, raw.wide_targets_per_minute, 0, 0..=MOST_A_MINUTE);
    Rights {
        sources: raw.sources.map(|sources| sources.0),
        kinds,
        providers: raw.providers.map(|providers| providers.0),
        wide_targets_per_minute: is_limited.then_some(per_minute),
    }
}

/// Target kinds by name. `none` alone is the empty list, which a variable of the environment cannot hold
/// otherwise.
fn kinds(setting: &str, names: &[String], findings: &mut Findings) -> Vec<Kind> {
    if names == ["none"] {
        return Vec::new();
    }
    let found: Vec<Kind> = names.iter().filter_map(|name| Kind::parse(name)).collect();
    if found.len() < names.len() {
        let known = Kind::ALL.map(Kind::as_str).join(", ");
        findings.refuse(setting, format_args!("must list kinds of targets ({known}), or be none"));
    }
    found
}
