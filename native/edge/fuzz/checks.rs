//! What holds for any bytes. The fuzzer looks for bytes for which it does not, and a test of the edge goes
//! through those that are kept in `corpus`.

use gp_edge::ws::reader::{Item, Most, Reader, Violation};
use wire::phoenix::{Message, Vsn, read_binary, read_text};

/// A message that can be read means the same when it is written and read again. The first byte chooses how.
pub fn envelope(data: &[u8]) {
    let Some((choice, bytes)) = data.split_first() else { return };
    let vsn = if choice & 1 == 0 { Vsn::V2 } else { Vsn::V1 };
    if choice & 2 != 0 {
        let _ = read_binary(vsn, bytes);
        return;
    }
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Ok(read) = read_text(vsn, text) else { return };
    let message = Message::Push {
        join_ref: read.join_ref.as_deref(),
        reference: read.reference.as_deref(),
        topic: &read.topic,
        event: &read.event,
        payload: read.payload,
    };
    let mut written = Vec::new();
    message.write(vsn, &mut written).expect("JSON can always be written");
    let written = String::from_utf8(written).expect("JSON is UTF-8");
    let mut again = read_text(vsn, &written).expect("what was written can be read");
    if vsn == Vsn::V1 {
        // Clients of V1 are not sent it.
        again.join_ref = read.join_ref.clone();
    }
    assert_eq!(again, read);
}

const MOST: Most = Most { frame: 1000, message: 2000 };

/// What is read does not depend on how the bytes are cut, and nothing is larger than allowed. The first byte
/// chooses the cut.
pub fn frames(data: &[u8]) {
    let Some((cut, bytes)) = data.split_first() else { return };
    let whole = read([bytes].into_iter());
    assert_eq!(read(bytes.chunks(1)), whole);
    assert_eq!(read(bytes.chunks(usize::from(*cut).max(1))), whole);
    for item in &whole.0 {
        match item {
            Item::Text(text) => assert!(text.len() as u64 <= MOST.message),
            Item::Binary(bytes) => assert!(bytes.len() as u64 <= MOST.message),
            Item::Ping(bytes) => assert!(bytes.len() <= 125),
            Item::Pong | Item::Close(_) => {}
        }
    }
}

fn read<'a>(parts: impl Iterator<Item = &'a [u8]>) -> (Vec<Item>, Option<Violation>) {
    let (mut reader, mut items) = (Reader::new(MOST), Vec::new());
    for mut part in parts {
        loop {
            match reader.next(&mut part) {
                Ok(Some(item)) => items.push(item),
                Ok(None) => break,
                Err(violation) => return (items, Some(violation)),
            }
        }
        assert!(part.is_empty(), "something was left");
    }
    (items, None)
}
