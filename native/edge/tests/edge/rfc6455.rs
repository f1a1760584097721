//! The cases of RFC 6455, named after the groups of the Autobahn test suite.

use gp_edge::commands::Body;
use gp_edge::metrics::Closed;

use crate::support::{Client, Server, connection_of, frame, soon, text_frame};

/// A message with a payload of this JSON.
fn message(json: &str) -> String {
    format!("[null,\"1\",\"t\",\"e\",{json}]")
}

/// A binary message with this payload.
fn binary(payload: &[u8]) -> Vec<u8> {
    [b"\x00\x00\x01\x01\x011te", payload].concat()
}

async fn expect_json(server: &mut Server, json: &str) {
    assert_eq!(server.receive().await.body, Body::Json(json.to_owned()));
}

/// What these bytes are answered with is a close of this code.
async fn closes(bytes: &[u8], code: u16) {
    let mut server = Server::start(|_| {}).await;
    let (mut client, id) = server.connect().await;
    client.write(bytes).await;
    assert_eq!(client.closed().await.0, code);
    assert_eq!(server.exited().await, (id, code));
}

/// A connection to a server that has let it in.
async fn connected() -> (Server, Client, u64) {
    let mut server = Server::start(|config| {
        config.limits.message_bytes = 1 << 20;
        config.limits.frame_bytes = 1 << 20;
        config.limits.burst = 10_000;
    })
    .await;
    let (client, id) = server.connect().await;
    (server, client, id)
}

#[tokio::test]
async fn group_1_text_and_binary_of_all_lengths() {
    let (mut server, mut client, _) = connected().await;
    // Lengths on both sides of where the form of the header changes.
    for len in [2, 125, 126, 127, 128, 65_535, 65_536, 65_537, 200_000] {
        let json = format!("\"{}\"", "*".repeat(len));
        client.write(text_frame(&message(&json))).await;
        expect_json(&mut server, &json).await;
        let bytes = vec![0xfe; len];
        client.write(frame(0x82, &binary(&bytes))).await;
        assert_eq!(server.receive().await.body, Body::Binary(bytes));
    }
}

#[tokio::test]
async fn group_1_octet_by_octet() {
    let (mut server, mut client, _) = connected().await;
    for byte in text_frame(&message("\"wieder\"")) {
        client.write([byte]).await;
    }
    expect_json(&mut server, "\"wieder\"").await;
}

#[tokio::test]
async fn group_2_pings_are_answered_in_order() {
    let (_server, mut client, _) = connected().await;
    for payload in [&b""[..], b"Hello", &[0, 255, 254, 253], &[0xfe; 125]] {
        client.write(frame(0x89, payload)).await;
        let pong = client.frame().await;
        assert_eq!((pong.opcode, pong.payload.as_slice()), (10, payload));
    }
    let pings: Vec<u8> = (0..10).flat_map(|n| frame(0x89, format!("payload-{n}").as_bytes())).collect();
    client.write(pings).await;
    for n in 0..10 {
        assert_eq!(client.frame().await.payload, format!("payload-{n}").into_bytes());
    }
}

#[tokio::test]
async fn group_2_pongs_that_nobody_asked_for_are_passed_over() {
    let (_server, mut client, _) = connected().await;
    client.write([frame(0x8a, b"unasked"), frame(0x89, b"now")].concat()).await;
    assert_eq!(client.frame().await.payload, b"now");
}

#[tokio::test]
async fn group_2_a_ping_too_long_is_an_error() {
    closes(&frame(0x89, &[0; 126]), 1002).await;
}

#[tokio::test]
async fn group_3_reserved_bits_are_errors() {
    for bit in [0x40, 0x20, 0x10, 0x70] {
        closes(&frame(0x81 | bit, b"x"), 1002).await;
        closes(&frame(0x89 | bit, b"x"), 1002).await;
    }
}

#[tokio::test]
async fn group_4_reserved_opcodes_are_errors() {
    for opcode in [3, 4, 5, 6, 7, 11, 12, 13, 14, 15] {
        closes(&frame(0x80 | opcode, b""), 1002).await;
    }
}

