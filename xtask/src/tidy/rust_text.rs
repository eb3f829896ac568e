//! A Rust source taken apart into code, comments and string contents.
//!
//! No parser: just enough of the lexical rules that a word in a comment is not taken for code and
//! a brace in a string not for a block. All three texts have the lines and columns of the source.

use std::iter::repeat_n;

/// The three layers of a source.
#[derive(Debug, Clone, Default)]
pub(crate) struct RustText {
    /// Code; comments and the insides of literals are blanks.
    pub(crate) code: String,
    /// The insides of comments, documentation too.
    pub(crate) comments: String,
    /// The insides of string literals.
    pub(crate) strings: String,
}

/// What the characters at a place belong to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Layer {
    Code,
    Comment,
    String,
    /// The inside of a character literal: of no interest to anybody.
    Nothing,
}

/// What stands at a place, and how many characters of it.
struct Piece {
    layer: Layer,
    length: usize,
}

impl RustText {
    /// Takes a source apart.
    pub(crate) fn new(source: &str) -> Self {
        let chars: Vec<char> = source.chars().collect();
        let mut text = Self::default();
        let mut at = 0;
        while at < chars.len() {
            let rest = chars.get(at..).unwrap_or_default();
            let previous = at
                .checked_sub(1)
                .and_then(|before| chars.get(before))
                .copied();
            let piece = piece(rest, previous);
            for char in rest.iter().take(piece.length) {
                text.push(piece.layer, *char);
            }
            at += piece.length.max(1);
        }
        text
    }

    fn push(&mut self, layer: Layer, char: char) {
        let blank = if char == '\n' { '\n' } else { ' ' };
        let on = |wanted: Layer| if layer == wanted { char } else { blank };
        self.code.push(on(Layer::Code));
        self.comments.push(on(Layer::Comment));
        self.strings.push(on(Layer::String));
    }
}

fn piece(rest: &[char], previous: Option<char>) -> Piece {
    if rest.starts_with(&['/', '/']) {
        let length = rest.iter().position(|c| *c == '\n').unwrap_or(rest.len());
        return Piece {
            layer: Layer::Comment,
            length,
        };
    }
    if rest.starts_with(&['/', '*']) {
        return Piece {
            layer: Layer::Comment,
            length: block_comment(rest),
        };
    }
    let in_word = previous.is_some_and(|c| c.is_alphanumeric() || c == '_');
    if !in_word && let Some(length) = raw_string(rest) {
        return Piece {
            layer: Layer::String,
            length,
        };
    }
    match rest.first() {
        Some('"') => Piece {
            layer: Layer::String,
            length: quoted(rest, '"'),
        },
        Some('\'') if is_char_literal(rest) => Piece {
            layer: Layer::Nothing,
            length: quoted(rest, '\''),
        },
        _ => Piece {
            layer: Layer::Code,
            length: 1,
        },
    }
}

