//! Requests that are no sockets.

use crate::support::{Client, Server};

#[tokio::test]
async fn health_is_answered_and_the_admin_port_named() {
    let server = Server::start(|_| {}).await;
    let mut client = Client::open(server.port).await;
    let response = client.get("/healthz").await;
    assert_eq!((response.status, response.text()), (200, r#"{"status":"ok"}"#));
    assert_eq!(response.header("x-content-type-options"), Some("nosniff"));
    for path in ["/health", "/metrics"] {
        // The same connection serves on.
        let response = client.get(path).await;
        assert_eq!((response.status, response.error_code().as_str()), (404, "not_found"));
        assert!(response.text().contains("4001"));
    }
    client.request("HEAD", "/healthz", &[], "").await;
    let response = client.answer(false).await;
    assert_eq!((response.status, response.header("content-length")), (200, Some("15")));
    assert_eq!(client.get("/nothing/here").await.error_code(), "not_found");
    client.request("DELETE", "/healthz", &[], "").await;
    let response = client.response().await;
    assert_eq!((response.status, response.error_code().as_str()), (405, "method_not_allowed"));
    assert!(response.header("allow").unwrap().contains("GET"));
}

#[tokio::test]
async fn a_request_keeps_its_id_if_it_is_one() {
    let server = Server::start(|_| {}).await;
    let mut client = Client::open(server.port).await;
    client.request("GET", "/healthz", &[("X-Request-Id", "a-b_c.1")], "").await;
    assert_eq!(client.response().await.header("x-request-id"), Some("a-b_c.1"));
    let long = "x".repeat(65);
    for bad in ["a b", "<script>", long.as_str()] {
        client.request("GET", "/nowhere", &[("X-Request-Id", bad)], "").await;
        let id = client.response().await.header("x-request-id").unwrap().to_owned();
        assert!(id.len() == 24 && id.bytes().all(|byte| byte.is_ascii_hexdigit()), "{id}");
    }
}

#[tokio::test]
async fn requests_may_come_together() {
    let server = Server::start(|_| {}).await;
    let mut client = Client::open(server.port).await;
    let request = "GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n";
    client.write(format!("{request}{request}GET /x HTTP/1.1\r\nHost: a\r\n\r\n{request}")).await;
    for status in [200, 200, 404, 200] {
        assert_eq!(client.response().await.status, status);
    }
}

#[tokio::test]
async fn a_taken_port_is_said_to_be() {
    let server = Server::start(|_| {}).await;
    let mut config = gp_edge::config::Config::new(crate::support::acceptor());
    config.port = server.port;
    let beam = server.edge.common.beam.clone();
    let error = gp_edge::edge::Edge::start(config.clone(), beam.clone()).await.unwrap_err().to_string();
    assert!(error.contains(&format!("port {} at 127.0.0.1 is taken", server.port)), "{error}");
    config.bind = "203.0.113.1".to_owned();
    let error = gp_edge::edge::Edge::start(config, beam).await.unwrap_err().to_string();
    assert!(error.contains("no address of this machine"), "{error}");
}
