use super::*;

#[test]
fn the_settings_reference_is_what_the_tables_say() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/settings.md");
    let page = settings_reference();
    if std::env::var_os("RENEW_DOCS").is_some() {
        std::fs::write(file, &page).unwrap();
    }
    let written = std::fs::read_to_string(file).unwrap_or_default();
    assert!(written == page, "docs/settings.md is old: RENEW_DOCS=1 cargo test --lib settings_reference");
}

/// A value is checked before it is known which kind it is for.
#[test]
fn a_setting_that_several_kinds_have_has_one_form() {
    let mut forms = std::collections::BTreeMap::new();
    for row in KINDS.iter().flat_map(|kind| (kind.rows)()) {
        let first = forms.entry(row.key).or_insert_with(|| (row.form.clone(), row.is_secret)).clone();
        assert_eq!(first, (row.form, row.is_secret), "{}", row.key);
    }
}

#[test]
fn every_setting_has_a_sentence() {
    fn check(rows: &[Row]) {
        for row in rows {
            assert!(row.about.trim().ends_with('.'), "{}", row.key);
            if let Shape::Section(rows) | Shape::ByName(rows) = row.shape {
                check(&rows());
            }
        }
    }
    check(&Config::rows());
}
