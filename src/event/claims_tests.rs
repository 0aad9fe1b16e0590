//! What a token says of itself, in the target that it becomes.

use std::time::Duration;

use serde_json::{Value, json};

use super::tests::{NOW, TTL, jwt, jwt_of, only};
use crate::target::TokenIssuer;

#[test]
fn integers_are_names_and_one_odd_claim_hides_no_other() {
    for payload in [
        r#"{"jti":12,"iss":3,"sub":1000385,"sid":-4,"azp":77}"#,
        r#"{"jti":"12","iss":"3","name":"J\ud83d","sub":"1000385","sid":"-4","client_id":"77",
            "azp":"other"}"#,
        r#"{"balance":1e400,"jti":"12","iss":"3","sub":"1000385","sid":"-4","client_id":77}"#,
        "\u{feff}{\"jti\":\"12\",\"iss\":\"3\",\"x\":NaN,\"sub\":\"1000385\",\"sid\":\"-4\",\"azp\":\"77\"}",
    ] {
        let target = only(json!({ "token": jwt_of(payload) }));
        let names = [&target.sub, &target.sid, &target.client_id, &target.iss].map(Option::as_deref);
        assert_eq!(names, ["1000385", "-4", "77", "3"].map(Some), "{payload}");
        let token = target.token().expect("a token");
        assert_eq!(
            (token.jti.as_deref(), &token.jti_iss),
            (Some("12"), &TokenIssuer::Named("3".to_owned())),
            "{payload}"
        );
    }
    for dropped in
        [r#"{"sub":1.5}"#, r#"{"sub":""}"#, r#"{"sub":"a\u0000b"}"#, r#"{"sub":[7]}"#, r#"{"sub":true}"#]
    {
        assert_eq!(only(json!({ "token": jwt_of(dropped) })).sub, None, "{dropped}");
    }
}

#[test]
fn a_jti_is_the_tokens_own_issuers_whatever_the_event_says() {
    let issuer = |claims: Value| {
        let target = only(json!({ "token": jwt(&claims), "iss": "said" }));
        target.token().expect("a token").jti_iss.clone()
    };
    assert_eq!(issuer(json!({ "jti": "j", "iss": "own" })), TokenIssuer::Named("own".to_owned()));
    assert_eq!(issuer(json!({ "jti": "j", "iss": 5 })), TokenIssuer::Named("5".to_owned()));
    assert_eq!(issuer(json!({ "jti": "j", "iss": [] })), TokenIssuer::None);
    assert_eq!(issuer(json!({ "jti": "j" })), TokenIssuer::None);
    assert_eq!(issuer(json!({ "iss": "own" })), TokenIssuer::NotSaid);
}

#[test]
fn an_exp_beyond_reason_bounds_denial_and_budget_alike() {
    for exp in [json!(253_402_300_799_i64), json!(9_999_999_999_999_i64), json!(1e300), json!(u64::MAX)] {
        let target = only(json!({ "token": jwt(&json!({ "exp": exp })) }));
        assert_eq!((target.deny_until, target.token_expires_at()), (NOW + TTL, Some(NOW + TTL)), "{exp}");
    }
    let within = (NOW + Duration::from_secs(3600)).unix_timestamp();
    for exp in [within, within * 1000, within * 1_000_000, within * 1_000_000_000] {
        let target = only(json!({ "token": jwt(&json!({ "exp": exp })) }));
        assert_eq!(
            [target.deny_until, target.token_expires_at().unwrap()],
            [NOW + Duration::from_secs(3600); 2],
            "{exp}"
        );
    }
}
