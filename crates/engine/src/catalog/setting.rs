//! A setting of an entry: what a user may choose, and what is accepted.

use std::fmt;

use regex::{Regex, RegexBuilder};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use super::format::{Generate, KindFile, Scalar, SettingFile};
use super::made::made;
use super::words::GuestPath;

/// Most characters of a text or secret, unless the entry says less or more.
const DEFAULT_MAX_CHARS: u64 = 1024;
/// More characters no entry may allow.
const MAX_CHARS: u64 = 8192;
/// Memory a compiled pattern may take.
const PATTERN_BYTES: usize = 1 << 20;

/// What a user may or must choose.
#[derive(Debug, Clone, PartialEq)]
pub struct Setting {
    /// How templates call it.
    pub name: String,
    /// Its name in an app's `environment`.
    pub env: String,
    /// One sentence for people.
    pub help: String,
    /// Has to be given; otherwise there is a default.
    pub required: bool,
    /// What is accepted.
    pub kind: SettingKind,
    /// Where it is asked for; everywhere if `None`.
    pub shown_when: Option<ShownWhen>,
}

/// Where a setting is asked for. Where it is not, it has its default, or no value.
#[derive(Debug, Clone, PartialEq)]
pub struct ShownWhen {
    /// The name of a setting that stands before it in the entry.
    pub setting: String,
    /// The value that setting has then.
    pub equals: Value,
}

/// What is accepted, and what is taken when nothing is given.
#[derive(Debug, Clone, PartialEq)]
pub enum SettingKind {
    /// One line of text.
    Text {
        /// Taken when nothing is given.
        default: Option<String>,
        /// What is accepted.
        rule: TextRule,
    },
    /// One line of text that is never shown. Has no default.
    Secret {
        /// What is accepted.
        rule: TextRule,
        /// How one is made where none is given; it has to be given if `None`.
        generate: Option<Generate>,
    },
    /// A TCP or UDP port, 1 to 65535.
    Port {
        /// Taken when nothing is given.
        default: Option<u16>,
    },
    /// An absolute path in its shortest form.
    Path {
        /// Taken when nothing is given.
        default: Option<String>,
    },
    /// A whole number.
    Integer {
        /// Taken when nothing is given.
        default: Option<i64>,
        /// Least value.
        min: i64,
        /// Greatest value.
        max: i64,
    },
    /// Yes or no.
    Boolean {
        /// Taken when nothing is given.
        default: Option<bool>,
    },
    /// One of a few words.
    Choice {
        /// Taken when nothing is given.
        default: Option<String>,
        /// The words.
        options: Vec<String>,
    },
}

/// Which texts are accepted. Control characters never are.
#[derive(Debug, Clone, PartialEq)]
pub struct TextRule {
    /// Least number of characters.
    pub min_chars: u64,
    /// Greatest number of characters.
    pub max_chars: u64,
    /// What the whole text must match.
    pub pattern: Option<Pattern>,
}

/// A regular expression for a whole text.
#[derive(Debug, Clone)]
pub struct Pattern {
    source: String,
    whole: Regex,
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.source == other.source
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.source)
    }
}

/// An accepted value.
#[derive(Debug, Clone)]
pub enum SettingValue {
    /// Text, or a word of a choice.
    Text(String),
    /// A whole number.
    Integer(i64),
    /// Yes or no.
    Boolean(bool),
    /// A text that must not be shown.
    Secret(SecretString),
}

impl SettingValue {
    /// Whether it must not be shown.
    #[must_use]
    pub fn is_secret(&self) -> bool {
        matches!(self, Self::Secret(_))
    }

    /// As JSON, secrets in the clear: only for what is sealed or installed.
    #[must_use]
    pub fn to_json(&self) -> Value {
        match self {
            Self::Text(text) => Value::from(text.as_str()),
            Self::Integer(number) => Value::from(*number),
            Self::Boolean(yes) => Value::from(*yes),
            Self::Secret(secret) => Value::from(secret.expose_secret()),
        }
    }
}