/// Block comments nest.
fn block_comment(rest: &[char]) -> usize {
    let mut depth = 0_usize;
    let mut at = 0;
    while let Some(here) = rest.get(at..).filter(|here| !here.is_empty()) {
        if here.starts_with(&['/', '*']) {
            depth += 1;
            at += 2;
        } else if here.starts_with(&['*', '/']) {
            depth = depth.saturating_sub(1);
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    rest.len()
}

/// The length of `r"…"`, `r#"…"#`, `br#"…"#` and the like, if one stands here.
fn raw_string(rest: &[char]) -> Option<usize> {
    let prefix = match rest {
        ['r', ..] => 1,
        ['b' | 'c', 'r', ..] => 2,
        _ => return None,
    };
    let hashes = rest.iter().skip(prefix).take_while(|c| **c == '#').count();
    let open = prefix + hashes;
    if rest.get(open) != Some(&'"') {
        return None;
    }
    let close: Vec<char> = std::iter::once('"').chain(repeat_n('#', hashes)).collect();
    let inside = rest.get(open + 1..)?;
    let end = inside
        .windows(close.len())
        .position(|window| window == close);
    Some(end.map_or(rest.len(), |end| open + 1 + end + close.len()))
}

/// The length of a literal with backslash escapes, quotes included.
fn quoted(rest: &[char], quote: char) -> usize {
    let mut escaped = false;
    for (at, char) in rest.iter().enumerate().skip(1) {
        match char {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            c if *c == quote => return at + 1,
            _ => {}
        }
    }
    rest.len()
}

/// `'a'` and `'\n'` are literals, `'a` is a lifetime.
fn is_char_literal(rest: &[char]) -> bool {
    matches!(rest, ['\'', '\\', ..] | ['\'', _, '\'', ..])
}

/// The byte range from `from` to the end of the next balanced `{…}` block, with its start.
/// None when a `;` at the same level comes first: an item without a body.
pub(crate) fn block_after(code: &str, from: usize) -> Option<(usize, usize)> {
    let mut nested = 0_i32;
    let mut start = None;
    let mut depth = 0_i32;
    for (at, char) in code.get(from..)?.char_indices() {
        match char {
            '(' | '[' if start.is_none() => nested += 1,
            ')' | ']' if start.is_none() => nested -= 1,
            ';' if start.is_none() && nested == 0 => return None,
            '{' => {
                start.get_or_insert(from + at);
                depth += 1;
            }
            '}' => {
                depth -= 1;
                if depth <= 0 {
                    return start.map(|start| (start, from + at + 1));
                }
            }
            _ => {}
        }
    }
    None
}

/// The 1-based line of a byte offset.
pub(crate) fn line_of(text: &str, offset: usize) -> usize {
    text.bytes()
        .take(offset)
        .filter(|byte| *byte == b'\n')
        .count()
        + 1
}

/// Where a word stands by itself, as byte offsets.
pub(crate) fn words<'a>(text: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    text.match_indices(word)
        .map(|(at, _)| at)
        .filter(move |at| {
            let before = text
                .get(..*at)
                .and_then(|before| before.chars().next_back());
            let after = text
                .get(at + word.len()..)
                .and_then(|after| after.chars().next());
            !before.is_some_and(is_part) && !after.is_some_and(is_part)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_strings_and_code_come_apart() {
        let text = RustText::new("let a = \"x // y\"; // z \"q\"\nf();");
        assert!(text.code.contains("let a =") && text.code.contains("f();"));
        assert!(!text.code.contains('x') && !text.code.contains('z'));
        assert!(text.strings.contains("x // y") && !text.strings.contains('q'));
        assert!(text.comments.contains("z \"q\"") && !text.comments.contains('y'));
    }

    #[test]
    fn raw_strings_chars_and_lifetimes_do_not_confuse_it() {
        let source = "fn f<'a>(x: &'a str) { g('\"', '\\'', r#\"} \" \"#, br\"}\", b\"\\\"}\"); }";
        let text = RustText::new(source);
        let block = block_after(&text.code, 0).unwrap();
        assert_eq!(block.1, source.len());
        assert_eq!(text.code.matches('}').count(), 1);
    }

    #[test]
    fn block_comments_nest() {
        let text = RustText::new("a /* b /* c */ d */ e");
        assert_eq!(text.code.split_whitespace().collect::<Vec<_>>(), ["a", "e"]);
    }

    #[test]
    fn an_identifier_that_ends_in_r_starts_no_raw_string() {
        let text = RustText::new("for\"a\"; r#type");
        assert!(text.code.contains("r#type"));
    }

    #[test]
    fn an_item_without_a_body_has_no_block() {
        assert_eq!(block_after("fn f(x: [u8; 2]); fn g() {}", 0), None);
        assert_eq!(block_after("fn g() { {} }", 0), Some((7, 13)));
    }

    #[test]
    fn lines_and_words() {
        assert_eq!(line_of("a\nb\nc", 4), 3);
        assert_eq!(words("fn fnord fn", "fn").collect::<Vec<_>>(), [0, 9]);
    }
}
