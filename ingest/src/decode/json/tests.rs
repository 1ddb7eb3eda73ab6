use proptest::prelude::*;

use super::*;

/// The document walked by members and elements, and written again from the values' own text.
fn rewritten(json: &str) -> Result<String, Reason> {
    fn write(doc: Doc<'_>, at: At, out: &mut String) {
        let before = out.len();
        match doc.value(at) {
            Value::Text { text, plain: true } => out.push_str(&format!("\"{text}\"")),
            Value::Text { text, plain: false } => dataflow::json::push_string(out, text),
            Value::Literal(text) => out.push_str(text),
            Value::Null => out.push_str("null"),
            Value::Nested(text) if text.starts_with('{') => {
                out.push('{');
                for m in doc.members(at) {
                    if out.len() > before + 1 {
                        out.push(',');
                    }
                    dataflow::json::push_string(out, doc.name(&m));
                    assert!(!m.has_plain_key() || !doc.name(&m).contains(['"', '\\']));
                    out.push(':');
                    write(doc, m.at, out);
                }
                out.push('}');
            }
            Value::Nested(_) => {
                out.push('[');
                for element in doc.elements(at) {
                    if out.len() > before + 1 {
                        out.push(',');
                    }
                    write(doc, element, out);
                }
                out.push(']');
            }
        }
    }
    JsonParser::new(Limits::default())
        .with_doc(json.as_bytes(), |doc| {
            let mut out = String::new();
            write(doc, doc.root(), &mut out);
            Ok(out)
        })
        .map_err(|r| r.reason)
}

#[test]
fn values_stand_where_they_stood() {
    for json in [
        r#"{}"#,
        r#"{"a":{},"b":[],"c":[[],{}],"d":null}"#,
        r#"{"a":1,"b":{"c":[1,{"d":[2]},3],"e":"x"},"f":true,"g":false}"#,
        r#"{"a":1.10,"b":-0,"c":1E5,"d":0.1e-7,"e":18446744073709551615}"#,
        r#"{"a":"q\"uote","b\\":"\\","c":"tab\tend","d":"\\\"","é":"ü","":""}"#,
        r#"{"brackets":"}]{[","colon":":,"}"#,
        r#"{"a":1,"a":2}"#,
    ] {
        assert_eq!(rewritten(json).as_deref(), Ok(json));
    }
}

#[test]
fn numbers_that_no_machine_number_holds_are_verbatim() {
    for json in [
        r#"{"a":12345678901234567890123,"b":"12345678901234567890123 \" 1e999","c":[1e400,-1e-400]}"#,
        r#"{"deep":{"n":100000000000000000000},"s":"x"}"#,
        r#"{"a":1e400,"b":{},"c":[0]}"#,
    ] {
        assert_eq!(rewritten(json).as_deref(), Ok(json));
    }
}

