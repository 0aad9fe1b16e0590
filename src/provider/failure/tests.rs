use super::*;

fn said(body: &str) -> Option<&'static str> {
    of(&Body::read(body.as_bytes(), None, None))
}

#[test]
fn errors_are_no_yes() {
    let bodies = [
        r#"{"error":"oops"}"#,
        r#"{"operationSuccess":false}"#,
        r#"{"wasSuccess":false}"#,
        r#"{"tokenRevoked":false}"#,
        r#"{"token_revoked":0}"#,
        r#"{"Success":"F"}"#,
        r#"{"hasFailed":true}"#,
        r#"{"unsuccessful":true}"#,
        r#"{"revocationStatus":"FAILED"}"#,
        r#"{"requestStatus":"ERROR"}"#,
        r#"{"data":{"revokeToken":{"success":false}}}"#,
        r#"{"data":{"data":{"data":{"data":{"data":{"success":false}}}}}}"#,
        r#"{"message":"not allowed"}"#,
        r#"{"error":{"code":7,"message":"no"}}"#,
        r#"{"error":true}"#,
        r#"{"error":1}"#,
        r#"{"errors":[{"message":"Unauthorized"}],"data":null}"#,
        r#"{"errors":{"token":["is unknown"]}}"#,
        r#"{"error_code":"E17"}"#,
        r#"{"errorCode":40001,"errorSummary":"x"}"#,
        r#"{"errcode":40001,"errmsg":"invalid credential"}"#,
        r#"{"Error":"x"}"#,
        r#"{"has_error":true}"#,
        r#"{"oauthError":"x"}"#,
        r#"{"errorMessage":"Task timed out","errorType":"Timeout"}"#,
        r#"{"fault":{"faultstring":"Invalid ApiKey","detail":{}}}"#,
        r#"{"exception":"java.lang.NullPointerException"}"#,
        r#"{"__type":"com.amazon.coral.service#InternalFailureException"}"#,
        r#"{"jsonrpc":"2.0","error":{"code":-32603},"id":1}"#,
        r#"[{"errorCode":"INVALID_SESSION_ID","message":"x"}]"#,
        r#"{"data":{"error":"x"}}"#,
        r#"{"statusCode":200,"body":"{\"error\":\"x\"}"}"#,
        r#"{"error":"x","error":null}"#,
        r#"{"failed":true}"#,
        r#"{"failureReason":"x"}"#,
        r#"{"exceptionMessage":"x"}"#,
        r#"{"request_blocked":true}"#,
        r#"{"login_required":true}"#,
        r#"{"error":{"code":0,"message":"no"}}"#,
        r#"{"ResponseMetadata":{"Error":{"Code":"x"}}}"#,
        "<!-- added by a proxy -->{\"error\":\"oops\"}",
        r#"{"blocked":true}"#,
        "error=oops",
        "<response><error>oops</error></response>",
        "<Error><Code>AccessDenied</Code></Error>",
        ")]}'\n{\"error\":\"oops\"}",
        "1f\r\n{\"error\":\"oops\"}\r\n0\r\n\r\n",
        "HTTP/1.1 403 Forbidden\r\nContent-Type: application/json\r\n\r\n{\"error\":\"oops\"}",
        "--b\r\nContent-Type: application/json; charset=utf-8\r\n\r\n{\"error\":\"oops\"}\r\n--b--",
        "event: error\ndata: {\"errors\":[\"oops\"]}\n\n",
        "Warning: {0} in /srv/x.php on line 7 {\"success\":false}",
        r#"{"numErrors":1}"#,
        r#"{"error_message":"x"}"#,
        r#"{"rpc":1,"Fault":{"code":"x"}}"#,
        r#"{"captcha_url":"https://geo.example.com/c"}"#,
        r#"{"appId":"PX1","blockScript":"/px/captcha.js"}"#,
        r#"{"response":{"errors":{"0":"x"}}}"#,
        r#"{"result":"{\"error\":\"x\"}"}"#,
    ];
    for body in bodies {
        assert!(said(body).is_some(), "{body}");
    }
}

