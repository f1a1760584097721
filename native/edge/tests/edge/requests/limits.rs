//! What is refused, and who sees it.

use gp_edge::origin::Origins;

use super::*;

#[tokio::test]
async fn bodies_are_limited_in_size_and_time() {
    let mut server = start(|limits| (limits.request_bytes, limits.body_ms) = (10, 40)).await;
    let post = async |head: &str, body: &str| {
        let mut client = Client::open(server.port).await;
        client.write(format!("POST /api HTTP/1.1\r\nHost: a\r\n{head}\r\n\r\n{body}")).await;
        client.response().await
    };
    // What is announced is enough to be refused, and so is what comes unannounced.
    for (head, body) in [("Content-Length: 11", ""), ("Transfer-Encoding: chunked", "b\r\n01234567890\r\n")] {
        let answer = post(head, body).await;
        assert_eq!((answer.status, answer.error_code().as_str()), (413, "too_large"));
        assert_eq!(answer.json()["error"]["limit"], 10);
    }
    let answer = post("Content-Length: 10", "x").await;
    assert_eq!((answer.status, answer.error_code().as_str()), (408, "timeout"));
    assert_eq!(answer.json()["error"]["limit"], 40);
    let answer = post("Transfer-Encoding: chunked", "nonsense\r\n").await;
    assert_eq!((answer.status, answer.error_code().as_str()), (400, "bad_request"));
    assert_eq!((server.refused(Refused::BodyBytes), server.refused(Refused::BodyTimeout)), (2, 1));
    assert!(server.told.try_recv().is_err(), "the BEAM was told");

    let mut server = start(|limits| limits.request_bytes = 10).await;
    let mut client = Client::open(server.port).await;
    let chunked = "POST /api HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n01234\r\n";
    client.write(chunked).await;
    client.write("5\r\n56789\r\n0\r\n\r\n").await;
    assert_eq!(text(&asked(&mut server).await.1, "body"), "0123456789");
}

#[tokio::test]
async fn one_address_asks_only_so_much() {
    let mut server = start(|limits| {
        (limits.request_rate, limits.request_burst, limits.requests_per_ip) = (1, 3, 2);
    })
    .await;
    let mut clients = Vec::new();
    for _ in 0..2 {
        let mut client = Client::open(server.port).await;
        client.request("GET", "/api", &[], "").await;
        clients.push((client, asked(&mut server).await.0));
    }
    let mut client = Client::open(server.port).await;
    for (why, limit) in [(Refused::RequestsPerIp, 2), (Refused::RequestRate, 1)] {
        // A slow test may be given a second's request more.
        let answer = loop {
            let answer = client.get("/api").await;
            if server.refused(why) > 0 {
                break answer;
            }
        };
        assert_eq!((answer.status, answer.error_code().as_str()), (429, "too_many"));
        assert_eq!(
            (answer.header("retry-after"), &answer.json()["error"]["limit"]),
            (Some("1"), &limit.into())
        );
    }
    // Those who wait are answered, and other paths are not counted.
    let (client, id) = &mut clients[0];
    server.send([respond(*id, 200, &[], "")]).await;
    assert_eq!(client.response().await.status, 200);
    assert_eq!(client.get("/healthz").await.status, 200);

    let mut server = start(|limits| limits.requests = 1).await;
    let mut first = Client::open(server.port).await;
    first.request("GET", "/api", &[], "").await;
    asked(&mut server).await;
    let answer = Client::open(server.port).await.get("/api").await;
    assert_eq!((answer.status, answer.header("retry-after")), (503, Some("1")));
    assert_eq!(server.refused(Refused::Requests), 1);
}

