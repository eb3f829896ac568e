//! Running what was parsed.

use std::collections::BTreeMap;

use super::super::exec::{Done, Ended, KILLED, Run};
use super::parse::{After, Body, Command, List, Pipeline, Redirect};
use super::tokens::Piece;

/// A shell at work.
pub(super) struct Shell<'a, 'b> {
    pub(super) run: &'a mut Run<'b>,
    pub(super) name: String,
    pub(super) arguments: Vec<String>,
    /// Variables that commands do not see.
    pub(super) variables: BTreeMap<String, String>,
    /// `set -e`.
    pub(super) stops: bool,
    pub(super) status: u8,
    /// `exit` was met.
    pub(super) leaving: bool,
}

impl Shell<'_, '_> {
    pub(super) fn list(&mut self, list: &List) -> Done {
        let mut all = Ended::exit(0);
        let mut parts = list.0.iter().peekable();
        while let Some(part) = parts.next() {
            let wanted = match part.after {
                After::Any => true,
                After::Success => self.status == 0,
                After::Failure => self.status != 0,
            };
            if !wanted {
                continue;
            }
            let ended = self.pipeline(&part.pipeline)?;
            self.status = ended.exit;
            all = all.then(ended);
            let judged = parts.peek().is_none_or(|next| next.after == After::Any);
            let fails = self.status != 0 && judged && !part.pipeline.negated;
            if self.leaving || self.stops && fails {
                self.leaving = true;
                break;
            }
        }
        all.exit = self.status;
        Ok(all)
    }

    fn pipeline(&mut self, pipeline: &Pipeline) -> Done {
        let mut all = Ended::ok();
        let last = pipeline.commands.len().saturating_sub(1);
        for (at, command) in pipeline.commands.iter().enumerate() {
            let mut ended = self.command(command)?;
            if at < last {
                self.run.stdin = Some(std::mem::take(&mut ended.stdout));
            }
            all = all.then(ended);
        }
        if last > 0 {
            self.run.stdin = Some(Vec::new());
        }
        if pipeline.negated {
            all.exit = u8::from(all.exit == 0);
        }
        Ok(all)
    }

    fn command(&mut self, command: &Command) -> Done {
        for redirect in command.redirects.iter().filter(|r| r.kind == "<") {
            let path = self.single(&redirect.target);
            match self.run.guest.files.read(&self.run.path(&path)) {
                Ok(bytes) => self.run.stdin = Some(bytes.to_vec()),
                Err(error) => {
                    let text = self.complaint(&format!("cannot open {path}: {error}"));
                    return Ok(Ended::failed(2, text));
                }
            }
        }
        let ended = match &command.body {
            Body::Simple(words) => {
                let words: Vec<String> = words.iter().flat_map(|w| self.expand(w)).collect();
                self.simple(words)?
            }
            Body::Group(list) => self.list(list)?,
            Body::If {
                branches,
                otherwise,
            } => self.choice(branches, otherwise)?,
        };
        Ok(self.redirect(&command.redirects, ended))
    }

    fn choice(&mut self, branches: &[(List, List)], otherwise: &List) -> Done {
        let mut before = Ended::ok();
        for (condition, body) in branches {
            let stops = std::mem::take(&mut self.stops);
            let judged = self.list(condition);
            self.stops = stops;
            let judged = judged?;
            let holds = judged.exit == 0;
            before = before.then(judged);
            if self.leaving {
                return Ok(before);
            }
            if holds {
                return Ok(before.then(self.list(body)?));
            }
        }
        self.status = 0;
        Ok(before.then(self.list(otherwise)?))
    }

