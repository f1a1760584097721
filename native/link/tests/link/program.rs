//! The program and its calls, from a real BEAM.

use crate::support::program;
use std::process::Command;

use crate::support::program::{Beam, Link};

fn path(dir: &tempfile::TempDir) -> String {
    format!("<<\"{}\">>", dir.path().display())
}

#[tokio::test]
async fn every_call_is_answered_as_agreed() {
    let beam = Beam::start().await;
    let node = beam.node("test").await;
    let link = Link::start(&beam, "link", &[]);
    let dir = tempfile::tempdir().unwrap();
    let open = format!("{{open, {}, #{{}}}}", path(&dir));
    let batch = |entries: &[&str]| {
        let count = entries.len();
        let entries: Vec<String> =
            entries.iter().map(|entry| format!("{},0,\"{entry}\"", entry.len())).collect();
        format!("<<{count},0,{}>>", entries.join(","))
    };
    let (first, second) = (batch(&["one", "two"]), batch(&["three"]));
    let world = |rest: &str| format!("{{ok,#{{complete => true,{rest}}}}}");
    let steps: &[(&str, &str)] = &[
        ("ping", "pong"),
        ("worlds", "{error,{not_open,<<\"no event log is open: call {open, Dir, Options} first\">>}}"),
        (&open, "{ok,#{version => 1}}"),
        (&open, "{ok,#{version => 1}}"),
        ("worlds", "{ok,[]}"),
        ("{create_world, <<\"main\">>, <<\"meta\">>}", "ok"),
        ("{create_world, <<\"main\">>, <<\"meta\">>}", "ok"),
        ("{create_world, <<\"a-1_b\">>, <<>>}", "ok"),
        ("worlds", "{ok,[<<\"a-1_b\">>,<<\"main\">>]}"),
        (
            "{world, <<\"main\">>}",
            &world(
                "entries => 0,first_tick => 0,last_seq => 0,marked_seq => 0,marked_tick => -1,meta => <<\"meta\">>,reached => 0",
            ),
        ),
        ("{commit, <<\"main\">>, [{entries, [{5, <<\"one\">>}, {7, <<\"two\">>}]}, {mark, 3, 7}]}", "{ok,7}"),
        (
            "{commit, <<\"main\">>, [{reached, 4}, {entries, [{9, <<\"three\">>}, {1000000000000, <<\"four\">>}]}]}",
            "{ok,1000000000000}",
        ),
        ("{commit, <<\"main\">>, [{mark, 4, 9}, {unmark, 4}, {mark, 8, 9}]}", "{ok,1000000000000}"),
        // Sent again.
        (
            "{commit, <<\"main\">>, [{entries, [{9, <<\"three\">>}]}, {mark, 8, 9}, {mark, 3, 7}, {reached, 2}]}",
            "{ok,1000000000000}",
        ),
        ("{commit, <<\"main\">>, []}", "{ok,1000000000000}"),
        (
            "{world, <<\"main\">>}",
            &world(
                "entries => 4,first_tick => 0,last_seq => 1000000000000,marked_seq => 9,marked_tick => 8,meta => <<\"meta\">>,reached => 4",
            ),
        ),
        ("{batches, <<\"main\">>, 0, 1000}", &format!("{{ok,[{{3,7,{first}}},{{8,9,{second}}}],false}}")),
        ("{batches, <<\"main\">>, 0, 0}", &format!("{{ok,[{{3,7,{first}}}],true}}")),
        ("{batches, <<\"main\">>, 4, 0}", &format!("{{ok,[{{8,9,{second}}}],false}}")),
        ("{batches, <<\"main\">>, 9, 0}", "{ok,[],false}"),
        ("{unmarked, <<\"main\">>, 0, 1000}", "{ok,[{1000000000000,<<\"four\">>}],false}"),
        ("{unmarked, <<\"main\">>, 1000000000000, 1000}", "{ok,[],false}"),
        ("{prune, <<\"main\">>, 8}", "{ok,2}"),
        ("{prune, <<\"main\">>, 8}", "{ok,0}"),
        ("{batches, <<\"main\">>, 0, 1000}", &format!("{{ok,[{{8,9,{second}}}],false}}")),
        (
            "{world, <<\"main\">>}",
            "{ok,#{complete => false,entries => 2,first_tick => 4,last_seq => 1000000000000,marked_seq => 9,marked_tick => 8,meta => <<\"meta\">>,reached => 4}}",
        ),
        ("{batches, <<\"a-1_b\">>, 0, 1000}", "{ok,[],false}"),
    ];
    for (request, expected) in steps {
        assert_eq!(
            link.call(&node, request).await.replace(' ', ""),
            program::shown(&node, expected).await.replace(' ', ""),
            "{request}"
        );
    }
    assert!(link.call(&node, "self").await.starts_with('<'));
    let stats = link.call(&node, "stats").await;
    for part in [
        "commits => 5",
        "entries => 4",
        &format!("os_pid => {}", link.child.id()),
        "version => <<\"0.1.0\">>",
    ] {
        assert!(stats.contains(part), "{stats}");
    }
}

