//! `test` and `[`.

use super::super::exec::{Ended, Run};
use super::super::files::Kind;

/// Judges an expression: 0 true, 1 false, 2 not understood.
pub(crate) fn test(run: &Run<'_>, name: &str, args: &[String]) -> Ended {
    let mut words: Vec<&str> = args.iter().map(String::as_str).collect();
    if name == "[" && words.pop() != Some("]") {
        return Ended::failed(2, "[: missing ]");
    }
    match any(run, &words) {
        Ok(holds) => Ended::exit(u8::from(!holds)),
        Err(why) => Ended::failed(2, format!("{name}: {why}")),
    }
}

/// `-o` binds less than `-a`.
fn any(run: &Run<'_>, words: &[&str]) -> Result<bool, String> {
    if words.len() > 3
        && let Some(at) = words.iter().position(|word| *word == "-o")
    {
        let (left, right) = words.split_at(at);
        return Ok(any(run, left)? | any(run, right.get(1..).unwrap_or_default())?);
    }
    if words.len() > 3
        && let Some(at) = words.iter().position(|word| *word == "-a")
    {
        let (left, right) = words.split_at(at);
        return Ok(any(run, left)? & any(run, right.get(1..).unwrap_or_default())?);
    }
    one(run, words)
}

fn one(run: &Run<'_>, words: &[&str]) -> Result<bool, String> {
    match words {
        [] => Ok(false),
        ["!", rest @ ..] if !rest.is_empty() => one(run, rest).map(|holds| !holds),
        [word] => Ok(!word.is_empty()),
        [operator, word] => unary(run, operator, word),
        [left, operator, right] => binary(left, operator, right),
        _ => Err("too many arguments".to_owned()),
    }
}

fn unary(run: &Run<'_>, operator: &str, word: &str) -> Result<bool, String> {
    let path = run.path(word);
    let files = &run.guest.files;
    let node = files.get(&path).ok();
    Ok(match operator {
        "-n" => !word.is_empty(),
        "-z" => word.is_empty(),
        "-e" => node.is_some(),
        "-f" => node.is_some_and(|n| matches!(n.kind, Kind::File(_) | Kind::Program(_))),
        "-d" => node.is_some_and(|n| n.kind == Kind::Dir),
        "-s" => node.is_some_and(|n| n.size() > 0),
        "-L" | "-h" => files
            .get_link(&path)
            .is_ok_and(|n| matches!(n.kind, Kind::Link(_))),
        "-x" => node.is_some_and(|n| n.mode & 0o111 != 0),
        "-r" | "-w" => node.is_some(),
        _ => return Err(format!("{operator}: unexpected operator")),
    })
}

fn binary(left: &str, operator: &str, right: &str) -> Result<bool, String> {
    let numbers = || match (left.parse::<i64>(), right.parse::<i64>()) {
        (Ok(left), Ok(right)) => Ok((left, right)),
        (Err(_), _) => Err(format!("Illegal number: {left}")),
        (_, Err(_)) => Err(format!("Illegal number: {right}")),
    };
    Ok(match operator {
        "=" | "==" => left == right,
        "!=" => left != right,
        "-eq" => numbers().map(|(l, r)| l == r)?,
        "-ne" => numbers().map(|(l, r)| l != r)?,
        "-lt" => numbers().map(|(l, r)| l < r)?,
        "-le" => numbers().map(|(l, r)| l <= r)?,
        "-gt" => numbers().map(|(l, r)| l > r)?,
        "-ge" => numbers().map(|(l, r)| l >= r)?,
        _ => return Err(format!("{operator}: unexpected operator")),
    })
}
