//! Errors, which are always `{"error":{"code":…,"message":…}}`.

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

/// The code of a status, for programs.
pub fn code(status: StatusCode) -> &'static str {
    match status {
        StatusCode::BAD_REQUEST => "bad_request",
        StatusCode::FORBIDDEN => "forbidden",
        StatusCode::NOT_FOUND => "not_found",
        StatusCode::METHOD_NOT_ALLOWED => "method_not_allowed",
        StatusCode::REQUEST_TIMEOUT => "timeout",
        StatusCode::PAYLOAD_TOO_LARGE => "too_large",
        StatusCode::URI_TOO_LONG => "url_too_long",
        StatusCode::RANGE_NOT_SATISFIABLE => "range_not_satisfiable",
        StatusCode::UPGRADE_REQUIRED => "upgrade_required",
        StatusCode::TOO_MANY_REQUESTS => "too_many",
        StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE => "headers_too_large",
        StatusCode::SERVICE_UNAVAILABLE => "unavailable",
        status if status.is_client_error() => "refused",
        _ => "internal",
    }
}

/// What a status says where nothing better is known.
pub fn sentence(status: StatusCode) -> &'static str {
    match status {
        StatusCode::BAD_REQUEST => "this is no HTTP/1.1 request",
        StatusCode::NOT_FOUND => "there is nothing at this path",
        StatusCode::METHOD_NOT_ALLOWED => "this path has other methods",
        StatusCode::REQUEST_TIMEOUT => "the request came too slowly",
        StatusCode::PAYLOAD_TOO_LARGE => "the body is too large",
        StatusCode::URI_TOO_LONG => "the URL is too long",
        StatusCode::RANGE_NOT_SATISFIABLE => "the file has no such range",
        StatusCode::TOO_MANY_REQUESTS => "too many connections from this address",
        StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE => "the headers are too large",
        StatusCode::SERVICE_UNAVAILABLE => "the server has as many connections as it takes",
        status if status.is_client_error() => "the request cannot be answered",
        _ => "the server has failed at this request",
    }
}

/// The body of an error.
pub fn json(status: StatusCode, message: &str) -> String {
    serde_json::json!({"error": {"code": code(status), "message": message}}).to_string()
}

/// An error.
pub fn error(status: StatusCode, message: &str) -> Response {
    (status, [(header::CONTENT_TYPE, "application/json")], json(status, message)).into_response()
}

/// An error by a limit, which is named.
pub fn limited(status: StatusCode, message: &str, limit: u64) -> Response {
    let error = serde_json::json!({"code": code(status), "message": message, "limit": limit});
    let body = serde_json::json!({"error": error}).to_string();
    (status, [(header::CONTENT_TYPE, "application/json")], body).into_response()
}

/// Says when to try again, in seconds.
pub fn retry_after(mut response: Response, seconds: u32) -> Response {
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    response
}

/// Makes JSON of an error that some library made.
pub fn as_json(response: Response, head: bool) -> Response {
    let status = response.status();
    let is_json = |value: &HeaderValue| value.as_bytes().starts_with(b"application/json");
    let failed = status.is_client_error() || status.is_server_error();
    if !failed || response.headers().get(header::CONTENT_TYPE).is_some_and(is_json) {
        return response;
    }
    let (mut parts, _) = response.into_parts();
    let body = json(status, sentence(status));
    for name in [header::CONTENT_ENCODING, header::TRANSFER_ENCODING, header::ETAG, header::LAST_MODIFIED] {
        parts.headers.remove(name);
    }
    parts.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    parts.headers.insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
    Response::from_parts(parts, if head { Body::empty() } else { Body::from(body) })
}

/// A whole answer that ends the connection, for where nothing else speaks HTTP.
pub fn raw(status: StatusCode, retry_after: Option<u32>) -> Vec<u8> {
    let body = json(status, sentence(status));
    let retry = retry_after.map_or(String::new(), |seconds| format!("retry-after: {seconds}\r\n"));
    let reason = status.canonical_reason().unwrap_or_default();
    format!(
        "HTTP/1.1 {} {reason}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n{retry}\
         x-content-type-options: nosniff\r\nconnection: close\r\n\r\n{body}",
        status.as_u16(),
        body.len()
    )
    .into_bytes()
}
