//! A yes that is none: what in the body of a 2xx says that nothing was done. Firewalls, gateways and back
//! ends for front ends answer so.
//!
//! Names count in any case and without what joins their words: `has_error`, `hasError` and `Has-Error` are
//! one. Only the envelopes that servers wrap answers in are looked into: what else lies deeper may speak of
//! anything.

use serde_json::{Map, Value};

use super::body::Body;
use super::lenient;

/// Deepest envelope.
const MAX_DEPTH: usize = 8;

/// Beside every name that begins with one of [`ERROR_BEGINNINGS`] or ends with one of [`ERROR_ENDINGS`]:
/// whatever is said there is an error.
const ERRORS: &str = "\
    isfailed isfailure faultstring faultcode stacktrace problem problems blocked isblocked requestblocked \
    notrevoked denied accessdenied rejected forbidden unauthorized throttled challenge captcha \
    captcharequired captchaurl loginrequired requireslogin authenticationrequired invalid active \
    unsuccessful blockscript cprchlge";
const ERROR_BEGINNINGS: &str = "err fail exception";
const ERROR_ENDINGS: &str = "error errors exception fault failure failures failed";
/// A no here is a failure, and so is one under a name that ends with one of [`SUCCESS_ENDINGS`].
const SUCCESSES: &str = "\
    ok isok acknowledged accepted done completed succeed succes allow allowed isallowed authorized \
    isauthorized";
const SUCCESS_ENDINGS: &str = "success successful successfully succeeded revoked invalidated loggedout";
/// Words and numbers here may tell of a failure.
const STATES: &str = "\
    status state stat result outcome response responsestatus code statuscode statustext httpstatus httpcode \
    httpstatuscode responsecode resultcode returncode resultstatus statusmessage statusdescription \
    requeststatus revocationstatus revokestatus operationstatus logoutstatus apistatus callstatus \
    requeststate operationstate revocationresult revokeresult operationresult revocationoutcome \
    responsemessage resultmessage message msg detail title reason ret retcode rc type level severity \
    decision verdict action";
/// Where the answer itself may lie.
const ENVELOPES: &str = "\
    data result results response responses responsemetadata revocation revoke items body payload meta \
    metadata header head return d content output status reply envelope";
/// And where a call is named by what it does, as in GraphQL.
const CALLS: [&str; 4] = ["revoke", "revocation", "logout", "signout"];
/// A state that begins like this is a failure.
const BAD_BEGINNINGS: &str = "err fail denied forbid unauthor reject block exception fault";
/// So is one that is exactly this.
const BAD_WORDS: &str = "\
    err ko nok notok no false invalid accessdenied badrequest unavailable serviceunavailable badgateway \
    gatewaytimeout timeout internalerror internalservererror toomanyrequests aborted bad ng notfound \
    unsuccessful unauthenticated invalidrequest invalidclient challenge captcha loginrequired deny nack nok \
    fatal critical internal invalidargument unimplemented notimplemented methodnotallowed resourceexhausted \
    deadlineexceeded unprocessableentity unsupportedmediatype";
/// So is one that ends like this.
const BAD_ENDINGS: &str = "error exception failed failure denied blocked";
/// So is a message that ends or begins like this.
const PROSE_ENDINGS: &str = "\
    failed denied blocked notallowed unavailable timedout exceeded mismatch unauthorized forbidden \
    notimplemented";
const BAD_PROSE: &str = "\
    error fail denied accessdenied permissiondenied forbidden unauthorized notauthorized notallowed rejected \
    blocked \
    requestblocked badrequest badgateway internalservererror serviceunavailable \
    endpointrequesttimedout limitexceeded userisnotauthorized anerror notfound \
    notauthenticated unauthenticated authenticationrequired authenticationcredentials \
    authorizationhasbeendenied loginrequired invalidclient invalidcredentials invalidapikey noroutematched \
    apiratelimitexceeded invalidauthentication invalidcsrf csrf noapikey youripaddress youraccount toomany \
    ratelimit missing insufficient servererror unknownerror internalerror unexpected somethingwentwrong \
    timeout upstream aninvalidresponse unabletorevoke couldnotrevoke cannotrevoke pleaselogin pleasesignin \
    thisservice";
/// Words of an error member that say that there is none.
const NO_ERROR: &str = "false no none null nil ok success succeeded na noerror";

/// What the body says against a 2xx, in words of our own.
pub(super) fn of(body: &Body) -> Option<&'static str> {
    match body {
        Body::Page => Some("an HTML page"),
        Body::Encoded => Some("a body that is no text"),
        Body::Challenge => Some("a firewall's challenge"),
        Body::Garbled => Some("broken JSON"),
        Body::Cut(_) => Some("a body too long to be read whole"),
        Body::Empty | Body::Text => None,
        Body::Within(value) => within(value, 0),
        Body::Json(_) | Body::Fields(_) => {
            let is_broken = body.is_broken().then_some("broken JSON");
            body.members().and_then(|members| within(members, 0)).or(is_broken)
        }
    }
}

