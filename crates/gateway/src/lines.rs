//! Reading lines of bounded length.

use std::io;

use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt};

/// What came before the line end.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Line {
    /// A whole line, without its end.
    Whole(Vec<u8>),
    /// More bytes than allowed without a line end; the rest is still unread.
    TooLong,
    /// The sender ended in the middle of a line.
    Cut,
    /// The sender ended after its last line.
    End,
}

/// Reads up to the next `\n`, at most `max_bytes` before it. Not cancel-safe: after a time limit the
/// reader is to be dropped.
pub(crate) async fn read_line<R>(reader: &mut R, max_bytes: usize) -> io::Result<Line>
where
    R: AsyncBufRead + Unpin,
{
    let mut bytes = Vec::new();
    let most = max_bytes as u64 + 1;
    reader.take(most).read_until(b'\n', &mut bytes).await?;
    if bytes.last() == Some(&b'\n') {
        bytes.pop();
        return Ok(Line::Whole(bytes));
    }
    Ok(match bytes.len() {
        0 => Line::End,
        length if length > max_bytes => Line::TooLong,
        _ => Line::Cut,
    })
}

/// Throws away input up to a line end, the end of input or `max_bytes`, so that a sender in the
/// middle of a long line gets to read the answer instead of a broken pipe.
pub(crate) async fn skip_line<R>(reader: &mut R, max_bytes: usize) -> io::Result<()>
where
    R: AsyncBufRead + Unpin,
{
    let mut left = max_bytes;
    while left > 0 {
        let chunk = reader.fill_buf().await?;
        let line_end = chunk.iter().position(|byte| *byte == b'\n');
        let length = chunk.len();
        reader.consume(line_end.map_or(length, |at| at + 1));
        if length == 0 || line_end.is_some() {
            return Ok(());
        }
        left = left.saturating_sub(length);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn lines_are_whole_cut_or_too_long() {
        let mut input: &[u8] = b"four\n\nfives\nab";
        assert_eq!(
            read_line(&mut input, 4).await.unwrap(),
            Line::Whole(b"four".to_vec())
        );
        assert_eq!(
            read_line(&mut input, 4).await.unwrap(),
            Line::Whole(Vec::new())
        );
        assert_eq!(read_line(&mut input, 4).await.unwrap(), Line::TooLong);
        skip_line(&mut input, 100).await.unwrap();
        assert_eq!(read_line(&mut input, 4).await.unwrap(), Line::Cut);
        assert_eq!(read_line(&mut input, 4).await.unwrap(), Line::End);
    }

    #[tokio::test]
    async fn skipping_ends_at_its_limit() {
        let mut input: &[u8] = &[b'x'; 1000];
        skip_line(&mut input, 10).await.unwrap();
        assert_eq!(
            read_line(&mut input, 4).await.unwrap(),
            Line::End,
            "one buffer at most"
        );
    }
}
