use super::*;

fn json(line: &str) -> Result<(Option<String>, String), String> {
    RawTarget::of_json(line.as_bytes()).map(|raw| (raw.provider, raw.json.to_string()))
}

#[test]
fn the_provider_is_taken_out_and_the_rest_stays_as_written() {
    assert_eq!(json(r#"{"sub":"u"}"#), Ok((None, r#"{"sub":"u"}"#.to_owned())));
    assert_eq!(
        json(r#" { "provider" : "main", "sid":"s" , "sub":null}"#),
        Ok((Some("main".to_owned()), r#"{"sid":"s"}"#.to_owned()))
    );
    assert_eq!(json(r#"{"provider":null}"#), Ok((None, "{}".to_owned())));
    assert_eq!(
        json(r#"{"sub":"a","sub":"b"}"#),
        Ok((None, r#"{"sub":"a","sub":"b"}"#.to_owned())),
        "for the event's rules to refuse"
    );
}

#[test]
fn a_line_is_one_object_with_known_members() {
    for (line, sentence) in [
        (r#"{"sub":"a"},{"iss":"i"}"#, "is not JSON: trailing characters at column 12"),
        (r#"[{"sub":"secret"}]"#, "must be a JSON object, one a line"),
        (r#""secret""#, "must be a JSON object, one a line"),
        (r#"{"sub":"secret"#, "is not JSON: EOF while parsing a string at column 14"),
        (r#"{"provider":["secret"]}"#, "provider must be a string"),
        (r#"{"provider":"a","provider":"b"}"#, "provider is given twice"),
        (
            r#"{"sub":"u","tokn":"secret"}"#,
            "has a member tokn that is not known; known are token, token_type_hint, sub,",
        ),
        (
            r#"{"eyJhbGciOi.secret":1}"#,
            "has a member (its name is not shown, as it may be a credential) that is not known",
        ),
    ] {
        let why = json(line).unwrap_err();
        assert!(why.starts_with(sentence) && !why.contains("secret"), "{why}");
    }
}

#[test]
fn an_empty_member_does_not_make_a_target_of_everybody() {
    let check = |line: &str, kind| RawTarget::of_json(line.as_bytes()).unwrap().check_width(kind);
    let why = check(r#"{"token":null,"client_id":"c"}"#, Kind::Client).unwrap_err();
    assert!(
        why.starts_with("token is empty, and without it the line would mean everybody at its client_id"),
        "{why}"
    );
    let why = check(r#"{"client_id":null,"iss":"i"}"#, Kind::Issuer).unwrap_err();
    assert!(
        why.starts_with("client_id is empty, and without it the line would mean everybody at its iss"),
        "{why}"
    );
    assert!(check(r#"{"sub":null,"iss":"i"}"#, Kind::Issuer).is_err());
    for (line, kind) in [
        (r#"{"client_id":"c","iss":null}"#, Kind::Client),
        (r#"{"iss":"i"}"#, Kind::Issuer),
        (r#"{"token":null,"sub":"u"}"#, Kind::Subject),
    ] {
        assert_eq!(check(line, kind), Ok(()), "{line}");
    }
}

#[test]
fn values_are_quoted_as_json_quotes_them() {
    let raw = RawTarget::of_members([("sub", "a\"b\\"), ("provider", "p")]).unwrap();
    assert_eq!((raw.provider.as_deref(), raw.json.as_str()), (Some("p"), r#"{"sub":"a\"b\\"}"#));
}

#[test]
fn every_name_is_what_a_person_sees_however_it_is_written() {
    for name in ["sub", "sid", "client_id", "iss", "provider"] {
        for value in [
            "u ",
            " u",
            "u\u{a0}",
            "u\u{200b}",
            "\u{feff}u",
            "u\u{2028}",
            "a\u{202e}b",
            "a\tb",
            "a\rb",
            "a\0b",
            "a\u{1b}[2Jb",
            " ",
        ] {
            let escaped = value.chars().map(|c| format!("\\u{:04x}", u32::from(c))).collect::<String>();
            let raw = serde_json::Value::from(value).to_string();
            for line in [format!(r#"{{"{name}":{raw}}}"#), format!(r#"{{"{name}":"{escaped}"}}"#)] {
                let why = json(&line).unwrap_err();
                assert!(why.starts_with(&format!("{name} ")) && why.contains("remove it"), "{line}: {why}");
            }
            assert!(RawTarget::of_members([(name, value)]).is_err(), "{value:?}");
        }
    }
    assert!(json(r#"{"sub":"John Smith","iss":"https://id.example.com/ü"}"#).is_ok());
    assert!(json(r#"{"token":"a b"}"#).is_ok(), "for the event's rules to refuse");
}

#[test]
fn only_words_are_repeated() {
    assert!(["tokn", "Client ID", "tokenTypeHint", "access-token"].map(is_plain) == [true; 4]);
    assert!(["", "a1", "sKxUvQrTyPmN", "abcdefghijklmnopqrstu", "tok\u{1b}[2J"].map(is_plain) == [false; 5]);
}
