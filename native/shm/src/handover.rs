//! Handing segments to another process over a Unix socket (`SCM_RIGHTS`).

use std::io::{IoSlice, IoSliceMut};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::net::UnixStream;

use nix::cmsg_space;
use nix::sys::socket::{ControlMessage, ControlMessageOwned, MsgFlags, recvmsg, sendmsg};
use thiserror::Error;

/// Most segments in one message.
pub const MAX_SEGMENTS: usize = 16;

/// Why a handover failed.
#[derive(Debug, Error)]
pub enum HandoverError {
    /// The socket failed.
    #[error("the socket: {0}")]
    Socket(#[from] nix::errno::Errno),
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
        announced: usize,
    },
    /// More segments than a message holds.
    #[error("{0} segments, at most {MAX_SEGMENTS} go into one message")]
    TooMany(usize),
}

/// Sends segments with their lengths, which the receiver checks.
pub fn send(socket: &UnixStream, segments: &[(BorrowedFd<'_>, usize)]) -> Result<(), HandoverError> {
    if segments.len() > MAX_SEGMENTS {
        return Err(HandoverError::TooMany(segments.len()));
    }
    let mut message = vec![segments.len() as u8];
    message.extend(segments.iter().flat_map(|(_, len)| (*len as u64).to_le_bytes()));
    message.resize(MESSAGE_BYTES, 0);
    let fds: Vec<_> = segments.iter().map(|(fd, _)| fd.as_raw_fd()).collect();
    let rights = [ControlMessage::ScmRights(&fds)];
    let rights = if fds.is_empty() { &rights[..0] } else { &rights[..] };
    let sent =
        sendmsg::<()>(socket.as_raw_fd(), &[IoSlice::new(&message)], rights, MsgFlags::MSG_NOSIGNAL, None)?;
    if sent == message.len() { Ok(()) } else { Err(HandoverError::Closed) }
}

const MESSAGE_BYTES: usize = 1 + 8 * MAX_SEGMENTS;

/// Receives what [`send`] sent: file descriptors with their announced lengths.
pub fn receive(socket: &UnixStream) -> Result<Vec<(OwnedFd, usize)>, HandoverError> {
    let mut message = [0; MESSAGE_BYTES];
    let mut space = cmsg_space!([std::os::fd::RawFd; MAX_SEGMENTS]);
    let mut fds = Vec::new();
    let bytes = {
        let mut buffers = [IoSliceMut::new(&mut message)];
        let flags = MsgFlags::MSG_CMSG_CLOEXEC | MsgFlags::MSG_WAITALL;
        let received = recvmsg::<()>(socket.as_raw_fd(), &mut buffers, Some(&mut space), flags)?;
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
    let announced = usize::from(message[0]);
    if bytes != MESSAGE_BYTES || announced != fds.len() {
        return Err(HandoverError::Malformed { bytes, found: fds.len(), announced });
    }
    let lengths = message[1..].as_chunks::<8>().0.iter().map(|len| u64::from_le_bytes(*len) as usize);
    Ok(fds.into_iter().zip(lengths).collect())
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
        send(&a, &[(one.fd(), one.len()), (two.fd(), two.len())]).unwrap();
        let got = receive(&b).unwrap();
        assert_eq!(got.iter().map(|(_, len)| *len).collect::<Vec<_>>(), [4096, 8192]);
        two.words64(0, 1).unwrap()[0].store(5, Relaxed);
        let (fd, len) = got.into_iter().nth(1).unwrap();
        assert_eq!(Segment::open(fd, len).unwrap().words64(0, 1).unwrap()[0].load(Relaxed), 5);
    }

    #[test]
    fn what_is_not_a_handover_is_refused() {
        let (a, b) = UnixStream::pair().unwrap();
        (&a).write_all(&[3; MESSAGE_BYTES]).unwrap();
        assert!(matches!(receive(&b), Err(HandoverError::Malformed { found: 0, announced: 3, .. })));
        (&a).write_all(&[0; 5]).unwrap();
        drop(a);
        assert!(matches!(receive(&b), Err(HandoverError::Malformed { bytes: 5, .. })));
        assert!(matches!(receive(&b), Err(HandoverError::Closed)));
    }
}
