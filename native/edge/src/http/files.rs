//! Static files: what lies in one folder, and nothing that lies outside or begins with a dot.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use axum::body::Body;
use axum::extract::Request;
use axum::http::{Extensions, HeaderMap, HeaderValue, Method, StatusCode, Version, header};
use axum::response::{Html, IntoResponse, Response};
use tower::{Layer, ServiceExt};
use tower_http::compression::CompressionLayer;
use tower_http::services::ServeDir;

use super::errors::{error, sentence};

/// What is served when there is no client.
const NO_CLIENT: &str = include_str!("no_client.html");

/// A folder of files, without links in its path.
#[derive(Debug)]
struct Files {
    root: PathBuf,
}

impl Files {
    fn open(path: &Path) -> Option<Files> {
        path.canonicalize().ok().filter(|root| root.is_dir()).map(|root| Files { root })
    }

    /// The file that a path names, as it lies in the folder.
    fn find(&self, path: &str) -> Option<PathBuf> {
        let path = decoded(path)?;
        let mut parts = path.split('/').filter(|part| !part.is_empty());
        if path.contains(['\\', '\0']) || parts.clone().any(|part| part.starts_with('.')) {
            return None;
        }
        let mut file = self.root.clone();
        file.extend(&mut parts);
        if path.ends_with('/') {
            file.push("index.html");
        }
        // A file that is there in a packed form too may be answered with that.
        for packed in ["br", "gz"] {
            let mut packed_file = file.clone().into_os_string();
            packed_file.push(".");
            packed_file.push(packed);
            if Path::new(&packed_file).canonicalize().is_ok_and(|found| !self.holds(&found)) {
                return None;
            }
        }
        file.canonicalize().ok().filter(|found| self.holds(found) && found.is_file())
    }

    /// Whether a path without links is of the folder.
    fn holds(&self, found: &Path) -> bool {
        let hidden = |part: &std::ffi::OsStr| part.as_encoded_bytes().starts_with(b".");
        found.strip_prefix(&self.root).is_ok_and(|path| !path.iter().any(hidden))
    }
}

/// Answers a request that nothing else answers, from this folder, which need not be there yet.
pub async fn serve(folder: Arc<Option<PathBuf>>, request: Request) -> Response {
    let path = request.uri().path().to_owned();
    let (root, found) = match look_up(folder, path.clone()).await {
        (Some(Files { root }), Some(found)) => (root, found),
        (None, _) if path == "/" && is_read(request.method()) => return Html(NO_CLIENT).into_response(),
        _ => return error(StatusCode::NOT_FOUND, sentence(StatusCode::NOT_FOUND)),
    };
    if !is_read(request.method()) {
        let mut response = error(StatusCode::METHOD_NOT_ALLOWED, "a file can be read with GET and HEAD");
        response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
        return response;
    }
    let etag = etag(&found).await;
    let mut response = match &etag {
        Some(etag) if matches_etag(request.headers(), etag) => StatusCode::NOT_MODIFIED.into_response(),
        _ => read(&root, request).await,
    };
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(lifetime(&path)));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    headers.insert(header::X_FRAME_OPTIONS, HeaderValue::from_static("SAMEORIGIN"));
    // Not twice: what was packed, and what might be, says so already.
    headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    if let Some(etag) = etag.filter(|_| !response.status().is_client_error()) {
        response.headers_mut().insert(header::ETAG, etag);
    }
    response
}

fn is_read(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD)
}

/// The folder, if it is there, and the file that a path names. Looking at files may wait for a disk.
async fn look_up(folder: Arc<Option<PathBuf>>, path: String) -> (Option<Files>, Option<PathBuf>) {
    let find = move || {
        let files = (*folder).as_deref().and_then(Files::open);
        let found = files.as_ref().and_then(|files| files.find(&path));
        (files, found)
    };
    tokio::task::spawn_blocking(find).await.unwrap_or_default()
}

