use proptest::prelude::*;
use serde_json::json;

use super::*;

fn value(text: &str) -> Value {
    parse(text).unwrap_or_else(|| panic!("{text} holds JSON")).value
}

#[test]
fn an_error_is_found_whatever_stands_beside_it() {
    let odd = [
        r#"{"error":"e","load":NaN}"#,
        r#"{"load":-Infinity,"error":"e"}"#,
        r#"{"n":1e400,"error":"e"}"#,
        r#"{"name":"J\ud83d","error":"e"}"#,
        r#"{"error":"e",}"#,
        "{'error':'e'}",
        "{error:\"e\"}",
        "{\"error\":\"e\" /* see log */}",
        "{\"note\":\"a\u{1}b\n\",\"error\":\"e\"}",
        r#"{"ok":False,"error":"e"}"#,
        ")]}',\n{\"error\":\"e\"}",
        "callback({\"error\":\"e\"});",
        "for(;;);{\"error\":\"e\"}",
        r#"{"error":"e","error_description":"cut of"#,
        r#"{"\u0065rror":"\u0065"}"#,
        r#"{"error":"e"}</body>"#,
    ];
    for text in odd {
        assert_eq!(value(text)["error"], "e", "{text}");
    }
    let deep = format!("{{\"a\":{}{},\"error\":\"e\"}}", "[".repeat(5000), "]".repeat(5000));
    assert_eq!(value(&deep)["error"], "e");
    let long = format!("{{\"n\":{},\"error\":\"e\"}}", "9".repeat(400));
    assert_eq!(value(&long)["error"], "e");
}

#[test]
fn what_comes_twice_is_not_believed_alone() {
    assert_eq!(value(r#"{"error":"a","error":"b"}"#)["error"], json!(["a", "b"]));
    assert_eq!(value(r#"{"active":true,"\u0061ctive":false}"#)["active"], json!([true, false]));
    assert_eq!(value(r#"{"error":"a","error":"a"}"#)["error"], "a");
    assert_eq!(value(r#"{"a":1,"a":2,"a":3}"#), json!({ "a": [1, 2, 3] }));
    let often: String = (0..100_000).map(|number| format!("\"a\":{number},")).collect();
    assert_eq!(value(&format!("{{{often}}}"))["a"].as_array().map(Vec::len), Some(100_000));
    assert_eq!(value("{\"ok\":true}\n{\"error\":\"e\"}"), json!([{ "ok": true }, { "error": "e" }]));
}

#[test]
fn only_what_is_whole_can_say_yes() {
    for text in [r#"{"active":false}"#, " {\"active\":false,\"x\":NaN}\n", "[]", "true", r#"{"n":1e400}"#] {
        assert!(parse(text).is_some_and(|document| document.is_whole), "{text}");
    }
    for text in [
        r#"{"active":false"#,
        r#"{"active":false}}"#,
        r#"{"active":false,"x":"y"#,
        "x({\"active\":false})",
        "{active:nope}",
        "[1",
    ] {
        assert!(parse(text).is_some_and(|document| !document.is_whole), "{text}");
    }
}

#[test]
fn plain_text_is_no_json() {
    for text in
        ["", "OK", "{", "{{ template }}", "<html>{\"error\":1}", "revoked [sic] {", "error=invalid_token"]
    {
        assert!(parse(text).is_none(), "{text}");
    }
}

proptest! {
    #[test]
    fn json_is_read_as_a_strict_parser_reads_it(
        name in "[a-z]{1,5}",
        text in any::<String>(),
        number in any::<i64>(),
        flag in any::<bool>(),
    ) {
        let written = json!({ name: { "text": text, "list": [number, flag, null, 1.5] } });
        let document = parse(&written.to_string()).unwrap();
        prop_assert!(document.is_whole);
        prop_assert_eq!(document.value, written);
    }

    #[test]
    fn no_text_makes_it_panic(text in "[\\[\\]{}\"'\\\\ux:,/*0-9a-fé \u{0}]{0,200}") {
        parse(&text);
    }
}
