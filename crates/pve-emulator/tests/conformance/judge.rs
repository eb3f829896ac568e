//! What the schema alone says of a parameter, judged apart from the emulator's own verification.

use proximity_pve_emulator::schema::{Format, Method, Property};
use regex::Regex;
use serde_json::Value;

/// Whether Proxmox VE takes a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Right,
    Wrong,
    /// The schema names a format, or leaves it to other parameters.
    Open,
}

/// Judges a parameter as it was given, or that it was not.
pub fn judge(method: &Method, name: &str, given: Option<&str>) -> Verdict {
    let Some(property) = method.parameter(name) else {
        return if method.open || given.is_none() {
            Verdict::Right
        } else {
            Verdict::Wrong
        };
    };
    let Some(text) = given else {
        let needed = !property.optional && property.type_property.is_none();
        return if needed {
            Verdict::Wrong
        } else {
            Verdict::Right
        };
    };
    let right = match property.kind.as_deref() {
        Some("boolean") => is_switch(text),
        Some("integer") => number(text, r"^[+-]?\d+$").is_some_and(|n| within(property, n)),
        Some("number") => {
            number(text, r"^[+-]?\d*\.?\d*(e[+-]?\d+)?$").is_some_and(|n| within(property, n))
        }
        Some("string") | None => return judge_text(property, text),
        Some(_) => return Verdict::Open,
    };
    match (right, &property.format) {
        (false, _) => Verdict::Wrong,
        (true, Some(_)) => Verdict::Open,
        (true, None) => Verdict::Right,
    }
}

fn is_switch(text: &str) -> bool {
    let known = ["0", "off", "no", "false", "1", "on", "yes", "true"];
    known.contains(&text.to_lowercase().as_str())
}

fn number(text: &str, shape: &str) -> Option<f64> {
    Regex::new(shape)
        .unwrap()
        .is_match(text)
        .then(|| text.parse().ok())?
}

fn within(property: &Property, number: f64) -> bool {
    let (least, most) = (&property.minimum, &property.maximum);
    least.as_ref().is_none_or(|limit| number >= limit.value)
        && most.as_ref().is_none_or(|limit| number <= limit.value)
}

fn judge_text(property: &Property, text: &str) -> Verdict {
    if property.type_property.is_some() || !property.one_of.is_empty() {
        return Verdict::Open;
    }
    let length = text.chars().count();
    let short = property.min_length.is_some_and(|least| length < least);
    let long = property.max_length.is_some_and(|most| length > most);
    let listed = property.values.as_ref().is_none_or(|all| {
        let mut all = all.iter();
        let text_of = |value: &Value| {
            value
                .as_str()
                .map_or_else(|| value.to_string(), str::to_owned)
        };
        all.any(|value| text_of(value) == text)
    });
    let pattern = property.pattern.as_ref();
    let pattern = pattern.map(|pattern| Regex::new(&format!("^(?:{pattern})$")));
    match pattern {
        _ if short || long || !listed => Verdict::Wrong,
        Some(Ok(pattern)) if !pattern.is_match(text) => Verdict::Wrong,
        // Some expressions are Perl's alone.
        Some(Err(_)) => Verdict::Open,
        Some(Ok(_)) | None => match &property.format {
            Some(Format::Named(_) | Format::Keys(_)) => Verdict::Open,
            None => Verdict::Right,
        },
    }
}
