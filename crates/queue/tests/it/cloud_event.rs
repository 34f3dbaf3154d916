//! CloudEvents: recognised in both modes, and nothing else taken for one.

use proptest::prelude::*;
use queue::cloud_event::{CloudEvent, LARGEST, LONGEST, recognise};

type Fields = Vec<(&'static str, Vec<u8>)>;

fn found(fields: &Fields, body: &[u8]) -> Option<CloudEvent> {
    let get = |name: &str| fields.iter().find(|(known, _)| *known == name).map(|(_, value)| &**value);
    recognise(&get, body)
}

fn event(source: &str, kind: &str, id: &str) -> Option<CloudEvent> {
    Some(CloudEvent { source: source.to_owned(), kind: kind.to_owned(), id: id.to_owned() })
}

/// The fields of an event with this source.
fn from(source: &[u8]) -> Fields {
    vec![
        ("ce-specversion", b"1.0".to_vec()),
        ("ce-type", b"com.example.someevent".to_vec()),
        ("ce-source", source.to_vec()),
        ("ce-id", b"A234".to_vec()),
        ("content-type", b"application/json".to_vec()),
    ]
}

fn source(source: &[u8]) -> Option<String> {
    found(&from(source), b"{}").map(|event| event.source)
}

#[test]
fn binary_mode() {
    let expected = event("/mycontext/subcontext", "com.example.someevent", "A234");
    assert_eq!(found(&from(b"/mycontext/subcontext"), b"\xff"), expected);
    assert_eq!(expected.as_ref().unwrap().as_record().kind, "com.example.someevent");
    for missing in ["ce-specversion", "ce-type", "ce-source", "ce-id"] {
        let mut fields = from(b"/a");
        fields.retain(|(name, _)| *name != missing);
        assert_eq!(found(&fields, b""), None, "{missing}");
        fields.push((missing, Vec::new()));
        assert_eq!(found(&fields, b""), None, "{missing} is empty");
    }
    for version in ["0.3", "1", "1.0.2", "2.0"] {
        let mut fields = from(b"/a");
        fields[0].1 = version.into();
        assert_eq!(found(&fields, b""), None, "{version}");
    }
    assert_eq!(found(&vec![], b""), None);
}

#[test]
fn values_are_decoded_once() {
    let good: [(&[u8], &str); 9] = [
        (b"Euro%20%E2%82%AC%20%F0%9F%98%80", "Euro \u{20ac} \u{1f600}"),
        (b"%e2%82%ac", "\u{20ac}"),
        (b"%41%2541", "A%41"),
        (b"\"Euro \\\"%E2%82%AC\\\\\"", "Euro \"\u{20ac}\\"),
        (b"a\"b", "a\"b"),
        (b"100%", "100%"),
        (b"%zz%4", "%zz%4"),
        ("ü".as_bytes(), "ü"),
        (b"\"", "\""),
    ];
    for (value, text) in good {
        assert_eq!(source(value).as_deref(), Some(text), "{text}");
    }
    for bad in [&b"%C0%A0"[..], b"%FF", b"\xff", b"%00", b"%0a", b"%7f", b"%C2%85", b"\"\""] {
        assert_eq!(source(bad), None, "{}", bad.escape_ascii());
    }
}

#[test]
fn lengths_are_bounded() {
    assert_eq!(source(&[b'a'; LONGEST]).map(|source| source.len()), Some(LONGEST));
    assert_eq!(source(&[b'a'; LONGEST + 1]), None);
    assert_eq!(source(&b"%61".repeat(LONGEST)).map(|source| source.len()), Some(LONGEST));
    assert_eq!(source(&b"%61".repeat(LONGEST + 1)), None);
    let json = |filler: usize| {
        let begin = r#"{"specversion":"1.0","id":"1","source":"/a","type":"b","data":""#;
        format!("{begin}{}\"}}", "x".repeat(filler - begin.len() - 2)).into_bytes()
    };
    assert!(found(&structured("application/cloudevents+json"), &json(LARGEST)).is_some());
    assert_eq!(found(&structured("application/cloudevents+json"), &json(LARGEST + 1)), None);
}

fn structured(content_type: &str) -> Fields {
    vec![("content-type", content_type.into())]
}

const JSON: &str = r#" {"data": {"id": 7, "type": null}, "type": "c\u00fc", "source": "/a\/b", "id": "\"1\"", "specversion": "1.0", "extension": [true]} "#;

#[test]
fn structured_mode() {
    let expected = event("/a/b", "c\u{fc}", "\"1\"");
    for content_type in [
        "application/cloudevents+json",
        "Application/CloudEvents+JSON ; charset=UTF-8",
        "application/cloudevents+json;charset=\"utf-8\";x=y",
        "application/cloudevents+json; charset=us-ascii",
    ] {
        assert_eq!(found(&structured(content_type), JSON.as_bytes()), expected, "{content_type}");
    }
    for content_type in [
        "application/json",
        "application/cloudevents",
        "application/cloudevents+avro",
        "application/cloudevents-batch+json",
        "application/cloudevents+jsonx",
        "application/cloudevents+json; charset=utf-16",
        "xapplication/cloudevents+json",
    ] {
        assert_eq!(found(&structured(content_type), JSON.as_bytes()), None, "{content_type}");
    }
}

#[test]
fn the_body_counts_in_structured_mode() {
    let mut fields = from(b"/of-a-field");
    fields[4].1 = b"application/cloudevents+json".to_vec();
    assert_eq!(found(&fields, JSON.as_bytes()).unwrap().source, "/a/b");
    assert_eq!(found(&fields, b"{}"), None);
    fields[4].1 = b"application/cloudevents-batch+json".to_vec();
    assert_eq!(found(&fields, b"[]"), None);
}

#[test]
fn bodies_that_are_no_event() {
    for body in [
        "",
        "[]",
        "null",
        r#""1.0""#,
        r#"{"specversion":"1.0","id":"1","source":"/a"}"#,
        r#"{"specversion":"1.0","id":1,"source":"/a","type":"b"}"#,
        r#"{"specversion":"1.0","id":"","source":"/a","type":"b"}"#,
        r#"{"specversion":"1.0","id":"\u0000","source":"/a","type":"b"}"#,
        r#"{"specversion":"1.0","id":"1","id":"2","source":"/a","type":"b"}"#,
        r#"{"specversion":1.0,"id":"1","source":"/a","type":"b"}"#,
        r#"{"specversion":"0.3","id":"1","source":"/a","type":"b"}"#,
        r#"{"specversion":"1.0","id":"1","source":"/a","type":"b"}}"#,
        r#"{"specversion":"1.0","id":"1","source":"/a","type":"b",}"#,
        r#"[{"specversion":"1.0","id":"1","source":"/a","type":"b"}]"#,
        r#"["1.0","/a","b","1"]"#,
    ] {
        assert_eq!(found(&structured("application/cloudevents+json"), body.as_bytes()), None, "{body}");
    }
    let deep = format!(r#"{{"data":{}"#, "[".repeat(100_000));
    assert_eq!(found(&structured("application/cloudevents+json"), deep.as_bytes()), None);
}

proptest! {
    /// What a sender encodes as the binding says is read back, in either mode.
    #[test]
    fn both_modes_say_the_same(source in "[^\\p{Cc}]{1,40}", kind in "[^\\p{Cc}]{1,40}", id in "[^\\p{Cc}]{1,40}") {
        let encoded = |text: &str| -> Vec<u8> {
            text.bytes().map(|b| if b.is_ascii_graphic() && b != b'"' && b != b'%' { char::from(b).to_string() } else { format!("%{b:02X}") }).collect::<String>().into_bytes()
        };
        let mut fields = from(&encoded(&source));
        fields[1].1 = encoded(&kind);
        fields[3].1 = encoded(&id);
        let expected = event(&source, &kind, &id);
        prop_assert_eq!(&found(&fields, b""), &expected);
        let json = serde_json::json!({ "specversion": "1.0", "source": source, "type": kind, "id": id, "data": 1 });
        prop_assert_eq!(found(&structured("application/cloudevents+json"), json.to_string().as_bytes()), expected);
    }

    #[test]
    fn any_bytes_are_an_event_or_none(value: Vec<u8>, body in "[\\[{\"a-z:,1.0}\\]]{0,60}") {
        let _ = found(&from(&value), &value);
        let _ = found(&structured("application/cloudevents+json"), body.as_bytes());
    }
}
