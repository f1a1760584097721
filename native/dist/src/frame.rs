//! Frames: a length of four bytes, then a control message and perhaps a payload. No bytes is a tick.

use std::io;

use erl_dist::message::Message;
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncReadExt, BufReader};

pub use crate::check::Malformed;

/// The longest frame that is read, in bytes; a peer that announces more is taken for broken.
pub const MAX_FRAME: usize = 64 << 20;

/// What most frames fit in, so that they are made in one piece.
const USUAL: usize = 256;

/// Frames without a distribution header begin with this.
const PASS_THROUGH: u8 = 112;

/// What the peer sent that no working peer sends.
#[derive(Debug, Error)]
pub enum ProtocolError {
    /// A frame longer than [`MAX_FRAME`].
    #[error("the peer announced a frame of {0} bytes, the most is {MAX_FRAME}: send large data in pieces")]
    TooLong(usize),
    /// A frame with a header that was not agreed on.
    #[error(
        "the peer sent a frame of kind {0}, expected 112: it uses a header that was not agreed on; connect anew"
    )]
    Kind(u8),
    /// Bytes that are no terms.
    #[error("the peer sent a malformed frame: {0}; connect anew")]
    Malformed(#[from] Malformed),
    /// Terms that are no message.
    #[error("the peer sent terms that are no message of the protocol: {0}; connect anew")]
    Message(String),
}

/// Why no frame could be read.
#[derive(Debug, Error)]
pub(crate) enum ReadError {
    #[error(transparent)]
    Protocol(#[from] ProtocolError),
    #[error(transparent)]
    Io(#[from] io::Error),
}

#[derive(Debug)]
pub(crate) struct FrameReader<R> {
    reader: BufReader<R>,
    buffer: Vec<u8>,
}

impl<R: AsyncRead + Unpin> FrameReader<R> {
    pub(crate) fn new(reader: R) -> Self {
        FrameReader { reader: BufReader::with_capacity(64 << 10, reader), buffer: Vec::new() }
    }

    /// The next message, a tick among them; none when the peer has closed the connection.
    pub(crate) async fn next(&mut self) -> Result<Option<Message>, ReadError> {
        let len = match self.reader.read_u32().await {
            Ok(0) => return Ok(Some(Message::Tick)),
            Ok(len) => len as usize,
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        if len > MAX_FRAME {
            return Err(ProtocolError::TooLong(len).into());
        }
        // A large buffer is given back, and grows with what has come, not with what was announced.
        if self.buffer.capacity() > 1 << 20 {
            self.buffer = Vec::new();
        }
        self.buffer.clear();
        let read = (&mut self.reader).take(len as u64).read_to_end(&mut self.buffer).await?;
        if read < len {
            return Ok(None);
        }
        Ok(Some(parse(&self.buffer)?))
    }
}

/// The message in the bytes of one frame.
pub(crate) fn parse(frame: &[u8]) -> Result<Message, ProtocolError> {
    let bytes = match frame {
        [PASS_THROUGH, bytes @ ..] => bytes,
        [kind, ..] => return Err(ProtocolError::Kind(*kind)),
        [] => return Ok(Message::Tick),
    };
    let mut at = 0;
    while at < bytes.len() {
        at += crate::check::term(&bytes[at..])?;
    }
    Message::read_from(&mut &bytes[..]).map_err(|error| {
        // The term in question may be as long as the frame.
        let text = error.to_string();
        ProtocolError::Message(text.chars().take(200).collect())
    })
}

/// The bytes of a message as a frame, or none if it cannot be expressed.
pub(crate) fn encode(message: Message) -> Result<Vec<u8>, String> {
    let mut frame = Vec::with_capacity(USUAL);
    frame.extend([0, 0, 0, 0, PASS_THROUGH]);
    message.write_into(&mut frame).map_err(|error| error.to_string())?;
    let len = u32::try_from(frame.len() - 4).map_err(|_| "longer than 4 GiB".to_owned())?;
    frame[..4].copy_from_slice(&len.to_be_bytes());
    Ok(frame)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::term;
    use eetf::{Pid, Reference, Term};
    use proptest::prelude::*;

    fn block_on<F: Future>(future: F) -> F::Output {
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
    }

    fn terms() -> impl Strategy<Value = Term> {
        let leaf = prop_oneof![
            any::<i64>().prop_map(term::int),
            "[a-z]{0,9}".prop_map(|name| term::atom(&name)),
            proptest::collection::vec(any::<u8>(), 0..40).prop_map(term::binary),
            any::<u32>().prop_map(|id| Pid::new("a@b", id, 0, 7).into()),
            any::<u32>().prop_map(|id| Reference::from(("a@b", vec![id, 2, 3])).into()),
            any::<bool>().prop_map(|_| eetf::Float { value: 1.5 }.into()),
        ];
        leaf.prop_recursive(4, 40, 6, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..6).prop_map(term::tuple),
                proptest::collection::vec(inner.clone(), 0..6).prop_map(term::list),
                (inner.clone(), inner)
                    .prop_map(|(a, b)| eetf::Map { map: [(a, b)].into_iter().collect() }.into()),
            ]
        })
    }

