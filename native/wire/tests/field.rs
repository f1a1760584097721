//! Messages of the field: what is written is read, what is cut is whole again, and garbage harms nobody.

use proptest::prelude::*;
use wire::field::{Cells, FieldError, Grid, Kind, Message, Writer, keyframe, patch, split};

/// Planes of a world, and others in which some cells differ.
fn planes(grid: Grid, salt: u64) -> (Vec<u8>, Vec<u8>) {
    let dice = |n: u64| (n ^ salt).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40;
    let kinds = (0..grid.cells() as u64).map(|n| (dice(n) % 8) as u8).collect();
    let amounts = (0..grid.cells() as u64).flat_map(|n| (dice(n + 7) as u16).to_le_bytes()).collect();
    (kinds, amounts)
}

/// A diff that tells some rows as a whole and some cell by cell.
fn diff(grid: Grid, kinds: &[u8], amounts: &[u8], told: &[Told]) -> Vec<u8> {
    let mut writer = Writer::diff(grid.frequency(), 5, 9);
    let amount = |cell: usize| u16::from_le_bytes([amounts[2 * cell], amounts[2 * cell + 1]]);
    for (row, cols) in told {
        let (first, len) = (grid.first_cell(*row), grid.row_len(*row));
        match cols {
            None => writer.whole(
                *row,
                kinds[first..first + len].iter().copied(),
                (first..first + len).map(amount),
            ),
            Some(cols) => {
                let cell = |&col: &u16| (col, kinds[first + col as usize], amount(first + col as usize));
                writer.single(*row, cols.iter().map(cell));
            }
        }
    }
    writer.finish()
}

/// A row, and those of its columns that are told: all of them if none are named.
type Told = (u32, Option<Vec<u16>>);

