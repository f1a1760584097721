//! Killed in the middle, no room, a slow disk.

use crate::support::cut;
use crate::support::program;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::support::program::{Beam, Link};
use dist::Node;
use link::{Log, Op, Options};

fn entries(from: i64, to: i64, len: usize) -> Vec<Op> {
    vec![Op::Entries((from..=to).map(|seq| (seq, vec![seq as u8; len])).collect())]
}

#[tokio::test]
async fn a_limit_holds_and_pruning_makes_room() {
    let dir = tempfile::tempdir().unwrap();
    let options = Options { max_bytes: 400_000, ..Options::default() };
    let log = Log::open(dir.path(), options).await.unwrap();
    log.create_world("main", Vec::new()).await.unwrap();
    let mut seq = 0;
    for round in 0..5 {
        let start = seq;
        let error = loop {
            let mut ops = entries(seq + 1, seq + 50, 100);
            ops.push(Op::Mark { tick: seq + 1, last_seq: seq + 50 });
            match log.commit("main", ops).await {
                Ok(last) => seq = last,
                Err(error) => break error,
            }
        };
        assert_eq!(error.reason(), "full", "{error}");
        assert!(seq - start > 500, "round {round}: {} entries", seq - start);
        let head = log.world("main").await.unwrap().head;
        assert_eq!(head.last_seq, seq);
        assert!(log.prune("main", seq - 100).await.unwrap() > 500);
    }
    log.close().await;
    assert!(std::fs::metadata(dir.path().join("events.db")).unwrap().len() <= 400_000 + (256 << 12));
    let log = Log::open(dir.path(), Options::default()).await.unwrap();
    assert_eq!(log.world("main").await.unwrap().head.last_seq, seq);
    log.close().await;
}

/// Sent again by somebody who does not know that it was written, it is written together with what finds no room.
#[tokio::test]
async fn what_was_written_is_not_refused_with_others() {
    let dir = tempfile::tempdir().unwrap();
    let options = Options { max_bytes: 400_000, ..Options::default() };
    let log = Log::open(dir.path(), options).await.unwrap();
    for world in ["main", "mail"] {
        log.create_world(world, Vec::new()).await.unwrap();
    }
    assert_eq!(log.commit("mail", entries(1, 3, 100)).await.unwrap(), 3);
    let large = log.commit("main", entries(1, 50, 60_000));
    let again = log.commit("mail", entries(1, 3, 100));
    let more = log.commit("mail", entries(4, 4, 100));
    let more_again = log.commit("mail", entries(4, 4, 100));
    assert_eq!(large.await.unwrap_err().reason(), "full");
    assert_eq!(again.await.unwrap(), 3);
    // What hangs on the rest is refused with it.
    assert_eq!(more.await.unwrap_err().reason(), "full");
    assert_eq!(more_again.await.unwrap_err().reason(), "full");
    assert_eq!(log.world("mail").await.unwrap().head.last_seq, 3);
    log.close().await;
}

struct Preloaded {
    home: tempfile::TempDir,
    library: std::path::PathBuf,
}

impl Preloaded {
    fn new() -> Preloaded {
        let home = tempfile::tempdir().unwrap();
        std::fs::create_dir(home.path().join("data")).unwrap();
        Preloaded { home, library: cut::built().join("libpowercut.so") }
    }

    fn start(&self, beam: &Beam) -> Link {
        let path = |name: &str| self.home.path().join(name);
        let (dir, full, slow) = (path("data").canonicalize().unwrap(), path("full"), path("slow"));
        let environment: [(&str, &Path); 4] = [
            ("LD_PRELOAD", &self.library),
            ("POWERCUT_DIR", &dir),
            ("POWERCUT_FULL", &full),
            ("POWERCUT_SLOW", &slow),
        ];
        Link::start(beam, "link", &environment)
    }

    fn open(&self) -> String {
        format!(
            "{{open, <<\"{}\">>, #{{}}}}",
            self.home.path().join("data").canonicalize().unwrap().display()
        )
    }

    fn control(&self, name: &str, text: Option<&str>) {
        let path = self.home.path().join(name);
        match text {
            Some(text) => std::fs::write(path, text).unwrap(),
            None => std::fs::remove_file(path).unwrap(),
        }
    }
}

