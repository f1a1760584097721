//! What comes over the distribution, to the registered process `gp_link`.
//!
//! | call | answer |
//! |---|---|
//! | `ping` | `pong` |
//! | `self` | the pid of the process that answers, which outlives no restart |
//! | `{open, Dir, Options}` | `{ok, #{version}}`; options: `mode` (`write` or `read`), `max_bytes`, `wait_ms` |
//! | `{create_world, World, Meta}` | `ok` |
//! | `worlds` | `{ok, [World]}` |
//! | `{world, World}` | `{ok, #{meta, reached, last_seq, marked_seq, marked_tick, first_tick, complete, entries}}` |
//! | `{commit, World, Ops}` | `{ok, LastSeq}`; operations: `{entries, [{Seq, Bytes}]}`, `{mark, Tick, LastSeq}`, `{unmark, Tick}`, `{reached, Tick}` |
//! | `{batches, World, FromTick, MaxBytes}` | `{ok, [{Tick, LastSeq, Batch}], More}` |
//! | `{unmarked, World, AfterSeq, MaxBytes}` | `{ok, [{Seq, Bytes}], More}` |
//! | `{prune, World, BeforeTick}` | `{ok, Entries}` |
//! | `stats` | a map of counters |
//!
//! A refusal is `{error, {Reason, Sentence}}`. Commits are queued in the order in which they come; nothing else
//! waits for anything else, and the mailbox never for the disk.

use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};

use dist::term::{atom, binary, int, list, map, tuple};
use dist::{Event, Node, Term, program};

use crate::error::{Error, Result};
use crate::log::{Log, Options};
use crate::store::open::VERSION;
use crate::terms::{self, Request};

/// The log that is open, if one is.
#[derive(Debug, Default)]
struct Slot {
    log: RwLock<Option<Arc<Log>>>,
    opening: tokio::sync::Mutex<()>,
}

impl Slot {
    fn log(&self) -> Result<Arc<Log>> {
        self.log.read().unwrap_or_else(PoisonError::into_inner).clone().ok_or(Error::NotOpen)
    }

    async fn open(&self, dir: PathBuf, options: Options) -> Result<Term> {
        let _one_at_a_time = self.opening.lock().await;
        if let Ok(log) = self.log() {
            if log.dir() != dir || log.options().mode != options.mode {
                let open = log.dir().display();
                return Err(Error::BadRequest(format!(
                    "{open} is open already: start another gp_link for another"
                )));
            }
        } else {
            let log = Arc::new(Log::open(&dir, options).await?);
            *self.log.write().unwrap_or_else(PoisonError::into_inner) = Some(log);
        }
        Ok(tuple([atom("ok"), map([(atom("version"), int(VERSION))])]))
    }

    fn stats(&self) -> Term {
        let log = self.log().ok();
        let stats = log.as_ref().map(|log| log.stats()).unwrap_or_default();
        let (db, wal) = log.as_ref().map_or((0, 0), |log| log.sizes());
        map([
            (atom("os_pid"), int(std::process::id())),
            (atom("version"), binary(env!("CARGO_PKG_VERSION"))),
            (atom("commits"), int(stats.commits)),
            (atom("groups"), int(stats.groups)),
            (atom("entries"), int(stats.entries)),
            (atom("commit_us_p50"), int(stats.commit_us_p50)),
            (atom("commit_us_p99"), int(stats.commit_us_p99)),
            (atom("db_bytes"), int(db)),
            (atom("wal_bytes"), int(wal)),
        ])
    }
}