async fn read(root: &Path, mut request: Request) -> Response {
    let headers = request.headers_mut();
    // Where there are tags the time does not count, and a range of a file that has changed is none.
    if headers.contains_key(header::IF_NONE_MATCH) {
        headers.remove(header::IF_MODIFIED_SINCE);
    }
    if headers.contains_key(header::IF_RANGE) {
        headers.remove(header::RANGE);
    }
    let folder = ServeDir::new(root).precompressed_br().precompressed_gzip();
    let packing = CompressionLayer::new().compress_when(is_text);
    match packing.layer(folder).oneshot(request).await {
        Ok(response) => response.map(Body::new),
        Err(infallible) => match infallible {},
    }
}

/// What has been packed already, or is an image, does not get smaller.
fn is_text(status: StatusCode, _: Version, headers: &HeaderMap, _: &Extensions) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    status == StatusCode::OK
        && !headers.contains_key(header::CONTENT_RANGE)
        && (kind.starts_with("text/")
            || ["javascript", "json", "xml", "wasm"].iter().any(|text| kind.contains(text)))
}

/// Weak, for the packed forms share it.
async fn etag(file: &Path) -> Option<HeaderValue> {
    let data = tokio::fs::metadata(file).await.ok()?;
    let changed = data.modified().ok()?.duration_since(UNIX_EPOCH).ok()?;
    HeaderValue::from_str(&format!("W/\"{:x}-{:x}\"", changed.as_nanos(), data.len())).ok()
}

fn matches_etag(headers: &HeaderMap, etag: &HeaderValue) -> bool {
    let strong = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
    let Ok(etag) = etag.to_str().map(strong) else { return false };
    let asked = headers.get_all(header::IF_NONE_MATCH).into_iter().filter_map(|tags| tags.to_str().ok());
    asked.flat_map(|tags| tags.split(',')).any(|tag| tag.trim() == "*" || strong(tag) == etag)
}

/// A name with a hash in it never means another content.
fn lifetime(path: &str) -> &'static str {
    let name = path.strip_prefix("/assets/").and_then(|path| path.rsplit('/').next());
    match name {
        Some(name) if is_hashed(name) => "public, max-age=31536000, immutable",
        _ => "no-cache",
    }
}

/// Whether a name ends, before its kind, with a hash as bundlers make them: `index-B2x9AbCd.js`.
fn is_hashed(name: &str) -> bool {
    let Some((stem, _)) = name.trim_end_matches(".map").rsplit_once('.') else { return false };
    let Some((start, hash)) = stem.len().checked_sub(8).and_then(|at| stem.split_at_checked(at)) else {
        return false;
    };
    start.ends_with(['-', '.'])
        && hash.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
        && hash.bytes().any(|byte| byte.is_ascii_digit() || byte.is_ascii_uppercase())
}

/// A path without its `%` codes; none if they are wrong.
fn decoded(path: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
                (digit(rest.next())? * 16 + digit(rest.next())?) as u8
            }
            byte => byte,
        });
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_with_a_hash_live_for_ever() {
        for hashed in ["index-B2x9AbCd.js", "index-B2x9AbCd.js.map", "a.0123abcd.css", "x-DiwrgTda.wasm"] {
            assert!(is_hashed(hashed), "{hashed}");
        }
        for plain in ["index.js", "some-component.js", "a-b.css", "LICENSE", "logo-original.svg"] {
            assert!(!is_hashed(plain), "{plain}");
        }
        assert_eq!(lifetime("/index-B2x9AbCd.js"), "no-cache");
    }

    #[test]
    fn wrong_codes_are_no_path() {
        assert_eq!(decoded("/a%20b%2F").as_deref(), Some("/a b/"));
        for wrong in ["/%", "/%4", "/%zz", "/%ff"] {
            assert_eq!(decoded(wrong), None, "{wrong}");
        }
    }
}
