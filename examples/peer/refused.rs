//! What hyper answers by itself, before a request has reached the service: a head that is none, or
//! is too large. It has no body then; here it becomes a problem document as all the others.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use axum::http::StatusCode;
use tokio::io::AsyncWrite;

use crate::problem::Problem;
use crate::server::{MAX_FIELDS, MAX_HEAD_BYTES};

/// A problem document on its way to the caller, in place of what hyper has written.
pub(crate) struct Instead {
    text: Vec<u8>,
    written: usize,
}

impl Instead {
    /// The document in place of these bytes, if they begin an answer of hyper's own.
    pub(crate) fn of(bytes: &[u8]) -> Option<Self> {
        let status = bytes.strip_prefix(b"HTTP/1.")?.get(2..)?;
        let status = StatusCode::from_bytes(status.get(..3)?).ok()?;
        let problem = match status {
            StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE => {
                let detail = format!(
                    "the head is larger than {MAX_HEAD_BYTES} bytes or has more than {MAX_FIELDS} \
                     fields: send less; nothing was done"
                );
                Problem::new(status, "head_too_large", detail)
            }
            StatusCode::URI_TOO_LONG => {
                Problem::new(status, "target_too_long", "send a shorter path; nothing was done")
            }
            _ if status.is_client_error() || status.is_server_error() => {
                let detail = "what was sent is no request of HTTP/1.1; nothing was done";
                Problem::new(status, "bad_request", detail)
            }
            _ => return None,
        };
        let (body, reason) = (problem.body(), status.canonical_reason().unwrap_or_default());
        let text = format!(
            "HTTP/1.1 {} {reason}\r\ncontent-type: application/problem+json\r\n\
             content-length: {}\r\nconnection: close\r\n\r\n{body}",
            status.as_u16(),
            body.len(),
        );
        Some(Self { text: text.into_bytes(), written: 0 })
    }

    /// Writes what of it is not written yet.
    pub(crate) fn poll_write<I: AsyncWrite + Unpin>(
        &mut self,
        io: &mut I,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        while self.written < self.text.len() {
            let rest = &self.text[self.written..];
            match ready!(Pin::new(&mut *io).poll_write(context, rest))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                written => self.written += written,
            }
        }
        Poll::Ready(Ok(()))
    }
}
