//! Static files.

use std::fs;
use std::os::unix::fs::symlink;

use tempfile::TempDir;

use crate::support::{Answer, Client, Server};

const SCRIPT: &str = "assets/app-B2x9AbCd.js";

fn folder() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("static");
    fs::create_dir_all(root.join("assets")).unwrap();
    fs::create_dir_all(root.join("sub")).unwrap();
    fs::write(root.join("index.html"), "<!doctype html><title>game</title>").unwrap();
    fs::write(root.join("sub/index.html"), "sub").unwrap();
    fs::write(root.join(SCRIPT), "let x = 1;\n".repeat(1000)).unwrap();
    fs::write(root.join("assets/style.css"), "a { color: red }\n".repeat(100)).unwrap();
    fs::write(root.join("assets/style.css.br"), "packed").unwrap();
    fs::write(root.join("picture.png"), vec![7; 5000]).unwrap();
    fs::write(root.join(".env"), "SECRET").unwrap();
    fs::write(dir.path().join("outside.txt"), "SECRET").unwrap();
    fs::create_dir(dir.path().join("static_other")).unwrap();
    fs::write(dir.path().join("static_other/x.txt"), "SECRET").unwrap();
    symlink(dir.path().join("outside.txt"), root.join("link.txt")).unwrap();
    symlink("/etc", root.join("etc")).unwrap();
    symlink(root.join(".env"), root.join("env.txt")).unwrap();
    symlink(root.join("picture.png"), root.join("inside.png")).unwrap();
    fs::write(root.join("bait.css"), "bait").unwrap();
    symlink(dir.path().join("outside.txt"), root.join("bait.css.br")).unwrap();
    dir
}

async fn served() -> (Server, Client, TempDir) {
    let dir = folder();
    let server = Server::start(|config| config.files = Some(dir.path().join("static"))).await;
    let client = Client::open(server.port).await;
    (server, client, dir)
}

async fn ask(client: &mut Client, path: &str, headers: &[(&str, &str)]) -> Answer {
    client.request("GET", path, headers, "").await;
    client.response().await
}

#[tokio::test]
async fn files_have_kinds_lifetimes_and_tags() {
    let (_server, mut client, _dir) = served().await;
    let index = client.get("/").await;
    assert_eq!((index.status, index.text()), (200, "<!doctype html><title>game</title>"));
    assert_eq!(index.header("content-type"), Some("text/html"));
    assert_eq!(index.header("cache-control"), Some("no-cache"));
    assert!(index.header("etag").is_some() && index.header("last-modified").is_some());
    assert_eq!(index.header("referrer-policy"), Some("same-origin"));
    let script = client.get(&format!("/{SCRIPT}")).await;
    assert_eq!(script.header("cache-control"), Some("public, max-age=31536000, immutable"));
    assert_eq!(client.get("/assets/style.css").await.header("cache-control"), Some("no-cache"));
    assert_eq!(client.get("/sub/").await.text(), "sub");
    assert_eq!(client.get("/inside.png").await.body.len(), 5000);

    let etag = script.header("etag").unwrap().to_owned();
    let cached = ask(&mut client, &format!("/{SCRIPT}"), &[("If-None-Match", &etag)]).await;
    assert_eq!((cached.status, cached.body.len()), (304, 0));
    let changed = ask(&mut client, &format!("/{SCRIPT}"), &[("If-None-Match", "\"other\"")]).await;
    assert_eq!(changed.status, 200);
    let modified = script.header("last-modified").unwrap().to_owned();
    let cached = ask(&mut client, &format!("/{SCRIPT}"), &[("If-Modified-Since", &modified)]).await;
    assert_eq!(cached.status, 304);
}

#[tokio::test]
async fn text_is_packed_and_what_lies_packed_is_taken() {
    let (_server, mut client, _dir) = served().await;
    let script = ask(&mut client, &format!("/{SCRIPT}"), &[("Accept-Encoding", "gzip")]).await;
    assert_eq!(script.header("content-encoding"), Some("gzip"));
    assert!(script.body.len() < 1000, "{}", script.body.len());
    let vary = |response: &Answer| response.headers.iter().filter(|(name, _)| name == "vary").count();
    assert_eq!((vary(&script), script.header("vary")), (1, Some("accept-encoding")));
    let style = ask(&mut client, "/assets/style.css", &[("Accept-Encoding", "br, gzip")]).await;
    assert_eq!((style.header("content-encoding"), style.text()), (Some("br"), "packed"));
    assert_eq!(style.header("content-type"), Some("text/css"));
    let picture = ask(&mut client, "/picture.png", &[("Accept-Encoding", "gzip")]).await;
    assert_eq!((picture.header("content-encoding"), picture.body.len()), (None, 5000));
}

#[tokio::test]
async fn ranges_and_heads() {
    let (_server, mut client, _dir) = served().await;
    let range = ask(&mut client, "/picture.png", &[("Range", "bytes=10-19")]).await;
    assert_eq!((range.status, range.body.len()), (206, 10));
    assert_eq!(range.header("content-range"), Some("bytes 10-19/5000"));
    let beyond = ask(&mut client, "/picture.png", &[("Range", "bytes=9000-")]).await;
    assert_eq!((beyond.status, beyond.error_code().as_str()), (416, "range_not_satisfiable"));
    client.request("HEAD", "/picture.png", &[], "").await;
    let head = client.answer(false).await;
    assert_eq!((head.status, head.header("content-length")), (200, Some("5000")));
    client.request("POST", "/picture.png", &[], "").await;
    let post = client.response().await;
    assert_eq!((post.status, post.header("allow")), (405, Some("GET, HEAD")));
    assert_eq!(post.error_code(), "method_not_allowed");
    client.request("POST", "/nothing", &[], "").await;
    assert_eq!(client.response().await.status, 404);
}

#[tokio::test]
async fn nothing_outside_of_the_folder_is_served() {
    let (_server, mut client, _dir) = served().await;
    for path in [
        "/../outside.txt",
        "/sub/../../outside.txt",
        "/%2e%2e/outside.txt",
        "/%2e%2e%2foutside.txt",
        "/..%2foutside.txt",
        "/sub%2f..%2f..%2foutside.txt",
        "/%252e%252e/outside.txt",
        "/..%5coutside.txt",
        "/../static_other/x.txt",
        "//etc/passwd",
        "/etc/passwd",
        "/link.txt",
        "/env.txt",
        "/.env",
        "/%2eenv",
        "/sub/.%2e/.env",
        "/index.html%00.png",
        "/sub",
        "/assets/",
        "/%ff",
    ] {
        let response = ask(&mut client, path, &[("Accept-Encoding", "br")]).await;
        assert_eq!((response.status, response.error_code().as_str()), (404, "not_found"), "{path}");
    }
    let bait = ask(&mut client, "/bait.css", &[("Accept-Encoding", "br")]).await;
    assert_eq!(bait.status, 404);
}

#[tokio::test]
async fn without_a_client_there_is_a_page_that_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("static");
    let server = Server::start(|config| config.files = Some(folder.clone())).await;
    let mut client = Client::open(server.port).await;
    let page = client.get("/").await;
    assert_eq!((page.status, page.header("content-type")), (200, Some("text/html; charset=utf-8")));
    assert!(page.text().contains("make setup"));
    assert_eq!(client.get("/index.html").await.status, 404);
    // Once it has been built it is there.
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("index.html"), "client").unwrap();
    assert_eq!(client.get("/").await.text(), "client");
}