    /// Sends what a command printed where it belongs.
    fn redirect(&mut self, redirects: &[Redirect], mut ended: Ended) -> Ended {
        for redirect in redirects.iter().filter(|redirect| redirect.kind != "<") {
            let target = self.single(&redirect.target);
            if redirect.kind == ">&" {
                let moved = if redirect.stream == 2 {
                    std::mem::take(&mut ended.stderr)
                } else {
                    std::mem::take(&mut ended.stdout)
                };
                match target.as_str() {
                    "1" => ended.stdout.extend(moved),
                    "2" => ended.stderr.extend(moved),
                    _ => return Ended::failed(2, self.complaint("bad fd number")),
                }
                continue;
            }
            let bytes = if redirect.stream == 2 {
                std::mem::take(&mut ended.stderr)
            } else {
                std::mem::take(&mut ended.stdout)
            };
            let path = self.run.path(&target);
            let mut content = Vec::new();
            if redirect.kind == ">>" {
                content = self
                    .run
                    .guest
                    .files
                    .read(&path)
                    .map(<[u8]>::to_vec)
                    .unwrap_or_default();
            }
            content.extend(bytes);
            let now_s = self.run.world.now_s;
            if let Err(error) = self.run.guest.files.write(&path, content, now_s) {
                let text = self.complaint(&format!("cannot create {target}: {error}"));
                return Ended::failed(2, text);
            }
        }
        ended
    }

    fn simple(&mut self, mut words: Vec<String>) -> Done {
        let assigned = words.iter().take_while(|word| is_assignment(word)).count();
        let assignments: Vec<String> = words.drain(..assigned).collect();
        let pairs = assignments.iter().filter_map(|word| word.split_once('='));
        if words.is_empty() {
            for (name, value) in pairs {
                self.set(name, value);
            }
            return Ok(Ended::ok());
        }
        if let Some(ended) = self.built_in(&words)? {
            return Ok(ended);
        }
        let env = self.run.env.clone();
        let pairs = pairs.map(|(name, value)| (name.to_owned(), value.to_owned()));
        self.run.env.extend(pairs);
        let found = words.first().map(|name| self.run.find(name));
        let done = match found {
            Some(Err(code)) => {
                let name = words.first().cloned().unwrap_or_default();
                let why = if code == 126 {
                    "Permission denied"
                } else {
                    "not found"
                };
                Ok(Ended::failed(
                    code,
                    self.complaint(&format!("{name}: {why}")),
                ))
            }
            _ => self.run.command(&words),
        };
        self.run.env = env;
        let mut ended = done?;
        if ended.exit == KILLED {
            ended.stderr.extend_from_slice(b"Killed\n");
        }
        Ok(ended)
    }

    fn built_in(
        &mut self,
        words: &[String],
    ) -> Result<Option<Ended>, super::super::exec::Interrupt> {
        let word = |at: usize| words.get(at).map(String::as_str);
        let ended = match word(0).unwrap_or_default() {
            ":" => Ended::ok(),
            "exit" => {
                self.leaving = true;
                let code = word(1).map_or(Some(self.status), |code| code.parse().ok());
                Ended::exit(code.unwrap_or(2))
            }
            "cd" => {
                let path = self.run.path(word(1).unwrap_or("/root"));
                if !self.run.guest.files.is_dir(&path) {
                    let text = format!("cd: can't cd to {}", word(1).unwrap_or("/root"));
                    return Ok(Some(Ended::failed(2, self.complaint(&text))));
                }
                self.run.cwd = path;
                Ended::ok()
            }
            "set" => self.options(words.get(1..).unwrap_or_default()),
            "export" => {
                for given in words.iter().skip(1) {
                    let name = given.split('=').next().unwrap_or_default();
                    let value = match given.split_once('=') {
                        Some((_, value)) => value.to_owned(),
                        None => self.variable(name),
                    };
                    self.run.env.insert(name.to_owned(), value);
                }
                Ended::ok()
            }
            "shift" => {
                if !self.arguments.is_empty() {
                    self.arguments.remove(0);
                }
                Ended::ok()
            }
            "umask" => Ended::ok(),
            "command" if word(1) == Some("-v") => {
                match self.run.find(word(2).unwrap_or_default()) {
                    Ok(path) => Ended::said(format!("{path}\n")),
                    Err(_) => Ended::exit(127),
                }
            }
            "exec" if words.len() > 1 => {
                self.leaving = true;
                return self
                    .simple(words.get(1..).unwrap_or_default().to_vec())
                    .map(Some);
            }
            "kill" if words.last() == Some(&self.own_pid()) => {
                self.leaving = true;
                let hard = ["-9", "-KILL"].contains(&word(1).unwrap_or_default());
                Ended::exit(if hard { KILLED } else { 143 })
            }
            _ => return Ok(None),
        };
        Ok(Some(ended))
    }

