//! What holds for any bytes. The fuzzer looks for bytes for which it does not, and a test goes through those that are
//! kept in `corpus`.

use wire::snapshot::{Header, Packed, Records, Seal, Snapshot, SnapshotError, compare, write};

/// Reading never panics, and what can be read means the same when it is written and read again. The first byte
/// chooses: the bytes as they are, or sections made of them whose checks fit.
pub fn snapshot(data: &[u8]) {
    let Some((choice, bytes)) = data.split_first() else { return };
    match choice & 1 {
        0 => read(bytes),
        _ => read(&forged(bytes)),
    }
}

/// A snapshot of frequency 1 to 4 (the first byte). Then sections: kind, number, raw length (u16), number of packed
/// bytes (u16), and these.
fn forged(bytes: &[u8]) -> Vec<u8> {
    let (&frequency, mut rest) = bytes.split_first().unwrap_or((&0, bytes));
    let mut sections = Vec::new();
    while let Some((&[kind, number, raw, raw_high, len, len_high], more)) = rest.split_first_chunk() {
        let len = more.len().min(usize::from(u16::from_le_bytes([len, len_high])));
        let (packed, more) = more.split_at(len);
        sections.push((kind, u32::from(number), u32::from(u16::from_le_bytes([raw, raw_high])), packed));
        rest = more;
    }
    let frequency = u32::from(frequency % 4) + 1;
    let header = Header { frequency, tick: 5, seed: 7, ruleset_hash: [1; 32], digest: [2; 32] };
    let mut bytes = Vec::new();
    let seal = Seal::new(&header, sections.len() as u32, &mut bytes);
    for (kind, number, raw_len, packed) in sections {
        seal.raw_section(kind, number, raw_len, packed, &mut bytes);
    }
    bytes
}

fn read(bytes: &[u8]) {
    let read = match Snapshot::parse(bytes) {
        Ok(read) => read,
        Err(error) => return told(bytes, &error),
    };
    let again = match again(&read) {
        Ok(again) => again,
        Err(error) => return told(bytes, &error),
    };
    let again = Snapshot::parse(&again).expect("what was written can be read");
    assert_eq!((again.header, &again.ruleset), (read.header, &read.ruleset));
    assert_eq!(compare(&read, &again), Ok(None));
}

fn again(read: &Snapshot) -> Result<Vec<u8>, SnapshotError> {
    let field = (0..read.grid.chunks()).map(|chunk| {
        let field = read.field(chunk)?;
        Ok(Packed::new([field.kinds(), field.amounts()].concat()))
    });
    let field = field.collect::<Result<Vec<_>, _>>()?;
    let mut records = Records::new();
    read.objects(|key, bytes| {
        records.push(key, bytes).expect("keys ascend");
        Ok::<(), SnapshotError>(())
    })?;
    let objects: Vec<_> = records.sections().into_iter().map(Packed::new).collect();
    Ok(write(&read.header, &read.ruleset, &field, &objects).expect("it had room before"))
}

/// A refusal says where.
fn told(bytes: &[u8], error: &SnapshotError) {
    assert!(error.at <= bytes.len(), "{error}");
    let sentence = error.to_string();
    assert!(sentence.starts_with("in ") && sentence.contains(", at byte "), "{sentence}");
}
