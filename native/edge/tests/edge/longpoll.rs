//! Long polls, as `phoenix.js` does them.

use gp_edge::commands::{Body, Command, ToSocket};
use gp_edge::metrics::{Closed, Refused};
use gp_edge::origin::Origins;
use serde_json::{Value, json};

use crate::support::{Answer, Client, Server, broadcast, close, push, subscribe};

const PATH: &str = "/socket/longpoll?vsn=2.0.0";

/// A session that has been let in.
struct Session {
    client: Client,
    id: u64,
    token: String,
}

async fn open(server: &mut Server) -> Session {
    let mut client = Client::open(server.port).await;
    client.request("GET", PATH, &[], "").await;
    let id = server.accept().await;
    let response = client.response().await;
    assert_eq!(response.status, 200);
    assert_eq!(response.header("content-type"), Some("application/json; charset=utf-8"));
    assert_eq!(response.header("access-control-allow-origin"), Some("*"));
    assert_eq!(response.header("cache-control"), Some("no-store"));
    let json = response.json();
    assert_eq!((&json["status"], &json["messages"]), (&json!(410), &json!([])));
    Session { client, id, token: json["token"].as_str().unwrap().to_owned() }
}

impl Session {
    async fn ask(&mut self) {
        let token = [("X-Phoenix-Longpoll-Token", self.token.as_str())];
        self.client.request("GET", PATH, &token, "").await;
    }

    async fn poll(&mut self) -> Value {
        self.ask().await;
        self.client.response().await.json()
    }

    async fn post(&mut self, kind: &str, body: &str) -> Value {
        let headers = [("X-Phoenix-Longpoll-Token", self.token.as_str()), ("Content-Type", kind)];
        self.client.request("POST", PATH, &headers, body).await;
        let response = self.client.response().await;
        assert_eq!(response.status, 200);
        response.json()
    }

    async fn batch(&mut self, body: &str) -> Value {
        self.post("application/x-ndjson", body).await
    }
}

