use serde_json::{Value, json};

use super::*;
use crate::decode::tests::{at, check, reason_of, row_of};

#[test]
fn the_activity_is_the_verb_or_read_only() {
    for (name, read_only, want) in [
        ("CreateUser", "false", CREATE),
        ("RunInstances", "false", CREATE),
        ("DescribeInstances", "true", READ),
        ("BatchGetItem", "true", READ),
        ("PutObject", "false", UPDATE),
        ("StopLogging", "false", UPDATE),
        ("DeleteTrail", "false", DELETE),
        ("AssumeRole", "true", READ),
        ("ConsoleLogin", "false", 99),
        ("ConsoleLogin", "", 0),
        ("Getaway", "", 0),
        ("G", "", 0),
        ("Éa", "", 0),
        ("", "", 0),
    ] {
        assert_eq!(activity(name, read_only), want, "{name} {read_only}");
    }
}

#[test]
fn the_end_of_an_arn() {
    for (arn, want) in [
        ("arn:aws:iam::1:user/a/b", "b"),
        ("arn:aws:sts::1:federated-user/Alice", "Alice"),
        ("arn:aws:iam::1:root", ""),
        ("", ""),
    ] {
        assert_eq!(last_of_arn(arn), want);
    }
}

/// A record with some members of the document exchanged.
fn record(changes: Value) -> String {
    let mut record = json!({
        "eventVersion": "1.09", "eventTime": "2026-11-20T10:00:00Z", "eventSource": "iam.amazonaws.com",
        "eventName": "CreateUser", "awsRegion": "us-east-1", "sourceIPAddress": "192.0.2.10", "userAgent": "aws-cli/2",
        "requestParameters": {"userName": "eve"}, "responseElements": null, "requestID": "r-1", "eventID": "e-1",
        "readOnly": false, "eventType": "AwsApiCall", "managementEvent": true, "recipientAccountId": "111122223333",
        "eventCategory": "Management",
        "userIdentity": {
            "type": "IAMUser", "principalId": "AIDA", "arn": "arn:aws:iam::1:user/ann", "accountId": "1",
            "accessKeyId": "AKIA", "userName": "ann"
        }
    });
    let members = record.as_object_mut().expect("an object");
    for (name, value) in changes.as_object().expect("an object") {
        members.insert(name.clone(), value.clone());
    }
    record.to_string()
}