    fn bytes_of(term: &Term) -> Vec<u8> {
        let mut bytes = Vec::new();
        term.encode(&mut bytes).unwrap();
        bytes
    }

    proptest! {
        #[test]
        fn any_bytes_are_messages_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
            block_on(async {
                let mut reader = FrameReader::new(bytes.as_slice());
                while let Ok(Some(_)) = reader.next().await {}
            });
        }

        // Tags and lengths as they come in real frames, so that more than the first bytes is reached.
        #[test]
        fn any_bytes_of_likely_values_are_a_message_or_an_error(
            bytes in proptest::collection::vec(
                prop_oneof![
                    proptest::sample::select(vec![0u8, 1, 2, 131, 104, 97, 88, 90, 77, 112, 108, 106, 105, 119, 116, 80]),
                    any::<u8>()
                ],
                0..80
            )
        ) {
            let _ = parse(&[&[PASS_THROUGH, 131, 104], bytes.as_slice()].concat());
        }

        #[test]
        fn a_changed_frame_is_a_message_or_an_error(
            payload in terms(),
            at in any::<proptest::sample::Index>(),
            value in any::<u8>()
        ) {
            let to = Pid::new("x@y", 1, 0, 9);
            let mut frame = encode(Message::send_sender(to.clone(), to, payload)).unwrap().split_off(4);
            let at = at.index(frame.len());
            frame[at] = value;
            let _ = parse(&frame);
        }

        #[test]
        fn what_is_encoded_is_looked_over_to_its_last_byte(payload in terms()) {
            let bytes = bytes_of(&payload);
            prop_assert_eq!(crate::check::term(&bytes), Ok(bytes.len()));
            for end in 0..bytes.len() {
                prop_assert!(crate::check::term(&bytes[..end]).is_err());
            }
        }
    }

    #[test]
    fn lengths_that_lie_and_endless_nesting_are_errors() {
        for tag in [105, 108, 109, 111, 116] {
            let bytes = [131, tag, 255, 255, 255, 255, 0];
            assert_eq!(crate::check::term(&bytes), Err(Malformed::Truncated));
        }
        let deep: Vec<u8> = std::iter::once(131).chain([104, 1].repeat(100_000)).collect();
        assert_eq!(crate::check::term(&deep), Err(Malformed::Depth));
        assert_eq!(crate::check::term(&[131, 77, 0, 0, 0, 1, 0, 9]), Err(Malformed::Bits(0)));
        assert_eq!(crate::check::term(&[131, 80, 0, 0, 0, 1]), Err(Malformed::Tag(80)));
    }

    #[test]
    fn too_long_a_frame_is_an_error_before_it_is_read() {
        let bytes = (MAX_FRAME as u32 + 1).to_be_bytes();
        let error = block_on(FrameReader::new(bytes.as_slice()).next()).unwrap_err();
        assert!(matches!(error, ReadError::Protocol(ProtocolError::TooLong(_))), "{error}");
    }

    #[test]
    fn negative_integers_in_a_list_survive() {
        let list = term::encodable(term::tuple([term::list([term::int(-1), term::int(3)])]));
        let decoded = Term::decode(bytes_of(&list).as_slice()).unwrap();
        assert_eq!(decoded.to_string(), "{[-1,3]}");
    }
}
