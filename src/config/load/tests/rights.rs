//! `[authorization.users]`: from the file, from the environment, and from both.

use super::*;
use crate::authorization::Rights;

const USERS: &str = "REVOCATION__AUTHORIZATION__USERS";

fn rate(wide: u32) -> Rights {
    Rights { wide_targets_per_minute: Some(wide), ..Rights::default() }
}

fn loaded(toml: &str, variables: &[(&str, &str)]) -> Config {
    load_with(&format!("{toml}\n{BASE}{MAIN}"), variables).unwrap_or_else(|error| panic!("{error}"))
}

fn users(toml: &str, variables: &[(&str, &str)]) -> Vec<(String, Rights)> {
    loaded(toml, variables).authorization.users.into_iter().collect()
}

fn named(user: &str, rights: Rights) -> (String, Rights) {
    (user.to_owned(), rights)
}

#[test]
fn nothing_is_limited_by_default() {
    let authorization = load(&format!("{BASE}{MAIN}")).authorization;
    assert!(
        authorization.users.is_empty()
            && authorization.operators.is_empty()
            && authorization.anonymous.is_none()
    );
    assert_eq!(users("authorization.users.shop = {}", &[]), [named("shop", Rights::default())]);
}

#[test]
fn every_right_is_read_from_the_file() {
    let toml = r#"
        authorization.operators = ["ops"]
        authorization.anonymous.kinds = []
        authorization.users.shop.sources = ["/apps/shop", "/apps/shop/*"]
        authorization.users.shop.kinds = ["token", "subject"]
        authorization.users.shop.providers = ["main"]
        authorization.users.bulk.wide_targets_per_minute = 0
    "#;
    let authorization = load(&format!("{toml}\n{BASE}{MAIN}")).authorization;
    assert_eq!(authorization.operators, ["ops"]);
    assert_eq!(authorization.anonymous, Some(Rights { kinds: Some(vec![]), ..Rights::default() }));
    let shop = &authorization.users["shop"];
    assert_eq!(
        shop.sources.as_deref(),
        Some(["/apps/shop".to_owned(), "/apps/shop/*".to_owned()].as_slice())
    );
    assert_eq!(shop.kinds.as_deref(), Some([Kind::Token, Kind::Subject].as_slice()));
    assert_eq!(
        (shop.providers.as_deref(), shop.wide_targets_per_minute),
        (Some(["main".to_owned()].as_slice()), None)
    );
    assert_eq!(authorization.users["bulk"], rate(0));
}

#[test]
fn names_of_every_form_can_be_said() {
    for name in ["Shop", "shop.eu", "shop-eu", "a b", "it's", "a\\\"b", "ä/ö", "a__b", "[x]"] {
        let plain = name.replace("\\\"", "\"");
        let quoted = format!("\"{name}\"");
        let table = format!("{{ {quoted} = {{ wide_targets_per_minute = 7 }} }}");
        assert_eq!(
            users(&format!("authorization.users.{quoted}.wide_targets_per_minute = 7"), &[]),
            [named(&plain, rate(7))]
        );
        assert_eq!(users("", &[(USERS, &table)]), [named(&plain, rate(7))], "by a variable");
    }
}

#[test]
fn variables_speak_of_users_one_by_one_and_lie_over_the_file() {
    let shop = "REVOCATION__AUTHORIZATION__USERS__SHOP_EU__WIDE_TARGETS_PER_MINUTE";
    for (name, wanted) in [("shop-eu", "shop-eu"), ("Shop.EU", "Shop.EU"), ("shop_eu", "shop_eu")] {
        let file = format!("authorization.users.\"{name}\".wide_targets_per_minute = 5");
        assert_eq!(users(&file, &[(shop, "9")]), [named(wanted, rate(9))]);
    }
    assert_eq!(users("", &[(shop, "9")]), [named("shop_eu", rate(9))]);
    let table = r#"{ "a" = { wide_targets_per_minute = 1 }, "Shop-EU" = { kinds = ["token"] } }"#;
    let both = users("authorization.users.gone.kinds = []", &[(USERS, table), (shop, "9")]);
    let kinds = Some(vec![Kind::Token]);
    assert_eq!(
        both,
        [named("Shop-EU", Rights { kinds, ..rate(9) }), named("a", rate(1))],
        "a table replaces the file's"
    );
    let anonymous = loaded("", &[("REVOCATION__AUTHORIZATION__ANONYMOUS__KINDS", "token, session")])
        .authorization
        .anonymous;
    assert_eq!(anonymous.and_then(|rights| rights.kinds), Some(vec![Kind::Token, Kind::Session]));
}

type Variables = &'static [(&'static str, &'static str)];

#[test]
fn mistakes_are_named() {
    const ONE: &str = "REVOCATION__AUTHORIZATION__USERS__SHOP";
    let rows: [(&str, Variables, &str); 10] = [
        (
            "authorization.users.shop.kinds = ['tokens']",
            &[],
            "authorization.users.shop.kinds: must list kinds of targets",
        ),
        (
            "authorization.users.shop.wide_targets_per_minute = -1",
            &[],
            "authorization.users.shop.wide_targets_per_minute: -1 is out of range",
        ),
        ("authorization.users.shop.wide = 1", &[], "authorization.users.shop.wide: unknown setting"),
        (
            "authorization.users.shop.sources = 7",
            &[],
            "authorization.users.shop.sources: must be a list of strings",
        ),
        ("authorization.users.\"\".kinds = []", &[], "the name of a broker user has 1 to 255 bytes"),
        ("authorization.users = ['shop']", &[], "authorization.users: must be"),
        ("authorization.anonymous.kind = 1", &[], "authorization.anonymous.kind: unknown setting"),
        ("", &[(USERS, "shop")], "authorization.users (from REVOCATION__AUTHORIZATION__USERS): must be"),
        ("", &[(ONE, "shop")], "REVOCATION__AUTHORIZATION__USERS__SHOP: names no setting"),
        (
            "authorization.users.'a-b' = {}\nauthorization.users.'a.b' = {}",
            &[("REVOCATION__AUTHORIZATION__USERS__A_B__KINDS", "token")],
            "names no setting",
        ),
    ];
    for (toml, variables, sentence) in rows {
        let problems = problems(&format!("{toml}\n{BASE}{MAIN}"), variables).join("\n");
        assert!(problems.contains(sentence), "{toml} {variables:?}: {problems}");
    }
}
