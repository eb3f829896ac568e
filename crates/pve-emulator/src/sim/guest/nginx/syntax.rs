//! Configuration text → directives, with nginx's own complaints.

use super::super::files::Files;

/// A directive with its arguments and block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Directive {
    pub(crate) name: String,
    pub(crate) args: Vec<String>,
    pub(crate) block: Option<Vec<Directive>>,
    /// `FILE:LINE`.
    pub(crate) at: String,
}

/// Files included in each other deeper than this are given up.
const MAX_DEPTH: u8 = 10;

enum Token {
    Word(String),
    Open,
    Close,
    End,
}

/// Reads a file with everything it includes.
///
/// # Errors
/// Text as nginx prints it behind `[emerg] `.
pub(crate) fn read(files: &Files, path: &str, depth: u8) -> Result<Vec<Directive>, String> {
    if depth > MAX_DEPTH {
        return Err(format!("too many levels of includes in {path}"));
    }
    let text = files.text(path).map_err(|error| {
        let number = error.number();
        format!("open() \"{path}\" failed ({number}: {error})")
    })?;
    let tokens = tokens(&text, path)?;
    let mut reader = Reader {
        files,
        path,
        depth,
        tokens: tokens.into_iter(),
        last_line: text.lines().count().max(1),
    };
    reader.block(false)
}

struct Reader<'a> {
    files: &'a Files,
    path: &'a str,
    depth: u8,
    tokens: std::vec::IntoIter<(Token, usize)>,
    last_line: usize,
}

impl Reader<'_> {
    fn block(&mut self, inner: bool) -> Result<Vec<Directive>, String> {
        let mut found = Vec::new();
        let mut words: Vec<String> = Vec::new();
        while let Some((token, line)) = self.tokens.next() {
            let at = format!("{}:{line}", self.path);
            match token {
                Token::Word(word) => words.push(word),
                Token::End if words.is_empty() => return Err(format!("unexpected \";\" in {at}")),
                Token::Open if words.is_empty() => {
                    return Err(format!("unexpected \"{{\" in {at}"));
                }
                Token::End => {
                    let name = words.remove(0);
                    let args = std::mem::take(&mut words);
                    if name == "include" {
                        found.extend(self.include(&args, &at)?);
                    } else {
                        found.push(Directive {
                            name,
                            args,
                            block: None,
                            at,
                        });
                    }
                }
                Token::Open => {
                    let name = words.remove(0);
                    let args = std::mem::take(&mut words);
                    let block = Some(self.block(true)?);
                    found.push(Directive {
                        name,
                        args,
                        block,
                        at,
                    });
                }
                Token::Close if !words.is_empty() || !inner => {
                    return Err(format!("unexpected \"}}\" in {at}"));
                }
                Token::Close => return Ok(found),
            }
        }
        let at = format!("{}:{}", self.path, self.last_line);
        if !words.is_empty() {
            return Err(format!(
                "unexpected end of file, expecting \";\" or \"}}\" in {at}"
            ));
        }
        if inner {
            return Err(format!("unexpected end of file, expecting \"}}\" in {at}"));
        }
        Ok(found)
    }

    /// A path or a pattern in its last part; a pattern that fits nothing is fine.
    fn include(&self, args: &[String], at: &str) -> Result<Vec<Directive>, String> {
        let [given] = args else {
            return Err(format!(
                "invalid number of arguments in \"include\" directive in {at}"
            ));
        };
        let path = if given.starts_with('/') {
            given.clone()
        } else {
            format!("/etc/nginx/{given}")
        };
        let (folder, pattern) = path.rsplit_once('/').unwrap_or(("", &path));
        if !pattern.contains('*') {
            return read(self.files, &path, self.depth + 1);
        }
        let Ok(folder) = self.files.resolve(folder, true) else {
            return Ok(Vec::new());
        };
        let mut found = Vec::new();
        let names: Vec<String> = self
            .files
            .children(&folder)
            .map(|(name, _)| name.to_owned())
            .filter(|name| !name.starts_with('.') && fits(pattern, name))
            .collect();
        for name in names {
            found.extend(read(
                self.files,
                &format!("{folder}/{name}"),
                self.depth + 1,
            )?);
        }
        Ok(found)
    }
}

