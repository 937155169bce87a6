//! A client's connection, given up when the client does not take what it is sent.
//!
//! Requests have their limits elsewhere (`serve` for headers, `body`); without one for answers,
//! a client that reads nothing would keep its connection, and what waits in it, for good.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

/// So much of an answer, or what is left of it, is to be taken within [`PATIENCE`].
const PIECE: usize = 64 * 1024;

/// How long a piece may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// A connection with a limit to how slowly it may be read at the other end.
#[derive(Debug)]
pub(crate) struct Patient<S> {
    stream: S,
    patience: Duration,
    /// Runs while the client is waited for.
    end: Option<Pin<Box<Sleep>>>,
    taken: usize,
}

impl<S> Patient<S> {
    pub(crate) fn new(stream: S) -> Self {
        Self {
            stream,
            patience: PATIENCE,
            end: None,
            taken: 0,
        }
    }

    /// What comes of an attempt to write.
    fn written(
        &mut self,
        context: &mut Context<'_>,
        outcome: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        if let Poll::Ready(outcome) = outcome {
            self.taken += *outcome.as_ref().unwrap_or(&0);
            if self.taken >= PIECE {
                self.rest();
            }
            return Poll::Ready(outcome);
        }
        let patience = self.patience;
        let end = self
            .end
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(patience)));
        ready!(end.as_mut().poll(context));
        Poll::Ready(Err(io::Error::new(
            io::ErrorKind::TimedOut,
            "the client does not take its answer",
        )))
    }

    fn rest(&mut self) {
        self.end = None;
        self.taken = 0;
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Patient<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Patient<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let outcome = Pin::new(&mut this.stream).poll_write(context, bytes);
        this.written(context, outcome)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let outcome = Pin::new(&mut this.stream).poll_write_vectored(context, parts);
        this.written(context, outcome)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    /// All that there was has been taken.
    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.rest();
        Pin::new(&mut this.stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    /// Whether all of an answer is sent to a client who takes `piece` bytes at a time, and none where
    /// that is 0, with a wait after each.
    async fn sent(piece: usize, wait_ms: u64, patience_ms: u64) -> bool {
        let (ours, mut theirs) = tokio::io::duplex(1024);
        let mut connection = Patient::new(ours);
        connection.patience = Duration::from_millis(patience_ms);
        let client = tokio::spawn(async move {
            let mut buffer = vec![0; piece];
            while piece > 0 && theirs.read(&mut buffer).await.is_ok_and(|read| read > 0) {
                tokio::time::sleep(Duration::from_millis(wait_ms)).await;
            }
            std::future::pending::<()>().await;
        });
        let sent = connection.write_all(&vec![0; 300_000]).await;
        client.abort();
        sent.map_err(|error| assert_eq!(error.kind(), io::ErrorKind::TimedOut))
            .is_ok()
    }

    #[tokio::test]
    async fn who_reads_is_waited_for_and_who_does_not_is_given_up() {
        assert!(sent(1024, 1, 60_000).await);
        assert!(!sent(0, 0, 100).await);
        // A byte now and then does not help.
        assert!(!sent(1, 1, 500).await);
    }
}
