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
