//! What the BEAM is told and what it asks for.

use dist::term::{as_atom, as_binary, as_int, as_tuple, atom};
use gp_edge::commands::{Body, Command, ToSocket};
use gp_edge::metrics::{Closed, Refused};
use gp_edge::origin::Origins;
use gp_edge::router::FromBeam;

use crate::support::{
    Client, Server, Told, broadcast, close, connection_of, frame, plain_push, push, shutdown, soon,
    subscribe, text_frame,
};

#[tokio::test]
async fn a_connection_is_described() {
    let mut server = Server::start(|_| {}).await;
    let mut client = Client::open(server.port).await;
    let headers = [
        ("User-Agent", "test"),
        ("X-Forwarded-For", "10.0.0.1"),
        ("X-Request-Id", "abc-1.2_3"),
        ("Accept", "not told"),
        ("Sec-WebSocket-Protocol", "phoenix, base64url.bearer.phx.YWJjZA"),
    ];
    client.ask("/socket/websocket?vsn=2.0.0&token=a%20b", &headers).await;
    let (id, info) = server.asked().await;
    let text = |name: &str| String::from_utf8(as_binary(&info[name]).unwrap().to_vec()).unwrap();
    assert_eq!(as_atom(&info["transport"]), Some("websocket"));
    assert_eq!(text("path"), "/socket/websocket");
    assert_eq!(text("query"), "vsn=2.0.0&token=a%20b");
    assert_eq!(text("peer"), client.stream.local_addr().unwrap().to_string());
    assert_eq!(as_int(&info["vsn"]), Some(2));
    assert_eq!(text("request_id"), "abc-1.2_3");
    let headers = info["headers"].to_string();
    for told in ["user-agent", "x-forwarded-for", "x-phoenix-authtoken", "host"] {
        assert!(headers.contains(&dist::term::binary(told).to_string()), "{told}: {headers}");
    }
    assert!(!headers.contains(&dist::term::binary("accept").to_string()), "{headers}");
    assert!(id > 0);

    server.send([Command::Accept { id, connection: connection_of(id) }]).await;
    let response = client.response().await;
    assert_eq!(response.header("sec-websocket-protocol"), Some("phoenix"));
    assert_eq!(response.header("x-request-id"), Some("abc-1.2_3"));
}

