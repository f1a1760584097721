//! Writes an event log in the way that a game does, and notes what it was told: `workload DIR SEED REQUESTS`. For
//! tests that cut the power or kill it.

#[path = "../tests/link/support/entries.rs"]
mod entries;

use std::collections::VecDeque;
use std::fs::File;
use std::io::Write;
use std::path::PathBuf;

use entries::{after, bytes};
use link::{Log, Op, Options};

const WORLDS: [&str; 2] = ["main", "second"];
/// Requests whose answers are waited for at once: so there are groups.
const UNDER_WAY: usize = 6;

struct World {
    name: &'static str,
    seq: i64,
    marked: i64,
    tick: i64,
}

fn dice(state: &mut u64, below: u64) -> u64 {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    (*state >> 33) % below
}

/// In one piece, as a line that is cut in two says something else.
fn note(notes: &mut File, line: String) {
    notes.write_all((line + "\n").as_bytes()).unwrap();
}

#[tokio::main]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let dir = PathBuf::from(arguments.next().expect("DIR"));
    let mut seed: u64 = arguments.next().expect("SEED").parse().expect("a number");
    let requests: u64 = arguments.next().expect("REQUESTS").parse().expect("a number");
    let mut notes = File::create(dir.join("notes.mark")).unwrap();
    let log = Log::open(&dir, Options { move_after: 150, ..Options::default() }).await.unwrap();
    let mut worlds = WORLDS.map(|name| World { name, seq: 0, marked: 0, tick: 0 });
    let mut under_way = VecDeque::new();
    for request in 0..requests {
        if request < 2 {
            let name = worlds[request as usize].name;
            log.create_world(name, b"meta".to_vec()).await.unwrap();
            note(&mut notes, format!("created {name}"));
        }
        let of = if request > 10 && dice(&mut seed, 4) == 0 { 1 } else { 0 };
        let world = &mut worlds[of];
        let name = world.name;
        let mut ops = Vec::new();
        let mut marked = None;
        let many = if dice(&mut seed, 20) == 0 { 300 } else { 12 };
        let entries = (0..dice(&mut seed, many)).map(|_| {
            world.seq = after(name, world.seq);
            (world.seq, bytes(name, world.seq))
        });
        ops.push(Op::Entries(entries.collect()));
        world.tick += 1 + dice(&mut seed, 3) as i64;
        if world.seq > world.marked && dice(&mut seed, 3) > 0 {
            if dice(&mut seed, 10) == 0 {
                // A tick that was late: its batch moves to the next.
                ops.push(Op::Mark { tick: world.tick, last_seq: world.seq });
                ops.push(Op::Unmark { tick: world.tick });
                note(&mut notes, format!("unmark {name} {}", world.tick));
                world.tick += 1;
            }
            ops.push(Op::Mark { tick: world.tick, last_seq: world.seq });
            note(&mut notes, format!("plan {name} {} {}", world.tick, world.seq));
            world.marked = world.seq;
            marked = Some((world.tick, world.seq));
        }
        ops.push(Op::Reached { tick: world.tick });
        let line = format!("ack {name} {} {}", world.seq, world.tick);
        under_way.push_back((tokio::spawn(log.commit(name, ops)), name, line, marked));
        let prune = (request % 40 == 39).then_some(world.tick - 30).filter(|tick| *tick > 0);
        while under_way.len() > UNDER_WAY || (prune.is_some() && !under_way.is_empty()) {
            let (answer, name, line, marked) = under_way.pop_front().unwrap();
            answer.await.unwrap().unwrap();
            note(&mut notes, line);
            if let Some((tick, seq)) = marked {
                note(&mut notes, format!("marked {name} {tick} {seq}"));
            }
        }
        if let Some(tick) = prune {
            note(&mut notes, format!("prune {name} {tick}"));
            log.prune(name, tick).await.unwrap();
        }
    }
    for (answer, _, line, _) in under_way {
        answer.await.unwrap().unwrap();
        note(&mut notes, line);
    }
    if dice(&mut seed, 2) == 0 {
        log.close().await;
    }
}