#[tokio::test]
async fn what_does_not_fit_is_refused_with_a_reason() {
    let beam = Beam::start().await;
    let node = beam.node("test").await;
    let link = Link::start(&beam, "link", &[]);
    let dir = tempfile::tempdir().unwrap();
    let refused = async |reason: &str, requests: &[&str]| {
        for request in requests {
            let answer = link.call(&node, request).await;
            assert!(answer.starts_with(&format!("{{error,{{{reason},<<\"")), "{request}: {answer}");
        }
    };
    refused("not_open", &["{commit, <<\"main\">>, []}", "{prune, <<\"main\">>, 1}"]).await;
    refused("cannot_open", &["{open, <<\"/nowhere/at/all\">>, #{}}"]).await;
    refused("cannot_open", &[&format!("{{open, {}, #{{mode => read}}}}", path(&dir))]).await;
    refused(
        "bad_request",
        &[
            &format!("{{open, {}, #{{mode => wirte}}}}", path(&dir)),
            &format!("{{open, {}, #{{other => 1}}}}", path(&dir)),
            "{open, dir, #{}}",
            "{open, <<>>, []}",
        ],
    )
    .await;
    link.call(&node, &format!("{{open, {}, #{{}}}}", path(&dir))).await;
    refused("bad_request", &["{open, <<\"/tmp\">>, #{}}"]).await;
    link.call(&node, "{create_world, <<\"main\">>, <<1>>}").await;
    refused("exists", &["{create_world, <<\"main\">>, <<2>>}"]).await;
    refused(
        "unknown_world",
        &[
            "{world, <<\"other\">>}",
            "{commit, <<\"other\">>, []}",
            "{batches, <<\"other\">>, 0, 0}",
            "{unmarked, <<\"other\">>, 0, 0}",
            "{prune, <<\"other\">>, 0}",
        ],
    )
    .await;
    let long = format!("{{world, <<\"{}\">>}}", "a".repeat(65));
    refused(
        "bad_request",
        &[
            "nonsense",
            "{}",
            "{commit}",
            "{ping}",
            "[]",
            "{world, main}",
            "{world, <<>>}",
            "{world, <<\"Main\">>}",
            "{world, <<\"../x\">>}",
            &long,
            "{world, <<\"main\">>, 1}",
            "{create_world, <<\"main\">>, meta}",
            "{commit, <<\"main\">>, [nonsense]}",
            "{commit, <<\"main\">>, entries}",
            "{commit, <<\"main\">>, [{entries, [{0, <<1>>}]}]}",
            "{commit, <<\"main\">>, [{entries, [{1 bsl 53, <<1>>}]}]}",
            "{commit, <<\"main\">>, [{entries, [{1 bsl 80, <<1>>}]}]}",
            "{commit, <<\"main\">>, [{entries, [{1, <<>>}]}]}",
            "{commit, <<\"main\">>, [{entries, [{1, <<0:(65536*8)>>}]}]}",
            "{commit, <<\"main\">>, [{entries, [{1, \"text\"}]}]}",
            "{commit, <<\"main\">>, [{mark, -1, 1}]}",
            "{commit, <<\"main\">>, [{mark, 1}]}",
            "{batches, <<\"main\">>, a, 0}",
            "{batches, <<\"main\">>, 0, -1}",
        ],
    )
    .await;
    assert_eq!(
        link.call(&node, "{commit, <<\"main\">>, [{entries, [{10, <<1>>}]}, {mark, 5, 10}]}").await,
        "{ok,10}"
    );
    refused(
        "out_of_order",
        &[
            "{commit, <<\"main\">>, [{entries, [{12, <<1>>}, {11, <<1>>}]}]}",
            "{commit, <<\"main\">>, [{entries, [{12, <<1>>}]}, {entries, [{12, <<1>>}]}]}",
            "{commit, <<\"main\">>, [{entries, [{12, <<1>>}]}, {mark, 6, 11}]}",
            "{commit, <<\"main\">>, [{entries, [{12, <<1>>}]}, {mark, 6, 13}]}",
            "{commit, <<\"main\">>, [{entries, [{12, <<1>>}]}, {mark, 5, 12}]}",
            "{commit, <<\"main\">>, [{entries, [{12, <<1>>}]}, {mark, 4, 10}]}",
            "{commit, <<\"main\">>, [{mark, 6, 10}]}",
            "{commit, <<\"main\">>, [{unmark, 5}, {entries, [{12, <<1>>}]}, {mark, 5, 11}]}",
        ],
    )
    .await;
    let world = link.call(&node, "{world, <<\"main\">>}").await;
    for part in ["last_seq => 10", "entries => 1", "marked_tick => 5"] {
        assert!(world.contains(part), "{world}");
    }
    assert_eq!(link.call(&node, "{batches, <<\"main\">>, 0, 0}").await, "{ok,[{5,10,<<1,0,1,0,1>>}],false}");
}