/// Whether a name fits a pattern with `*`.
pub(crate) fn fits(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == name,
        Some((before, after)) => {
            let Some(rest) = name.strip_prefix(before) else {
                return false;
            };
            let mut starts = rest.char_indices().map(|(at, _)| at).chain([rest.len()]);
            starts.any(|at| rest.get(at..).is_some_and(|tail| fits(after, tail)))
        }
    }
}

fn tokens(text: &str, path: &str) -> Result<Vec<(Token, usize)>, String> {
    let mut found = Vec::new();
    let mut signs = text.chars().peekable();
    let mut line = 1;
    while let Some(sign) = signs.next() {
        match sign {
            '\n' => line += 1,
            sign if sign.is_whitespace() => {}
            '#' => while signs.next_if(|sign| *sign != '\n').is_some() {},
            ';' => found.push((Token::End, line)),
            '{' => found.push((Token::Open, line)),
            '}' => found.push((Token::Close, line)),
            '"' | '\'' => {
                let begun = line;
                let mut word = String::new();
                loop {
                    match signs.next() {
                        None => {
                            return Err(format!(
                                "unexpected end of file, expecting \";\" or \"}}\" in {path}:{begun}"
                            ));
                        }
                        Some('\\') => word.extend(signs.next()),
                        Some(end) if end == sign => break,
                        Some(inner) => {
                            line += usize::from(inner == '\n');
                            word.push(inner);
                        }
                    }
                }
                found.push((Token::Word(word), begun));
            }
            sign => {
                let mut word = String::from(sign);
                let mut before = sign;
                while let Some(next) = signs.next_if(|next| {
                    // `${name}` is part of a word.
                    !next.is_whitespace() && (!";{}".contains(*next) || before == '$')
                }) {
                    word.push(next);
                    if before == '$' && next == '{' {
                        while let Some(inner) = signs.next_if(|inner| *inner != '\n') {
                            word.push(inner);
                            if inner == '}' {
                                break;
                            }
                        }
                    }
                    before = next;
                }
                found.push((Token::Word(word), line));
            }
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_text(text: &str) -> Result<Vec<Directive>, String> {
        let mut files = Files::default();
        files.make_dirs("/etc/nginx/conf.d", 0).unwrap();
        files
            .write("/etc/nginx/x", text.as_bytes().to_vec(), 0)
            .unwrap();
        files
            .write("/etc/nginx/conf.d/b.conf", b"b 1;".to_vec(), 0)
            .unwrap();
        files
            .write("/etc/nginx/conf.d/a.conf", b"a 'x y' ${z};".to_vec(), 0)
            .unwrap();
        read(&files, "/etc/nginx/x", 0)
    }

    #[test]
    fn includes_come_in_order_and_need_not_fit() {
        let found = read_text("include conf.d/*.conf; include none/*; # end\nc { d; }").unwrap();
        let names: Vec<&str> = found.iter().map(|d| d.name.as_str()).collect();
        assert_eq!(names, ["a", "b", "c"]);
        assert_eq!(found[0].args, ["x y", "${z}"]);
        assert_eq!(found[2].block.as_ref().unwrap()[0].at, "/etc/nginx/x:2");
    }

    #[test]
    fn what_cannot_be_read_is_told_with_its_line() {
        for (text, wanted) in [
            ("a;\n}", "unexpected \"}\" in /etc/nginx/x:2"),
            (
                "a {\n",
                "unexpected end of file, expecting \"}\" in /etc/nginx/x:1",
            ),
            (
                "a",
                "unexpected end of file, expecting \";\" or \"}\" in /etc/nginx/x:1",
            ),
            (";", "unexpected \";\" in /etc/nginx/x:1"),
            (
                "include /no;",
                "open() \"/no\" failed (2: No such file or directory)",
            ),
        ] {
            assert_eq!(read_text(text).unwrap_err(), wanted);
        }
    }
}