#[tokio::test]
async fn messages_wait_for_polls() {
    let mut server = Server::start(|_| {}).await;
    let mut session = open(&mut server).await;
    let id = session.id;
    server.send([push(id, "t", r#"{"a":"\"é"}"#), push(id, "t", "2")]).await;
    let first = session.poll().await;
    assert_eq!((&first["status"], &first["token"]), (&json!(200), &json!(session.token)));
    let mut messages = first["messages"].as_array().unwrap().clone();
    if messages.len() < 2 {
        messages.extend(session.poll().await["messages"].as_array().unwrap().iter().cloned());
    }
    assert_eq!(messages, [r#"[null,null,"t","e",{"a":"\"é"}]"#, r#"[null,null,"t","e",2]"#]);

    // A poll that waits is woken.
    session.ask().await;
    server.send([subscribe(id, "k", None), broadcast("k", "3", None)]).await;
    assert_eq!(session.client.response().await.json()["messages"], json!([r#"[null,null,"k","e",3]"#]));
}

#[tokio::test]
async fn a_poll_ends_with_its_window() {
    let mut server = Server::start(|config| config.limits.poll_window_ms = 20).await;
    let mut session = open(&mut server).await;
    let answer = session.poll().await;
    assert_eq!(answer, json!({"status": 204, "token": session.token, "messages": []}));
}

#[tokio::test]
async fn bodies_are_batches_or_single() {
    let mut server = Server::start(|_| {}).await;
    let mut session = open(&mut server).await;
    // In base64: a binary push on topic t, event e.
    let batch = "[\"1\",\"2\",\"t\",\"one\",{}]\n\r\n[null,\"3\",\"t\",\"two\",1]\r\nAAEBAQE0NXRleHl6";
    assert_eq!(session.batch(batch).await, json!({"status": 200}));
    let (one, two, three) = (server.receive().await, server.receive().await, server.receive().await);
    assert_eq!(
        (one.join_ref.as_deref(), one.reference.as_deref(), one.event.as_str()),
        (Some("1"), Some("2"), "one")
    );
    assert_eq!((two.event.as_str(), two.body), ("two", Body::Json("1".to_owned())));
    assert_eq!((three.reference.as_deref(), three.body), (Some("5"), Body::Binary(b"xyz".to_vec())));
    assert_eq!(session.post("text/plain", r#"[null,"1","t","single",{}]"#).await["status"], 200);
    assert_eq!(server.receive().await.event, "single");
    // A heartbeat is answered by the next poll.
    session.batch(r#"[null,"9","phoenix","heartbeat",{}]"#).await;
    let reply = r#"[null,"9","phoenix","phx_reply",{"response":{},"status":"ok"}]"#;
    assert_eq!(session.poll().await["messages"], json!([reply]));
}

#[tokio::test]
async fn a_batch_has_a_hundred_messages_at_most() {
    let mut server = Server::start(|_| {}).await;
    let mut session = open(&mut server).await;
    let lines: Vec<String> = (0..105).map(|n| format!("[null,\"{n}\",\"t\",\"e\",{{}}]")).collect();
    assert_eq!(session.batch(&lines.join("\n")).await["status"], 200);
    for n in 0..100 {
        assert_eq!(server.receive().await.reference, Some(n.to_string()));
    }
    assert!(server.told.try_recv().is_err());
}

#[tokio::test]
async fn without_a_session_there_is_a_new_one_or_none() {
    let mut server = Server::start(|_| {}).await;
    let mut client = Client::open(server.port).await;
    client.request("POST", PATH, &[("X-Phoenix-Longpoll-Token", "unknown")], "x").await;
    assert_eq!(client.response().await.json(), json!({"status": 410}));
    assert_eq!(server.refused(Refused::NoSession), 1);
    client.request("GET", &format!("{PATH}&token=unknown"), &[], "").await;
    server.accept().await;
    assert_eq!(client.response().await.json()["status"], 410);
}

#[tokio::test]
async fn a_refusal_is_a_status_in_the_body() {
    let mut server = Server::start(|config| config.limits.connect_ms = 5000).await;
    let mut client = Client::open(server.port).await;
    client.request("GET", PATH, &[], "").await;
    let (id, info) = server.asked().await;
    assert_eq!(dist::term::as_atom(&info["transport"]), Some("longpoll"));
    server.send([Command::Refuse { id, status: 403, body: b"{}".to_vec() }]).await;
    let response = client.response().await;
    assert_eq!((response.status, response.json()), (200, json!({"status": 403})));
    client.request("GET", "/socket/longpoll?vsn=9.0.0", &[], "").await;
    assert_eq!(client.response().await.json(), json!({"status": 403}));
}

#[tokio::test]
async fn origins_are_looked_at_and_preflights_answered() {
    let server = Server::start(|config| config.origins = Origins::Same).await;
    let mut client = Client::open(server.port).await;
    client.request("GET", PATH, &[("Origin", "http://evil.example")], "").await;
    assert_eq!(client.response().await.json(), json!({"status": 403}));
    let headers = [
        ("Origin", "http://game.example"),
        ("Access-Control-Request-Headers", "content-type,x-phoenix-longpoll-token"),
    ];
    client.request("OPTIONS", PATH, &headers, "").await;
    let response = client.response().await;
    assert_eq!(response.status, 200);
    assert_eq!(
        response.header("access-control-allow-headers"),
        Some("content-type,x-phoenix-longpoll-token")
    );
    assert_eq!(response.header("access-control-allow-methods"), Some("get, post, options"));
    client.request("PUT", PATH, &[], "").await;
    assert_eq!(client.response().await.status, 405);
}

#[tokio::test]
async fn what_is_no_message_ends_the_session() {
    for (body, status, code) in [
        ("[1]", 400, 1011),
        ("!no base64!", 400, 1011),
        ("AQ==", 400, 1011),
        (
            "[null,\"1\",\"t\",\"e\",\"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\"]",
            413,
            1009,
        ),
    ] {
        let mut server = Server::start(|config| config.limits.message_bytes = 60).await;
        let mut session = open(&mut server).await;
        assert_eq!(session.batch(body).await, json!({"status": status}), "{body}");
        assert_eq!(server.exited().await, (session.id, code));
    }
}

#[tokio::test]
async fn bodies_and_messages_are_limited() {
    let mut server = Server::start(|config| {
        config.limits.message_bytes = 100;
        config.limits.burst = 3;
        config.limits.rate = 1;
        config.limits.body_ms = 40;
    })
    .await;
    let mut session = open(&mut server).await;
    assert_eq!(session.batch(&"x".repeat(1601)).await, json!({"status": 413}));
    assert_eq!(server.refused(Refused::BodyBytes), 1);
    // The rest of that body was not read, and the connection has ended with it.
    session.client = Client::open(server.port).await;
    let head = format!("POST {PATH} HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\nX-Phoenix-Longpoll-Token: ");
    session.client.write(format!("{head}{}\r\n\r\n[", session.token)).await;
    assert_eq!(session.client.response().await.json(), json!({"status": 408}));
    assert_eq!(server.refused(Refused::BodyTimeout), 1);
    session.client = Client::open(server.port).await;
    let lines = [r#"[null,"1","t","e",{}]"#; 5].join("\n");
    assert_eq!(session.batch(&lines).await, json!({"status": 429}));
    for _ in 0..3 {
        server.receive().await;
    }
    assert_eq!(server.exited().await, (session.id, 1008));
    assert_eq!(server.closed(Closed::InputRate), 1);
}

#[tokio::test]
async fn a_session_ends_when_the_beam_ends_it() {
    let mut server = Server::start(|_| {}).await;
    let mut session = open(&mut server).await;
    session.ask().await;
    server.requests(2).await;
    server.send([close(session.id, 1000, "")]).await;
    assert_eq!(session.client.response().await.json()["status"], 410);
    assert_eq!(server.exited().await, (session.id, 1000));
    assert_eq!(server.edge.common.metrics.longpolls.get(), 0);
}

#[tokio::test]
async fn what_was_sent_before_the_end_can_be_polled() {
    let mut server = Server::start(|_| {}).await;
    let mut session = open(&mut server).await;
    server.send([push(session.id, "t", "1"), close(session.id, 1000, "")]).await;
    assert_eq!(server.exited().await, (session.id, 1000));
    assert_eq!(session.poll().await["messages"], json!([r#"[null,null,"t","e",1]"#]));
    assert_eq!(session.poll().await["status"], 410);
}

#[tokio::test]
async fn a_session_that_nobody_polls_ends() {
    let mut server = Server::start(|config| config.limits.poll_idle_ms = 40).await;
    let session = open(&mut server).await;
    assert_eq!(server.exited().await, (session.id, 1006));
    assert_eq!(server.closed(Closed::PollIdle), 1);
}

#[tokio::test]
async fn a_stream_that_lags_is_reported_and_binary_is_not_sent() {
    let mut server = Server::start(|_| {}).await;
    let mut session = open(&mut server).await;
    let id = session.id;
    session.ask().await;
    let binary = ToSocket::Push {
        join_ref: None,
        reference: None,
        topic: "t".to_owned(),
        event: "e".to_owned(),
        body: Body::Binary(vec![1]),
    };
    server.send([subscribe(id, "w", None), broadcast("w", "1", Some((0, 1))), Command::To(id, binary)]).await;
    assert_eq!(server.lagged().await, (id, "w".to_owned(), None));
    server.send([subscribe(id, "w", Some(1)), broadcast("w", "2", Some((1, 2)))]).await;
    let answer: Answer = session.client.response().await;
    assert_eq!(answer.json()["messages"], json!([r#"[null,null,"w","e",2]"#]));
    assert_eq!(server.refused(Refused::BinaryOnLongpoll), 1);
}

#[tokio::test]
async fn sessions_of_one_address_are_limited() {
    let mut server = Server::start(|config| config.limits.per_ip = 2).await;
    let _one = open(&mut server).await;
    let mut two = open(&mut server).await;
    two.client.request("GET", PATH, &[], "").await;
    let response = two.client.response().await;
    assert_eq!((response.status, response.error_code().as_str()), (429, "too_many"));
}
