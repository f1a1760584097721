//! Files to be damaged, and what may come of that.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use link::{Batches, Entries, Error, Log, Mode, Op, Options, Summary};

use super::entries::{after, bytes};

/// Everything that can be read.
pub type Content = BTreeMap<String, (Summary, Batches, (Entries, bool))>;

/// A directory in memory: what is damaged here needs no disk.
pub struct Scratch(tempfile::TempDir);

impl Scratch {
    pub fn with(files: &[(&str, &[u8])]) -> Scratch {
        let memory = Path::new("/dev/shm");
        let dir = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.unwrap();
        for (name, bytes) in files {
            std::fs::write(dir.path().join(name), bytes).unwrap();
        }
        Scratch(dir)
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }
}

/// Counts panics from here on, of any thread; the driver's would only look like a connection that ended.
pub fn panics() -> impl Fn() -> usize {
    static PANICS: AtomicUsize = AtomicUsize::new(0);
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            PANICS.fetch_add(1, Ordering::SeqCst);
            before(panic);
        }));
    });
    let from = PANICS.load(Ordering::SeqCst);
    move || PANICS.load(Ordering::SeqCst) - from
}

/// A closed log with two worlds, of which one has been pruned, and its content.
pub async fn sample() -> (Vec<u8>, Content) {
    let dir = Scratch::with(&[]);
    let log = Log::open(dir.path(), Options::default()).await.unwrap();
    for (world, many) in [("main", 900), ("second", 40)] {
        log.create_world(world, format!("meta of {world}").into_bytes()).await.unwrap();
        let mut seq = 0;
        for n in 0..many {
            seq = after(world, seq);
            let mut ops = vec![Op::Entries(vec![(seq, bytes(world, seq))])];
            if n % 7 == 6 {
                ops.push(Op::Mark { tick: n, last_seq: seq });
                ops.push(Op::Reached { tick: n + 1 });
            }
            log.commit(world, ops).await.unwrap();
        }
    }
    log.prune("main", 100).await.unwrap();
    let content = content(&log).await.unwrap();
    log.close().await;
    (std::fs::read(dir.path().join("events.db")).unwrap(), content)
}

pub async fn content(log: &Log) -> Result<Content, Error> {
    let mut content = Content::new();
    for world in log.worlds().await? {
        let summary = log.world(&world).await?;
        let batches = log.batches(&world, 0, usize::MAX).await?;
        let unmarked = log.unmarked(&world, 0, usize::MAX).await?;
        content.insert(world, (summary, batches, unmarked));
    }
    Ok(content)
}

/// Whether an error came, which says what and where; without one, everything must be as it was.
pub async fn is_sound(dir: &Path, mode: Mode, whole: &Content, what: &str) -> bool {
    let read = async {
        let log = Log::open(dir, Options { mode, ..Options::default() }).await?;
        let content = content(&log).await;
        log.close().await;
        content
    };
    match read.await {
        Ok(content) => {
            assert!(content == *whole, "{what}: something else was read, and no error came");
            false
        }
        Err(error) => {
            let known = matches!(error.reason(), "corrupt" | "newer_version" | "cannot_open");
            assert!(known && error.to_string().contains("events.db"), "{what}: {} {error}", error.reason());
            true
        }
    }
}
