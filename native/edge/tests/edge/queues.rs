//! Slow clients: queues that overflow, streams that fall behind.

use gp_edge::metrics::Closed;

use crate::support::{Client, Server, broadcast, push, subscribe, text_frame};

/// A message that fills the buffers of the system soon.
fn large() -> String {
    format!("\"{}\"", "z".repeat(100_000))
}

/// Sends to a client that does not read until something waits in its queue for good.
async fn fill(server: &mut Server, id: u64) -> usize {
    let mut sent = 0;
    loop {
        server.send([push(id, "fill", large())]).await;
        sent += 1;
        // The marker has been handled when the router has answered for another socket.
        let before = server.edge.common.metrics.frames_out.get();
        for _ in 0..20 {
            tokio::task::yield_now().await;
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
            if server.edge.common.metrics.frames_out.get() > before {
                break;
            }
        }
        if server.edge.common.metrics.frames_out.get() == before {
            return sent;
        }
    }
}

async fn skip(client: &mut Client, frames: usize) {
    for _ in 0..frames {
        assert!(client.text().await.contains("\"fill\""));
    }
}

#[tokio::test]
async fn a_client_that_does_not_read_is_closed_when_its_queue_is_full() {
    let mut server = Server::start(|config| config.limits.queue_frames = 8).await;
    let (mut client, id) = server.connect().await;
    let (mut other, healthy) = server.connect().await;
    server.send([subscribe(id, "k", None), subscribe(healthy, "k", None)]).await;
    let sent = fill(&mut server, id).await;
    // The first of what waits is being written; eight more fit, and the ninth is too much.
    for n in 0..10 {
        server.send([broadcast("k", n.to_string(), None)]).await;
        // Who reads has all of it.
        assert_eq!(other.text().await, format!(r#"[null,null,"k","e",{n}]"#));
    }
    while server.closed(Closed::Backpressure) == 0 {
        let frame = client.frame().await;
        if frame.opcode == 8 {
            assert_eq!(frame.payload, b"\x03\xf0backpressure");
            break;
        }
    }
    assert_eq!(server.exited().await, (id, 1008));
    assert_eq!(server.closed(Closed::Backpressure), 1);
    assert!(sent > 0);
}

#[tokio::test]
async fn the_bytes_of_a_queue_count_too() {
    let mut server = Server::start(|config| config.limits.queue_bytes = 1 << 20).await;
    let (_client, id) = server.connect().await;
    server.send((0..200).map(|_| push(id, "t", large()))).await;
    assert_eq!(server.exited().await, (id, 1008));
}

#[tokio::test]
async fn a_client_that_takes_nothing_for_long_is_dropped() {
    let mut server = Server::start(|config| config.limits.write_ms = 60).await;
    let (_client, id) = server.connect().await;
    fill(&mut server, id).await;
    assert_eq!(server.exited().await, (id, 1006));
    assert_eq!(server.closed(Closed::WriteTimeout), 1);
}

#[tokio::test]
async fn a_stream_is_followed_tick_by_tick() {
    let mut server = Server::start(|_| {}).await;
    let (mut client, id) = server.connect().await;
    server
        .send([
            subscribe(id, "w", Some(10)),
            broadcast("w", "11", Some((10, 11))),
            // What is older than the client has nothing for it.
            broadcast("w", "0", Some((9, 10))),
            broadcast("w", "13", Some((11, 13))),
        ])
        .await;
    assert_eq!(client.text().await, r#"[null,null,"w","e",11]"#);
    assert_eq!(client.text().await, r#"[null,null,"w","e",13]"#);
    // A gap: nothing comes until the BEAM has said where the client is.
    server.send([broadcast("w", "15", Some((14, 15))), broadcast("w", "16", Some((15, 16)))]).await;
    assert_eq!(server.lagged().await, (id, "w".to_owned(), Some(13)));
    server
        .send([
            push(id, "w", "\"catch up\""),
            subscribe(id, "w", Some(16)),
            broadcast("w", "17", Some((16, 17))),
        ])
        .await;
    assert_eq!(client.text().await, r#"[null,null,"w","e","catch up"]"#);
    assert_eq!(client.text().await, r#"[null,null,"w","e",17]"#);
}

#[tokio::test]
async fn a_subscription_that_says_no_tick_has_fallen_behind_at_the_first() {
    let mut server = Server::start(|_| {}).await;
    let (mut client, id) = server.connect().await;
    server.send([subscribe(id, "w", None), broadcast("w", "1", Some((0, 1)))]).await;
    assert_eq!(server.lagged().await, (id, "w".to_owned(), None));
    server.send([subscribe(id, "w", Some(1)), broadcast("w", "2", Some((1, 2)))]).await;
    assert_eq!(client.text().await, r#"[null,null,"w","e",2]"#);
}

#[tokio::test]
async fn a_slow_client_loses_frames_of_a_stream_and_nothing_else() {
    let mut server = Server::start(|config| config.limits.queue_frames = 16).await;
    let (mut client, id) = server.connect().await;
    server.send([subscribe(id, "w", Some(0)), subscribe(id, "x", Some(0))]).await;
    let filled = fill(&mut server, id).await;
    // A quarter of the queue takes what may be dropped: the first frame of x, then a few of w.
    server.send([broadcast("x", "1", Some((0, 1)))]).await;
    server.send((0..20).map(|n| broadcast("w", "0", Some((n, n + 1))))).await;
    server.send([push(id, "t", "\"kept\"")]).await;
    client.write(text_frame(r#"[null,"1","t","seen",{}]"#)).await;
    assert_eq!(server.receive().await.event, "seen");

    skip(&mut client, filled).await;
    assert_eq!(client.text().await, r#"[null,null,"x","e",1]"#);
    assert_eq!(client.text().await, r#"[null,null,"t","e","kept"]"#);
    // It is where it was when nothing of the stream had been dropped.
    assert_eq!(server.lagged().await, (id, "w".to_owned(), Some(0)));
    let metrics = &server.edge.common.metrics;
    assert_eq!(metrics.lagged.get(), 1);
    assert!((1..=4).contains(&metrics.dropped.get()), "{}", metrics.dropped.get());
    server.send([subscribe(id, "w", Some(20)), broadcast("w", "21", Some((20, 21)))]).await;
    assert_eq!(client.text().await, r#"[null,null,"w","e",21]"#);
}
