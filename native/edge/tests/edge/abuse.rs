//! Clients that are broken, or mean harm.

use gp_edge::metrics::{Closed, Refused};

use crate::support::{Client, Server, frame, soon, text_frame};

#[tokio::test]
async fn what_is_no_message_closes_with_1011() {
    let deep = format!("[null,\"1\",\"t\",\"e\",{}{}]", "[".repeat(5000), "]".repeat(5000));
    let long = format!("[null,\"1\",\"{}\",\"e\",{{}}]", "t".repeat(256));
    for bad in [
        "",
        "{}",
        "[]",
        "nonsense",
        "[1,2,3]",
        r#"[null,"1","t","e"]"#,
        r#"[null,"1",5,"e",{}]"#,
        &deep,
        &long,
    ] {
        let mut server = Server::start(|_| {}).await;
        let (mut client, id) = server.connect().await;
        client.write(text_frame(bad)).await;
        assert_eq!(client.closed().await.0, 1011, "{bad}");
        assert_eq!(server.exited().await, (id, 1011));
        assert_eq!(server.closed(Closed::Malformed), 1);
    }
    for bad in
        [&b""[..], b"\x00", b"\x00\x01\x01\x01\x01", b"\x01\x00\x00\x01\x01te", b"\x00\x00\x00\x01\x01\xffe"]
    {
        let mut server = Server::start(|_| {}).await;
        let (mut client, _) = server.connect().await;
        client.write(frame(0x82, bad)).await;
        assert_eq!(client.closed().await.0, 1011, "{bad:?}");
    }
}

#[tokio::test]
async fn too_large_a_frame_or_message_closes_before_it_is_read() {
    let limited = async || {
        Server::start(|config| {
            config.limits.message_bytes = 1000;
            config.limits.frame_bytes = 600;
        })
        .await
    };
    let mut server = limited().await;
    let (mut client, id) = server.connect().await;
    // The header alone says enough.
    client.write(&frame(0x81, &[b'x'; 601])[..8]).await;
    assert_eq!(client.closed().await.0, 1009);
    assert_eq!(server.exited().await, (id, 1009));

    let mut server = limited().await;
    let (mut client, _) = server.connect().await;
    client.write([frame(0x01, &[b'x'; 600]), frame(0x80, &[b'x'; 401])].concat()).await;
    assert_eq!(client.closed().await.0, 1009);
    assert_eq!(server.exited().await.1, 1009);

    let mut server = limited().await;
    let (mut client, _) = server.connect().await;
    client.write([0x82, 0xff, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]).await;
    client.write([0; 4]).await;
    assert_eq!(client.closed().await.0, 1009);
    assert_eq!(server.exited().await.1, 1009);
    assert_eq!(server.closed(Closed::TooLarge), 1);
}