fn within(value: &Value, depth: usize) -> Option<&'static str> {
    match value {
        Value::Bool(false) if depth == 0 => Some("a plain false"),
        Value::String(text) if is_bad_word(&joined(text)) => Some("a plain error"),
        Value::Object(members) => {
            members.iter().find_map(|(name, value)| member(name, value)).or_else(|| deeper(members, depth))
        }
        Value::Array(values) if depth < MAX_DEPTH => values.iter().find_map(|value| within(value, depth + 1)),
        _ => None,
    }
}

fn deeper(members: &Map<String, Value>, depth: usize) -> Option<&'static str> {
    let envelopes = members.iter().filter(|(name, _)| depth < MAX_DEPTH && is_envelope(&joined(name)));
    envelopes.into_iter().find_map(|(_, value)| match value {
        // Lambda's proxies hand a body on as text.
        Value::String(text) if text.trim_start().starts_with(['{', '[']) => {
            within(&lenient::parse(text)?.value, depth + 1)
        }
        value => within(value, depth + 1),
    })
}

fn member(name: &str, value: &Value) -> Option<&'static str> {
    let joined = joined(name);
    let name = joined.as_str();
    // What comes twice counts with each of its values, and errors come in lists.
    if let (Value::Array(values), false) = (value, is_error(name)) {
        return values.iter().filter(|value| !value.is_object()).find_map(|value| member(name, value));
    }
    if is_error(name) && says_something(value) {
        return Some("an error");
    }
    if is_success(name) && is_no(value) {
        return Some("a false success");
    }
    (is_in(STATES, name) && is_bad(name, value)).then_some("a status of failure")
}

fn is_envelope(name: &str) -> bool {
    is_in(ENVELOPES, name) || CALLS.iter().any(|call| name.contains(call))
}

fn is_success(name: &str) -> bool {
    let is_denied = || ["un", "not", "in"].iter().any(|beginning| name.starts_with(beginning));
    is_in(SUCCESSES, name) || (words(SUCCESS_ENDINGS).any(|ending| name.ends_with(ending)) && !is_denied())
}

fn is_error(name: &str) -> bool {
    let begins = || words(ERROR_BEGINNINGS).any(|beginning| name.starts_with(beginning));
    let ends = || words(ERROR_ENDINGS).any(|ending| name.ends_with(ending));
    is_in(ERRORS, name) || (!matches!(name, "noerror" | "failover") && (begins() || ends()))
}

fn says_something(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(flag) => *flag,
        Value::Number(number) => !matches!(number.as_f64(), Some(0.0 | 200.0)),
        Value::String(text) => {
            !says_none(&joined(text)) && !text.bytes().all(|byte| byte == b'0') && text.trim() != "200"
        }
        Value::Array(values) => values.iter().any(says_something),
        // A "no" in it is a message, and not the word that there is no error.
        Value::Object(members) => members
            .values()
            .any(|value| says_something(value) || value.as_str().is_some_and(|text| joined(text) == "no")),
    }
}

fn is_no(value: &Value) -> bool {
    match value {
        Value::Bool(flag) => !flag,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => {
            matches!(text.trim(), "" | "0" | "n" | "N" | "f" | "F") || is_bad_word(&joined(text))
        }
        Value::Null => true,
        _ => false,
    }
}

fn is_bad(name: &str, value: &Value) -> bool {
    match value {
        Value::Bool(flag) => !flag && !is_prose(name),
        Value::Number(number) => {
            number.as_f64().is_some_and(|number| number < 0.0)
                || number.as_u64().is_some_and(is_failing_status)
        }
        // Of prose only the beginning counts; AWS names its errors in a type.
        Value::String(text) if is_prose(name) => {
            let text = joined(text);
            words(BAD_PROSE).any(|beginning| text.starts_with(beginning))
                || words(PROSE_ENDINGS).any(|ending| text.ends_with(ending))
        }
        Value::String(text) if name == "type" => {
            ["exception", "error", "fault"].iter().any(|ending| joined(text).ends_with(ending))
        }
        Value::String(text) => {
            is_bad_word(&joined(text))
                || text.trim().get(..3).and_then(|code| code.parse().ok()).is_some_and(is_failing_status)
        }
        _ => false,
    }
}

fn is_prose(name: &str) -> bool {
    name.ends_with("message") || matches!(name, "msg" | "detail" | "title" | "reason" | "statusdescription")
}

fn is_bad_word(word: &str) -> bool {
    is_in(BAD_WORDS, word)
        || words(BAD_BEGINNINGS).any(|beginning| word.starts_with(beginning))
        || words(BAD_ENDINGS).any(|ending| word.ends_with(ending) && !says_none(word))
}

fn is_failing_status(number: u64) -> bool {
    (400..600).contains(&number)
}

fn words(list: &'static str) -> impl Iterator<Item = &'static str> {
    list.split(' ')
}

fn is_in(list: &'static str, word: &str) -> bool {
    words(list).any(|listed| listed == word)
}

/// Whether a word of an error member says that there is no error.
fn says_none(word: &str) -> bool {
    word.is_empty() || is_in(NO_ERROR, word)
}

/// Letters and digits alone, small.
fn joined(name: &str) -> String {
    name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests;
