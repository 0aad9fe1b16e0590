//! Every setting in an example of the pages is one.

use super::*;

const PAGES: [(&str, &str); 6] = [
    ("README.md", include_str!("../../../../README.md")),
    ("authorization.md", include_str!("../../../../docs/authorization.md")),
    ("http-kind.md", include_str!("../../../../docs/http-kind.md")),
    ("inputs.md", include_str!("../../../../docs/inputs.md")),
    ("production.md", include_str!("../../../../docs/production.md")),
    ("verifiers.md", include_str!("../../../../docs/verifiers.md")),
];

#[test]
fn examples_have_settings_that_there_are() {
    let mut examples = 0;
    for (page, text) in PAGES {
        for example in text.split("\n```toml\n").skip(1).filter_map(|rest| rest.split("\n```").next()) {
            examples += 1;
            // Nothing else is asked of an example: the files of its secrets are somebody else's.
            let problems = match load_with(&format!("{BASE}\n{example}"), &[]) {
                Ok(_) => continue,
                Err(refusal) => refusal.problems().join("\n"),
            };
            for word in ["unknown setting", "TOML", "expected"] {
                assert!(!problems.contains(word), "{page}: {problems}\n{example}");
            }
        }
    }
    assert!(examples > 10, "the examples were found: {examples}");
}
