//! `[verifiers] owners` and `[people]`.

use serde_json::json;

use super::*;
use crate::report::Owners;

#[test]
fn owners_of_verifiers_come_from_the_file_or_from_one_variable() {
    let owners = |pairs: &[(&str, &[&str])]| {
        Owners::new(
            pairs
                .iter()
                .map(|(service, users)| {
                    (service.to_string(), users.iter().map(ToString::to_string).collect())
                })
                .collect(),
        )
    };
    let file = format!(
        "{BASE}{MAIN}\n[verifiers.owners]\nshop-api = [\"shop\", \"shop-canary\"]\n\"Käse: 7\" = \"cheese\""
    );
    let from_file = owners(&[("shop-api", &["shop", "shop-canary"]), ("Käse: 7", &["cheese"])]);
    assert_eq!(load(&file).verifier_owners, from_file);
    for (variable, expected) in [
        (r#"{ "shop-api" = ["a"], cards = "b,c" }"#, owners(&[("shop-api", &["a"]), ("cards", &["b", "c"])])),
        ("{}", Owners::default()),
    ] {
        let loaded = load_with(&file, &[("REVOCATION__VERIFIERS__OWNERS", variable)])
            .unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(loaded.verifier_owners, expected, "the variable takes the place of the file's");
    }
}

#[test]
fn people_come_from_the_file_or_from_variables() {
    assert_eq!(load(&format!("{BASE}{MAIN}")).people, None, "what is not said changes nothing");
    let as_told = |text: &str, variables: &[(&str, &str)]| {
        let config =
            load_with(&format!("{BASE}{MAIN}\n{text}"), variables).unwrap_or_else(|error| panic!("{error}"));
        serde_json::to_value(config.people).expect("JSON")
    };
    let alice = json!({ "broker_users": ["soc", "soc-2"], "database_roles": ["alice"] });
    let file = "[people.Alice]\nbroker_users = [\"soc\", \"soc-2\"]\ndatabase_roles = \"alice\"\n";
    assert_eq!(as_told(file, &[]), json!({ "Alice": alice }));
    let bob = json!({ "broker_users": [], "database_roles": ["bob"] });
    assert_eq!(
        as_told(file, &[("REVOCATION__PEOPLE__BOB__DATABASE_ROLES", "bob")]),
        json!({ "Alice": alice, "bob": bob })
    );
    assert_eq!(as_told("[people]\n", &[]), json!({}), "nobody is anybody");
    for (text, refusal) in [
        (
            "[people.a]\ndatabase_roles = [\"ops\"]\n[people.b]\ndatabase_roles = [\"ops\"]\n",
            "people.b.database_roles: role ops is a's, too",
        ),
        (
            "[people.bob]\nbroker_users = [\"a\"]\n[people.\"B ob\"]\nbroker_users = [\"b\"]\n",
            "people.bob: is spelled like B ob",
        ),
        ("[people.\"\"]\nbroker_users = [\"a\"]\n", "a person's name has 1 to 255 bytes"),
        ("[people.\" \"]\nbroker_users = [\"a\"]\n", "a person's name is blank"),
        ("[people.\"alice \"]\nbroker_users = [\"a\"]\n", "a person's name ends with a blank"),
        ("[people.\"alice\\u200b\"]\nbroker_users = [\"a\"]\n", "a person's name has U+200B"),
        ("[people.\"a\\u202elice\"]\nbroker_users = [\"a\"]\n", "a person's name has U+202E"),
        ("[people.\"a\\tb\"]\nbroker_users = [\"a\"]\n", "a person's name has U+0009"),
        (
            "[authorization]\noperators = [\"ops\"]\n[people.bob]\nbroker_users = [\"a\"]\n",
            "authorization.operators: ops is in nobody's",
        ),
        (
            "[people.bob]\nbroker_users = [\"a\"]\n[people.BOB]\nbroker_users = [\"b\"]\n",
            "people.bob: is spelled like BOB",
        ),
    ] {
        let error = load_with(&format!("{BASE}{MAIN}\n{text}"), &[]).err().expect("it must be refused");
        assert!(error.to_string().contains(refusal), "{error}");
    }
    let shared = "[people.a]\nbroker_users = [\"soc\"]\n[people.b]\nbroker_users = [\"soc\"]\n";
    assert_eq!(
        as_told(shared, &[]).as_object().map(serde_json::Map::len),
        Some(2),
        "a broker user may be several persons'"
    );
}
