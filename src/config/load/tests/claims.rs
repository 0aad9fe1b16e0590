//! `subject_claims` and `client_claims`: presets, what replaces them, and in whose tokens they count.

use super::*;
use crate::config::ClaimNames;

const GENERIC: &str = "kind = 'rfc7009'\nrevocation_endpoint = 'https://id.example.com/revoke'\nclient_id = \
    'a'\nclient_secret = 'b'\n";
const OKTA: &str = "kind = 'okta'\nbase_url = 'https://example.okta.com/'\napi_token = 't'\n";

fn names(lines: &str) -> ClaimNames {
    load(&format!("{BASE}\n[providers.main]\n{lines}")).providers["main"].claims.clone()
}

fn expected(subject: &[&str], client: &[&str], issuer: Option<&str>) -> ClaimNames {
    let list = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    ClaimNames { subject: list(subject), client: list(client), issuer: issuer.map(str::to_owned), twin: None }
}

#[test]
fn presets_of_products() {
    let custom = format!("{OKTA}authorization_server_id = 'aus1'\nclient_id = 'a'\nclient_secret = 'b'\n");
    assert_eq!(names(OKTA), expected(&["uid"], &["cid"], Some("https://example.okta.com")));
    assert_eq!(names(&custom), expected(&["uid"], &["cid"], Some("https://example.okta.com/oauth2/aus1")));
    assert_eq!(
        names(&format!("{custom}issuer = 'https://id.example.com/'")),
        expected(&["uid"], &["cid"], Some("https://id.example.com/"))
    );
    let tenant = "11111111-2222-3333-4444-555555555555";
    for (issuer, twin) in [
        ("https://login.microsoftonline.com/{}/v2.0", Some("https://sts.windows.net/{}/")),
        ("https://LOGIN.microsoftonline.us/{}/v2.0", Some("https://sts.windows.net/{}/")),
        ("https://login.partner.microsoftonline.cn/{}/v2.0", Some("https://sts.chinacloudapi.cn/{}/")),
        ("https://login.windows.net/{}/", Some("https://sts.windows.net/{}/")),
        ("https://sts.windows.net/{}/", Some("https://login.microsoftonline.com/{}/v2.0")),
        ("https://sts.chinacloudapi.cn/{}/", Some("https://login.partner.microsoftonline.cn/{}/v2.0")),
        ("https://shop.ciamlogin.com/{}/v2.0", None),
        ("https://login.microsoftonline.com", None),
    ] {
        let (issuer, twin) = (issuer.replace("{}", tenant), twin.map(|twin| twin.replace("{}", tenant)));
        let expected = ClaimNames { twin, ..expected(&["oid"], &["appid"], Some(&issuer)) };
        assert_eq!(names(&format!("{GENERIC}issuer = '{issuer}'")), expected, "{issuer}");
    }
    for issuer in [
        "https://example.okta.com",
        "https://example.oktapreview.com/oauth2/default",
        "https://example.okta-emea.com/oauth2/aus1",
    ] {
        assert_eq!(
            names(&format!("{GENERIC}issuer = '{issuer}'")),
            expected(&["uid"], &["cid"], Some(issuer)),
            "{issuer}"
        );
    }
}

#[test]
fn others_have_no_preset() {
    assert_eq!(names(GENERIC), ClaimNames::default());
    for issuer in [
        "https://id.example.com",
        "https://login.microsoftonline.com.example.com/",
        "https://x/sts.windows.net/",
        "sts.windows.net",
    ] {
        assert_eq!(
            names(&format!("{GENERIC}issuer = '{issuer}'")),
            expected(&[], &[], Some(issuer)),
            "{issuer}"
        );
    }
    let keycloak = "kind = 'keycloak'\nbase_url = 'https://id.example.com'\nrealm = 'r'\nclient_id = \
        'a'\nclient_secret = 'b'\n";
    assert_eq!(names(keycloak), ClaimNames::default());
}

#[test]
fn settings_replace_presets_one_by_one() {
    let issuer = Some("https://example.okta.com");
    assert_eq!(names(&format!("{OKTA}subject_claims = []")), expected(&[], &["cid"], issuer));
    assert_eq!(
        names(&format!("{OKTA}client_claims = []\nsubject_claims = ['uid', 'login']")),
        expected(&["uid", "login"], &[], issuer)
    );
    assert_eq!(
        names(&format!("{GENERIC}subject_claims = ['user_id']\nclient_claims = 'app, appid'")),
        expected(&["user_id"], &["app", "appid"], None)
    );
    let variable = [("REVOCATION__PROVIDERS__MAIN__SUBJECT_CLAIMS", "[]")];
    let config = load_with(&format!("{BASE}\n[providers.main]\n{OKTA}"), &variable)
        .unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(config.providers["main"].claims, expected(&[], &["cid"], issuer));
}

#[test]
fn names_that_cannot_be_meant() {
    let long = "x".repeat(201);
    let nine = "['1', '2', '3', '4', '5', '6', '7', '8', '9']".to_owned();
    for (names, sentence) in [
        (nine, "at most 8 names of claims, each of 1 to 200 bytes"),
        ("['uid', '']".to_owned(), "at most 8 names of claims, each of 1 to 200 bytes"),
        (format!("['{long}']"), "at most 8 names of claims, each of 1 to 200 bytes"),
        (r#"["a\u0000b"]"#.to_owned(), "at most 8 names of claims, each of 1 to 200 bytes"),
        ("['sub']".to_owned(), "sub is a standard claim"),
        ("['uid', 'iss']".to_owned(), "iss is a standard claim"),
        ("['azp']".to_owned(), "azp is a standard claim"),
        ("7".to_owned(), "must be a list of strings"),
    ] {
        for key in ["subject_claims", "client_claims"] {
            let found = problems(&format!("{BASE}\n[providers.main]\n{GENERIC}{key} = {names}"), &[]);
            let [problem] = &found[..] else { panic!("one problem with {names}: {found:#?}") };
            assert!(
                problem.starts_with(&format!("providers.main.{key}: ")) && problem.contains(sentence),
                "{problem}"
            );
        }
    }
    assert_eq!(names(&format!("{GENERIC}subject_claims = ['{}']", &long[1..])).subject.len(), 1);
}

#[test]
fn all_providers_together_name_what_a_verifier_takes() {
    let listing = |first: u32, count: u32| {
        let names: Vec<String> = (first..first + count).map(|number| format!("'n{number}'")).collect();
        names.join(", ")
    };
    let providers = |sections: u32, more: &str| {
        let section = |number: u32| {
            format!(
                "[providers.p{number}]\n{GENERIC}subject_claims = [{}]\nclient_claims = [{}]\n",
                listing(number * 8, 8),
                listing(0, 8)
            )
        };
        format!(
            "{BASE}\n{}[providers.more]\n{GENERIC}subject_claims = [{more}]\n",
            (0..sections).map(section).collect::<String>()
        )
    };
    assert_eq!(load(&providers(3, "'n0', 'n1'")).providers.len(), 4, "the same names count once");
    let found = problems(&providers(3, "'n0', 'one-more'"), &[]);
    let [problem] = &found[..] else { panic!("one problem: {found:#?}") };
    assert!(
        problem.starts_with("providers: ") && problem.contains("list 33 different names; verifiers take 32"),
        "{problem}"
    );
}
