use super::*;

const TOKEN: &str = "t0k/Canary+77==";

#[test]
fn every_spelling_tells() {
    let spellings = [
        "t0k/Canary+77==",
        "t0k&#47;Canary&#43;77",
        "t0k&#x2F;Canary&#x2b;77",
        "t0k&sol;Canary&plus;77",
        "t0k\\u002FCanary\\u002B77",
        "t0k%2FCanary%2B77",
        "t0k%252fCanary%252b77",
        "t0k Canary 77",
        "t0k/Can ary+77",
        "t0k<b>/Can</b>ary",
        "\"t0k\", \"Canary\"",
        "t.0.k.C.a.n.a.r.y",
        "T0K/CANARY",
        "&#116;0k/&#x43;anary",
        "\\x740k/Canary",
        "\\u{74}0k/Canary",
        "&amp;#116;0k/Canary",
        "dDBrL0NhbmFyeSs3Nz09",
        "xxxdDBrL0NhbmFyeSs3Nz09",
        "74306b2f43616e617279",
        "ｔ0ｋ/Ｃanary",
        "t0k\u{200b}Ca\u{ad}nary",
        "=740k/Canary",
        "<t0k/Canary+77==>",
        "%u0074%u0030k/Canary",
        "\\1640k/Canary",
        "\\U000000740k/Canary",
        "0x74, 0x30, 0x6b, 0x2f, 0x43",
        "[116, 48, 107, 47, 67]",
        "k/Canary+7",
    ];
    for text in spellings {
        assert!(tells(&format!("no such token: {text}, sorry"), &[TOKEN]), "{text}");
    }
    let inside = base64::engine::general_purpose::URL_SAFE.encode(format!("x {TOKEN} y"));
    assert!(tells(&inside, &[TOKEN]));
}

#[test]
fn pieces_apart_tell() {
    let texts = [
        "first t0kCa, then nary+7",
        "a=nary+7&b=t0k/Ca",
        "t0k&#47;Ca ... is followed by %6eary%2B7",
        "dDBrL of 20, s3Nz0 of 20",
    ];
    for text in texts {
        assert!(tells(text, &[TOKEN]), "{text}");
    }
    assert!(!tells("0t0kCat, 0t0kCat", &[TOKEN]), "the same piece again");
}

#[test]
fn plain_words_do_not() {
    for text in ["token unknown", "t0k Can", "invalid_request: the canary sings &amp; 100% <b>fine</b>", ""] {
        assert!(!tells(text, &[TOKEN]), "{text}");
    }
    assert!(!tells("the user is unknown", &["us", "", "+"]), "words are not looked for in pieces");
    assert!(tells("user u-123 is unknown", &["u-123"]));
}

#[test]
fn a_part_of_a_secret_is_known() {
    assert!(
        is_part("Canary", &[TOKEN])
            && is_part("0K_CAN", &[TOKEN])
            && !is_part("can", &[TOKEN])
            && !is_part("invalid", &[TOKEN])
    );
}
