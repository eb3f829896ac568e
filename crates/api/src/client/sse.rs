//! Reading Server-Sent Events: bytes in, blocks out.

/// Longest block that is taken, bytes. The server's are far below.
const LONGEST_BLOCK_BYTES: usize = 4 << 20;

/// One block: what stands between two empty lines.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Block {
    /// The position to resume from, if the block has one.
    pub(super) id: Option<String>,
    /// Its lines of data, joined; `None` for a block that only moves the position.
    pub(super) data: Option<String>,
    /// How long to wait before connecting again, milliseconds.
    pub(super) retry_ms: Option<u64>,
}

/// The block is longer than anything the server sends.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TooLong;

/// Takes a stream apart, however it is cut into pieces.
#[derive(Debug, Default)]
pub(super) struct Parser {
    line: Vec<u8>,
    /// Bytes of this block so far.
    size: usize,
    after_cr: bool,
    block: Block,
}

impl Parser {
    /// Takes the next piece; gives the blocks that end in it.
    pub(super) fn push(&mut self, piece: &[u8]) -> Result<Vec<Block>, TooLong> {
        let mut ended = Vec::new();
        for &byte in piece {
            // A line ends with CR, LF, or both.
            let second_half = byte == b'\n' && self.after_cr;
            self.after_cr = byte == b'\r';
            if second_half {
                continue;
            }
            if byte == b'\n' || byte == b'\r' {
                ended.extend(self.end_line());
                continue;
            }
            self.line.push(byte);
            self.size += 1;
            if self.size > LONGEST_BLOCK_BYTES {
                return Err(TooLong);
            }
        }
        Ok(ended)
    }

    fn end_line(&mut self) -> Option<Block> {
        let line = String::from_utf8_lossy(&self.line).into_owned();
        self.line.clear();
        if line.is_empty() {
            self.size = 0;
            let block = std::mem::take(&mut self.block);
            return (block != Block::default()).then_some(block);
        }
        let (name, value) = line.split_once(':').unwrap_or((&line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match name {
            "id" if !value.contains('\0') => self.block.id = Some(value.to_owned()),
            "data" => match &mut self.block.data {
                Some(data) => {
                    data.push('\n');
                    data.push_str(value);
                }
                None => self.block.data = Some(value.to_owned()),
            },
            "retry" => self.block.retry_ms = value.parse().ok().or(self.block.retry_ms),
            // Comments (an empty name), `event` (it is in the data too) and what is not known.
            _ => {}
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "retry: 500\nid: 7\n\n: alive\n\nid: 8\nevent: AppStarted\ndata: {\"a\":1}\n\ndata: x\ndata:y\n\n";

    fn blocks() -> Vec<Block> {
        let block = |id: Option<&str>, data: Option<&str>, retry_ms| Block {
            id: id.map(str::to_owned),
            data: data.map(str::to_owned),
            retry_ms,
        };
        vec![
            block(Some("7"), None, Some(500)),
            block(Some("8"), Some("{\"a\":1}"), None),
            block(None, Some("x\ny"), None),
        ]
    }

    #[test]
    fn a_stream_is_the_same_however_it_is_cut() {
        for text in [
            TEXT.to_owned(),
            TEXT.replace('\n', "\r\n"),
            TEXT.replace('\n', "\r"),
        ] {
            for size in [1, 2, 3, 7, text.len()] {
                let mut parser = Parser::default();
                let mut found = Vec::new();
                for piece in text.as_bytes().chunks(size) {
                    found.extend(parser.push(piece).unwrap());
                }
                assert_eq!(found, blocks(), "pieces of {size}");
            }
        }
    }

    #[test]
    fn half_a_block_is_none() {
        let mut parser = Parser::default();
        assert_eq!(parser.push(b"id: 9\ndata: {").unwrap(), []);
        assert_eq!(parser.push(b"}\n").unwrap(), []);
    }

    #[test]
    fn a_block_without_end_is_refused() {
        let mut parser = Parser::default();
        let piece = vec![b'x'; 1 << 20];
        let result = (0..5).try_for_each(|_| parser.push(&piece).map(|_| ()));
        assert_eq!(result, Err(TooLong));
    }
}
