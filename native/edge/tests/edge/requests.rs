//! Requests that the BEAM answers.

mod limits;

use std::collections::HashMap;
use std::time::Duration;

use dist::Term;
use dist::term::{as_binary, as_int, as_tuple, atom};
use gp_edge::commands::{Command, ToSocket};
use gp_edge::config::{Config, Limits};
use gp_edge::metrics::Refused;
use gp_edge::pending::Answer;
use gp_edge::router::FromBeam;

use crate::support::{self, Client, Server, Told, entries, shutdown, soon};

async fn start(change: impl FnOnce(&mut Limits)) -> Server {
    configured(|config| change(&mut config.limits)).await
}

async fn configured(change: impl FnOnce(&mut Config)) -> Server {
    Server::start(|config| {
        config.answerer = Some(support::acceptor().into());
        config.request_paths = vec!["/api".to_owned(), "/poll".to_owned()];
        change(config);
    })
    .await
}

/// The id and the rest of the next request that the BEAM is told of.
async fn asked(server: &mut Server) -> (u64, HashMap<String, Term>) {
    let Told::Sent { to, message } = server.next().await else { panic!("no request") };
    assert_eq!(to, support::acceptor().into());
    let parts = as_tuple(&message).unwrap().to_vec();
    assert_eq!((parts.len(), &parts[0]), (4, &atom("gp_request")));
    assert!(matches!(parts[1], Term::Pid(_)));
    (as_int(&parts[2]).unwrap() as u64, entries(&parts[3]))
}

fn text(info: &HashMap<String, Term>, name: &str) -> String {
    String::from_utf8(as_binary(&info[name]).unwrap().to_vec()).unwrap()
}

fn plain(status: u16, headers: &[(&str, &str)], body: impl Into<Vec<u8>>) -> ToSocket {
    let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec()));
    ToSocket::Respond(Answer { status, headers: headers.collect(), body: body.into().into() })
}

fn respond(id: u64, status: u16, headers: &[(&str, &str)], body: impl Into<Vec<u8>>) -> Command {
    Command::To(id, plain(status, headers, body))
}

/// Until so many wait for the BEAM.
async fn waiting(server: &Server, count: i64) {
    let wait = async {
        while server.edge.common.metrics.api_waiting.get() != count {
            tokio::task::yield_now().await;
        }
    };
    soon(wait).await;
}

#[tokio::test]
async fn a_request_is_described_and_answered() {
    let mut server = start(|_| {}).await;
    let mut client = Client::open(server.port).await;
    let headers = [
        ("Authorization", "Bearer x"),
        ("Accept", "application/octet-stream"),
        ("Content-Type", "application/json"),
        ("X-Request-Id", "abc"),
        ("TE", "not told"),
    ];
    client.request("POST", "/api/v1/a%20b?x=%201&y", &headers, "{\"a\":\0}").await;
    let (id, info) = asked(&mut server).await;
    assert_eq!(
        ["method", "path", "query", "body", "request_id"].map(|name| text(&info, name)),
        ["POST", "/api/v1/a%20b", "x=%201&y", "{\"a\":\0}", "abc"]
    );
    assert_eq!(text(&info, "peer"), client.stream.local_addr().unwrap().to_string());
    let told = info["headers"].to_string();
    for name in ["authorization", "accept", "content-type", "host", "x-request-id"] {
        assert!(told.contains(&dist::term::binary(name).to_string()), "{name}: {told}");
    }
    assert!(!told.contains(&dist::term::binary("te").to_string()), "{told}");
    assert_eq!(server.edge.common.metrics.api_waiting.get(), 1);

    let headers = [("content-type", "x/y"), ("x-twice", "1"), ("x-twice", "2"), ("content-length", "9")];
    server.send([respond(id, 201, &headers, [0, 255, 10])]).await;
    let answer = client.response().await;
    assert_eq!((answer.status, answer.body.as_slice()), (201, &[0, 255, 10][..]));
    assert_eq!(answer.header("content-type"), Some("x/y"));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert_eq!(answer.header("x-request-id"), Some("abc"));
    assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
    assert_eq!(answer.headers.iter().filter(|(name, _)| name == "x-twice").count(), 2);
    assert_eq!(server.exited().await, (id, 1000));
    assert_eq!(server.edge.common.metrics.api_waiting.get(), 0);
    assert_eq!(server.edge.common.metrics.api_requests.get(), 1);

    // The connection serves on, and the process may be told as well as the edge.
    client.request("GET", "/poll", &[], "").await;
    let (id, _) = asked(&mut server).await;
    let told = plain(204, &[("cache-control", "max-age=1")], "no body here");
    server.commands.send(FromBeam::To(id, told)).await.unwrap();
    let answer = client.answer(false).await;
    assert_eq!((answer.status, answer.header("cache-control")), (204, Some("max-age=1")));
    assert_eq!(client.get("/healthz").await.status, 200);
}