#[test]
fn what_is_no_json() {
    let deep = format!("{{\"a\":{}{}}}", "[".repeat(10_000), "]".repeat(10_000));
    for (json, want) in [
        (r#"{"a":1"#, Reason::InvalidJson),
        (r#"{"a":01}"#, Reason::InvalidJson),
        (r#"{"a":1e999,"b":01}"#, Reason::InvalidJson),
        (r#"{"a":1.}"#, Reason::InvalidJson),
        (r#"{"a":.5}"#, Reason::InvalidJson),
        (r#"{"a":1e}"#, Reason::InvalidJson),
        (r#"{"a":1 2}"#, Reason::InvalidJson),
        (r#"{"a":NaN}"#, Reason::InvalidJson),
        (r#"{"a":"\ud800"}"#, Reason::InvalidJson),
        (r#"{"a":"\x"}"#, Reason::InvalidJson),
        ("{\"a\":\"\0\"}", Reason::InvalidJson),
        (r#"{"a":1} {"#, Reason::InvalidJson),
        (r#"{"a":1}{"b":2}"#, Reason::InvalidJson),
        (r#"{a:1}"#, Reason::InvalidJson),
        (r#"{"a"}"#, Reason::InvalidJson),
        ("{", Reason::InvalidJson),
        (&deep, Reason::TooDeep),
    ] {
        assert_eq!(rewritten(json), Err(want), "{}", &json[..json.len().min(40)]);
    }
}

#[test]
fn escapes_mean_what_they_say() {
    for (json, want) in [
        (r#"{"a":"\u00e9\ud83d\ude00\/\b\f"}"#, Ok(concat!("{\"a\":\"\u{e9}\u{1f600}/", r#"\u0008\u000c"}"#))),
        (r#"{"\u0061":"x","b":["\t","plain","\\"]}"#, Ok(r#"{"a":"x","b":["\t","plain","\\"]}"#)),
        (r#"{"a":"\udc00"}"#, Err(Reason::InvalidUtf8)),
        (r#"{"a":"\ud800\u0061"}"#, Err(Reason::InvalidJson)),
        (r#"{"a":"\u12"}"#, Err(Reason::InvalidJson)),
        (r#"{"a":"\u+123"}"#, Err(Reason::InvalidJson)),
    ] {
        assert_eq!(rewritten(json).as_deref(), want.as_ref().copied(), "{json}");
    }
}

#[test]
fn members_that_are_written_as_they_stand() {
    let json = r#"{"a":1,"b" :2,"c": "x","d":"y","e\n":3,"f":"\n","g":[1],"h":null,"i":"" }"#;
    let stands = |doc: Doc<'_>| {
        let written = doc.members(doc.root()).filter_map(|m| doc.written(&m)).map(|place| json[place].to_owned());
        Ok(written.collect::<Vec<_>>())
    };
    let found = JsonParser::new(Limits::default()).with_doc(json.as_bytes(), stands).expect("valid JSON");
    assert_eq!(found, [r#""a":1"#, r#""d":"y""#, r#""i":"""#]);
}

#[test]
fn the_numbers_of_json() {
    for (text, want) in [
        ("0", true),
        ("-0.0e+0", true),
        ("10", true),
        ("1E9", true),
        ("", false),
        ("-", false),
        ("01", false),
        ("1.", false),
        ("1e", false),
        ("1e+", false),
        ("1-2", false),
        ("1.2.3", false),
        ("--1", false),
    ] {
        assert_eq!(walk::is_json_number(text.as_bytes()), want, "{text}");
    }
}

#[test]
fn json_text_on_one_line() {
    for (json, want) in [
        ("{\"a\": 1}", "{\"a\": 1}"),
        ("{\n  \"a b\": [1,\r\n 2],\t\"c\\\"\": \" \"\n}", "{\"a b\":[1,2],\"c\\\"\":\" \"}"),
    ] {
        let mut out = String::new();
        push_one_line(&mut out, json);
        assert_eq!(out, want);
    }
}

#[test]
fn a_parser_forgets_the_last_document() {
    let mut parser = JsonParser::new(Limits::default());
    for json in [r#"{"a":[1,2,3],"b":"long text"}"#, r#"{"c":1e999}"#, r#"{"bad"#, r#"{"a":2}"#] {
        let first =
            parser.with_doc(json.as_bytes(), |doc| Ok(doc.members(doc.root()).next().map(|m| doc.name(&m).to_owned())));
        assert_eq!(first.is_ok(), json.ends_with('}'), "{json}");
    }
}

/// A document with a few bytes changed, and what the SIMD parser makes of it; none where only a number stops it, whose
/// numbers are machine numbers.
fn parser_takes(json: &[u8]) -> Option<bool> {
    match simd_json::to_tape(&mut json.to_vec()) {
        Ok(_) => Some(true),
        Err(error) if matches!(error.error(), ErrorType::InvalidNumber | ErrorType::InvalidExponent) => None,
        Err(_) => Some(false),
    }
}

fn json_value() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        "\\PC{0,8}".prop_map(Into::into),
        "[\"\\\\{}\\[\\],:\n]{0,6}".prop_map(Into::into),
    ];
    leaf.prop_recursive(4, 40, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Into::into),
            prop::collection::btree_map("[a-z\"\\\\]{0,5}", inner, 0..5)
                .prop_map(|m| serde_json::Value::Object(m.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(crate::decode::tests::cases(200))]

    #[test]
    fn any_document_is_walked_whole(value in prop::collection::btree_map("\\PC{0,6}", json_value(), 0..6), pretty: bool) {
        let value = serde_json::Value::Object(value.into_iter().collect());
        let json = if pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) };
        let again = rewritten(&json.expect("a value has a text")).expect("valid JSON");
        prop_assert_eq!(serde_json::from_str::<serde_json::Value>(&again).expect("valid JSON"), value);
    }

    #[test]
    fn a_document_is_taken_if_the_parser_takes_it(value in prop::collection::btree_map("\\PC{0,3}", json_value(), 0..4), changes in prop::collection::vec((any::<prop::sample::Index>(), prop::sample::select(b"{}[]:,\"\\u/ \n0-1.eE+tfnd8\x01\xe9".to_vec())), 0..3)) {
        let mut json = serde_json::to_vec(&value).expect("a value has a text");
        for (at, byte) in changes {
            // The first byte is what the decoder knows an object by.
            if json.len() > 1 {
                let at = 1 + at.index(json.len() - 1);
                json[at] = byte;
            }
        }
        let taken = JsonParser::new(Limits::default()).with_doc(&json, |_| Ok(())).is_ok();
        if let Some(parser) = parser_takes(&json) {
            prop_assert_eq!(taken, parser, "{}", String::from_utf8_lossy(&json));
        }
    }
}
