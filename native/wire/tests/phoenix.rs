//! Envelopes against the files that every language reads, and against themselves.

use std::borrow::Cow;
use std::path::PathBuf;

use proptest::option;
use proptest::prelude::*;
use wire::phoenix::{Inbound, Kind, Malformed, Message, Payload, Unbuildable, Vsn, read_binary, read_text};

/// Rewrites the files instead of comparing with them.
const REGENERATE: &str = "REGENERATE_FIXTURES";

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../test/fixtures/wire/phoenix")
}

fn push<'a>(
    join_ref: Option<&'a str>,
    reference: Option<&'a str>,
    event: &'a str,
    payload: Payload<'a>,
) -> Message<'a> {
    Message::Push { join_ref, reference, topic: "room:1", event, payload }
}

fn reply<'a>(
    references: (Option<&'a str>, &'a str),
    topic: &'a str,
    status: &'a str,
    payload: Payload<'a>,
) -> Message<'a> {
    Message::Reply { join_ref: references.0, reference: Some(references.1), topic, status, payload }
}

/// What the server sends: name, version and message.
fn outbound() -> Vec<(&'static str, Vsn, Message<'static>)> {
    use Payload::{Binary, Json};
    use Vsn::{V1, V2};
    let bytes = Binary(b"\x00\x01\xfe\xffxyz");
    let shout = Message::Broadcast { topic: "room:1", event: "shout", payload: Json(r#"{"m":"hi"}"#) };
    let odd =
        Message::Broadcast { topic: "röom:\"1\"", event: "a\\b\n", payload: Json(r#"{"é":"\u0000"}"#) };
    let heartbeat = reply((None, "3"), "phoenix", "ok", Json("{}"));
    vec![
        ("v2_reply_ok.json", V2, reply((Some("4"), "5"), "room:1", "ok", Json(r#"{"pong":1}"#))),
        ("v2_reply_join.json", V2, reply((Some("4"), "4"), "room:1", "ok", Json(r#"{"room":"1"}"#))),
        (
            "v2_reply_refused.json",
            V2,
            reply((Some("19"), "19"), "room:x", "error", Json(r#"{"reason":"unauthorized"}"#)),
        ),
        (
            "v2_reply_unmatched.json",
            V2,
            reply((None, "15"), "nope:1", "error", Json(r#"{"reason":"unmatched topic"}"#)),
        ),
        (
            "v2_reply_crashed.json",
            V2,
            reply((Some("7"), "7"), "room:1", "error", Json(r#"{"reason":"join crashed"}"#)),
        ),
        ("v2_reply_heartbeat.json", V2, heartbeat),
        ("v2_reply_binary.bin", V2, reply((Some("4"), "5"), "room:1", "ok", bytes)),
        ("v2_push.json", V2, push(Some("4"), None, "pushed", Json(r#"{"z":1}"#))),
        ("v2_push_binary.bin", V2, push(Some("4"), None, "pushed", bytes)),
        ("v2_close.json", V2, push(Some("4"), Some("4"), "phx_close", Json("{}"))),
        ("v2_error.json", V2, push(Some("4"), Some("4"), "phx_error", Json("{}"))),
        ("v2_broadcast.json", V2, shout),
        ("v2_broadcast_escaped.json", V2, odd),
        (
            "v2_broadcast_binary.bin",
            V2,
            Message::Broadcast { topic: "room:1", event: "shout", payload: bytes },
        ),
        ("v1_reply_ok.json", V1, reply((Some("4"), "5"), "room:1", "ok", Json(r#"{"pong":1}"#))),
        ("v1_reply_heartbeat.json", V1, heartbeat),
        ("v1_push.json", V1, push(Some("4"), None, "pushed", Json(r#"{"z":1}"#))),
        ("v1_close.json", V1, push(Some("4"), Some("4"), "phx_close", Json("{}"))),
        ("v1_broadcast.json", V1, shout),
    ]
}

fn inbound<'a>(
    references: [Option<&'a str>; 2],
    topic: &'a str,
    event: &'a str,
    payload: Payload<'a>,
) -> Inbound<'a> {
    let [join_ref, reference] = references.map(|text| text.map(Cow::Borrowed));
    Inbound { join_ref, reference, topic: topic.into(), event: event.into(), payload }
}

/// What a client sends: name, version, bytes and meaning.
fn from_clients() -> Vec<(&'static str, Vsn, Vec<u8>, Inbound<'static>)> {
    use Payload::{Binary, Json};
    use Vsn::{V1, V2};
    let join = inbound([Some("4"), Some("4")], "room:1", "phx_join", Json(r#"{"p":1}"#));
    let ping = inbound([Some("4"), Some("5")], "room:1", "ping", Json(r#"{"a":[1,2]}"#));
    let heartbeat = inbound([None, Some("3")], "phoenix", "heartbeat", Json("{}"));
    let leave = inbound([Some("4"), Some("9")], "room:1", "phx_leave", Json("{}"));
    vec![
        ("v2_client_join.json", V2, br#"["4","4","room:1","phx_join",{"p":1}]"#.to_vec(), join.clone()),
        ("v2_client_push.json", V2, br#"["4","5","room:1","ping",{"a":[1,2]}]"#.to_vec(), ping.clone()),
        ("v2_client_leave.json", V2, br#"["4","9","room:1","phx_leave",{}]"#.to_vec(), leave),
        (
            "v2_client_heartbeat.json",
            V2,
            br#"[null,"3","phoenix","heartbeat",{}]"#.to_vec(),
            heartbeat.clone(),
        ),
        (
            "v2_client_push_binary.bin",
            V2,
            b"\x00\x01\x02\x06\x04415room:1ping\x00\xffxyz".to_vec(),
            inbound([Some("4"), Some("15")], "room:1", "ping", Binary(b"\x00\xffxyz")),
        ),
        (
            "v1_client_join.json",
            V1,
            br#"{"topic":"room:1","event":"phx_join","payload":{"p":1},"ref":"4","join_ref":"4"}"#.to_vec(),
            join,
        ),
        (
            "v1_client_push.json",
            V1,
            br#"{"topic":"room:1","event":"ping","payload":{"a":[1,2]},"ref":"5","join_ref":"4"}"#.to_vec(),
            ping,
        ),
        (
            "v1_client_heartbeat.json",
            V1,
            br#"{"topic":"phoenix","event":"heartbeat","payload":{},"ref":"3"}"#.to_vec(),
            heartbeat,
        ),
    ]
}

fn read(vsn: Vsn, is_text: bool, bytes: &[u8]) -> Result<Inbound<'_>, Malformed> {
    if is_text { read_text(vsn, std::str::from_utf8(bytes).unwrap()) } else { read_binary(vsn, bytes) }
}

fn written(message: &Message<'_>, vsn: Vsn) -> (Kind, Vec<u8>) {
    let mut bytes = Vec::new();
    let kind = message.write(vsn, &mut bytes).unwrap();
    (kind, bytes)
}

#[test]
fn the_files_hold_what_is_read_and_written() {
    let mut files = Vec::new();
    for (name, vsn, message) in outbound() {
        let (kind, bytes) = written(&message, vsn);
        assert_eq!(kind == Kind::Text, name.ends_with(".json"), "{name}");
        files.push((name, bytes));
    }
    for (name, vsn, bytes, meaning) in from_clients() {
        assert_eq!(read(vsn, name.ends_with(".json"), &bytes).unwrap(), meaning, "{name}");
        files.push((name, bytes));
    }
    if std::env::var_os(REGENERATE).is_some() {
        std::fs::create_dir_all(folder()).unwrap();
        files.iter().for_each(|(name, bytes)| std::fs::write(folder().join(name), bytes).unwrap());
    }
    let mut expected: Vec<String> = files.iter().map(|(name, _)| (*name).to_owned()).collect();
    for (name, bytes) in files {
        let found = std::fs::read(folder().join(name)).unwrap_or_default();
        assert_eq!(
            found, bytes,
            "{name} differs; if the format is to change, run the test with {REGENERATE}=1"
        );
    }
    let mut found: Vec<String> = std::fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    expected.sort();
    found.sort();
    assert_eq!(found, expected);
}

#[test]
fn what_is_no_message_says_why() {
    let text = |text: &str| read_text(Vsn::V2, text).unwrap_err();
    assert!(matches!(text(""), Malformed::Json(_)));
    assert!(matches!(text("[null,null,\"t\",\"e\"]"), Malformed::Json(_)));
    assert!(matches!(text("[null,null,\"t\",\"e\",{]"), Malformed::Json(_)));
    assert!(matches!(text("[null,null,\"t\",\"e\",{}] x"), Malformed::Json(_)));
    assert!(matches!(text("[null,1,\"t\",\"e\",{}]"), Malformed::Json(_)));
    assert!(matches!(text("[null,null,\"\\ud800\",\"e\",{}]"), Malformed::Json(_)));
    assert!(matches!(read_text(Vsn::V1, "{\"topic\":\"t\"}").unwrap_err(), Malformed::Json(_)));
    let deep = format!("[null,null,\"t\",\"e\",{}{}]", "[".repeat(101), "]".repeat(101));
    assert!(matches!(text(&deep), Malformed::Depth));
    let long = format!("[\"{}\",null,\"t\",\"e\",{{}}]", "1".repeat(256));
    assert!(matches!(text(&long), Malformed::TooLong { field: "join_ref", len: 256 }));

    let binary = |bytes: &[u8]| read_binary(Vsn::V2, bytes).unwrap_err();
    assert!(matches!(binary(b""), Malformed::Truncated));
    assert!(matches!(binary(b"\x00\x01\x00\x00\x00"), Malformed::Truncated));
    assert!(matches!(binary(b"\x03\x00\x00\x00\x00"), Malformed::Kind(3)));
    assert!(matches!(binary(b"\x00\x00\x00\x01\x00\xff"), Malformed::Utf8("topic")));
    assert!(matches!(read_binary(Vsn::V1, b"\x00\x00\x00\x00\x00"), Err(Malformed::BinaryOnV1)));
    // More than five elements, and other keys, are passed over.
    assert!(read_text(Vsn::V2, "[null,null,\"t\",\"e\",{},{\"more\":[]},1]").is_ok());
    let more = r#"{"extra":[1],"topic":"t","event":"e","payload":null,"ref":null}"#;
    assert!(read_text(Vsn::V1, more).is_ok());
}

#[test]
fn what_is_not_escaped_is_not_copied() {
    let text = String::from(r#"["1","2","room","event",{"a": 1 }]"#);
    let message = read_text(Vsn::V2, &text).unwrap();
    let Payload::Json(json) = message.payload else { panic!() };
    assert!(text.as_bytes().as_ptr_range().contains(&json.as_ptr()));
    let fields = [message.join_ref.unwrap(), message.reference.unwrap(), message.topic, message.event];
    assert!(fields.iter().all(|field| matches!(field, Cow::Borrowed(_))));
}

#[test]
fn v1_has_no_binary_form_and_a_field_has_255_bytes() {
    let long = "t".repeat(256);
    let message = |topic, payload| Message::Broadcast { topic, event: "e", payload };
    let write = |message: Message<'_>, vsn| message.write(vsn, &mut Vec::new());
    assert_eq!(write(message("t", Payload::Binary(b"x")), Vsn::V1), Err(Unbuildable::BinaryOnV1));
    let too_long = Unbuildable::TooLong { field: "topic", len: 256 };
    assert_eq!(write(message(&long, Payload::Binary(b"x")), Vsn::V2), Err(too_long));
    assert_eq!(write(message(&long[1..], Payload::Binary(b"x")), Vsn::V2), Ok(Kind::Binary));
    assert_eq!(Vsn::from_query(None), Some(Vsn::V1));
    assert_eq!(
        ["1.0.0", "2.0.0", "3.0.0", ""].map(|vsn| Vsn::from_query(Some(vsn))),
        [Some(Vsn::V1), Some(Vsn::V2), None, None]
    );
}

fn json() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        ".*".prop_map(Into::into),
    ];
    leaf.prop_recursive(4, 30, 5, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..5).prop_map(serde_json::Value::from),
            proptest::collection::hash_map(".*", inner, 0..5)
                .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
        ]
    })
}

fn field() -> impl Strategy<Value = String> {
    "\\PC{0,40}|[\"\\\\\u{0}-\u{20}]{0,10}"
}

proptest! {
    #[test]
    fn text_that_was_written_means_the_same_when_read(
        join_ref in option::of(field()), reference in option::of(field()),
        topic in field(), event in field(), payload in json(), v2 in any::<bool>()
    ) {
        let vsn = if v2 { Vsn::V2 } else { Vsn::V1 };
        let payload = payload.to_string();
        let message = Message::Push {
            join_ref: join_ref.as_deref(), reference: reference.as_deref(), topic: &topic, event: &event,
            payload: Payload::Json(&payload),
        };
        let (_, bytes) = written(&message, vsn);
        let read = read_text(vsn, std::str::from_utf8(&bytes).unwrap()).unwrap();
        let expected = inbound([join_ref.as_deref().filter(|_| v2), reference.as_deref()], &topic, &event, Payload::Json(&payload));
        prop_assert_eq!(read, expected);
    }

    #[test]
    fn a_binary_push_is_read_back_to_its_last_byte(
        fields in proptest::array::uniform4("\\PC{0,20}"), payload in proptest::collection::vec(any::<u8>(), 0..300)
    ) {
        let mut bytes = vec![0];
        bytes.extend(fields.iter().map(|field| field.len() as u8));
        fields.iter().for_each(|field| bytes.extend(field.bytes()));
        let header = bytes.len();
        bytes.extend(&payload);
        let [join_ref, reference, topic, event] = &fields;
        let some = |text: &'_ String| !text.is_empty();
        let expected = inbound(
            [Some(join_ref).filter(|text| some(text)).map(|text| text.as_str()),
             Some(reference).filter(|text| some(text)).map(|text| text.as_str())],
            topic, event, Payload::Binary(&payload),
        );
        prop_assert_eq!(read_binary(Vsn::V2, &bytes).unwrap(), expected);
        for end in 0..header {
            prop_assert!(read_binary(Vsn::V2, &bytes[..end]).is_err());
        }
    }

    #[test]
    fn any_bytes_are_a_message_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = read_binary(Vsn::V2, &bytes);
        let text = String::from_utf8_lossy(&bytes);
        let _ = (read_text(Vsn::V1, &text), read_text(Vsn::V2, &text));
    }

    #[test]
    fn a_reply_is_json(status in field(), topic in field(), payload in json()) {
        let json = payload.to_string();
        for vsn in [Vsn::V1, Vsn::V2] {
            let message = Message::Reply { join_ref: None, reference: None, topic: &topic, status: &status, payload: Payload::Json(&json) };
            let (_, bytes) = written(&message, vsn);
            let value: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
            let found = if vsn == Vsn::V2 { &value[4] } else { &value["payload"] };
            prop_assert_eq!(found, &serde_json::json!({"status": status, "response": payload}));
        }
    }
}