#[tokio::test]
async fn only_these_paths_are_the_beams() {
    let mut server = start(|_| {}).await;
    let mut client = Client::open(server.port).await;
    for path in ["/apis", "/ap", "/x/api", "/%61pi"] {
        assert_eq!(client.get(path).await.status, 404, "{path}");
    }
    for path in ["/api", "/api/", "/api/../x", "/api/a/b", "/poll?x"] {
        client.request("GET", path, &[], "").await;
        let (id, info) = asked(&mut server).await;
        assert_eq!(text(&info, "path"), path.split('?').next().unwrap());
        server.send([respond(id, 200, &[], path)]).await;
        assert_eq!(client.response().await.text(), path);
        server.exited().await;
    }
    let server = configured(|config| config.answerer = None).await;
    assert_eq!(Client::open(server.port).await.get("/api").await.status, 404);
}

#[tokio::test]
async fn head_is_get_without_a_body() {
    let mut server = start(|_| {}).await;
    let mut client = Client::open(server.port).await;
    client.request("HEAD", "/api", &[], "").await;
    let (id, info) = asked(&mut server).await;
    assert_eq!(text(&info, "method"), "GET");
    server.send([respond(id, 200, &[], "four")]).await;
    let answer = client.answer(false).await;
    assert_eq!((answer.status, answer.header("content-length")), (200, Some("4")));
    assert_eq!(client.get("/healthz").await.status, 200);
}

#[tokio::test]
async fn who_goes_away_is_gone_for_the_beam() {
    let mut server = start(|_| {}).await;
    let mut client = Client::open(server.port).await;
    client.request("GET", "/api", &[], "").await;
    let (id, _) = asked(&mut server).await;
    drop(client);
    assert_eq!(server.exited().await, (id, 1006));
    let metrics = &server.edge.common.metrics;
    assert_eq!((metrics.api_abandoned.get(), metrics.api_waiting.get()), (1, 0));
    // An answer that comes too late is for nobody.
    server.send([respond(id, 200, &[], "late")]).await;
    while metrics.stale_commands.get() == 0 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn who_waits_may_wait_longer_than_between_two_requests() {
    let mut server = start(|limits| limits.header_ms = 200).await;
    let mut client = Client::open(server.port).await;
    client.request("GET", "/poll", &[], "").await;
    let (id, _) = asked(&mut server).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    server.send([respond(id, 200, &[], "late")]).await;
    assert_eq!(client.response().await.text(), "late");
    assert_eq!(client.get("/healthz").await.status, 200);
}

#[tokio::test]
async fn an_answer_that_does_not_come_is_503() {
    let mut server = start(|limits| limits.request_ms = 20).await;
    let mut client = Client::open(server.port).await;
    client.request("GET", "/api", &[], "").await;
    let (id, _) = asked(&mut server).await;
    let answer = client.response().await;
    assert_eq!((answer.status, answer.error_code().as_str()), (503, "unavailable"));
    assert_eq!(answer.header("retry-after"), Some("1"));
    assert_eq!(server.exited().await, (id, 1006));
    assert_eq!(server.refused(Refused::RequestTimeout), 1);
    // The same if the BEAM does not even read.
    server.reads.send_replace(false);
    assert_eq!(client.get("/api").await.status, 503);
}

#[tokio::test]
async fn exit_signals_end_a_request() {
    let mut server = start(|_| {}).await;
    let mut client = Client::open(server.port).await;
    for (reason, status) in [(atom("killed"), 500), (atom("shutdown"), 503), (shutdown("x"), 503)] {
        client.request("GET", "/api", &[], "").await;
        let (id, _) = asked(&mut server).await;
        // One that ends in order may have answered by another way, which takes longer.
        server.commands.send(FromBeam::Exit(id, atom("normal"))).await.unwrap();
        server.commands.send(FromBeam::Exit(id, reason)).await.unwrap();
        let answer = client.response().await;
        assert_eq!(answer.status, status);
        answer.error_code();
        server.exited().await;
    }
    assert_eq!(server.refused(Refused::RequestCrashed), 1);
}

#[tokio::test]
async fn an_answer_that_is_no_http_is_500() {
    let mut server = start(|_| {}).await;
    let mut client = Client::open(server.port).await;
    for header in [("na me", "x"), ("name", "a\r\nb: c")] {
        client.request("GET", "/api", &[], "").await;
        let (id, _) = asked(&mut server).await;
        server.send([respond(id, 200, &[header], "")]).await;
        assert_eq!(client.response().await.status, 500);
        server.exited().await;
    }
    assert_eq!(server.refused(Refused::BadCommand), 2);
}

#[tokio::test]
async fn requests_that_come_together_are_answered_in_order() {
    let mut server = start(|_| {}).await;
    let mut client = Client::open(server.port).await;
    let request = |n| format!("GET /api/{n} HTTP/1.1\r\nHost: a\r\n\r\n");
    client.write((0..5).map(request).collect::<String>()).await;
    for n in 0..5 {
        let (id, info) = asked(&mut server).await;
        assert_eq!(text(&info, "path"), format!("/api/{n}"));
        server.send([respond(id, 200, &[], n.to_string())]).await;
        assert_eq!(client.response().await.text(), n.to_string());
        server.exited().await;
    }
}