/// Registers, says that it is ready, and answers until the connection ends; then what was asked for is done.
///
/// # Errors
///
/// If the name is taken, which a node of one process does not meet.
pub async fn serve(node: Node) -> std::result::Result<(), program::Served> {
    let mut server = node.register("gp_link")?;
    let own: Term = server.pid().clone().into();
    let slot = Arc::new(Slot::default());
    program::ready();
    while let Some(event) = server.recv().await {
        let Event::Call(call) = event else { continue };
        let caller = call.caller;
        // What is to be in order is asked for here; answers are waited for elsewhere.
        let answer = answer(&slot, &own, call.request);
        tokio::spawn(async move {
            let refused = |error: Error| {
                let reason = tuple([atom(error.reason()), binary(error.to_string())]);
                tuple([atom("error"), reason])
            };
            let answer = answer.await.unwrap_or_else(refused);
            let _ = caller.reply(answer).await;
        });
    }
    let log = slot.log.write().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(mut log) = log {
        // Answers that are under way hold it, too.
        loop {
            match Arc::try_unwrap(log) {
                Ok(log) => break log.close().await,
                Err(shared) => log = shared,
            }
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    }
    Ok(())
}

type Answer = std::pin::Pin<Box<dyn Future<Output = Result<Term>> + Send>>;

fn answer(slot: &Arc<Slot>, own: &Term, request: Term) -> Answer {
    let request = match terms::request(request) {
        Ok(request) => request,
        Err(error) => return Box::pin(async { Err(error) }),
    };
    match request {
        Request::Ping => return at_once(atom("pong")),
        Request::Own => return at_once(own.clone()),
        Request::Stats => return at_once(slot.stats()),
        Request::Open(dir, options) => {
            let slot = slot.clone();
            return Box::pin(async move { slot.open(dir, options).await });
        }
        _ => {}
    }
    match slot.log() {
        Ok(log) => ask(log, request),
        Err(error) => Box::pin(async { Err(error) }),
    }
}

fn at_once(term: Term) -> Answer {
    Box::pin(async { Ok(term) })
}

fn ok(values: impl IntoIterator<Item = Term>) -> Term {
    tuple(std::iter::once(atom("ok")).chain(values).collect::<Vec<_>>())
}

fn ask(log: Arc<Log>, request: Request) -> Answer {
    match request {
        Request::Create(world, meta) => {
            let created = log.create_world(&world, meta);
            Box::pin(async move { created.await.map(|()| atom("ok")) })
        }
        Request::Commit(world, ops) => {
            let committed = log.commit(&world, ops);
            Box::pin(async move { committed.await.map(|last| ok([int(last)])) })
        }
        Request::Worlds => Box::pin(async move {
            let names = log.worlds().await?;
            Ok(ok([list(names.into_iter().map(binary).collect::<Vec<_>>())]))
        }),
        Request::World(world) => Box::pin(async move {
            let summary = log.world(&world).await?;
            let head = &summary.head;
            Ok(ok([map([
                (atom("meta"), binary(summary.meta.clone())),
                (atom("reached"), int(head.reached)),
                (atom("last_seq"), int(head.last_seq)),
                (atom("marked_seq"), int(head.marked.last_seq)),
                (atom("marked_tick"), int(head.marked.tick)),
                (atom("first_tick"), int(summary.first_tick())),
                (atom("complete"), atom(if summary.first_tick() == 0 { "true" } else { "false" })),
                (atom("entries"), int(head.entries)),
            ])]))
        }),
        Request::Batches(world, tick, most) => Box::pin(async move {
            let (batches, more) = log.batches(&world, tick, most).await?;
            let batch =
                |(tick, last, bytes): (i64, i64, Vec<u8>)| tuple([int(tick), int(last), binary(bytes)]);
            Ok(ok([list(batches.into_iter().map(batch).collect::<Vec<_>>()), boolean(more)]))
        }),
        Request::Unmarked(world, after, most) => Box::pin(async move {
            let (entries, more) = log.unmarked(&world, after, most).await?;
            let entry = |(seq, bytes): (i64, Vec<u8>)| tuple([int(seq), binary(bytes)]);
            Ok(ok([list(entries.into_iter().map(entry).collect::<Vec<_>>()), boolean(more)]))
        }),
        Request::Prune(world, tick) => {
            Box::pin(async move { log.prune(&world, tick).await.map(|entries| ok([int(entries)])) })
        }
        Request::Ping | Request::Own | Request::Stats | Request::Open(..) => {
            Box::pin(async { Err(Error::NotOpen) })
        }
    }
}

fn boolean(value: bool) -> Term {
    atom(if value { "true" } else { "false" })
}
