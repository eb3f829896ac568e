//! Script text → tokens.

/// A piece of a word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Piece {
    /// As it stands.
    Text(String),
    /// `$NAME` or `${NAME}` with what `:-` gives when it is empty; in quotes it stays one word.
    Variable {
        name: String,
        otherwise: Option<String>,
        quoted: bool,
    },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Token {
    Word {
        pieces: Vec<Piece>,
        /// Something of it stood in quotes: it is no keyword, and stays even if empty.
        quoted: bool,
    },
    /// `&&`, `||`, `;`, `|`, `(`, `)`, `&` and the end of a line as `;`.
    Mark(&'static str),
    /// A redirection: which stream, and how.
    Redirect(u8, &'static str),
}

/// Splits a script.
///
/// # Errors
/// A quote without end, or something this shell does not have.
pub(super) fn tokens(script: &str) -> Result<Vec<Token>, String> {
    let mut reader = Reader {
        signs: script.chars().peekable(),
        found: Vec::new(),
    };
    reader.read()?;
    Ok(reader.found)
}

struct Reader<'a> {
    signs: std::iter::Peekable<std::str::Chars<'a>>,
    found: Vec<Token>,
}

impl Reader<'_> {
    fn read(&mut self) -> Result<(), String> {
        while let Some(sign) = self.signs.peek().copied() {
            match sign {
                '\n' => self.mark(";"),
                sign if sign.is_whitespace() => drop(self.signs.next()),
                '#' => while self.signs.next_if(|sign| *sign != '\n').is_some() {},
                ';' => self.mark(";"),
                '(' => self.mark("("),
                ')' => self.mark(")"),
                '&' => self.double('&', "&&", "&"),
                '|' => self.double('|', "||", "|"),
                '>' | '<' => self.redirect(None)?,
                _ => self.word()?,
            }
        }
        Ok(())
    }

    fn mark(&mut self, mark: &'static str) {
        self.signs.next();
        self.found.push(Token::Mark(mark));
    }

    fn double(&mut self, sign: char, twice: &'static str, once: &'static str) {
        self.signs.next();
        let mark = match self.signs.next_if_eq(&sign) {
            Some(_) => twice,
            None => once,
        };
        self.found.push(Token::Mark(mark));
    }

    fn redirect(&mut self, stream: Option<u8>) -> Result<(), String> {
        let sign = self.signs.next();
        let kind = match sign {
            Some('<') if self.signs.peek() == Some(&'<') => {
                return Err("here-documents are beyond this shell".to_owned());
            }
            Some('<') => "<",
            _ if self.signs.next_if_eq(&'>').is_some() => ">>",
            _ if self.signs.next_if_eq(&'&').is_some() => ">&",
            _ => ">",
        };
        let usual = u8::from(kind != "<");
        self.found
            .push(Token::Redirect(stream.unwrap_or(usual), kind));
        Ok(())
    }

    fn word(&mut self) -> Result<(), String> {
        let mut pieces = Vec::new();
        let mut text = String::new();
        let mut quoted = false;
        while let Some(sign) = self.signs.peek().copied() {
            match sign {
                '>' | '<' if text.len() == 1 && pieces.is_empty() && !quoted => {
                    // A single digit right before it is the stream's number.
                    if let Ok(stream) = text.parse::<u8>() {
                        return self.redirect(Some(stream));
                    }
                    break;
                }
                sign if sign.is_whitespace() || ";&|()<>".contains(sign) => break,
                '`' => return Err("command substitution is beyond this shell".to_owned()),
                '*' | '?' => return Err(format!("patterns ({sign}) are beyond this shell")),
                '\'' => {
                    self.signs.next();
                    quoted = true;
                    self.until('\'', &mut text)?;
                }
                '"' => {
                    self.signs.next();
                    quoted = true;
                    self.in_quotes(&mut text, &mut pieces)?;
                }
                '\\' => {
                    self.signs.next();
                    match self.signs.next() {
                        Some('\n') | None => {}
                        Some(sign) => {
                            quoted = true;
                            text.push(sign);
                        }
                    }
                }
                '$' => {
                    self.signs.next();
                    self.variable(false, &mut text, &mut pieces)?;
                }
                sign => {
                    self.signs.next();
                    text.push(sign);
                }
            }
        }
        if !text.is_empty() || pieces.is_empty() && quoted {
            pieces.push(Piece::Text(text));
        }
        if !pieces.is_empty() {
            self.found.push(Token::Word { pieces, quoted });
        }
        Ok(())
    }

    fn until(&mut self, end: char, text: &mut String) -> Result<(), String> {
        for sign in self.signs.by_ref() {
            if sign == end {
                return Ok(());
            }
            text.push(sign);
        }
        Err("Unterminated quoted string".to_owned())
    }

    fn in_quotes(&mut self, text: &mut String, pieces: &mut Vec<Piece>) -> Result<(), String> {
        while let Some(sign) = self.signs.next() {
            match sign {
                '"' => return Ok(()),
                '`' => return Err("command substitution is beyond this shell".to_owned()),
                '$' => self.variable(true, text, pieces)?,
                '\\' => match self.signs.next() {
                    Some('\n') => {}
                    Some(sign) if "$`\"\\".contains(sign) => text.push(sign),
                    Some(sign) => text.extend(['\\', sign]),
                    None => break,
                },
                sign => text.push(sign),
            }
        }
        Err("Unterminated quoted string".to_owned())
    }

    /// Behind a `$`.
    fn variable(
        &mut self,
        quoted: bool,
        text: &mut String,
        pieces: &mut Vec<Piece>,
    ) -> Result<(), String> {
        let mut name = String::new();
        let mut otherwise = None;
        match self.signs.peek().copied() {
            Some('(') => return Err("command substitution is beyond this shell".to_owned()),
            Some('{') => {
                self.signs.next();
                let mut inner = String::new();
                self.until('}', &mut inner)
                    .map_err(|_| "Bad substitution".to_owned())?;
                match inner.split_once(":-") {
                    Some((before, after)) => {
                        before.clone_into(&mut name);
                        otherwise = Some(after.to_owned());
                    }
                    None => name = inner,
                }
                let plain = |c: char| c.is_ascii_alphanumeric() || "_@#?$*".contains(c);
                if name.is_empty() || !name.chars().all(plain) {
                    return Err("Bad substitution".to_owned());
                }
            }
            Some(sign) if sign.is_ascii_digit() || "@#?$*!".contains(sign) => {
                self.signs.next();
                name.push(sign);
            }
            _ => {
                let part = |c: &char| c.is_ascii_alphanumeric() || *c == '_';
                while let Some(sign) = self.signs.next_if(part) {
                    name.push(sign);
                }
            }
        }
        if name.is_empty() {
            text.push('$');
            return Ok(());
        }
        if !text.is_empty() {
            pieces.push(Piece::Text(std::mem::take(text)));
        }
        pieces.push(Piece::Variable {
            name,
            otherwise,
            quoted,
        });
        Ok(())
    }
}