#[tokio::test]
async fn pages_of_allowed_origins_see_the_answers() {
    let origin = "https://a.example";
    let mut server = configured(|config| {
        config.origins = Origins::These(vec![origin.to_owned()]);
        config.limits.request_bytes = 5;
    })
    .await;
    let mut client = Client::open(server.port).await;
    client.request("GET", "/api", &[("Origin", "https://evil.example")], "").await;
    let answer = client.response().await;
    assert_eq!((answer.status, answer.error_code().as_str()), (403, "forbidden"));
    assert_eq!(answer.header("access-control-allow-origin"), None);
    assert_eq!(server.refused(Refused::Origin), 1);

    let preflight = [("Origin", origin), ("Access-Control-Request-Method", "POST")];
    client.request("OPTIONS", "/api/x", &preflight, "").await;
    let answer = client.answer(false).await;
    assert_eq!(answer.status, 204);
    assert_eq!(answer.header("access-control-allow-origin"), Some(origin));
    assert_eq!(answer.header("access-control-allow-methods"), Some("GET, POST, DELETE"));
    assert_eq!(
        answer.header("access-control-allow-headers"),
        Some("authorization, content-type, x-request-id")
    );
    assert!(server.told.try_recv().is_err(), "the BEAM was asked");

    // An error is for the page to see as well.
    client.request("GET", "/api", &[("Origin", origin)], "").await;
    let (id, _) = asked(&mut server).await;
    server.send([respond(id, 200, &[("vary", "accept")], "{}")]).await;
    let good = client.response().await;
    client.request("POST", "/api", &[("Origin", origin)], "too large").await;
    for answer in [good, client.response().await] {
        assert_eq!(answer.header("access-control-allow-origin"), Some(origin), "{answer:?}");
        assert_eq!(answer.header("access-control-expose-headers"), Some("retry-after, x-request-id"));
        assert!(answer.headers.contains(&("vary".to_owned(), "origin".to_owned())));
    }
}

#[tokio::test]
async fn other_options_are_the_beams_to_answer() {
    let mut server = start(|_| {}).await;
    let mut client = Client::open(server.port).await;
    client.request("OPTIONS", "/api", &[], "").await;
    let (id, info) = asked(&mut server).await;
    assert_eq!(text(&info, "method"), "OPTIONS");
    server.send([respond(id, 405, &[("allow", "GET")], "")]).await;
    // An error without JSON gets some.
    let answer = client.response().await;
    assert_eq!((answer.status, answer.error_code().as_str()), (405, "method_not_allowed"));
    assert_eq!(answer.header("allow"), Some("GET"));
    assert_eq!(answer.header("access-control-allow-origin"), None);
}

#[tokio::test]
async fn a_drain_answers_those_who_wait() {
    let mut server = start(|_| {}).await;
    let mut client = Client::open(server.port).await;
    client.request("GET", "/api", &[], "").await;
    let (id, _) = asked(&mut server).await;
    // One whose body has not come yet is answered when it has.
    let mut slow = Client::open(server.port).await;
    slow.write("POST /api HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n").await;
    server.requests(2).await;
    let edge = server.edge.clone();
    let drained = tokio::spawn(async move { edge.drain(Duration::from_secs(10)).await });
    let answer = client.response().await;
    assert_eq!((answer.status, answer.header("retry-after")), (503, Some("1")));
    assert_eq!(server.exited().await, (id, 1012));
    slow.write("x").await;
    assert_eq!(slow.response().await.status, 503);
    soon(drained).await.unwrap();
    assert_eq!(server.refused(Refused::Draining), 2);
}

#[tokio::test]
async fn a_thousand_who_wait_hold_up_nobody() {
    let mut server = start(|limits| limits.requests_per_ip = 1001).await;
    let mut clients = Vec::new();
    for n in 0..999 {
        let mut client = Client::open(server.port).await;
        client.request("GET", &format!("/poll/{n}"), &[], "").await;
        clients.push((client, asked(&mut server).await.0));
    }
    waiting(&server, 999).await;
    let mut client = Client::open(server.port).await;
    client.request("GET", "/api", &[], "").await;
    let (id, _) = asked(&mut server).await;
    server.send([respond(id, 200, &[], "quick")]).await;
    assert_eq!(client.response().await.text(), "quick");
    server.send(clients.iter().map(|(_, id)| respond(*id, 200, &[], id.to_string()))).await;
    for (client, id) in &mut clients {
        assert_eq!(client.response().await.text(), id.to_string());
    }
    waiting(&server, 0).await;
}
