//! Errors of calls, where there is no room for all of one.

/// What tells most of a call's error, first: the status and the code of its answer, or why there was none;
/// without what was called, which is the same for all calls to a provider.
pub fn brief(error: &str) -> &str {
    let said = |between: &str| {
        let (called, said) = error.split_once(between)?;
        let (method, address) = called.split_once(' ')?;
        let is_call = method.bytes().all(|byte| byte.is_ascii_uppercase()) && !address.contains(' ');
        is_call.then_some(said)
    };
    said(" answered ").or_else(|| said(" failed: ")).unwrap_or(error)
}

#[cfg(test)]
mod tests {
    use super::brief;

    #[test]
    fn the_status_and_the_code_come_first() {
        let at = "POST https://id.example.com/realms/a/protocol/openid-connect/revoke";
        for (error, wanted) in [
            (format!("{at} answered 401 invalid_client: no; wait"), "401 invalid_client: no; wait"),
            (format!("{at} answered 503; will be tried again"), "503; will be tried again"),
            (format!("{at} failed: no answer within timeout; x"), "no answer within timeout; x"),
            (format!("{at} answered 400 failed: answered 1"), "400 failed: answered 1"),
            ("the worker stopped before it answered 1".to_owned(), "the worker stopped before it answered 1"),
            ("the call answered nothing".to_owned(), "the call answered nothing"),
            (String::new(), ""),
        ] {
            assert_eq!(brief(&error), wanted);
        }
    }
}