#[test]
fn a_record_is_api_activity() {
    check(
        &row_of(&record(json!({}))),
        &[
            ("class_uid", "6003"),
            ("type_uid", "600301"),
            ("severity_id", "1"),
            ("status", "\"Success\""),
            ("time_dt", "\"2026-11-20T10:00:00.000000Z\""),
            ("metadata.uid", "\"e-1\""),
            ("metadata.event_code", "\"AwsApiCall\""),
            ("metadata.product", r#"{"name":"CloudTrail","vendor_name":"AWS","feature":{"name":"Management"}}"#),
            ("metadata.profiles", r#"["cloud","datetime"]"#),
            ("api.operation", "\"CreateUser\""),
            ("api.service.name", "\"iam.amazonaws.com\""),
            ("api.request", r#"{"uid":"r-1","data":{"userName":"eve"}}"#),
            ("api.response", "null"),
            ("cloud", r#"{"provider":"AWS","region":"us-east-1","account":{"uid":"111122223333"}}"#),
            ("src_endpoint", r#"{"ip":"192.0.2.10"}"#),
            (
                "actor.user",
                r#"{"name":"ann","uid":"arn:aws:iam::1:user/ann","uid_alt":"AIDA","type_id":1,"type":"User",
                    "credential_uid":"AKIA","account":{"uid":"1"}}"#,
            ),
            ("unmapped", r#"{"managementEvent":true,"userIdentity.type":"IAMUser"}"#),
            ("raw_data", "null"),
        ],
    );
}

#[test]
fn identities() {
    let role =
        json!({"sessionIssuer": {"userName": "admin", "arn": "arn:role"}, "attributes": {"mfaAuthenticated": "true"}});
    for (identity, name, kind, invoked_by) in [
        (
            json!({"type": "Root", "arn": "arn:aws:iam::1:root", "accountId": "1"}),
            json!("root"),
            json!("Admin"),
            Value::Null,
        ),
        (
            json!({"type": "AssumedRole", "arn": "arn:aws:sts::1:assumed-role/admin/ann", "sessionContext": role}),
            json!("admin"),
            json!("AssumedRole"),
            Value::Null,
        ),
        (
            json!({"type": "AssumedRole", "arn": "arn:aws:sts::1:assumed-role/admin/ann"}),
            json!("ann"),
            json!("AssumedRole"),
            Value::Null,
        ),
        (
            json!({"type": "FederatedUser", "arn": "arn:aws:sts::1:federated-user/bob"}),
            json!("bob"),
            json!("User"),
            Value::Null,
        ),
        (
            json!({"type": "AWSService", "invokedBy": "ec2.amazonaws.com"}),
            json!("ec2.amazonaws.com"),
            json!("Service"),
            json!("ec2.amazonaws.com"),
        ),
        (json!({"type": "AWSAccount", "accountId": "1"}), Value::Null, json!("AWSAccount"), Value::Null),
        (
            json!({"type": "WebIdentityUser", "userName": "w", "identityProvider": "idp"}),
            json!("w"),
            json!("User"),
            Value::Null,
        ),
        (json!({"type": "Unknown"}), Value::Null, Value::Null, json!("Unknown")),
        (json!({}), Value::Null, Value::Null, json!("Unknown")),
        (json!("text"), Value::Null, Value::Null, json!("Unknown")),
    ] {
        let row = row_of(&record(json!({"userIdentity": identity})));
        let found = ["actor.user.name", "actor.user.type", "actor.invoked_by"].map(|path| at(&row, path).clone());
        assert_eq!(found, [name, kind, invoked_by], "{identity}");
    }
}

#[test]
fn what_no_column_of_the_identity_holds_stays_an_object() {
    let identity = json!({
        "type": "AssumedRole", "arn": "arn:x/y/z",
        "sessionContext": {"sessionIssuer": {"type": "Role", "userName": "admin"}, "attributes": {"creationDate": "never", "mfaAuthenticated": "perhaps"}}
    });
    let row = row_of(&record(json!({"userIdentity": identity})));
    let want = json!({"attributes": {"creationDate": "never", "mfaAuthenticated": "perhaps"}, "sessionIssuer": {"type": "Role"}});
    assert_eq!(at(&row, "unmapped.userIdentity.sessionContext"), &want);
}

#[test]
fn sources_that_are_no_address() {
    for (source, want) in [
        (json!("192.0.2.10"), json!({"ip": "192.0.2.10"})),
        (json!("2001:DB8::1"), json!({"ip": "2001:db8::1"})),
        (json!("ec2.amazonaws.com"), json!({"domain": "ec2.amazonaws.com"})),
        (json!("AWS Internal"), json!({"svc_name": "AWS Internal"})),
        (json!("v1.2 client"), json!({"svc_name": "v1.2 client"})),
        (Value::Null, json!({"svc_name": "Unknown"})),
    ] {
        let row = row_of(&record(json!({"sourceIPAddress": source})));
        assert_eq!(row["src_endpoint"], want);
    }
}

#[test]
fn an_error_is_a_failure() {
    let row = row_of(&record(json!({"errorCode": "AccessDenied", "errorMessage": "no"})));
    check(
        &row,
        &[
            ("status", "\"Failure\""),
            ("status_code", "\"AccessDenied\""),
            ("api.response", r#"{"error":"AccessDenied","error_message":"no"}"#),
        ],
    );
    let sign_in = json!({"eventName": "ConsoleLogin", "errorMessage": "Failed authentication"});
    check(&row_of(&record(sign_in)), &[("status_id", "2"), ("status_code", "null")]);
}

#[test]
fn request_data_needs_a_request_id() {
    for (changes, want) in [
        (json!({"requestID": null}), json!({"uid": "e-1", "data": {"userName": "eve"}})),
        (json!({"requestID": null, "eventID": null}), json!({"uid": "Unknown", "data": {"userName": "eve"}})),
        (json!({"requestID": null, "requestParameters": null}), Value::Null),
        (json!({"requestParameters": "text"}), json!({"uid": "r-1", "data": "text"})),
    ] {
        assert_eq!(at(&row_of(&record(changes.clone())), "api.request"), &want, "{changes}");
    }
}

#[test]
fn resources_are_elements_if_they_are_named() {
    for (resources, elements, kept) in [
        (
            json!([{"ARN": "a", "type": "T", "accountId": "1"}, {"arn": "b"}]),
            json!([{"uid": "a", "type": "T", "owner": {"account": {"uid": "1"}}}, {"uid": "b"}]),
            false,
        ),
        (json!([{"ARN": "a", "extra": 1}]), json!([{"uid": "a"}]), true),
        (json!([{"ARN": "a"}, {"ARNPrefix": "p"}, 7]), json!([{"uid": "a"}]), true),
        (json!({"ARN": "a"}), Value::Null, true),
        (json!([]), Value::Null, false),
    ] {
        let row = row_of(&record(json!({"resources": resources})));
        assert_eq!(row["resources"], elements, "{resources}");
        assert_eq!(!at(&row, "unmapped.resources").is_null(), kept, "{resources}");
    }
}

#[test]
fn read_only_is_kept_where_the_activity_does_not_say_it() {
    for (name, read_only, kept) in
        [("GetUser", true, false), ("CreateUser", false, false), ("GetUser", false, true), ("CreateUser", true, true)]
    {
        let row = row_of(&record(json!({"eventName": name, "readOnly": read_only})));
        assert_eq!(!at(&row, "unmapped.readOnly").is_null(), kept, "{name} {read_only}");
    }
}

#[test]
fn a_record_needs_a_time() {
    assert_eq!(reason_of(&record(json!({"eventTime": null}))), Reason::InvalidTime);
    assert_eq!(reason_of(&record(json!({"eventTime": "..."}))), Reason::InvalidTime);
    assert_eq!(reason_of(&record(json!({"eventTime": "9999-12-31T23:59:59Z"}))), Reason::TimeOutOfRange);
    let row = row_of(&record(json!({"eventTime": "2026-11-20 10:00:00.000000000"})));
    assert_eq!(row["time_dt"], "2026-11-20T10:00:00.000000Z");
}
