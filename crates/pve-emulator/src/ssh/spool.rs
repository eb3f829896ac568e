//! A bounded buffer between a channel and a command's standard input.
//!
//! The SSH library hands out a connection's packets in order and waits for each to be taken, so a command that does
//! not read would stop all commands of its connection. The spool takes them; only when it is full does it push back.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{Semaphore, mpsc};

/// Most bytes waiting for one command.
const LIMIT_BYTES: u32 = 64 << 20;

/// Most pieces, whatever their size.
const LIMIT_PIECES: usize = 16 * 1024;

/// The end that fills the spool.
#[derive(Debug)]
pub(crate) struct SpoolWriter {
    room: Arc<Semaphore>,
    sender: mpsc::Sender<Bytes>,
}

/// The end that empties it.
#[derive(Debug)]
pub(crate) struct SpoolReader {
    room: Arc<Semaphore>,
    receiver: mpsc::Receiver<Bytes>,
}

/// An empty spool.
pub(crate) fn spool() -> (SpoolWriter, SpoolReader) {
    let room = Arc::new(Semaphore::new(LIMIT_BYTES as usize));
    let (sender, receiver) = mpsc::channel(LIMIT_PIECES);
    (
        SpoolWriter {
            room: Arc::clone(&room),
            sender,
        },
        SpoolReader { room, receiver },
    )
}

impl SpoolWriter {
    /// Adds a piece, waiting for room. A piece for a reader that is gone is dropped.
    pub(crate) async fn push(&self, piece: Bytes) {
        if piece.is_empty() || self.sender.is_closed() {
            return;
        }
        let bytes = u32::try_from(piece.len())
            .unwrap_or(LIMIT_BYTES)
            .min(LIMIT_BYTES);
        if let Ok(permit) = self.room.acquire_many(bytes).await {
            permit.forget();
            // A closed receiver means that the command no longer reads.
            let _ = self.sender.send(piece).await;
        }
    }
}

impl SpoolReader {
    /// The next piece; `None` when the writer is gone and all is read.
    pub(crate) async fn next(&mut self) -> Option<Bytes> {
        let piece = self.receiver.recv().await?;
        self.room.add_permits(piece.len().min(LIMIT_BYTES as usize));
        Some(piece)
    }
}

impl Drop for SpoolReader {
    fn drop(&mut self) {
        // Wakes a writer that waits for room nobody will make.
        self.room.close();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;

    #[tokio::test]
    async fn pieces_come_out_in_order_until_the_end() {
        let (writer, mut reader) = spool();
        writer.push(Bytes::from_static(b"a")).await;
        writer.push(Bytes::from_static(b"b")).await;
        drop(writer);
        assert_eq!(reader.next().await.unwrap(), "a");
        assert_eq!(reader.next().await.unwrap(), "b");
        assert_eq!(reader.next().await, None);
    }

    #[tokio::test]
    async fn a_full_spool_waits_and_a_dropped_reader_frees_the_writer() {
        let (writer, mut reader) = spool();
        let half = Bytes::from(vec![0; LIMIT_BYTES as usize / 2]);
        writer.push(half.clone()).await;
        writer.push(half.clone()).await;
        let third = writer.push(half.clone());
        tokio::pin!(third);
        assert!((&mut third).now_or_never().is_none(), "full");
        reader.next().await.unwrap();
        third.await;
        let fourth = writer.push(half.clone());
        tokio::pin!(fourth);
        assert!((&mut fourth).now_or_never().is_none(), "full again");
        drop(reader);
        fourth.await;
    }
}
