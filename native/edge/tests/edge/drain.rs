//! The end: of the edge, and of the BEAM.

use std::time::Duration;

use gp_edge::metrics::Closed;
use tokio::net::TcpStream;

use crate::support::{Client, Server, push, soon};

#[tokio::test]
async fn sockets_are_told_and_nobody_else_is_let_in() {
    let mut server = Server::start(|_| {}).await;
    let (mut one, first) = server.connect().await;
    let (mut other, second) = server.connect().await;
    let mut asking = Client::open(server.port).await;
    asking.ask("/socket/websocket?vsn=2.0.0", &[]).await;
    let (waiting, _) = server.asked().await;
    server.send([push(first, "t", "1")]).await;
    assert!(one.text().await.contains("[null"));

    let edge = server.edge.clone();
    let drained = tokio::spawn(async move { edge.drain(Duration::from_secs(10)).await });
    assert_eq!(asking.response().await.status, 503);
    assert_eq!(one.closed().await, (1012, "service_restart".to_owned()));
    assert_eq!(other.closed().await, (1012, "service_restart".to_owned()));
    soon(drained).await.unwrap();
    let mut ended = [server.exited().await, server.exited().await, server.exited().await];
    ended.sort();
    assert_eq!(ended, [(first, 1012), (second, 1012), (waiting, 1006)]);
    assert_eq!(server.closed(Closed::Restart), 2);
    assert!(TcpStream::connect(("127.0.0.1", server.port)).await.is_err());
}

#[tokio::test]
async fn a_client_that_does_not_answer_does_not_hold_up_a_drain() {
    let mut server = Server::start(|_| {}).await;
    let (_client, _) = server.connect().await;
    soon(server.edge.drain(Duration::from_millis(30))).await;
}

#[tokio::test]
async fn an_idle_connection_ends_with_a_drain() {
    let server = Server::start(|_| {}).await;
    let mut client = Client::open(server.port).await;
    assert_eq!(client.get("/healthz").await.status, 200);
    soon(server.edge.drain(Duration::from_secs(10))).await;
    client.ended().await;
    assert_eq!(server.edge.common.metrics.connections.get(), 0);
}

#[tokio::test]
async fn polls_end_with_a_drain() {
    let mut server = Server::start(|_| {}).await;
    let mut client = Client::open(server.port).await;
    client.request("GET", "/socket/longpoll?vsn=2.0.0", &[], "").await;
    server.accept().await;
    let token = client.response().await.json()["token"].as_str().unwrap().to_owned();
    client.request("GET", &format!("/socket/longpoll?vsn=2.0.0&token={token}"), &[], "").await;
    server.requests(2).await;
    let edge = server.edge.clone();
    let drained = tokio::spawn(async move { edge.drain(Duration::from_secs(10)).await });
    assert_eq!(client.response().await.json()["status"], 410);
    soon(drained).await.unwrap();
    assert_eq!(server.exited().await.1, 1012);
}
