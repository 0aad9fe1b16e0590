//! What cites the contract finds the section.

use crate::source::{File, files, rust};

/// The number that follows `section ` after a mention of the contract.
fn cited(line: &str) -> Option<&str> {
    let after = line.split_once("contract")?.1.split_once("section ")?.1;
    Some(after.split(|digit: char| !digit.is_ascii_digit()).next().unwrap_or_default())
}

#[test]
fn every_section_that_is_cited_is_there() {
    let pages = files("docs", "md");
    let page = pages.iter().find(|file| file.path == "docs/contract.md").expect("the contract");
    let is_there = |number: &str| page.text.contains(&format!("\n## {number}. "));
    let citations = |file: &File| {
        let cited = file.text.lines().filter_map(cited).map(str::to_owned);
        cited.map(|number| (file.path.clone(), number)).collect::<Vec<_>>()
    };
    let citations: Vec<_> =
        rust().iter().filter(|file| !file.path.starts_with("tests/structure/")).flat_map(citations).collect();
    assert!(citations.len() > 10, "the citations were found: {citations:?}");
    for (path, number) in citations {
        assert!(is_there(&number), "{path} cites section {number:?} of docs/contract.md");
    }
}

#[test]
fn citations_are_found_as_they_are_written() {
    assert_eq!(cited("/// The views (docs/contract.md, section 7)."), Some("7"));
    assert_eq!(cited("/// contract section 10"), Some("10"));
    assert_eq!(cited("/// The contract. See"), None);
}