#[tokio::test]
async fn group_4_a_frame_without_a_mask_is_an_error() {
    closes(b"\x81\x02hi", 1002).await;
}

#[tokio::test]
async fn group_4_a_length_has_one_form() {
    closes(&[0x81, 0x80 | 126, 0, 5, 0, 0, 0, 0], 1002).await;
    closes(&[0x81, 0x80 | 127, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 0], 1002).await;
    closes(&[0x81, 0x80 | 127, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], 1002).await;
}

#[tokio::test]
async fn group_5_a_message_comes_in_pieces() {
    let (mut server, mut client, _) = connected().await;
    let text = message("\"fragments\"");
    for size in [1, 7, text.len()] {
        let pieces: Vec<&[u8]> = text.as_bytes().chunks(size).collect();
        for (n, piece) in pieces.iter().enumerate() {
            let fin = if n + 1 == pieces.len() { 0x80 } else { 0 };
            client.write(frame(fin | u8::from(n == 0), piece)).await;
        }
        expect_json(&mut server, "\"fragments\"").await;
    }
    // Pieces without content are pieces.
    let empty = [frame(0x01, b""), frame(0x00, text.as_bytes()), frame(0x80, b"")].concat();
    client.write(empty).await;
    expect_json(&mut server, "\"fragments\"").await;
}

#[tokio::test]
async fn group_5_a_ping_may_come_between_pieces() {
    let (mut server, mut client, _) = connected().await;
    let text = message("1");
    let (start, end) = text.as_bytes().split_at(5);
    client.write([frame(0x01, start), frame(0x89, b"between"), frame(0x80, end)].concat()).await;
    assert_eq!(client.frame().await.payload, b"between");
    expect_json(&mut server, "1").await;
}

#[tokio::test]
async fn group_5_pieces_out_of_order_are_errors() {
    // Control frames come whole.
    closes(&frame(0x09, b"x"), 1002).await;
    closes(&frame(0x0a, b"x"), 1002).await;
    // Nothing to continue, at first and after a whole message.
    closes(&frame(0x80, b"x"), 1002).await;
    closes(&[frame(0x01, b"["), frame(0x81, b"]")].concat(), 1002).await;
    closes(&[frame(0x01, b"["), frame(0x02, b"]")].concat(), 1002).await;
    let whole = text_frame("[null,\"1\",\"phoenix\",\"heartbeat\",{}]");
    let mut server = Server::start(|_| {}).await;
    let (mut client, _) = server.connect().await;
    client.write([whole, frame(0x00, b"x")].concat()).await;
    let opcodes = [client.frame().await.opcode];
    // The reply to the first may come before the close, or not at all.
    assert!(opcodes[0] == 1 || opcodes[0] == 8);
    assert_eq!(server.exited().await.1, 1002);
}

#[tokio::test]
async fn group_6_utf8_may_be_cut_anywhere() {
    let (mut server, mut client, _) = connected().await;
    let json = "\"κόσμε 😀 \u{10FFFF}\"";
    let text = message(json);
    for cut in 1..text.len() {
        let (start, end) = text.as_bytes().split_at(cut);
        client.write([frame(0x01, start), frame(0x80, end)].concat()).await;
        expect_json(&mut server, json).await;
    }
}

#[tokio::test]
async fn group_6_bad_utf8_is_refused() {
    for bad in [
        &b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80"[..],
        b"\xf4\x90\x80\x80",
        b"\xc0\xaf",
        b"\xed\xb0\x80",
        b"\xff",
        b"\x80",
        b"\xe1\xbd",
    ] {
        closes(&frame(0x81, bad), 1007).await;
    }
}

#[tokio::test]
async fn group_6_bad_utf8_is_refused_before_the_message_is_whole() {
    closes(&frame(0x01, b"\"\xf4\x90"), 1007).await;
    // Within a frame too: half of it has come.
    let half = &frame(0x81, &[&b"[\xff"[..], &[b'x'; 100]].concat())[..20];
    closes(half, 1007).await;
}