/// A wrong field of a setting and why.
pub(super) type FieldProblem = (&'static str, String);

impl Setting {
    /// Reads a setting as written; all problems, each with the field it is about.
    pub(super) fn from_file(file: &SettingFile) -> Result<Self, Vec<FieldProblem>> {
        let mut problems = misplaced(file);
        let kind = match kind_of(file) {
            Ok(kind) => kind,
            Err(found) => {
                problems.extend(found);
                return Err(problems);
            }
        };
        let env = file
            .env
            .clone()
            .unwrap_or_else(|| file.name.to_ascii_uppercase());
        let setting = Self {
            name: file.name.clone(),
            env,
            help: file.help.clone(),
            required: file.required,
            kind,
            shown_when: file.shown_when.as_ref().map(|when| ShownWhen {
                setting: when.setting.clone(),
                equals: when.equals.to_json(),
            }),
        };
        problems.extend(default_problem(file, &setting));
        if problems.is_empty() {
            Ok(setting)
        } else {
            Err(problems)
        }
    }

    /// What a template gets when nothing is given.
    fn default(&self) -> Option<Value> {
        match &self.kind {
            SettingKind::Text { default, .. }
            | SettingKind::Choice { default, .. }
            | SettingKind::Path { default } => default.as_deref().map(Value::from),
            SettingKind::Integer { default, .. } => default.map(Value::from),
            SettingKind::Port { default } => default.map(Value::from),
            SettingKind::Boolean { default } => default.map(Value::from),
            SettingKind::Secret { .. } => None,
        }
    }

    /// Reads a user's value, or takes the default. Numbers and booleans may come as text, as the
    /// command line gives them. The error says what would be accepted, and never repeats the value.
    pub(super) fn read(&self, given: Option<&Value>) -> Result<SettingValue, String> {
        let default = self.default();
        let Some(value) = given.filter(|value| !value.is_null()).or(default.as_ref()) else {
            return Err("must be given".to_owned());
        };
        match &self.kind {
            SettingKind::Text { rule, .. } => rule.read(value).map(SettingValue::Text),
            SettingKind::Secret { rule, .. } => rule
                .read(value)
                .map(|text| SettingValue::Secret(text.into())),
            SettingKind::Integer { min, max, .. } => match number(value) {
                Some(number) if (*min..=*max).contains(&number) => {
                    Ok(SettingValue::Integer(number))
                }
                Some(_) | None => Err(format!("must be a whole number from {min} to {max}")),
            },
            SettingKind::Boolean { .. } => boolean(value)
                .map(SettingValue::Boolean)
                .ok_or_else(|| "must be true or false".to_owned()),
            SettingKind::Choice { options, .. } => match value.as_str() {
                Some(word) if options.iter().any(|option| option == word) => {
                    Ok(SettingValue::Text(word.to_owned()))
                }
                Some(_) | None => Err(format!("must be one of {}", options.join(", "))),
            },
            SettingKind::Port { .. } => match number(value) {
                Some(port) if (1..=65_535).contains(&port) => Ok(SettingValue::Integer(port)),
                Some(_) | None => Err("must be a port, 1 to 65535".to_owned()),
            },
            SettingKind::Path { .. } => value
                .as_str()
                .and_then(|text| GuestPath::try_from(text.to_owned()).ok())
                .map(|path| SettingValue::Text(path.as_str().to_owned()))
                .ok_or_else(|| {
                    "must be an absolute path without '.', '..', '//' or a '/' at its end"
                        .to_owned()
                }),
        }
    }

    /// As [`Self::read`]; a secret that is not given is made, where the entry says so and there is chance: `random` gives 128 bits
    /// of it, or none.
    pub(super) fn read_or_make(
        &self,
        given: Option<&Value>,
        random: &mut dyn FnMut() -> Option<u128>,
    ) -> Result<SettingValue, String> {
        let is_given = given.is_some_and(|value| !value.is_null());
        match &self.kind {
            SettingKind::Secret {
                generate: Some(how),
                ..
            } if !is_given => made(*how, random)
                .map(SettingValue::Secret)
                .ok_or_else(|| "must be given".to_owned()),
            _ => self.read(given),
        }
    }

    /// Where nothing is given for it, it is made out of chance.
    pub(crate) fn is_made_by_chance(&self) -> bool {
        let SettingKind::Secret { generate, .. } = &self.kind else {
            return false;
        };
        generate.is_some()
    }

    /// Whether it is not asked for, by the values of the settings before it.
    pub(super) fn is_hidden(&self, before: &[(&Self, SettingValue)]) -> bool {
        let Some(when) = &self.shown_when else {
            return false;
        };
        let mut before = before.iter();
        let other = before.find(|(other, _)| other.name == when.setting);
        other.is_none_or(|(_, value)| value.to_json() != when.equals)
    }

    /// What it is where it is not asked for.
    pub(super) fn hidden_value(&self) -> Option<SettingValue> {
        let default = self.default()?;
        self.read(Some(&default)).ok()
    }

    /// Why it may not be given where it is not asked for.
    pub(super) fn why_hidden(&self) -> String {
        match &self.shown_when {
            Some(ShownWhen { setting, equals }) => {
                format!("is only for where {setting} is {}", plain(equals))
            }
            None => "is not asked for".to_owned(),
        }
    }
}

/// A value without quotes, as people read it.
fn plain(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

impl Scalar {
    fn to_json(&self) -> Value {
        match self {
            Self::Boolean(yes) => Value::from(*yes),
            Self::Integer(number) => Value::from(*number),
            Self::Text(text) => Value::from(text.as_str()),
        }
    }
}

impl TextRule {
    fn read(&self, value: &Value) -> Result<String, String> {
        let Some(text) = value.as_str() else {
            return Err("must be text".to_owned());
        };
        let (min, max) = (self.min_chars, self.max_chars);
        let length = text.chars().count() as u64;
        if !(min..=max).contains(&length) {
            return Err(format!("must have {min} to {max} characters, has {length}"));
        }
        if text.chars().any(char::is_control) {
            return Err("must be one line without control characters".to_owned());
        }
        match &self.pattern {
            Some(pattern) if !pattern.whole.is_match(text) => Err(format!("must match {pattern}")),
            Some(_) | None => Ok(text.to_owned()),
        }
    }
}

fn number(value: &Value) -> Option<i64> {
    value
        .as_i64()
        .or_else(|| value.as_str().and_then(|text| text.parse().ok()))
}

fn boolean(value: &Value) -> Option<bool> {
    let from_text = || value.as_str().and_then(|text| text.parse().ok());
    value.as_bool().or_else(from_text)
}

/// Fields that do not belong to the setting's type.
fn misplaced(file: &SettingFile) -> Vec<FieldProblem> {
    let of_text = matches!(file.kind, KindFile::String | KindFile::Secret);
    let of_range = of_text || file.kind == KindFile::Integer;
    let given = [
        (
            "pattern",
            file.pattern.is_some(),
            of_text,
            "type string or secret",
        ),
        (
            "min",
            file.min.is_some(),
            of_range,
            "type string, secret or integer",
        ),
        (
            "max",
            file.max.is_some(),
            of_range,
            "type string, secret or integer",
        ),
        (
            "options",
            file.options.is_some(),
            file.kind == KindFile::Enum,
            "type enum",
        ),
        (
            "default",
            file.default.is_some(),
            file.kind != KindFile::Secret,
            "types without secrets",
        ),
        (
            "generate",
            file.generate.is_some(),
            file.kind == KindFile::Secret,
            "type secret",
        ),
    ];
    given
        .into_iter()
        .filter(|(_, given, allowed, _)| *given && !*allowed)
        .map(|(field, _, _, types)| (field, format!("is only for {types}")))
        .collect()
}

fn kind_of(file: &SettingFile) -> Result<SettingKind, Vec<FieldProblem>> {
    let text_default = || match &file.default {
        Some(Scalar::Text(text)) => Ok(Some(text.clone())),
        Some(Scalar::Integer(_) | Scalar::Boolean(_)) => Err(one("default", "must be text")),
        None => Ok(None),
    };
    match file.kind {
        KindFile::String => Ok(SettingKind::Text {
            default: text_default()?,
            rule: text_rule(file)?,
        }),
        KindFile::Secret => secret(file),
        KindFile::Port => match &file.default {
            Some(Scalar::Integer(port)) => match u16::try_from(*port) {
                Ok(port) if port > 0 => Ok(SettingKind::Port {
                    default: Some(port),
                }),
                Ok(_) | Err(_) => Err(one("default", "must be a port, 1 to 65535")),
            },
            None => Ok(SettingKind::Port { default: None }),
            Some(Scalar::Boolean(_) | Scalar::Text(_)) => {
                Err(one("default", "must be a port, 1 to 65535"))
            }
        },
        KindFile::Path => Ok(SettingKind::Path {
            default: text_default()?,
        }),
        KindFile::Integer => integer(file),
        KindFile::Boolean => match &file.default {
            Some(Scalar::Boolean(yes)) => Ok(SettingKind::Boolean {
                default: Some(*yes),
            }),
            None => Ok(SettingKind::Boolean { default: None }),
            Some(Scalar::Integer(_) | Scalar::Text(_)) => {
                Err(one("default", "must be true or false"))
            }
        },
        KindFile::Enum => Ok(SettingKind::Choice {
            default: text_default()?,
            options: options(file)?,
        }),
    }
}

fn secret(file: &SettingFile) -> Result<SettingKind, Vec<FieldProblem>> {
    let rule = text_rule(file)?;
    if let Some(how) = file.generate {
        if !(rule.min_chars..=rule.max_chars).contains(&how.length) {
            return Err(one(
                "generate",
                "makes another length than min and max allow",
            ));
        }
        if rule.pattern.is_some() {
            return Err(one(
                "pattern",
                "cannot stand beside generate: what is made may not match it",
            ));
        }
    }
    Ok(SettingKind::Secret {
        rule,
        generate: file.generate,
    })
}

fn integer(file: &SettingFile) -> Result<SettingKind, Vec<FieldProblem>> {
    let (min, max) = (file.min.unwrap_or(i64::MIN), file.max.unwrap_or(i64::MAX));
    if min > max {
        return Err(one("min", "is greater than max"));
    }
    match &file.default {
        Some(Scalar::Integer(number)) => Ok(SettingKind::Integer {
            default: Some(*number),
            min,
            max,
        }),
        None => Ok(SettingKind::Integer {
            default: None,
            min,
            max,
        }),
        Some(Scalar::Boolean(_) | Scalar::Text(_)) => Err(one("default", "must be a whole number")),
    }
}

fn text_rule(file: &SettingFile) -> Result<TextRule, Vec<FieldProblem>> {
    let chars = |field, given: Option<i64>, otherwise| match given.map(u64::try_from) {
        None => Ok(otherwise),
        Some(Ok(chars)) if chars <= MAX_CHARS => Ok(chars),
        Some(Ok(_) | Err(_)) => Err(one(
            field,
            &format!("must be from 0 to {MAX_CHARS} characters"),
        )),
    };
    let least = u64::from(file.kind == KindFile::Secret);
    let min_chars = chars("min", file.min, least)?;
    let max_chars = chars("max", file.max, DEFAULT_MAX_CHARS.max(min_chars))?;
    if min_chars > max_chars {
        return Err(one("min", "is greater than max"));
    }
    let pattern = file.pattern.as_deref().map(Pattern::new).transpose();
    let pattern = pattern.map_err(|reason| one("pattern", &reason))?;
    Ok(TextRule {
        min_chars,
        max_chars,
        pattern,
    })
}

fn options(file: &SettingFile) -> Result<Vec<String>, Vec<FieldProblem>> {
    let options = file.options.clone().unwrap_or_default();
    if !(2..=32).contains(&options.len()) {
        return Err(one("options", "must have 2 to 32 words"));
    }
    let word = |option: &String| {
        (1..=64).contains(&option.len())
            && option
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte))
    };
    if !options.iter().all(word) {
        return Err(one(
            "options",
            "must be words of letters, digits, '_', '.' and '-'",
        ));
    }
    let twice = |n: usize| options[..n].contains(&options[n]);
    if (0..options.len()).any(twice) {
        return Err(one("options", "must differ from each other"));
    }
    Ok(options)
}