#[tokio::test]
async fn one_program_writes_and_others_read() {
    let beam = Beam::start().await;
    let node = beam.node("test").await;
    let dir = tempfile::tempdir().unwrap();
    let (write, read) = (
        format!("{{open, {}, #{{wait_ms => 50}}}}", path(&dir)),
        format!("{{open, {}, #{{mode => read}}}}", path(&dir)),
    );
    let mut first = Link::start(&beam, "first", &[]);
    assert_eq!(first.call(&node, &write).await, "{ok,#{version => 1}}");
    first.call(&node, "{create_world, <<\"main\">>, <<>>}").await;
    let second = Link::start(&beam, "second", &[]);
    assert!(second.call(&node, &write).await.starts_with("{error,{in_use,"));
    assert_eq!(second.call(&node, &read).await, "{ok,#{version => 1}}");
    for seq in 1..20 {
        first.call(&node, &format!("{{commit, <<\"main\">>, [{{entries, [{{{seq}, <<1>>}}]}}]}}")).await;
        let read = second.call(&node, "{world, <<\"main\">>}").await;
        assert!(read.contains(&format!("last_seq => {seq},")), "{read}");
    }
    assert!(second.call(&node, "{commit, <<\"main\">>, []}").await.starts_with("{error,{bad_request,"));
    assert!(second.call(&node, &write).await.starts_with("{error,{bad_request,"));

    // Killed in the middle, its successor has everything; told to stop, it leaves one file.
    first.child.kill().unwrap();
    let mut third = Link::start(&beam, "third", &[]);
    assert_eq!(third.call(&node, &write).await, "{ok,#{version => 1}}");
    assert!(third.call(&node, "{world, <<\"main\">>}").await.contains("last_seq => 19,"));
    drop(second);
    drop(third.input.take());
    assert!(third.child.wait().unwrap().success());
    assert!(!dir.path().join("events.db-wal").exists());
    let reader = Link::start(&beam, "reader", &[]);
    assert_eq!(reader.call(&node, &read).await, "{ok,#{version => 1}}");
    assert!(reader.call(&node, "{world, <<\"main\">>}").await.contains("last_seq => 19,"));
}

#[test]
fn it_says_how_it_is_used() {
    let run = |flag: &str| {
        let output = Command::new(env!("CARGO_BIN_EXE_gp_link")).arg(flag).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    assert_eq!(run("--version"), format!("gp_link {}\n", env!("CARGO_PKG_VERSION")));
    for flag in ["--connect", "--name", "--cookie-file", "--cookie-stdin"] {
        assert!(run("--help").contains(flag));
    }
}
