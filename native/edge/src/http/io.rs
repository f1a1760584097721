//! The socket as hyper has it. Two things are added: a client that does not read is given up after a while, and
//! the bare answers by which hyper itself refuses a request get the body that all errors have.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::http::StatusCode;
use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Sleep;

use super::errors;
use crate::metrics::Refused;
use crate::socket::Common;

/// The socket of a connection that speaks HTTP.
pub struct Io {
    stream: TcpStream,
    common: Arc<Common>,
    /// Runs while the client takes nothing.
    stuck: Option<Pin<Box<Sleep>>>,
    /// Written in the place of what hyper gave; of that so many bytes are then done.
    instead: Option<(Bytes, usize)>,
}

impl Io {
    /// Wraps a socket.
    pub fn new(stream: TcpStream, common: Arc<Common>) -> Self {
        Io { stream, common, stuck: None, instead: None }
    }

    /// The socket.
    pub fn into_inner(self) -> TcpStream {
        self.stream
    }

    fn patiently<T>(&mut self, cx: &mut Context<'_>, result: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if result.is_ready() {
            self.stuck = None;
            return result;
        }
        let most = Duration::from_millis(self.common.limits.write_ms);
        let stuck = self.stuck.get_or_insert_with(|| Box::pin(tokio::time::sleep(most)));
        stuck.as_mut().poll(cx).map(|()| Err(io::ErrorKind::TimedOut.into()))
    }

    fn refusal(&self, written: &[u8]) -> Option<Bytes> {
        let status = bare_refusal(written)?;
        self.common.metrics.refused(match status {
            StatusCode::URI_TOO_LONG => Refused::UrlBytes,
            StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE => Refused::HeaderBytes,
            _ => Refused::BadRequest,
        });
        Some(errors::raw(status, None).into())
    }

    fn poll_instead(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        while let Some((bytes, done)) = &mut self.instead {
            if bytes.is_empty() {
                let done = *done;
                self.instead = None;
                return Poll::Ready(Ok(done));
            }
            let result = Pin::new(&mut self.stream).poll_write(cx, bytes);
            match self.patiently(cx, result) {
                Poll::Ready(Ok(n)) if n > 0 => {
                    if let Some((bytes, _)) = &mut self.instead {
                        bytes.advance(n);
                    }
                }
                Poll::Ready(Ok(_)) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                other => return other,
            }
        }
        Poll::Ready(Ok(0))
    }
}

/// The status of an answer that is an error without a body; ours all have one.
fn bare_refusal(written: &[u8]) -> Option<StatusCode> {
    let code = written.strip_prefix(b"HTTP/1.1 ")?.first_chunk::<3>()?;
    let status = StatusCode::from_bytes(code).ok().filter(StatusCode::is_client_error)?;
    let head = std::str::from_utf8(written.strip_suffix(b"\r\n\r\n")?).ok()?;
    (head.len() < 512 && head.lines().any(|line| line.eq_ignore_ascii_case("content-length: 0")))
        .then_some(status)
}

impl AsyncRead for Io {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Io {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.instead.is_none()
            && let Some(refusal) = self.refusal(bytes)
        {
            self.instead = Some((refusal, bytes.len()));
        }
        if self.instead.is_some() {
            return self.poll_instead(cx);
        }
        let result = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.patiently(cx, result)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if let Some(only) = slices.iter().find(|slice| !slice.is_empty())
            && (self.instead.is_some() || bare_refusal(only).is_some())
        {
            return self.poll_write(cx, only);
        }
        let result = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.patiently(cx, result)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_error_without_a_body_is_replaced() {
        let bare = b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\ndate: x\r\n\r\n";
        assert_eq!(bare_refusal(bare), Some(StatusCode::BAD_REQUEST));
        for other in [
            "HTTP/1.1 404 Not Found\r\ncontent-length: 10\r\n\r\n",
            "HTTP/1.1 404 Not Found\r\ncontent-length: 2\r\n\r\n{}",
            "HTTP/1.1 304 Not Modified\r\ncontent-length: 0\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
        ] {
            assert_eq!(bare_refusal(other.as_bytes()), None, "{other}");
        }
    }
}
