//! Filling in a file: values only, escaped always, with a bound on the work.

use std::collections::BTreeSet;
use std::sync::Arc;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Object, Value, ValueKind};
use minijinja::{Environment, Error, ErrorKind, UndefinedBehavior};
use serde_json::Value as Json;

use super::escape::Escape;

/// Instructions a rendering may take.
const FUEL: u64 = 20_000;
/// Bytes a rendering may give.
const MAX_BYTES: usize = 1 << 20;

/// What templates can use: `settings.<name>` and `port`.
#[derive(Debug)]
pub(super) struct Names {
    pub(super) settings: Arc<Settings>,
    pub(super) port: u16,
}

/// Values by the name of their setting. Not printable: it holds secrets in the clear.
pub(super) struct Settings(pub(super) Vec<(String, Json)>);

impl std::fmt::Debug for Settings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<&str> = self.0.iter().map(|(name, _)| name.as_str()).collect();
        f.debug_tuple("Settings").field(&names).finish()
    }
}

impl Object for Settings {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let (_, value) = self
            .0
            .iter()
            .find(|(name, _)| Some(name.as_str()) == key.as_str())?;
        Some(match value {
            Json::Bool(yes) => Value::from(*yes),
            Json::Number(number) => Value::from(number.as_i64()?),
            Json::String(text) => Value::from(text.as_str()),
            Json::Null | Json::Array(_) | Json::Object(_) => return None,
        })
    }
}

impl Object for Names {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        match key.as_str()? {
            "settings" => Some(Value::from_dyn_object(Arc::clone(&self.settings))),
            "port" => Some(Value::from(self.port)),
            _ => None,
        }
    }
}

/// Checks a template without filling it in: the settings it uses, or what is wrong with it.
pub(super) fn used_settings(source: &str) -> Result<BTreeSet<String>, String> {
    let environment = environment()?;
    let template = environment
        .template_from_str(source)
        .map_err(|error| tell(&error))?;
    let mut used = BTreeSet::new();
    for name in template.undeclared_variables(true) {
        match name.split_once('.') {
            Some(("settings", setting)) => {
                used.insert(setting.to_owned());
            }
            None if name == "port" => {}
            Some(_) | None => {
                return Err(format!(
                    "uses {name:?}, but there is only settings.<name> and port"
                ));
            }
        }
    }
    Ok(used)
}

/// Fills in a template. Whatever is printed is escaped; there is no filter to avoid it.
pub(super) fn render(source: &str, escape: Escape, names: Arc<Names>) -> Result<String, String> {
    let mut environment = environment()?;
    environment.set_formatter(move |out, _, value| print(escape, out, value));
    let template = environment
        .template_from_str(source)
        .map_err(|error| tell(&error))?;
    let mut out = Bounded(Vec::new());
    let rendered = template.render_captured_to(Value::from_dyn_object(names), &mut out);
    if let Err(error) = rendered {
        return Err(tell(&error));
    }
    String::from_utf8(out.0).map_err(|error| error.to_string())
}

/// No filters, tests, functions or other templates; unknown names are errors; bounded work.
fn environment() -> Result<Environment<'static>, String> {
    let syntax = SyntaxConfig::builder().keep_trailing_newline(true).build();
    let mut environment = Environment::empty();
    environment.set_syntax(syntax.map_err(|error| tell(&error))?);
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_fuel(Some(FUEL));
    Ok(environment)
}

fn print(escape: Escape, out: &mut dyn std::fmt::Write, value: &Value) -> Result<(), Error> {
    let written = match value.kind() {
        ValueKind::Bool | ValueKind::Number => write!(out, "{value}"),
        ValueKind::String => match value.as_str() {
            Some(text) if escape.objection(text).is_none() => escape.write_text(out, text),
            Some(_) | None => return Err(unprintable()),
        },
        _ => return Err(unprintable()),
    };
    written.map_err(|_| Error::new(ErrorKind::WriteFailure, "the file becomes too large"))
}

fn unprintable() -> Error {
    Error::new(
        ErrorKind::InvalidOperation,
        "this value cannot be written into such a file",
    )
}

/// The message with the line of the template, without the template's text or any value.
fn tell(error: &Error) -> String {
    let what = error
        .detail()
        .map_or_else(|| error.kind().to_string(), str::to_owned);
    match error.line() {
        Some(line) => format!("line {line} of the content: {what}"),
        None => what,
    }
}

/// Takes no more than [`MAX_BYTES`].
struct Bounded(Vec<u8>);

impl std::io::Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if self.0.len() + bytes.len() > MAX_BYTES {
            return Err(std::io::ErrorKind::FileTooLarge.into());
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
#[path = "template_tests.rs"]
mod tests;