#[tokio::test]
async fn a_full_disk_refuses_and_recovers_by_itself() {
    let beam = Beam::start().await;
    let node = beam.node("test").await;
    let disk = Preloaded::new();
    let mut link = disk.start(&beam);
    assert_eq!(link.call(&node, &disk.open()).await, "{ok,#{version => 1}}");
    assert_eq!(link.call(&node, "{create_world, <<\"main\">>, <<>>}").await, "ok");
    let commit = |seq: i64| {
        format!("{{commit, <<\"main\">>, [{{entries, [{{{seq}, <<{seq}>>}}]}}, {{mark, {seq}, {seq}}}]}}")
    };
    let mut seq = 0;
    for full in ["", "sync", ""] {
        for _ in 0..20 {
            seq += 1;
            assert_eq!(link.call(&node, &commit(seq)).await, format!("{{ok,{seq}}}"));
        }
        disk.control("full", Some(full));
        for _ in 0..3 {
            let answer = link.call(&node, &commit(seq + 1)).await;
            assert!(answer.starts_with("{error,{full,"), "{answer}");
            // What is there can be read.
            let world = link.call(&node, "{world, <<\"main\">>}").await;
            assert!(world.contains(&format!("last_seq => {seq},")), "{world}");
        }
        disk.control("full", None);
        seq += 1;
        assert_eq!(link.call(&node, &commit(seq)).await, format!("{{ok,{seq}}}"));
    }
    // What was refused is not there after a restart.
    disk.control("full", Some("sync"));
    assert!(link.call(&node, &commit(seq + 1)).await.starts_with("{error,{full,"));
    link.child.kill().unwrap();
    link.child.wait().unwrap();
    disk.control("full", None);
    let link = disk.start(&beam);
    assert_eq!(link.call(&node, &disk.open()).await, "{ok,#{version => 1}}");
    let world = link.call(&node, "{world, <<\"main\">>}").await;
    assert!(
        world.contains(&format!("last_seq => {seq},")) && world.contains(&format!("marked_tick => {seq},")),
        "{world}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_a_slow_disk_requests_share_a_sync() {
    let beam = Beam::start().await;
    let node = beam.node("test").await;
    let disk = Preloaded::new();
    let link = disk.start(&beam);
    link.call(&node, &disk.open()).await;
    link.call(&node, "{create_world, <<\"main\">>, <<>>}").await;
    disk.control("slow", Some("50"));
    let start = Instant::now();
    let calls = "Calls = [gen_server:send_request({gp_link, 'link@127.0.0.1'},
            {commit, <<\"main\">>, [{entries, [{N, <<1>>}]}]}) || N <- lists:seq(1, 500)],
        lists:usort([element(1, element(2, gen_server:receive_response(C, 60000))) || C <- Calls])";
    assert_eq!(program::shown(&node, calls).await, "[ok]");
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    // Reads do not wait for syncs.
    let waiting = tokio::spawn({
        let node = node.clone();
        async move {
            program::shown(&node, "gen_server:call({gp_link, 'link@127.0.0.1'}, {commit, <<\"main\">>, [{entries, [{501, <<1>>}]}]})").await
        }
    });
    disk.control("slow", Some("1500"));
    tokio::time::sleep(Duration::from_millis(100)).await;
    let start = Instant::now();
    assert!(link.call(&node, "{world, <<\"main\">>}").await.contains("last_seq => 50"));
    assert!(start.elapsed() < Duration::from_millis(1000), "{:?}", start.elapsed());
    disk.control("slow", Some("0"));
    assert_eq!(waiting.await.unwrap(), "{ok,501}");
}

/// Sends many commits at once and kills the program while they are under way. Gives the last that was acknowledged.
async fn killed_in_the_middle(link: &mut Link, node: &Node, from: i64, delay: Duration) -> i64 {
    let script = format!(
        "Calls = [gen_server:send_request({{gp_link, 'link@127.0.0.1'}},
            {{commit, <<\"main\">>, [{{entries, [{{N, <<N:64/little>>}}]}}]}}) || N <- lists:seq({from}, {from} + 3000)],
        Wait = fun Wait([C | Rest], Last) ->
            case gen_server:receive_response(C, 60000) of {{reply, {{ok, N}}}} -> Wait(Rest, max(N, Last)); _ -> Last end;
            Wait([], Last) -> Last end,
        Wait(Calls, 0)"
    );
    let asked = tokio::spawn({
        let node = node.clone();
        async move { program::shown(&node, &script).await }
    });
    tokio::time::sleep(delay).await;
    link.child.kill().unwrap();
    link.child.wait().unwrap();
    asked.await.unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_in_the_middle_of_commits_it_has_what_it_acknowledged() {
    let beam = Beam::start().await;
    let node = beam.node("test").await;
    let dir = tempfile::tempdir().unwrap();
    let open = format!("{{open, <<\"{}\">>, #{{}}}}", dir.path().display());
    let mut last = 0;
    for round in 0..8 {
        let mut link = Link::start(&beam, "link", &[]);
        assert_eq!(link.call(&node, &open).await, "{ok,#{version => 1}}");
        link.call(&node, "{create_world, <<\"main\">>, <<>>}").await;
        // Whoever sends does not know what was written, and sends from the last acknowledgement on.
        for seq in last + 1..last + 20 {
            let commit = format!("{{commit, <<\"main\">>, [{{entries, [{{{seq}, <<{seq}:64/little>>}}]}}]}}");
            assert!(link.call(&node, &commit).await.starts_with("{ok,"));
        }
        let acknowledged =
            killed_in_the_middle(&mut link, &node, last + 20, Duration::from_millis(5 + 7 * round)).await;
        last = acknowledged.max(last + 19);
        drop(link);
        let log = Log::open(dir.path(), Options::default()).await.unwrap();
        let head = log.world("main").await.unwrap().head;
        assert!(head.last_seq >= last, "{head:?}, acknowledged was {last}");
        let (entries, _) = log.unmarked("main", 0, usize::MAX).await.unwrap();
        assert_eq!(entries.len() as i64, head.last_seq);
        assert!(entries.iter().zip(1..).all(|((seq, bytes), n)| *seq == n && *bytes == n.to_le_bytes()));
        log.close().await;
    }
}