#[tokio::test]
async fn the_bare_path_takes_upgrades_and_no_vsn_is_v1() {
    let mut server = Server::start(|config| config.socket_paths = vec!["/live".to_owned()]).await;
    let (mut client, id) = server.connect_to("/live").await;
    client.write(text_frame(r#"{"topic":"t","event":"e","payload":{"a":1},"ref":"1","join_ref":"2"}"#)).await;
    let message = server.receive().await;
    assert_eq!((message.join_ref.as_deref(), message.reference.as_deref()), (Some("2"), Some("1")));
    assert_eq!(message.body, Body::Json(r#"{"a":1}"#.to_owned()));
    server.send([push(id, "t", "{}")]).await;
    assert_eq!(client.text().await, r#"{"topic":"t","event":"e","payload":{},"ref":null}"#);
    // What a client of V1 cannot read is not sent to it.
    let push = |body| {
        let (topic, event) = ("t".to_owned(), "e".to_owned());
        Command::To(id, ToSocket::Push { join_ref: None, reference: None, topic, event, body })
    };
    server.send([push(Body::Binary(vec![1])), push(Body::Json("2".to_owned()))]).await;
    assert!(client.text().await.contains(":2,"));
    assert_eq!(server.refused(Refused::BinaryOnV1), 1);
}

#[tokio::test]
async fn the_beam_refuses_with_its_own_words() {
    let mut server = Server::start(|_| {}).await;
    let mut client = Client::open(server.port).await;
    client.ask("/socket/websocket?vsn=2.0.0", &[]).await;
    let (id, _) = server.asked().await;
    let body = br#"{"error":{"code":"token","message":"no"}}"#.to_vec();
    server.send([Command::Refuse { id, status: 403, body: body.clone() }]).await;
    let response = client.response().await;
    assert_eq!((response.status, &response.body), (403, &body));
    assert_eq!(server.exited().await, (id, 1000));
    assert_eq!((server.refused(Refused::Connect), server.closed(Closed::Refused)), (1, 1));
}

#[tokio::test]
async fn a_beam_that_does_not_answer_is_unavailable() {
    let mut server = Server::start(|config| config.limits.connect_ms = 20).await;
    let mut client = Client::open(server.port).await;
    client.ask("/socket/websocket?vsn=2.0.0", &[]).await;
    let (id, _) = server.asked().await;
    let response = client.response().await;
    assert_eq!((response.status, response.error_code().as_str()), (503, "unavailable"));
    assert!(response.header("retry-after").is_some());
    assert_eq!(server.exited().await, (id, 1006));
    // An answer that comes too late is for nobody.
    server.send([Command::Accept { id, connection: connection_of(id) }]).await;
}

#[tokio::test]
async fn a_client_that_goes_before_it_is_let_in_has_gone() {
    let mut server = Server::start(|_| {}).await;
    let mut client = Client::open(server.port).await;
    client.ask("/socket/websocket?vsn=2.0.0", &[]).await;
    let (id, _) = server.asked().await;
    drop(client);
    assert_eq!(server.exited().await, (id, 1006));
    assert_eq!(server.closed(Closed::Abandoned), 1);
}

#[tokio::test]
async fn pages_of_other_origins_and_other_serializers_are_refused_here() {
    let mut server = Server::start(|config| {
        config.origins = Origins::These(vec!["https://a.example".to_owned()]);
    })
    .await;
    for (path, origin) in [
        ("/socket/websocket?vsn=2.0.0", "https://evil.example"),
        ("/socket/websocket?vsn=3.0.0", "https://a.example"),
        ("/socket/websocket?vsn=x", "https://a.example"),
    ] {
        let mut client = Client::open(server.port).await;
        client.ask(path, &[("Origin", origin)]).await;
        let response = client.response().await;
        assert_eq!((response.status, response.error_code().as_str()), (403, "forbidden"));
    }
    assert_eq!((server.refused(Refused::Origin), server.refused(Refused::Vsn)), (1, 2));
    assert!(server.told.try_recv().is_err(), "the BEAM was asked");
}

#[tokio::test]
async fn heartbeats_are_answered_here() {
    let mut server = Server::start(|_| {}).await;
    let (mut client, _) = server.connect().await;
    client.write(text_frame(r#"[null,"3","phoenix","heartbeat",{}]"#)).await;
    assert_eq!(client.text().await, r#"[null,"3","phoenix","phx_reply",{"response":{},"status":"ok"}]"#);
    assert!(server.told.try_recv().is_err(), "the BEAM was told");
}

#[tokio::test]
async fn messages_replies_and_broadcasts_reach_who_they_are_for() {
    let mut server = Server::start(|_| {}).await;
    let (mut one, first) = server.connect().await;
    let (mut other, second) = server.connect().await;
    let (mut old, third) = server.connect_to("/socket").await;
    server.send([first, second, third].map(|id| subscribe(id, "room", None))).await;
    server
        .send([
            Command::To(
                first,
                ToSocket::Reply {
                    join_ref: Some("1".to_owned()),
                    reference: Some("2".to_owned()),
                    topic: "room".to_owned(),
                    status: "ok".to_owned(),
                    body: Body::Binary(b"xyz".to_vec()),
                },
            ),
            Command::Broadcast {
                key: b"room".to_vec(),
                topic: "t\"opic".to_owned(),
                event: "shout".to_owned(),
                body: Body::Json(r#"{"m":"hi"}"#.to_owned()),
                except: Some(first),
                stream: None,
            },
            push(first, "t", "1"),
            Command::Unsubscribe { id: second, key: b"room".to_vec() },
            broadcast("room", "2", None),
            broadcast("nobody", "3", None),
            push(second, "t", "4"),
        ])
        .await;
    let reply = one.frame().await;
    assert_eq!((reply.opcode, reply.payload.as_slice()), (2, &b"\x01\x01\x01\x04\x0212roomokxyz"[..]));
    assert_eq!(one.text().await, r#"[null,null,"t","e",1]"#);
    assert_eq!(one.text().await, r#"[null,null,"room","e",2]"#);
    assert_eq!(other.text().await, r#"[null,null,"t\"opic","shout",{"m":"hi"}]"#);
    assert_eq!(other.text().await, r#"[null,null,"t","e",4]"#);
    assert_eq!(old.text().await, r#"{"topic":"t\"opic","event":"shout","payload":{"m":"hi"},"ref":null}"#);
    assert_eq!(old.text().await, r#"{"topic":"room","event":"e","payload":2,"ref":null}"#);
    assert_eq!(server.edge.common.metrics.deliveries.get(), 4);
    assert_eq!(server.edge.common.metrics.subscriptions.get(), 2);
}

#[tokio::test]
async fn a_socket_ends_as_its_process_does() {
    for (reason, code) in [
        (atom("normal"), 1000),
        (atom("shutdown"), 1000),
        (shutdown("x"), 1000),
        (atom("noconnection"), 1012),
        (atom("noproc"), 1011),
        (atom("badarg"), 1011),
    ] {
        let mut server = Server::start(|_| {}).await;
        let (mut client, id) = server.connect().await;
        server.commands.send(FromBeam::Down(id, reason)).await.unwrap();
        assert_eq!(client.closed().await.0, code);
        assert_eq!(server.exited().await, (id, code));
    }
}

#[tokio::test]
async fn exit_signals_and_plain_messages_reach_a_socket_by_its_pid() {
    let mut server = Server::start(|_| {}).await;
    let (mut client, id) = server.connect().await;
    server.commands.send(FromBeam::To(id, plain_push("t", "1"))).await.unwrap();
    assert_eq!(client.text().await, r#"[null,null,"t","e",1]"#);
    server.commands.send(FromBeam::Exit(id, atom("kill"))).await.unwrap();
    assert_eq!(client.frame().await.payload, b"\x03\xf3");
    client.ended().await;
    assert_eq!(server.exited().await, (id, 1011));
}

#[tokio::test]
async fn what_is_queued_comes_before_a_close() {
    let mut server = Server::start(|_| {}).await;
    let (mut client, id) = server.connect().await;
    let commands = (0..100).map(|n| push(id, "t", n.to_string())).chain([close(id, 1000, "disconnect")]);
    server.send(commands).await;
    for n in 0..100 {
        assert_eq!(client.text().await, format!(r#"[null,null,"t","e",{n}]"#));
    }
    assert_eq!(client.closed().await, (1000, "disconnect".to_owned()));
    assert_eq!(server.exited().await, (id, 1000));
    // There is nobody any more.
    server.send([push(id, "t", "1"), close(id, 1000, ""), subscribe(id, "k", None)]).await;
    let (_client, _) = server.connect().await;
    assert_eq!(server.edge.common.metrics.subscriptions.get(), 0);
}

#[tokio::test]
async fn a_beam_that_does_not_read_makes_clients_wait() {
    let mut server = Server::start(|config| {
        config.limits.burst = u64::MAX / 2000;
    })
    .await;
    let (mut client, id) = server.connect().await;
    server.reads.send_replace(false);
    let message = text_frame(&format!("[null,\"1\",\"t\",\"e\",\"{}\"]", "x".repeat(60_000)));
    // More than all buffers of the system hold: at some time writing stands still.
    let mut sent = 0;
    let stalled = loop {
        match client.stream.try_write(&message[sent % message.len()..]) {
            Ok(n) => sent += n,
            Err(_) => {
                let writable = client.stream.writable();
                if tokio::time::timeout(std::time::Duration::from_millis(200), writable).await.is_err() {
                    break true;
                }
            }
        }
        if sent > 64 << 20 {
            break false;
        }
    };
    assert!(stalled, "{sent} bytes were taken for a BEAM that does not read");
    // What is for the client goes on.
    server.send([push(id, "t", "1")]).await;
    assert_eq!(client.text().await, r#"[null,null,"t","e",1]"#);
    server.reads.send_replace(true);
    for _ in 0..sent / message.len() {
        assert!(matches!(soon(server.told.recv()).await.unwrap(), Told::Sent { .. }));
    }
}

#[tokio::test]
async fn what_a_client_says_before_its_close_waits_for_a_slow_beam() {
    let mut server = Server::start(|_| {}).await;
    let (mut client, id) = server.connect().await;
    server.reads.send_replace(false);
    let messages = ["1", "2", "3"].map(|n| text_frame(&format!("[null,\"{n}\",\"t\",\"e\",{{}}]")));
    client.write([messages.concat(), frame(0x88, b"\x03\xe8")].concat()).await;
    assert_eq!(client.frame().await.opcode, 8);
    assert!(server.told.try_recv().is_err(), "the end was told before the messages");
    server.reads.send_replace(true);
    for n in ["1", "2", "3"] {
        assert_eq!(server.receive().await.reference.as_deref(), Some(n));
    }
    assert_eq!(server.exited().await, (id, 1000));
}

#[tokio::test]
async fn the_watcher_is_told_that_the_edge_turns() {
    let watcher = dist::Pid::new("beam@h", 2, 0, 1);
    let mut server = Server::start(|config| config.watcher = Some(watcher.clone().into())).await;
    let mut last = -1;
    let mut turned = 0;
    while turned < 2 {
        let Told::Sent { to, message } = server.next().await else { continue };
        let Some([name, n]) = as_tuple(&message) else { panic!("{message}") };
        assert_eq!((to, as_atom(name)), (watcher.clone().into(), Some("gp_beat")));
        let n = as_int(n).unwrap();
        assert!(n >= last);
        turned += u32::from(n > last);
        last = n;
    }
}

#[tokio::test]
async fn the_streams_of_a_topic_end_with_it() {
    let mut server = Server::start(|_| {}).await;
    let (mut client, id) = server.connect().await;
    let subscribed = ["a", "a#1", "a#all", "ab", "b#a"].map(|key| subscribe(id, key, None));
    server.send(subscribed).await;
    server.send([Command::Unsubscribe { id, key: "a".into() }]).await;
    server.send(["a", "a#1", "a#all", "ab", "b#a"].map(|key| broadcast(key, "1", None))).await;
    // Only these two are left.
    assert!(client.text().await.contains("\"ab\""));
    assert!(client.text().await.contains("\"b#a\""));
    server.send([push(id, "last", "1")]).await;
    assert!(client.text().await.contains("last"));
    assert_eq!(server.edge.common.metrics.subscriptions.get(), 2);
}

#[tokio::test]
async fn what_the_beam_has_not_handled_is_bounded() {
    let handled = |id, messages, bytes| Command::To(id, ToSocket::Handled { messages, bytes });
    let mut server = Server::start(|config| {
        config.limits.input_messages = 3;
        config.limits.input_bytes = 10;
    })
    .await;
    let (mut client, id) = server.connect().await;
    let message = |payload: &str| text_frame(&format!(r#"["1","2","t","e",{payload}]"#));
    // One may be as large as a message may be.
    client.write(message("\"0123456789abcdef\"")).await;
    server.receive().await;
    server.send([handled(id, 1, 18), push(id, "t", "1")]).await;
    client.text().await;
    for _ in 0..3 {
        client.write(message("{}")).await;
        server.receive().await;
    }
    // More than there were: nobody gains by that.
    server.send([handled(id, 9, 99), push(id, "t", "1")]).await;
    client.text().await;
    for _ in 0..4 {
        client.write(message("{}")).await;
    }
    assert_eq!(client.closed().await, (1008, "backpressure_input".to_owned()));
    for _ in 0..3 {
        server.receive().await;
    }
    assert_eq!(server.exited().await, (id, 1008));
    assert_eq!(server.closed(Closed::BackpressureInput), 1);

    let (mut client, _) = server.connect().await;
    client.write(message("\"012345\"")).await;
    client.write(message("\"012345\"")).await;
    assert_eq!(client.closed().await.0, 1008);
}