#[test]
fn false_successes_are_no_yes() {
    let bodies = [
        r#"{"success":false}"#,
        r#"{"success":"false"}"#,
        r#"{"success":0}"#,
        r#"{"Success":"No"}"#,
        r#"{"isSuccess":false}"#,
        r#"{"succeeded":false}"#,
        r#"{"ok":false}"#,
        r#"{"ok":"0"}"#,
        r#"{"revoked":false}"#,
        r#"{"data":{"success":false}}"#,
        r#"{"success":true,"success":false}"#,
        r#"[{"success":true},{"success":false}]"#,
        r#"{"success":null}"#,
        r#"{"success":""}"#,
        r#"{"done":false}"#,
        r#"{"responses":[{"success":false}]}"#,
        r#"{"revocation":{"ok":false}}"#,
        r#"["error"]"#,
        "success=false",
        "false",
        r#""Unauthorized""#,
        r#"{"allowed":false}"#,
        r#"{"result":{"allow":false}}"#,
        r#"{"data":{"logout":{"ok":false}}}"#,
        r#"{"Revoked":"NO"}"#,
        r#"{"isSuccessful":"0"}"#,
    ];
    for body in bodies {
        assert!(said(body).is_some(), "{body}");
    }
}

#[test]
fn states_of_failure_are_no_yes() {
    let bodies = [
        r#"{"status":"error"}"#,
        r#"{"status":"FAIL"}"#,
        r#"{"status":"failed"}"#,
        r#"{"status":"failure"}"#,
        r#"{"status":"access_denied"}"#,
        r#"{"status":false}"#,
        r#"{"status":403}"#,
        r#"{"status":"502 Bad Gateway"}"#,
        r#"{"status":{"code":500}}"#,
        r#"{"statusCode":"503"}"#,
        r#"{"code":401,"msg":"x"}"#,
        r#"{"result":"error"}"#,
        r#"{"result":false}"#,
        r#"{"outcome":"KO"}"#,
        r#"{"meta":{"status":"error"}}"#,
        r#"{"status":"client_error"}"#,
        r#"{"status":"not_found"}"#,
        r#"{"status":"UNSUCCESSFUL"}"#,
        r#"{"result":"NG"}"#,
        r#"{"statusMessage":"Forbidden"}"#,
        r#"{"message":"Not Found"}"#,
        r#"{"message":"Token revocation failed"}"#,
        r#"{"detail":"Authentication credentials were not provided."}"#,
        r#"{"message":"Forbidden"}"#,
        r#"{"message":"Internal Server Error"}"#,
        r#"{"message":"Access denied. Support ID: 17"}"#,
        r#"{"ret":-1,"msg":"x"}"#,
        r#"{"code":"ERR_POLICY"}"#,
        r#"[[{"status":"error"}]]"#,
        "{&quot;error&quot;:&quot;x&quot;}",
        r#"{"decision":"deny"}"#,
        r#"{"action":"BLOCK","ray":"x"}"#,
        r#"{"level":"error","text":"x"}"#,
        r#"{"code":7,"message":"PERMISSION_DENIED","details":[]}"#,
        r#"{"code":"INVALID_ARGUMENT"}"#,
        r#"{"status":"RESOURCE_EXHAUSTED"}"#,
        r#"{"status":"METHOD_NOT_ALLOWED"}"#,
        r#"{"detail":"Method \"POST\" not allowed."}"#,
        r#"{"message":"Invalid authentication credentials"}"#,
        r#"{"message":"No API key found in request"}"#,
        r#"{"message":"Your IP address is not allowed"}"#,
        r#"{"message":"An invalid response was received from the upstream server"}"#,
        r#"{"message":"Too Many Attempts."}"#,
        r#"{"message":"CSRF token mismatch."}"#,
        r#"{"message":"Server Error"}"#,
        r#"{"msg":"Insufficient permissions"}"#,
        r#"{"detail":"Rate limit exceeded"}"#,
        "<rsp stat=\"fail\"><err code=\"1\"/></rsp>",
    ];
    for body in bodies {
        assert!(said(body).is_some(), "{body}");
    }
    let problem = Body::read(br#"{"title":"x"}"#, Some("application/problem+json; charset=utf-8"), None);
    assert!(of(&problem).is_some());
}

/// What is broken off might have gone on otherwise.
#[test]
fn what_is_broken_off_is_no_yes() {
    for body in
        [r#"{"ok":true"#, r#"{"ok":"true"#, r#"{"success":true,"err"#, r#"{"data":{"ok":true}"#, "[{}"]
    {
        assert!(said(body).is_some(), "{body}");
    }
}

#[test]
fn pages_are_no_yes() {
    let bodies = [
        "<html>",
        " \n<!DOCTYPE HTML>",
        "\u{feff}<HTML>",
        "<!-- waf --><html>",
        "<?xml version='1.0'?><!DOCTYPE html>",
        "Blocked. <html>",
        "<a href='/login'>Log in</a>",
        "<article>",
        "<svg/>",
    ];
    for body in bodies {
        assert_eq!(said(body), Some("an HTML page"), "{body}");
    }
    for body in ["Access denied", "<x-login></x-login>", "<!-- blocked -->"] {
        assert!(of(&Body::read(body.as_bytes(), Some("text/html; charset=utf-8"), None)).is_some(), "{body}");
    }
}

#[test]
fn everything_else_is_a_yes() {
    let bodies = [
        "",
        " ",
        "{}",
        "[]",
        "OK",
        "null",
        "true",
        "revoked",
        r#""ok""#,
        "1",
        r#"{"success":true}"#,
        r#"{"ok":true,"revoked":true}"#,
        r#"{"status":"ok"}"#,
        r#"{"status":"success"}"#,
        r#"{"status":200}"#,
        r#"{"status":"revoked","error":null}"#,
        r#"{"error":"","errors":[]}"#,
        r#"{"error":false,"errorCode":0}"#,
        r#"{"error":{"code":0,"message":""}}"#,
        r#"{"error":{"code":"0","message":"success"}}"#,
        r#"{"failed":0,"failures":[]}"#,
        r#"{"failover":true}"#,
        r#"{"code":"NO_ERROR"}"#,
        r#"{"errcode":0,"errmsg":"ok"}"#,
        r#"{"code":0,"message":"done"}"#,
        r#"{"code":"00000"}"#,
        r#"{"reason":"user_logout"}"#,
        r#"{"active":false}"#,
        r#"{"result":null}"#,
        r#"{"message":"token revoked, no error"}"#,
        r#"{"statistics":{"errors":3}}"#,
        r#"{"type":"token"}"#,
        r#"{"state":"invalidated"}"#,
        "revoked=true",
        "<ok/>",
        "<result>revoked</result>",
        "Revoked {count: 1}",
        "1f\r\n{\"revoked\":true}\r\n0\r\n\r\n",
        r#"{"level":"info","message":"token revoked"}"#,
        r#"{"action":"revoke","decision":"allow"}"#,
        r#"{"message":"Token not found or already revoked"}"#,
        r#"{"message":"Logged out"}"#,
        r#"{"errorCount":0,"isError":false}"#,
        r#"{"redirect":"/login"}"#,
        r#"{"authenticated":false}"#,
        r#"{"message":"no further action required"}"#,
    ];
    for body in bodies {
        assert_eq!(said(body), None, "{body}");
    }
    assert_eq!(of(&Body::read(b"{}", Some("text/html"), None)), None, "PHP calls everything HTML");
    assert_eq!(of(&Body::read(b"", Some("text/html"), None)), None);
}