    /// `set`: `e` as it is known, `x` without its traces, and arguments. Of other options none would have
    /// its effect; as an unknown one ends a shell, so do they.
    fn options(&mut self, words: &[String]) -> Ended {
        for (at, word) in words.iter().enumerate() {
            let arguments = |from: usize| words.get(from..).unwrap_or_default().to_vec();
            let Some(letters) = word.strip_prefix(['-', '+']).filter(|_| word != "--") else {
                self.arguments = arguments(at + usize::from(word == "--"));
                return Ended::ok();
            };
            if let Some(letter) = letters.chars().find(|letter| !"ex".contains(*letter)) {
                let name = words.get(at + 1).filter(|_| letter == 'o');
                let name = name.map_or(String::new(), |name| format!(" {name}"));
                self.leaving = true;
                let text = format!("set: Illegal option -{letter}{name}");
                return Ended::failed(2, self.complaint(&text));
            }
            if letters.contains('e') {
                self.stops = word.starts_with('-');
            }
        }
        Ended::ok()
    }

    fn set(&mut self, name: &str, value: &str) {
        match self.run.env.get_mut(name) {
            Some(exported) => value.clone_into(exported),
            None => drop(self.variables.insert(name.to_owned(), value.to_owned())),
        }
    }

    /// The number the next process would get; the shell itself is not in the table.
    fn own_pid(&self) -> String {
        self.run.guest.next_pid.to_string()
    }

    fn complaint(&self, text: &str) -> String {
        format!("{}: 1: {text}", self.name)
    }

    fn variable(&self, name: &str) -> String {
        match name {
            "@" | "*" => self.arguments.join(" "),
            "#" => self.arguments.len().to_string(),
            "?" => self.status.to_string(),
            "$" => self.own_pid(),
            "0" => self.name.clone(),
            name => match name.parse::<usize>() {
                Ok(number) => self.arguments.get(number.wrapping_sub(1)).cloned(),
                Err(_) => self
                    .variables
                    .get(name)
                    .or_else(|| self.run.env.get(name))
                    .cloned(),
            }
            .unwrap_or_default(),
        }
    }

    /// A word as one string.
    fn single(&self, pieces: &[Piece]) -> String {
        let text = |piece: &Piece| match piece {
            Piece::Text(text) => text.clone(),
            Piece::Variable {
                name, otherwise, ..
            } => self.value(name, otherwise.as_deref()),
        };
        pieces.iter().map(text).collect()
    }

    fn value(&self, name: &str, otherwise: Option<&str>) -> String {
        let value = self.variable(name);
        match otherwise {
            Some(otherwise) if value.is_empty() => otherwise.to_owned(),
            _ => value,
        }
    }

    /// The words a word becomes: `"$@"` many, an empty one without quotes none.
    fn expand(&self, pieces: &[Piece]) -> Vec<String> {
        let mut words: Vec<String> = Vec::new();
        let mut word: Option<String> = None;
        for piece in pieces {
            match piece {
                Piece::Text(text) => word.get_or_insert_default().push_str(text),
                Piece::Variable {
                    name, quoted: true, ..
                } if name == "@" => {
                    for (at, argument) in self.arguments.iter().enumerate() {
                        if at > 0 {
                            words.extend(word.take());
                        }
                        word.get_or_insert_default().push_str(argument);
                    }
                }
                Piece::Variable {
                    name,
                    otherwise,
                    quoted,
                } => {
                    let value = self.value(name, otherwise.as_deref());
                    if *quoted {
                        word.get_or_insert_default().push_str(&value);
                        continue;
                    }
                    for (at, part) in value.split_whitespace().enumerate() {
                        if at > 0 {
                            words.extend(word.take());
                        }
                        word.get_or_insert_default().push_str(part);
                    }
                }
            }
        }
        words.extend(word);
        words
    }
}

fn is_assignment(word: &str) -> bool {
    word.split_once('=').is_some_and(|(name, _)| {
        let first = name.chars().next();
        first.is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
            && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    })
}
