//! The request that asks for a WebSocket.

use axum::http::{HeaderMap, HeaderValue, Version, header};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use sha1::{Digest, Sha1};

const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// The subprotocol that `phoenix.js` asks for beside a token.
const PHOENIX: &str = "phoenix";

const TOKEN_PREFIX: &str = "base64url.bearer.phx.";

/// A request that asks rightly.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Handshake {
    /// `Sec-WebSocket-Accept`.
    pub accept: HeaderValue,
    /// `Sec-WebSocket-Protocol`, if one is agreed on.
    pub protocol: Option<HeaderValue>,
    /// The token that a browser hides in the list of subprotocols, for want of headers.
    pub token: Option<String>,
}

/// What is wrong with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoHandshake {
    /// It does not ask for a WebSocket at all.
    NotAsked,
    /// It asks for another version than 13.
    Version,
    /// It asks, but not as RFC 6455 says.
    Malformed(&'static str),
}

/// Reads a GET.
pub fn read(version: Version, headers: &HeaderMap) -> Result<Handshake, NoHandshake> {
    if !has_token(headers, header::UPGRADE, "websocket") {
        return Err(NoHandshake::NotAsked);
    }
    if version != Version::HTTP_11 || !has_token(headers, header::CONNECTION, "upgrade") {
        return Err(NoHandshake::Malformed("HTTP/1.1 with Connection: Upgrade is expected"));
    }
    let mut versions = headers.get_all(header::SEC_WEBSOCKET_VERSION).iter();
    if versions.next().is_none_or(|version| version != "13") || versions.next().is_some() {
        return Err(NoHandshake::Version);
    }
    let mut keys = headers.get_all(header::SEC_WEBSOCKET_KEY).iter();
    let (Some(key), None) = (keys.next(), keys.next()) else {
        return Err(NoHandshake::Malformed("one Sec-WebSocket-Key is expected"));
    };
    if STANDARD.decode(key).map(|key| key.len()) != Ok(16) {
        return Err(NoHandshake::Malformed("Sec-WebSocket-Key is expected to be 16 bytes in base64"));
    }
    let (protocol, token) = protocol(headers);
    Ok(Handshake { accept: accept(key.as_bytes()), protocol, token })
}

fn accept(key: &[u8]) -> HeaderValue {
    let digest = Sha1::new().chain_update(key).chain_update(GUID).finalize();
    HeaderValue::from_str(&STANDARD.encode(digest)).expect("base64 is ASCII")
}

fn listed(headers: &HeaderMap, name: header::HeaderName) -> impl Iterator<Item = &str> {
    let values = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(str::trim)
}

fn has_token(headers: &HeaderMap, name: header::HeaderName, token: &str) -> bool {
    listed(headers, name).any(|found| found.eq_ignore_ascii_case(token))
}

fn protocol(headers: &HeaderMap) -> (Option<HeaderValue>, Option<String>) {
    let (mut protocol, mut token) = (None, None);
    for listed in listed(headers, header::SEC_WEBSOCKET_PROTOCOL) {
        if listed == PHOENIX {
            protocol = Some(HeaderValue::from_static(PHOENIX));
        } else if let Some(encoded) = listed.strip_prefix(TOKEN_PREFIX) {
            let decoded = URL_SAFE_NO_PAD.decode(encoded.trim_end_matches('=')).ok();
            token = decoded.and_then(|bytes| String::from_utf8(bytes).ok());
        }
    }
    (protocol, token)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(changes: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("upgrade", "websocket"),
            ("connection", "keep-alive, Upgrade"),
            ("sec-websocket-version", "13"),
            ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ]
        .iter()
        .chain(changes)
        {
            headers.insert(*name, HeaderValue::from_static(value));
        }
        headers
    }

    fn read_get(changes: &[(&'static str, &'static str)]) -> Result<Handshake, NoHandshake> {
        read(Version::HTTP_11, &headers(changes))
    }

    #[test]
    fn the_example_of_the_rfc() {
        assert_eq!(read_get(&[]).unwrap().accept, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    #[test]
    fn a_token_may_come_as_a_subprotocol() {
        let asked = "phoenix, base64url.bearer.phx.YWJjZA";
        let handshake = read_get(&[("sec-websocket-protocol", asked)]).unwrap();
        assert_eq!(handshake.protocol.unwrap(), "phoenix");
        assert_eq!(handshake.token.unwrap(), "abcd");
        assert_eq!(read_get(&[("sec-websocket-protocol", "mqtt")]).unwrap().protocol, None);
    }

    #[test]
    fn what_is_no_handshake_is_told_apart() {
        assert_eq!(read_get(&[("upgrade", "h2c")]), Err(NoHandshake::NotAsked));
        assert_eq!(read_get(&[("sec-websocket-version", "8")]), Err(NoHandshake::Version));
        for change in
            [("connection", "close"), ("sec-websocket-key", "short"), ("sec-websocket-key", "c2hvcnQ=")]
        {
            assert!(matches!(read_get(&[change]), Err(NoHandshake::Malformed(_))), "{change:?}");
        }
        let old = read(Version::HTTP_10, &headers(&[]));
        assert!(matches!(old, Err(NoHandshake::Malformed(_))));
    }
}
