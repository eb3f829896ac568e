//! Text of the document as HTML: escaped, with `code` and **strong** words.

/// The text with what HTML would take for markup written out.
pub(super) fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            c => safe.push(c),
        }
    }
    safe
}

/// One line of text; words between backticks are code, between double stars strong.
pub(super) fn line(text: &str) -> String {
    let code = between(&escape(text), "`", "code");
    between(&code, "**", "strong")
}

/// Paragraphs, which are separated by empty lines.
pub(super) fn paragraphs(text: &str) -> String {
    text.split("\n\n")
        .map(str::trim)
        .filter(|part| !part.is_empty())
        .map(|part| format!("<p>{}</p>", line(part)))
        .collect()
}

/// Pairs of `mark` become an element; a mark without its partner stays.
fn between(text: &str, mark: &str, element: &str) -> String {
    let parts: Vec<&str> = text.split(mark).collect();
    let mut done = String::with_capacity(text.len());
    for (at, part) in parts.iter().enumerate() {
        let is_inside = at % 2 == 1;
        let is_last = at + 1 == parts.len();
        match (is_inside, is_last) {
            (true, false) => done.push_str(&format!("<{element}>{part}</{element}>")),
            (true, true) => {
                done.push_str(mark);
                done.push_str(part);
            }
            (false, _) => done.push_str(part),
        }
    }
    done
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_a_text_becomes_markup_but_code_and_strong_words() {
        assert_eq!(
            line("a <b> & `x<y` **so** \"q\""),
            "a &lt;b&gt; &amp; <code>x&lt;y</code> <strong>so</strong> &quot;q&quot;"
        );
        assert_eq!(line("an open ` stays"), "an open ` stays");
        assert_eq!(paragraphs("a\nb\n\n\n\nc"), "<p>a\nb</p><p>c</p>");
    }
}
