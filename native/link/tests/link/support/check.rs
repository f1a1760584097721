//! What must be left of what the writer under test noted.

use std::collections::BTreeMap;
use std::path::Path;

use link::{Log, Op, Options};

use super::entries::{after, bytes};

/// More than there is.
const EVERYTHING: usize = 1 << 30;

/// What was acknowledged and what was only asked for, as the writer's notes say.
#[derive(Debug, Default, Clone)]
pub struct Notes {
    /// Acknowledged.
    pub last_seq: i64,
    pub reached: i64,
    pub marks: BTreeMap<i64, i64>,
    pub created: bool,
    /// Asked for.
    pub planned_marks: BTreeMap<i64, i64>,
    pub unmarks: Vec<i64>,
    pub prune: i64,
}

/// Reads notes: `what world numbers…`, each in a line.
pub fn notes(text: &[u8]) -> BTreeMap<String, Notes> {
    let text = String::from_utf8(text.to_vec()).unwrap();
    let mut all: BTreeMap<String, Notes> = BTreeMap::new();
    for line in text.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        let notes = all.entry(words[1].to_owned()).or_default();
        let number = |at: usize| words[at].parse::<i64>().unwrap();
        match words[0] {
            "created" => notes.created = true,
            "plan" => drop(notes.planned_marks.insert(number(2), number(3))),
            "unmark" => notes.unmarks.push(number(2)),
            "prune" => notes.prune = number(2),
            "ack" => (notes.last_seq, notes.reached) = (number(2), number(3)),
            "marked" => drop(notes.marks.insert(number(2), number(3))),
            other => panic!("{other}"),
        }
    }
    all
}

/// Opens what is left, compares it with the notes, and writes on.
pub async fn check(dir: &Path, notes: &BTreeMap<String, Notes>) -> Result<(), String> {
    for round in 0..2 {
        let log =
            Log::open(dir, Options::default()).await.map_err(|error| format!("open {round}: {error}"))?;
        let there = log.worlds().await.map_err(|error| error.to_string())?;
        for (world, notes) in notes {
            if !there.contains(world) {
                if notes.created {
                    return Err(format!("world {world} is gone"));
                }
                continue;
            }
            let left = left_of(&log, world, notes, round)
                .await
                .map_err(|error| format!("{world}, {round}: {error}"))?;
            // Goes on.
            let (last, tick) = left;
            let next = after(world, last);
            let ops = vec![
                Op::Entries(vec![(next, bytes(world, next))]),
                Op::Mark { tick: tick + 1, last_seq: next },
            ];
            log.commit(world, ops).await.map_err(|error| format!("{world}: {error}"))?;
        }
        log.close().await;
    }
    Ok(())
}

async fn left_of(log: &Log, world: &str, notes: &Notes, round: i64) -> Result<(i64, i64), String> {
    let summary = log.world(world).await.map_err(|error| error.to_string())?;
    let head = summary.head;
    let (batches, more) = log.batches(world, 0, EVERYTHING).await.map_err(|error| error.to_string())?;
    let (unmarked, more_unmarked) =
        log.unmarked(world, 0, EVERYTHING).await.map_err(|error| error.to_string())?;
    if more || more_unmarked {
        return Err("more".to_owned());
    }
    if head.last_seq < notes.last_seq || head.reached < notes.reached {
        return Err(format!("{head:?} is less than what was acknowledged: {notes:?}"));
    }
    if summary.first_tick() > notes.prune {
        return Err(format!("pruned to {}, asked for {}", summary.first_tick(), notes.prune));
    }
    for (tick, last_seq) in &notes.marks {
        let is_there = batches.iter().any(|(found, last, _)| found == tick && last == last_seq);
        if !is_there && *tick >= notes.prune && !notes.unmarks.contains(tick) {
            return Err(format!("the mark of tick {tick} is gone"));
        }
    }
    let mut seq = head.cut.last_seq;
    for (tick, last_seq, batch) in &batches {
        let mut at = 2;
        while at < batch.len() {
            seq = after(world, seq);
            let len = usize::from(u16::from_le_bytes(batch[at..at + 2].try_into().unwrap()));
            if batch[at + 2..at + 2 + len] != bytes(world, seq) {
                return Err(format!("entry {seq} is not as it was written"));
            }
            at += 2 + len;
        }
        if seq != *last_seq || (round == 0 && notes.planned_marks.get(tick) != Some(last_seq)) {
            return Err(format!("the mark of tick {tick} ends at {last_seq}, its entries at {seq}"));
        }
    }
    for (found, entry) in &unmarked {
        seq = after(world, seq);
        if *found != seq || *entry != bytes(world, seq) {
            return Err(format!("entry {found} is not as it was written, or not {seq}"));
        }
    }
    if seq != head.last_seq {
        return Err(format!("the last entry is {seq}, expected {}", head.last_seq));
    }
    Ok((seq, head.marked.tick))
}
