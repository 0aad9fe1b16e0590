use super::*;

#[test]
fn the_providers_reference_is_what_the_table_says() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/providers.md");
    let page = providers_reference();
    if std::env::var_os("RENEW_DOCS").is_some() {
        std::fs::write(file, &page).unwrap();
    }
    let written = std::fs::read_to_string(file).unwrap_or_default();
    assert!(written == page, "docs/providers.md is old: RENEW_DOCS=1 cargo test --lib providers_reference");
}

#[test]
fn every_kind_says_what_it_leaves_alive() {
    let kinds: Vec<_> = KINDS.iter().map(|kind| kind.word).collect();
    let told: Vec<_> = ABOUT.iter().map(|about| about.kind).collect();
    assert_eq!(kinds, told);
    for About { kind, auth, calls, alive } in ABOUT {
        let is_told = calls.iter().any(|call| *call != NONE) && !auth.is_empty() && alive.len() > 20;
        assert!(is_told, "{kind}");
    }
}