#[tokio::test]
async fn too_many_messages_close_with_a_reason() {
    let mut server = Server::start(|config| {
        config.limits.rate = 1;
        config.limits.burst = 5;
    })
    .await;
    let (mut client, id) = server.connect().await;
    for _ in 0..6 {
        client.write(text_frame(r#"[null,"1","t","e",{}]"#)).await;
    }
    for _ in 0..5 {
        assert_eq!(server.receive().await.id, id);
    }
    assert_eq!(client.closed().await, (1008, "input_rate".to_owned()));
    // Pings are messages too.
    let (mut client, id) = server.connect_after_exit().await;
    client.write([0; 6].map(|_| frame(0x89, b"")).concat()).await;
    for _ in 0..6 {
        assert_eq!(client.frame().await.opcode, 10);
    }
    assert_eq!(client.closed().await.0, 1008);
    assert_eq!(server.exited().await, (id, 1008));
}

#[tokio::test]
async fn a_client_that_says_nothing_is_closed() {
    let mut server = Server::start(|config| config.limits.idle_ms = 40).await;
    let (mut client, id) = server.connect().await;
    assert_eq!(client.closed().await, (1001, "idle".to_owned()));
    assert_eq!(server.exited().await, (id, 1001));
}

#[tokio::test]
async fn a_head_that_comes_too_slowly_is_answered_with_408() {
    let server = Server::start(|config| config.limits.header_ms = 60).await;
    let mut client = Client::open(server.port).await;
    // A byte at a time, more slowly than the limit allows for the whole.
    let mut head = b"GET /healthz HTTP/1.1\r\nHost: game.example\r\nX-Slow: yes\r\n\r\n".iter();
    let response = loop {
        tokio::select! {
            response = client.answered() => break response,
            () = tokio::time::sleep(std::time::Duration::from_millis(10)) => {
                if let Some(byte) = head.next() {
                    // It may be closed by now.
                    let _ = client.stream.try_write(&[*byte]);
                }
            }
        }
    };
    assert_eq!((response.status, response.error_code().as_str()), (408, "timeout"));
    assert_eq!(server.refused(Refused::HeaderTimeout), 1);
}

#[tokio::test]
async fn who_connects_and_says_nothing_is_dropped() {
    let server = Server::start(|config| config.limits.header_ms = 30).await;
    Client::open(server.port).await.ended().await;
}

#[tokio::test]
async fn what_is_no_http_is_answered_in_json() {
    let server = Server::start(|_| {}).await;
    for bad in [
        &b"NONSENSE\r\n\r\n"[..],
        b"GET / HTTP/1.1\r\nno colon\r\n\r\n",
        b"GET /\xff\xfe HTTP/1.1\r\nHost: a\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: x\r\n\r\n",
    ] {
        let mut client = Client::open(server.port).await;
        client.write(bad).await;
        let response = client.response().await;
        assert_eq!(response.error_code(), "bad_request", "{bad:?}: {response:?}");
        assert_eq!(response.status, 400);
        client.ended().await;
    }
}

#[tokio::test]
async fn too_long_a_url_or_head_has_a_status_of_its_own() {
    let server = Server::start(|config| {
        config.limits.url_bytes = 100;
        config.limits.header_bytes = 1000;
    })
    .await;
    let long = format!("/{}", "a".repeat(100));
    assert_eq!(Client::open(server.port).await.get(&long).await.error_code(), "url_too_long");
    // Somewhat too much, and so much that it is not even read.
    for (len, count) in [(1000, 1), (5000, 1), (500, 90)] {
        let mut client = Client::open(server.port).await;
        let value = "v".repeat(len);
        let headers: Vec<(&str, &str)> = (0..count).map(|_| ("X-Long", value.as_str())).collect();
        client.request("GET", "/healthz", &headers, "").await;
        let response = client.response().await;
        assert_eq!((response.status, response.error_code().as_str()), (431, "headers_too_large"));
    }
    assert_eq!((server.refused(Refused::UrlBytes), server.refused(Refused::HeaderBytes)), (1, 3));
}

#[tokio::test]
async fn too_many_connections_are_told_when_to_come_back() {
    let mut server = Server::start(|config| config.limits.per_ip = 2).await;
    let (first, _) = server.connect().await;
    let (_second, _) = server.connect().await;
    let mut third = Client::open(server.port).await;
    let response = third.response().await;
    assert_eq!((response.status, response.error_code().as_str()), (429, "too_many"));
    assert!(response.header("retry-after").is_some());
    // One that goes makes room.
    drop(first);
    server.exited().await;
    let (_fourth, _) = server.connect().await;
    assert_eq!(server.refused(Refused::PerIp), 1);

    let server = Server::start(|config| config.limits.max_connections = 1).await;
    let _open = Client::open(server.port).await.get_and_stay("/healthz").await;
    let response = Client::open(server.port).await.response().await;
    assert_eq!((response.status, response.error_code().as_str()), (503, "unavailable"));
}

#[tokio::test]
async fn bad_handshakes_are_refused() {
    let server = Server::start(|_| {}).await;
    for (request, status) in [
        ("GET /socket/websocket HTTP/1.1\r\nHost: a\r\n\r\n", 426),
        ("POST /socket/websocket HTTP/1.1\r\nHost: a\r\n\r\n", 405),
        ("GET /socket/websocket HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n", 426),
        (
            "GET /socket/websocket HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: short\r\n\r\n",
            400,
        ),
    ] {
        let mut client = Client::open(server.port).await;
        client.write(request).await;
        let response = client.response().await;
        assert_eq!(response.status, status, "{request}");
        response.error_code();
    }
}

#[tokio::test]
async fn half_a_connection_does_not_stay() {
    let mut server = Server::start(|_| {}).await;
    let (mut client, id) = server.connect().await;
    // The client writes no more, but would read.
    soon(tokio::io::AsyncWriteExt::shutdown(&mut client.stream)).await.unwrap();
    client.ended().await;
    assert_eq!(server.exited().await, (id, 1006));
}

#[tokio::test]
async fn random_bytes_never_stop_the_server() {
    let mut server = Server::start(|_| {}).await;
    let mut state = 1u64;
    for round in 0..200u32 {
        let bytes: Vec<u8> = (0..300)
            .map(|_| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                (state >> 56) as u8
            })
            .collect();
        if round % 4 == 0 {
            let client = Client::open(server.port).await;
            let _ = client.stream.try_write(&bytes);
        } else {
            let (client, _) = server.connect().await;
            let _ = client.stream.try_write(&bytes);
            drop(client);
            server.exited().await;
        }
    }
    assert_eq!(Client::open(server.port).await.get("/healthz").await.status, 200);
}