fn default_problem(file: &SettingFile, setting: &Setting) -> Option<FieldProblem> {
    if let SettingKind::Secret {
        generate: Some(_), ..
    } = setting.kind
    {
        let told = ("required", "has no use beside generate".to_owned());
        return file.required.then_some(told);
    }
    match (setting.required, setting.default()) {
        (true, Some(_)) if file.default.is_some() => {
            Some(("required", "has no use beside a default".to_owned()))
        }
        (true, Some(_) | None) => None,
        (false, None) => Some((
            "required",
            "must be true where there is no default".to_owned(),
        )),
        (false, Some(default)) => setting
            .read(Some(&default))
            .err()
            .map(|reason| ("default", reason)),
    }
}

fn one(field: &'static str, reason: &str) -> Vec<FieldProblem> {
    vec![(field, reason.to_owned())]
}

impl Pattern {
    fn new(source: &str) -> Result<Self, String> {
        let whole = RegexBuilder::new(&format!("^(?:{source})$"))
            .size_limit(PATTERN_BYTES)
            .build()
            .map_err(|error| format!("is no regular expression: {error}"))?;
        Ok(Self {
            source: source.to_owned(),
            whole,
        })
    }
}

#[cfg(test)]
#[path = "setting_tests.rs"]
mod tests;
