//! Handing segments to another process over a Unix socket (`SCM_RIGHTS`).

use std::io::{IoSlice, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use nix::cmsg_space;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{ControlMessage, ControlMessageOwned, MsgFlags, recvmsg, sendmsg};
use thiserror::Error;

/// Most segments in one message.
pub const MAX_SEGMENTS: usize = 16;

/// Why a handover failed.
#[derive(Debug, Error)]
pub enum HandoverError {
    /// The socket failed.
    #[error("the socket: {0}")]
    Socket(#[from] Errno),
    /// The peer closed it.
    #[error("the peer closed the socket")]
    Closed,
    /// The message was not one of ours.
    #[error("a message of {bytes} bytes with {found} file descriptors, announced {announced}")]
    Malformed {
        /// Bytes received.
        bytes: usize,
        /// File descriptors received.
        found: usize,
        /// File descriptors announced.
        announced: u64,
    },
    /// More segments than a message holds.
    #[error("{0} segments, at most {MAX_SEGMENTS} go into one message")]
    TooMany(usize),
}

impl HandoverError {
    /// True if there is nobody at the other end any more.
    pub fn is_gone(&self) -> bool {
        matches!(self, HandoverError::Closed | HandoverError::Socket(Errno::EPIPE | Errno::ECONNRESET))
    }
}

/// Words of a message: how many segments, the tag, their lengths.
const MESSAGE_WORDS: usize = 2 + MAX_SEGMENTS;
const MESSAGE_BYTES: usize = MESSAGE_WORDS * size_of::<u64>();

/// How long a peer may leave the socket full.
const PATIENCE: Duration = Duration::from_secs(1);

/// The tag of the two segments of [`calls`](crate::calls); any other is a world's id.
pub const CALLS: u64 = 0;

/// A socket of one's own for a file descriptor that somebody else owns, such as the BEAM. The number is only
/// duplicated; one that is not open is an error.
pub fn duplicate(fd: RawFd) -> Result<UnixStream, HandoverError> {
    if fd < 0 {
        return Err(HandoverError::Socket(Errno::EBADF));
    }
    // SAFETY: the borrow ends with this line, and duplicating neither reads, writes nor closes it.
    let own = unsafe { BorrowedFd::borrow_raw(fd) }.try_clone_to_owned();
    own.map(UnixStream::from).map_err(|error| Errno::from_raw(error.raw_os_error().unwrap_or(0)).into())
}

/// Sends segments with a tag that says what they are, and with their lengths, which the receiver checks.
/// The socket may be non-blocking.
pub fn send(
    socket: &UnixStream,
    tag: u64,
    segments: &[(BorrowedFd<'_>, usize)],
) -> Result<(), HandoverError> {
    if segments.len() > MAX_SEGMENTS {
        return Err(HandoverError::TooMany(segments.len()));
    }
    let lengths = segments.iter().map(|(_, len)| *len as u64);
    let mut message: Vec<u8> =
        [segments.len() as u64, tag].into_iter().chain(lengths).flat_map(u64::to_le_bytes).collect();
    message.resize(MESSAGE_BYTES, 0);
    let fds: Vec<_> = segments.iter().map(|(fd, _)| fd.as_raw_fd()).collect();
    let rights = [ControlMessage::ScmRights(&fds)];
    let rights = if fds.is_empty() { &rights[..0] } else { &rights[..] };
    let start = Instant::now();
    loop {
        let flags = MsgFlags::MSG_NOSIGNAL | MsgFlags::MSG_DONTWAIT;
        match sendmsg::<()>(socket.as_raw_fd(), &[IoSlice::new(&message)], rights, flags, None) {
            Ok(sent) if sent == message.len() => return Ok(()),
            // So short a message goes whole or not at all, except to a peer that is going away.
            Ok(_) => return Err(HandoverError::Closed),
            Err(Errno::EINTR) => {}
            Err(Errno::EAGAIN) if start.elapsed() < PATIENCE => wait(socket, PollFlags::POLLOUT)?,
            Err(errno) => return Err(errno.into()),
        }
    }
}

fn wait(socket: &UnixStream, what: PollFlags) -> Result<(), HandoverError> {
    match poll(&mut [PollFd::new(socket.as_fd(), what)], PollTimeout::from(100u8)) {
        Ok(_) | Err(Errno::EINTR) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

/// File descriptors with their announced lengths.
pub type Received = Vec<(OwnedFd, usize)>;

/// Receives what [`send`] sent: the tag and the segments. Waits for it as long as the socket does.
pub fn receive(socket: &UnixStream) -> Result<(u64, Received), HandoverError> {
    let mut message = [0; MESSAGE_BYTES];
    let mut space = cmsg_space!([RawFd; MAX_SEGMENTS]);
    let mut fds = Vec::new();
    let bytes = {
        let mut buffers = [IoSliceMut::new(&mut message)];
        let flags = MsgFlags::MSG_CMSG_CLOEXEC | MsgFlags::MSG_WAITALL;
        let received = loop {
            match recvmsg::<()>(socket.as_raw_fd(), &mut buffers, Some(&mut space), flags) {
                Err(Errno::EINTR) => {}
                other => break other?,
            }
        };
        for control in received.cmsgs()? {
            if let ControlMessageOwned::ScmRights(raw) = control {
                // SAFETY: the kernel has just made these descriptors for this process; nobody else owns them.
                fds.extend(raw.into_iter().map(|fd| unsafe { OwnedFd::from_raw_fd(fd) }));
            }
        }
        received.bytes
    };
    if bytes == 0 {
        return Err(HandoverError::Closed);
    }
    let words: [u64; MESSAGE_WORDS] =
        std::array::from_fn(|n| u64::from_le_bytes(message.as_chunks::<8>().0[n]));
    let [announced, tag, lengths @ ..] = words;
    if bytes != MESSAGE_BYTES || announced != fds.len() as u64 {
        return Err(HandoverError::Malformed { bytes, found: fds.len(), announced });
    }
    Ok((tag, fds.into_iter().zip(lengths.map(|len| len as usize)).collect()))
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::atomic::Ordering::Relaxed;

    use super::*;
    use crate::Segment;

    #[test]
    fn a_segment_arrives_and_is_the_same_memory() {
        let (a, b) = UnixStream::pair().unwrap();
        let (one, two) = (Segment::create(c"one", 4096).unwrap(), Segment::create(c"two", 8192).unwrap());
        a.set_nonblocking(true).unwrap();
        let own = duplicate(a.as_raw_fd()).unwrap();
        send(&own, 9, &[(one.fd().unwrap(), one.len()), (two.fd().unwrap(), two.len())]).unwrap();
        let (tag, got) = receive(&b).unwrap();
        assert_eq!(tag, 9);
        assert_eq!(got.iter().map(|(_, len)| *len).collect::<Vec<_>>(), [4096, 8192]);
        two.words64(0, 1).unwrap()[0].store(5, Relaxed);
        let (fd, len) = got.into_iter().nth(1).unwrap();
        assert_eq!(Segment::open(fd, len).unwrap().words64(0, 1).unwrap()[0].load(Relaxed), 5);
    }

    #[test]
    fn what_is_not_a_handover_is_refused() {
        let (a, b) = UnixStream::pair().unwrap();
        (&a).write_all(&[0; MESSAGE_BYTES]).unwrap();
        assert!(matches!(receive(&b), Ok((0, segments)) if segments.is_empty()));
        (&a).write_all(&[3; MESSAGE_BYTES]).unwrap();
        assert!(matches!(receive(&b), Err(HandoverError::Malformed { found: 0, .. })));
        (&a).write_all(&[0; 5]).unwrap();
        drop(a);
        assert!(matches!(receive(&b), Err(HandoverError::Malformed { bytes: 5, .. })));
        assert!(matches!(receive(&b), Err(HandoverError::Closed)));
    }

    #[test]
    fn a_peer_that_does_not_read_is_an_error_and_so_is_a_number_that_is_no_socket() {
        let (a, _b) = UnixStream::pair().unwrap();
        let sent = (0..100_000).find_map(|_| send(&a, 0, &[]).err());
        assert!(matches!(sent, Some(HandoverError::Socket(Errno::EAGAIN))), "{sent:?}");
        assert!(duplicate(-1).is_err() && duplicate(i32::MAX).is_err());
        let file = std::fs::File::open("/dev/null").unwrap();
        assert!(send(&duplicate(file.as_raw_fd()).unwrap(), 0, &[]).is_err());
    }
}
