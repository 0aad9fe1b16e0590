use super::*;

const KEYS: &str =
    "new:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=,old:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
const SIGNING: &str = "audit:nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A=";

fn environment(variables: &[(&str, &str)]) -> Environment {
    Environment::new(variables.iter().copied())
}

fn signer(variables: &[(&str, &str)]) -> String {
    let variables = [&[("DATABASE_URL", "postgres://db/revocation")], variables].concat();
    let settings =
        ExportSettings::load(None, &environment(&variables)).unwrap_or_else(|error| panic!("{error}"));
    settings.signing_key.signer().key_id
}

fn trusted(variables: &[(&str, &str)]) -> Vec<String> {
    let settings =
        VerifySettings::load(None, &environment(variables)).unwrap_or_else(|error| panic!("{error}"));
    settings.trusted.iter().map(ToString::to_string).collect()
}

#[test]
fn the_first_sealing_key_signs_and_those_of_all_are_trusted() {
    assert_eq!(signer(&[("SEALING_KEYS", KEYS)]), "sealing:new");
    let [new, old] = &trusted(&[("SEALING_KEYS", KEYS)])[..] else { panic!("two keys") };
    assert!(new != old);
    assert_eq!(old, "MCowBQYDK2VwAyEAPy67kWnsXEa+DBlDm0ywtFaR4T3nUGfWjPOoU1pZMao=");
}

#[test]
fn a_key_of_its_own_signs_and_is_trusted_alone() {
    let both = [("SEALING_KEYS", KEYS), ("EVIDENCE_SIGNING_KEY", SIGNING)];
    assert_eq!(signer(&both), "audit");
    assert_eq!(trusted(&both), ["MCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="]);
}

#[test]
fn verifying_does_without_any_key_and_exporting_does_not() {
    assert!(trusted(&[]).is_empty());
    let error =
        ExportSettings::load(None, &environment(&[("DATABASE_URL", "postgres://db/revocation")])).err();
    let sentence = "evidence.signing_key: not set; and sealing.keys, from whose first key one would be \
        derived, is not set either";
    assert!(error.is_some_and(|error| error.to_string().starts_with(sentence)));
}

#[test]
fn a_bad_key_is_refused_whoever_reads_it_and_is_not_quoted() {
    for (variable, value, sentence) in [
        (
            "EVIDENCE_SIGNING_KEY",
            "secret",
            "evidence.signing_key (from EVIDENCE_SIGNING_KEY): has no colon between id and key; ",
        ),
        ("REVOCATION__EVIDENCE__SIGNING_KEY", "a:secret", "has a key that is not padded standard base64"),
        ("EVIDENCE_SIGNING_KEY_FILE", "/no/such/file", "cannot read /no/such/file"),
        (
            "SEALING_KEYS",
            "a:c2VjcmV0",
            "sealing.keys (from SEALING_KEYS): entry 1 has a key that is not 32 bytes long",
        ),
    ] {
        let environment = environment(&[("DATABASE_URL", "postgres://db/revocation"), (variable, value)]);
        let errors =
            [ExportSettings::load(None, &environment).err(), VerifySettings::load(None, &environment).err()];
        for problems in
            errors.into_iter().map(|error| error.map(|error| error.problems().to_vec()).unwrap_or_default())
        {
            let [problem] = &problems[..] else { panic!("one problem expected: {problems:?}") };
            assert!(problem.contains(sentence) && !problem.contains("secret"), "{problem}");
        }
    }
}