fn told() -> impl Strategy<Value = (u32, Vec<Told>)> {
    (1u32..140).prop_flat_map(|f| {
        let row = (0..10 * f + 2).prop_flat_map(move |row| {
            let len = if row < 10 * f { f as u16 } else { 1 };
            let some = prop::collection::btree_set(0..len, 1..=(len as usize).min(9));
            let cols = prop_oneof![Just(None), some.prop_map(|cols| Some(cols.into_iter().collect()))];
            (Just(row), cols)
        });
        (Just(f), prop::collection::vec(row, 0..12))
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_parts_of_all_chunks_are_the_whole((f, told) in told()) {
        let grid = Grid::new(f).unwrap();
        let (kinds, amounts) = planes(grid, 1);
        let diff = diff(grid, &kinds, &amounts, &told);
        let (mut whole, mut parts) = (planes(grid, 2), planes(grid, 2));
        prop_assert_eq!(patch(&mut whole.0, &mut whole.1, &diff), Ok(9));
        let chunks: Vec<u32> = (0..grid.chunks()).collect();
        for (chunk, part) in split(&diff, &chunks).unwrap() {
            prop_assert_eq!(patch(&mut parts.0, &mut parts.1, &part), Ok(9));
            for row in Message::parse(&part).unwrap().rows() {
                let row = row.unwrap();
                let cols: Vec<usize> = match row.cells {
                    Cells::Run { col, kinds, .. } => (col..col + kinds.len()).collect(),
                    cells => cells.singles().map(|cell| cell.0).collect(),
                };
                prop_assert!(!cols.is_empty());
                prop_assert!(cols.iter().all(|&col| grid.chunk_of(row.row, col) == chunk));
            }
        }
        prop_assert_eq!(whole, parts);
    }

    #[test]
    fn garbage_is_an_error_or_harmless(at in 0usize..2000, byte: u8, cut in 0usize..3000) {
        let grid = Grid::new(8).unwrap();
        let (mut kinds, mut amounts) = planes(grid, 1);
        let mut message = keyframe(grid, 3, &kinds, &amounts, None).unwrap();
        let at = at % message.len();
        message[at] = byte;
        let _ = patch(&mut kinds, &mut amounts, &message);
        let _ = split(&message, &[0, 3, 11]);
        message.truncate(cut % message.len());
        prop_assert!(patch(&mut kinds, &mut amounts, &message).is_err());
        prop_assert!(kinds.iter().all(|&kind| kind < 8));
    }
}

#[test]
fn a_keyframe_holds_every_cell_or_those_of_its_chunks() {
    for f in [1, 3, 64, 65, 130] {
        let grid = Grid::new(f).unwrap();
        let (kinds, amounts) = planes(grid, 1);
        let mut found = planes(grid, 2);
        let all = keyframe(grid, 7, &kinds, &amounts, None).unwrap();
        assert_eq!(Message::parse(&all).unwrap().kind, Kind::Keyframe);
        assert_eq!(patch(&mut found.0, &mut found.1, &all), Ok(7));
        assert_eq!(found, (kinds.clone(), amounts.clone()));

        let chunks: Vec<u32> = (0..grid.chunks()).collect();
        let mut found = planes(grid, 2);
        let parts = keyframe(grid, 7, &kinds, &amounts, Some(&chunks)).unwrap();
        assert_eq!(patch(&mut found.0, &mut found.1, &parts), Ok(7));
        assert_eq!(found, (kinds.clone(), amounts.clone()));

        let one = keyframe(grid, 7, &kinds, &amounts, Some(&[grid.chunks() - 1])).unwrap();
        assert_eq!(Message::parse(&one).unwrap().rows().count(), 1);
        assert_eq!(keyframe(grid, 7, &kinds, &amounts, Some(&[grid.chunks()])), None);
        assert_eq!(keyframe(grid, 7, &kinds[1..], &amounts, None), None);
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    let grid = Grid::new(4).unwrap();
    let (mut kinds, mut amounts) = planes(grid, 1);
    let good = diff(grid, &kinds, &amounts, &[(3, None), (40, Some(vec![0]))]);
    let mut patched = |message: &[u8]| patch(&mut kinds, &mut amounts, message);
    assert_eq!(patched(&good), Ok(9));
    let with = |at: usize, bytes: &[u8]| {
        let mut bad = good.clone();
        bad[at..at + bytes.len()].copy_from_slice(bytes);
        bad
    };
    assert_eq!(patched(b"gp"), Err(FieldError::Magic));
    assert_eq!(patched(&with(0, b"gpx1")), Err(FieldError::Magic));
    assert_eq!(patched(&with(4, &5u32.to_le_bytes())), Err(FieldError::Frequency(5)));
    assert_eq!(patched(&with(4, &0u32.to_le_bytes())), Err(FieldError::Frequency(0)));
    assert_eq!(patched(&with(8, &10u64.to_le_bytes())), Err(FieldError::Malformed(8)));
    assert_eq!(patched(&with(16, &(1u64 << 53).to_le_bytes())), Err(FieldError::Malformed(8)));
    // A keyframe leads from its own tick only.
    assert_eq!(patched(&with(0, b"gpk1")), Err(FieldError::Malformed(8)));
    assert_eq!(patched(&with(28, &42u32.to_le_bytes())), Err(FieldError::Malformed(28)));
    assert_eq!(patched(&with(32, &[3])), Err(FieldError::Malformed(28)));
    assert_eq!(patched(&with(33, &[8])), Err(FieldError::Malformed(28)));
    assert_eq!(patched(&good[..good.len() - 1]), Err(FieldError::Malformed(good.len() - 5)));
    assert_eq!(patched(&[&good[..], &[0]].concat()), Err(FieldError::Malformed(good.len())));
}

/// What clients in other languages read too. `WRITE_GOLDEN=1 cargo test -p wire` writes it anew.
#[test]
fn golden_files() {
    let grid = Grid::new(4).unwrap();
    let (before, after) = (planes(grid, 1), planes(grid, 2));
    let told = [(3, None), (7, Some(vec![0, 2])), (40, Some(vec![0])), (41, None)];
    let diff = diff(grid, &after.0, &after.1, &told);
    let first = keyframe(grid, 5, &before.0, &before.1, None).unwrap();
    let mut patched = before.clone();
    patch(&mut patched.0, &mut patched.1, &diff).unwrap();
    let amounts = |planes: &(Vec<u8>, Vec<u8>)| {
        planes.1.chunks_exact(2).map(|b| u16::from_le_bytes([b[0], b[1]])).collect::<Vec<_>>()
    };
    let text = format!(
        "{{\n\"frequency\": 4,\n\"keyframe_f4.bin\": {{\"tick\": 5, \"kinds\": {:?}, \"amounts\": {:?}}},\n\
         \"diff_f4.bin\": {{\"since\": 5, \"tick\": 9, \"kinds\": {:?}, \"amounts\": {:?}}}\n}}\n",
        before.0,
        amounts(&before),
        patched.0,
        amounts(&patched)
    );
    let chunk = keyframe(grid, 5, &before.0, &before.1, Some(&[3])).unwrap();
    let part = split(&diff, &[0]).unwrap().remove(0).1;
    let files: [(&str, &[u8]); 5] = [
        ("keyframe_f4.bin", &first),
        ("keyframe_f4_chunk3.bin", &chunk),
        ("diff_f4.bin", &diff),
        ("diff_f4_chunk0.bin", &part),
        ("field.json", text.as_bytes()),
    ];
    let dir = std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../test/fixtures/wire/field"));
    for (name, bytes) in files {
        let path = dir.join(name);
        if std::env::var_os("WRITE_GOLDEN").is_some() {
            std::fs::create_dir_all(dir).unwrap();
            std::fs::write(&path, bytes).unwrap();
        }
        assert!(std::fs::read(&path).unwrap() == bytes, "{name} is another");
    }
}
