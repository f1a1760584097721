//! Phoenix Channels V2 in JSON, as far as the benchmark speaks it. Messages are told apart by how they begin:
//! to parse each would cost more than what is measured.

use std::net::SocketAddr;

/// The topic that all sockets join, and the `join_ref` of each.
const BROADCAST: &[u8] = br#"[null,null,"bench:room","tick","#;
const STAMP: &[u8] = br#""at":"#;
/// The key of RFC 6455's example, so that the answer to it is known.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

pub const JOIN: &str = r#"["1","1","bench:room","phx_join",{}]"#;
pub const HEARTBEAT: &str = r#"[null,"0","phoenix","heartbeat",{}]"#;

/// A message of the server.
#[derive(Debug, PartialEq, Eq)]
pub enum Incoming {
    /// Sent at this `CLOCK_MONOTONIC`.
    Broadcast(u64),
    /// An answer to an event of this ref, and whether it is `ok`.
    Reply(u32, bool),
    /// The answer to the join.
    Joined,
    /// Heartbeats and what else there is.
    Other,
}

pub fn request(address: SocketAddr, path: &str) -> String {
    format!(
        "GET {path}?vsn=2.0.0 HTTP/1.1\r\nHost: {address}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: {KEY}\r\nSec-WebSocket-Version: 13\r\nUser-Agent: gp_bench\r\n\r\n"
    )
}

/// How long the head of an HTTP response is, once it is all there, and whether it upgrades.
pub fn response(bytes: &[u8]) -> Option<(usize, bool)> {
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let head = String::from_utf8_lossy(&bytes[..end]);
    Some((end, head.starts_with("HTTP/1.1 101 ") && head.contains(ACCEPT)))
}

pub fn echo(reference: u32) -> String {
    format!(
        r#"["1","{reference}","bench:room","echo",{{"n":{reference},"text":"as long as a small action of a game"}}]"#
    )
}

pub fn start(reference: u32, rate: u64, count: usize, bytes: usize) -> String {
    format!(r#"["1","{reference}","bench:room","start",{{"rate":{rate},"count":{count},"bytes":{bytes}}}]"#)
}

pub fn incoming(message: &[u8]) -> Incoming {
    if let Some(payload) = message.strip_prefix(BROADCAST) {
        return stamp(payload).map_or(Incoming::Other, Incoming::Broadcast);
    }
    let Some(rest) = message.strip_prefix(br#"["1",""#) else { return Incoming::Other };
    let (reference, rest) = number(rest);
    if !rest.starts_with(br#"","bench:room","phx_reply","#) {
        return Incoming::Other;
    }
    // Either key may come first.
    let ok = br#""status":"ok""#;
    let reply = &rest[br#"","bench:room","phx_reply","#.len()..];
    let first = reply.get(1..).is_some_and(|reply| reply.starts_with(ok));
    Incoming::Reply(
        reference as u32,
        first || reply.strip_suffix(b"}]").is_some_and(|reply| reply.ends_with(ok)),
    )
}

/// Servers write the keys of a map in different orders: the stamp is the first or the last.
fn stamp(payload: &[u8]) -> Option<u64> {
    let at = if payload.get(1..)?.starts_with(STAMP) {
        1
    } else {
        payload.windows(STAMP.len()).rposition(|key| key == STAMP)?
    };
    Some(number(&payload[at + STAMP.len()..]).0)
}

fn number(bytes: &[u8]) -> (u64, &[u8]) {
    let digits = bytes.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(bytes.len());
    let value = bytes[..digits]
        .iter()
        .fold(0u64, |n, digit| n.wrapping_mul(10).wrapping_add(u64::from(digit - b'0')));
    (value, &bytes[digits..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_messages_apart() {
        let broadcast = br#"[null,null,"bench:room","tick",{"at":123,"pad":"xx"}]"#;
        assert_eq!(incoming(broadcast), Incoming::Broadcast(123));
        let turned = br#"[null,null,"bench:room","tick",{"pad":"xx","at":123}]"#;
        assert_eq!(incoming(turned), Incoming::Broadcast(123));
        let other = br#"[null,null,"bench:room","tock",{"at":123}]"#;
        assert_eq!(incoming(other), Incoming::Other);
        let beat = br#"[null,"0","phoenix","phx_reply",{"response":{},"status":"ok"}]"#;
        assert_eq!(incoming(beat), Incoming::Other);
        let reply = br#"["1","77","bench:room","phx_reply",{"response":{"n":1},"status":"ok"}]"#;
        assert_eq!(incoming(reply), Incoming::Reply(77, true));
        let turned = br#"["1","77","bench:room","phx_reply",{"status":"ok","response":{"n":1}}]"#;
        assert_eq!(incoming(turned), Incoming::Reply(77, true));
        let refused = br#"["1","77","bench:room","phx_reply",{"response":{"n":1},"status":"error"}]"#;
        assert_eq!(incoming(refused), Incoming::Reply(77, false));
        for message in [&b""[..], b"[", br#"["1","#, br#"["1","","#, br#"[null,null,"bench:room","tick","#] {
            assert_eq!(incoming(message), Incoming::Other);
        }
    }

    #[test]
    fn looks_for_the_upgrade() {
        let head = format!("HTTP/1.1 101 Switching Protocols\r\nsec-websocket-accept: {ACCEPT}\r\n\r\n");
        assert_eq!(response(head.as_bytes()), Some((head.len(), true)));
        assert_eq!(response(&head.as_bytes()[..head.len() - 1]), None);
        assert!(!response(b"HTTP/1.1 403 Forbidden\r\n\r\nno").unwrap().1);
    }

    #[test]
    fn writes_json() {
        for text in [JOIN.into(), HEARTBEAT.into(), echo(7), start(8, 20, 100, 512)] {
            let message: serde_json::Value = serde_json::from_str(&text).unwrap();
            assert_eq!(message.as_array().unwrap().len(), 5, "{text}");
        }
    }
}