#[tokio::test]
async fn group_7_a_close_is_answered_with_its_code() {
    for (payload, code) in [
        (&b""[..], 1005),
        (b"\x03\xe8", 1000),
        (b"\x03\xe8bye", 1000),
        (b"\x03\xe9", 1001),
        (b"\x0f\xa0", 4000),
        (b"\x13\x87", 4999),
    ] {
        let mut server = Server::start(|_| {}).await;
        let (mut client, id) = server.connect().await;
        client.write(frame(0x88, payload)).await;
        let answer = client.frame().await;
        assert_eq!((answer.opcode, answer.payload.as_slice()), (8, &payload[..payload.len().min(2)]));
        client.ended().await;
        assert_eq!(server.exited().await, (id, code));
        assert_eq!(server.closed(Closed::Client), 1);
    }
}

#[tokio::test]
async fn group_7_what_follows_a_close_is_passed_over() {
    let (mut server, mut client, id) = connected().await;
    client.write([frame(0x88, b"\x03\xe8"), text_frame(&message("1")), frame(0x89, b"x")].concat()).await;
    assert_eq!(client.frame().await.opcode, 8);
    assert_eq!(server.exited().await, (id, 1000));
}

#[tokio::test]
async fn group_7_bad_closes_are_errors() {
    closes(&frame(0x88, b"\x03"), 1002).await;
    closes(&frame(0x88, b"\x03\xe8\xff"), 1007).await;
    closes(&frame(0x88, &[&b"\x03\xe8"[..], &[b'x'; 124]].concat()), 1002).await;
    for code in [0u16, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535] {
        closes(&frame(0x88, &code.to_be_bytes()), 1002).await;
    }
}

#[tokio::test]
async fn group_7_an_end_without_a_close_is_abnormal() {
    let (mut server, client, id) = connected().await;
    drop(client);
    assert_eq!(server.exited().await, (id, 1006));
    assert_eq!(server.closed(Closed::Gone), 1);
}

#[tokio::test]
async fn group_9_large_messages_come_whole_and_in_pieces() {
    let (mut server, mut client, _) = connected().await;
    let json = format!("\"{}\"", "x".repeat(900_000));
    let text = message(&json);
    client.write(text_frame(&text)).await;
    expect_json(&mut server, &json).await;
    let mut pieces: Vec<u8> = frame(0x01, b"");
    for piece in text.as_bytes().chunks(4096) {
        pieces.extend(frame(0x00, piece));
    }
    pieces.extend(frame(0x80, b""));
    client.write(pieces).await;
    expect_json(&mut server, &json).await;
}

#[tokio::test]
async fn group_10_a_large_message_is_written_whole() {
    let (server, mut client, id) = connected().await;
    let json = format!("\"{}\"", "y".repeat(700_000));
    server.send([crate::support::push(id, "t", json.clone())]).await;
    assert_eq!(client.text().await, format!("[null,null,\"t\",\"e\",{json}]"));
}

#[tokio::test]
async fn what_comes_behind_the_handshake_is_not_lost() {
    let mut server = Server::start(|_| {}).await;
    let mut client = Client::open(server.port).await;
    client.ask("/socket/websocket?vsn=2.0.0", &[]).await;
    client.write(text_frame(&message("\"early\""))).await;
    let id = server.accept().await;
    assert_eq!(client.response().await.status, 101);
    let message = server.receive().await;
    assert_eq!((message.id, message.body), (id, Body::Json("\"early\"".to_owned())));
    assert_eq!(connection_of(id), connection_of(message.id));
}

#[tokio::test]
async fn a_client_that_does_not_answer_a_close_is_dropped() {
    let (mut server, mut client, id) = connected().await;
    server.send([crate::support::close(id, 4001, "go")]).await;
    let frame = client.frame().await;
    assert_eq!((frame.opcode, frame.payload.as_slice()), (8, &b"\x0f\xa1go"[..]));
    client.ended().await;
    assert_eq!(soon(server.exited()).await, (id, 4001));
}
