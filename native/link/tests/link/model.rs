//! Any requests, against a model of what they should do.

use std::collections::BTreeMap;

use link::{Error, Log, Op, Options};
use proptest::prelude::*;

const EVERYTHING: usize = 1 << 30;

#[derive(Debug, Clone)]
enum Step {
    /// Requests that are under way at once.
    Commit(Vec<Vec<Op>>),
    Prune(i64),
    Reopen,
}

/// Small numbers, so that many requests do not fit.
fn op() -> impl Strategy<Value = Op> {
    let entry = (1..40i64, prop::collection::vec(any::<u8>(), 1..9));
    prop_oneof![
        4 => prop::collection::vec(entry, 0..6).prop_map(|mut entries| {
            entries.sort_by_key(|(seq, _)| *seq);
            Op::Entries(entries)
        }),
        4 => (0..30i64, 1..40i64).prop_map(|(tick, last_seq)| Op::Mark { tick, last_seq }),
        2 => (0..30i64).prop_map(|tick| Op::Unmark { tick }),
        1 => (0..30i64).prop_map(|tick| Op::Reached { tick }),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let request = prop::collection::vec(op(), 0..4);
    prop_oneof![
        8 => prop::collection::vec(request, 1..4).prop_map(Step::Commit),
        1 => (0..20i64).prop_map(Step::Prune),
        1 => Just(Step::Reopen),
    ]
}

#[derive(Debug, Default, Clone, PartialEq)]
struct Model {
    entries: BTreeMap<i64, Vec<u8>>,
    marks: BTreeMap<i64, i64>,
    cut: Option<(i64, i64)>,
    last_seq: i64,
    reached: i64,
}

impl Model {
    fn newest(&self) -> (i64, i64) {
        let newest = self.marks.last_key_value().map(|(tick, seq)| (*tick, *seq));
        newest.or(self.cut).unwrap_or((-1, 0))
    }

    /// None if it is refused.
    fn request(&mut self, ops: &[Op]) -> Option<i64> {
        let mut before = 0;
        for op in ops {
            match op {
                Op::Entries(entries) => {
                    for (seq, bytes) in entries {
                        if *seq <= before {
                            return None;
                        }
                        before = *seq;
                        if *seq > self.last_seq {
                            self.entries.insert(*seq, bytes.clone());
                            self.last_seq = *seq;
                        }
                    }
                }
                Op::Mark { tick, last_seq } => {
                    let newest = self.newest();
                    let same = self.marks.get(tick) == Some(last_seq) || self.cut == Some((*tick, *last_seq));
                    if same {
                        continue;
                    }
                    if *tick <= newest.0 || *last_seq <= newest.1 || !self.entries.contains_key(last_seq) {
                        return None;
                    }
                    self.marks.insert(*tick, *last_seq);
                }
                Op::Unmark { tick } => {
                    if self.marks.last_key_value().is_some_and(|(newest, _)| newest == tick) {
                        self.marks.remove(tick);
                    }
                }
                Op::Reached { tick } => self.reached = self.reached.max(*tick),
            }
        }
        Some(self.last_seq)
    }

    fn prune(&mut self, before: i64) -> u64 {
        let kept = self.marks.split_off(&before);
        let Some((tick, seq)) = std::mem::replace(&mut self.marks, kept).pop_last() else { return 0 };
        self.cut = Some((tick, seq));
        let kept = self.entries.split_off(&(seq + 1));
        std::mem::replace(&mut self.entries, kept).len() as u64
    }
}

async fn compare(log: &Log, model: &Model) {
    let summary = log.world("main").await.unwrap();
    let head = &summary.head;
    assert_eq!(
        (head.last_seq, head.reached, head.entries),
        (model.last_seq, model.reached, model.entries.len() as i64)
    );
    assert_eq!((head.marked.tick, head.marked.last_seq), model.newest());
    assert_eq!(summary.first_tick(), model.cut.map_or(0, |(tick, _)| tick + 1));
    for from in [0, 7, head.marked.tick.max(0), 100] {
        let (batches, more) = log.batches("main", from, EVERYTHING).await.unwrap();
        assert!(!more);
        let mut before = model.cut.map_or(0, |(_, seq)| seq);
        let expected = model.marks.iter().map(|(tick, seq)| {
            let entries = model.entries.range(before + 1..=*seq);
            before = *seq;
            let mut batch = (entries.clone().count() as u16).to_le_bytes().to_vec();
            for (_, bytes) in entries {
                batch.extend((bytes.len() as u16).to_le_bytes());
                batch.extend(bytes);
            }
            (*tick, *seq, batch)
        });
        let expected: Vec<_> = expected.collect();
        assert_eq!(batches, expected.into_iter().filter(|(tick, ..)| *tick >= from).collect::<Vec<_>>());
    }
    for after in [0, 13, 100] {
        let (entries, more) = log.unmarked("main", after, EVERYTHING).await.unwrap();
        assert!(!more);
        let from = after.max(model.newest().1);
        let expected: Vec<_> =
            model.entries.range(from + 1..).map(|(seq, bytes)| (*seq, bytes.clone())).collect();
        assert_eq!(entries, expected);
    }
}

async fn run(steps: Vec<Step>) {
    let memory = std::path::Path::new("/dev/shm");
    let dir = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.unwrap();
    let mut log = Log::open(dir.path(), Options::default()).await.unwrap();
    log.create_world("main", Vec::new()).await.unwrap();
    let mut model = Model::default();
    for step in steps {
        match step {
            Step::Commit(requests) => {
                let answers: Vec<_> = requests.iter().map(|ops| log.commit("main", ops.clone())).collect();
                for (ops, answer) in requests.iter().zip(answers) {
                    let mut changed = model.clone();
                    match (changed.request(ops), answer.await) {
                        (Some(expected), Ok(last)) => {
                            assert_eq!(last, expected);
                            model = changed;
                        }
                        (None, Err(Error::OutOfOrder(_))) => {}
                        (expected, result) => panic!("{ops:?}: {result:?}, expected {expected:?}"),
                    }
                }
            }
            Step::Prune(tick) => assert_eq!(log.prune("main", tick).await.unwrap(), model.prune(tick)),
            Step::Reopen => {
                log.close().await;
                log = Log::open(dir.path(), Options::default()).await.unwrap();
            }
        }
        compare(&log, &model).await;
    }
    log.close().await;
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn any_requests_do_what_the_model_does(steps in prop::collection::vec(step(), 1..25)) {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(run(steps));
    }
}

#[tokio::test]
async fn pages_of_answers_are_about_as_large_as_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let log = Log::open(dir.path(), Options::default()).await.unwrap();
    log.create_world("main", Vec::new()).await.unwrap();
    for tick in 0..50 {
        let entries = (tick * 100 + 1..=tick * 100 + 100).map(|seq| (seq, vec![1; 30])).collect();
        log.commit("main", vec![Op::Entries(entries), Op::Mark { tick, last_seq: tick * 100 + 100 }])
            .await
            .unwrap();
    }
    log.commit("main", vec![Op::Entries((5001..=8000).map(|seq| (seq, vec![2; 10])).collect())])
        .await
        .unwrap();
    let (mut from, mut ticks) = (0, Vec::new());
    loop {
        let (batches, more) = log.batches("main", from, 9000).await.unwrap();
        assert!(batches.len() == 3 || !more);
        ticks.extend(batches.iter().map(|(tick, ..)| *tick));
        from = ticks.last().unwrap() + 1;
        if !more {
            break;
        }
    }
    assert_eq!(ticks, (0..50).collect::<Vec<_>>());
    let (mut after, mut seqs) = (0, Vec::new());
    loop {
        let (entries, more) = log.unmarked("main", after, 1000).await.unwrap();
        assert!(entries.len() == 100 || !more);
        seqs.extend(entries.iter().map(|(seq, _)| *seq));
        after = *seqs.last().unwrap();
        if !more {
            break;
        }
    }
    assert_eq!(seqs, (5001..=8000).collect::<Vec<_>>());
    // More than a batch can hold.
    let many = (8001..=80_000).map(|seq| (seq, vec![3])).collect();
    log.commit("main", vec![Op::Entries(many)]).await.unwrap();
    let error = log.commit("main", vec![Op::Mark { tick: 60, last_seq: 80_000 }]).await.unwrap_err();
    assert_eq!(error.reason(), "bad_request");
    log.commit("main", vec![Op::Mark { tick: 60, last_seq: 70_000 }]).await.unwrap();
    log.close().await;
}
