//! Tokens → what is to be run.

use super::tokens::{Piece, Token};

/// Commands joined by `;`, `&&` and `||`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct List(pub(super) Vec<Part>);

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Part {
    /// Run it only if the one before ended so.
    pub(super) after: After,
    pub(super) pipeline: Pipeline,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum After {
    Any,
    Success,
    Failure,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pipeline {
    pub(super) negated: bool,
    pub(super) commands: Vec<Command>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Command {
    pub(super) body: Body,
    pub(super) redirects: Vec<Redirect>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Body {
    Simple(Vec<Vec<Piece>>),
    If {
        /// Condition and what follows from it.
        branches: Vec<(List, List)>,
        otherwise: List,
    },
    Group(List),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Redirect {
    pub(super) stream: u8,
    pub(super) kind: &'static str,
    pub(super) target: Vec<Piece>,
}

/// Words that begin something this shell does not have.
const BEYOND: [&str; 5] = ["for", "while", "until", "case", "function"];

/// Reads a whole script.
///
/// # Errors
/// In the words of dash, as far as it has them.
pub(super) fn parse(tokens: Vec<Token>) -> Result<List, String> {
    let mut parser = Parser {
        tokens: tokens.into_iter().peekable(),
    };
    let list = parser.list(&[])?;
    match parser.tokens.next() {
        None => Ok(list),
        Some(token) => Err(unexpected(Some(&token))),
    }
}

struct Parser {
    tokens: std::iter::Peekable<std::vec::IntoIter<Token>>,
}

impl Parser {
    /// Up to one of the words `ends`, which stays.
    fn list(&mut self, ends: &[&str]) -> Result<List, String> {
        let mut parts = Vec::new();
        let mut after = After::Any;
        loop {
            while self.takes(";") {}
            let ended = self.tokens.peek().is_none()
                || self.keyword().is_some_and(|word| ends.contains(&word))
                || self.tokens.peek() == Some(&Token::Mark(")"));
            if ended {
                return match after {
                    After::Any => Ok(List(parts)),
                    After::Success | After::Failure => Err(unexpected(self.tokens.peek())),
                };
            }
            let pipeline = self.pipeline()?;
            parts.push(Part { after, pipeline });
            after = match self.tokens.peek() {
                Some(Token::Mark("&&")) => After::Success,
                Some(Token::Mark("||")) => After::Failure,
                Some(Token::Mark("&")) => return Err("jobs (&) are beyond this shell".to_owned()),
                Some(Token::Mark(";")) => After::Any,
                _ => {
                    after = After::Any;
                    continue;
                }
            };
            self.tokens.next();
        }
    }

    fn pipeline(&mut self) -> Result<Pipeline, String> {
        let negated = self.keyword() == Some("!");
        if negated {
            self.tokens.next();
        }
        let mut commands = vec![self.command()?];
        while self.takes("|") {
            commands.push(self.command()?);
        }
        Ok(Pipeline { negated, commands })
    }

    fn command(&mut self) -> Result<Command, String> {
        let word = self.keyword().map(str::to_owned);
        let body = match word.as_deref() {
            Some("if") => self.choice()?,
            Some("{") => {
                self.tokens.next();
                let list = self.list(&["}"])?;
                self.expect("}")?;
                Body::Group(list)
            }
            Some(word) if BEYOND.contains(&word) => {
                return Err(format!("{word} is beyond this shell"));
            }
            _ if self.tokens.peek() == Some(&Token::Mark("(")) => {
                return Err("subshells are beyond this shell".to_owned());
            }
            _ => Body::Simple(Vec::new()),
        };
        let mut command = Command {
            body,
            redirects: Vec::new(),
        };
        loop {
            match self.tokens.peek() {
                Some(Token::Redirect(..)) => command.redirects.push(self.redirect()?),
                Some(Token::Word { .. }) => match (&mut command.body, self.tokens.next()) {
                    (Body::Simple(words), Some(Token::Word { pieces, .. })) => words.push(pieces),
                    (_, token) => return Err(unexpected(token.as_ref())),
                },
                _ => break,
            }
        }
        let empty = command.body == Body::Simple(Vec::new()) && command.redirects.is_empty();
        if empty {
            return Err(unexpected(self.tokens.peek()));
        }
        Ok(command)
    }

    fn choice(&mut self) -> Result<Body, String> {
        let mut branches = Vec::new();
        loop {
            // `if` or `elif`.
            self.tokens.next();
            let condition = self.list(&["then"])?;
            self.expect("then")?;
            let body = self.list(&["elif", "else", "fi"])?;
            branches.push((condition, body));
            if self.keyword() != Some("elif") {
                break;
            }
        }
        let mut otherwise = List::default();
        if self.keyword() == Some("else") {
            self.tokens.next();
            otherwise = self.list(&["fi"])?;
        }
        self.expect("fi")?;
        Ok(Body::If {
            branches,
            otherwise,
        })
    }

    fn redirect(&mut self) -> Result<Redirect, String> {
        match (self.tokens.next(), self.tokens.next()) {
            (Some(Token::Redirect(stream, kind)), Some(Token::Word { pieces, .. })) => {
                Ok(Redirect {
                    stream,
                    kind,
                    target: pieces,
                })
            }
            (_, token) => Err(unexpected(token.as_ref())),
        }
    }

    fn takes(&mut self, mark: &'static str) -> bool {
        self.tokens.next_if_eq(&Token::Mark(mark)).is_some()
    }

    /// The next token, if it is a word without quotes.
    fn keyword(&mut self) -> Option<&str> {
        match self.tokens.peek()? {
            Token::Word {
                pieces,
                quoted: false,
            } => match pieces.as_slice() {
                [Piece::Text(text)] => Some(text),
                _ => None,
            },
            _ => None,
        }
    }

    fn expect(&mut self, word: &str) -> Result<(), String> {
        if self.keyword() == Some(word) {
            self.tokens.next();
            return Ok(());
        }
        let found = unexpected(self.tokens.peek());
        Err(format!("{found} (expecting \"{word}\")"))
    }
}

fn unexpected(token: Option<&Token>) -> String {
    match token {
        None => "end of file unexpected".to_owned(),
        Some(Token::Mark(";")) => "\";\" unexpected".to_owned(),
        Some(Token::Mark(mark)) => format!("\"{mark}\" unexpected"),
        Some(Token::Redirect(..)) => "redirection unexpected".to_owned(),
        Some(Token::Word { pieces, .. }) => match pieces.first() {
            Some(Piece::Text(text)) => format!("\"{text}\" unexpected"),
            _ => "word unexpected".to_owned(),
        },
    }
}
