//! Rows that are changed cell by cell within a tick.

use std::time::Duration;

use proptest::prelude::*;
use shm::Segment;
use shm::rows::{Cells, Rows, Shape};

const SHAPE: Shape = Shape { long: 5, len: 13, single: 2, saved: 7 };
const LEASE: Duration = Duration::from_secs(600);

#[derive(Debug, Clone)]
enum Op {
    Write(u32, u8),
    Amend(u32, Vec<(u32, u8, u16)>),
    Publish,
    Pin,
    Crash,
}

fn op() -> impl Strategy<Value = Op> {
    let cells = prop::collection::vec((0..13u32, any::<u8>(), any::<u16>()), 0..5);
    prop_oneof![
        2 => (0..SHAPE.rows(), any::<u8>()).prop_map(|(row, byte)| Op::Write(row, byte)),
        6 => (0..SHAPE.rows(), cells).prop_map(|(row, cells)| Op::Amend(row, cells)),
        3 => Just(Op::Publish),
        1 => Just(Op::Pin),
        1 => Just(Op::Crash),
    ]
}

fn zeros() -> Vec<Cells> {
    let len = |row| SHAPE.len(row) as usize;
    (0..SHAPE.rows()).map(|row| Cells { codes: vec![0; len(row)], amounts: vec![0; len(row)] }).collect()
}

fn written(rows: &Rows, tick: u64) -> Vec<Cells> {
    let cells = |row| {
        let version = rows.current(row, tick);
        let cols = 0..SHAPE.len(row);
        Cells {
            codes: cols.clone().map(|col| rows.code(row, version, col)).collect(),
            amounts: cols.map(|col| rows.amount(row, version, col)).collect(),
        }
    };
    (0..SHAPE.rows()).map(cells).collect()
}

proptest! {
    /// The writer sees what it has changed, a reader what is published, a pin what was; a tick that was given up
    /// leaves nothing.
    #[test]
    fn changes_come_with_their_tick(ops in prop::collection::vec(op(), 1..200)) {
        let mut rows = Rows::shared(SHAPE).unwrap();
        let (mut tick, mut now, mut next) = (0, zeros(), zeros());
        let reader = rows.segment().fd().unwrap().try_clone_to_owned().unwrap();
        let reader = Rows::open(Segment::open(reader, SHAPE.bytes()).unwrap(), SHAPE).unwrap();
        let (mut pin, mut needed) = (None, None);
        let mut cells = Cells::default();
        for op in ops {
            match op {
                Op::Write(row, byte) => {
                    let new = &mut next[row as usize];
                    new.codes.fill(byte);
                    new.amounts.fill(u16::from(byte) * 3);
                    rows.write(row, tick, needed, &new.codes, &new.amounts);
                }
                Op::Amend(row, mut changes) => {
                    changes.iter_mut().for_each(|change| change.0 %= SHAPE.len(row));
                    for &(col, code, amount) in &changes {
                        next[row as usize].codes[col as usize] = code;
                        next[row as usize].amounts[col as usize] = amount;
                    }
                    rows.amend(row, tick, needed, &changes);
                }
                Op::Publish => {
                    tick += 1;
                    rows.publish(tick).unwrap();
                    needed = rows.needed();
                    now.clone_from(&next);
                }
                Op::Pin => {
                    drop(pin.take());
                    pin = Some((reader.pin(LEASE).unwrap(), now.clone()));
                    // The writer looks when it begins a tick.
                }
                Op::Crash => {
                    let segment = rows.segment().fd().unwrap().try_clone_to_owned().unwrap();
                    rows = Rows::open(Segment::open(segment, SHAPE.bytes()).unwrap(), SHAPE).unwrap();
                    rows.forget(tick);
                    needed = rows.needed();
                    next.clone_from(&now);
                }
            }
            prop_assert_eq!(&written(&rows, tick + 1), &next);
            prop_assert_eq!(&written(&rows, tick), &now);
            for row in 0..SHAPE.rows() {
                reader.read(row, tick, &mut cells).unwrap();
                prop_assert_eq!(&cells, &now[row as usize]);
                if let Some((pin, then)) = &pin {
                    pin.read(row, &mut cells).unwrap();
                    prop_assert_eq!(&cells, &then[row as usize], "row {} pinned at {}", row, pin.tick);
                }
            }
        }
    }
}

#[test]
#[should_panic = "column 13"]
fn a_column_that_is_not_there_is_refused() {
    Rows::private(SHAPE).unwrap().amend(0, 0, None, &[(13, 1, 1)]);
}
