//! What is generated: written by `gen`, compared by `check-gen`.

mod limits;
mod pages;
mod parts;
pub(crate) mod schema_table;

use anyhow::{Context, Result};

use crate::place::Place;

/// One file as it is, and as its sources say it should be.
pub(crate) struct Generated {
    file: &'static str,
    is: String,
    should_be: String,
}

/// What a comparison found.
pub(crate) struct Comparison {
    /// How many files were compared.
    pub(crate) count: usize,
    /// Those that are not what their sources say.
    pub(crate) stale: Vec<&'static str>,
}

/// Compares every generated file. The binary has to be built.
pub(crate) fn compare(place: &Place) -> Result<Comparison> {
    Ok(judge(&all(place)?))
}

/// Writes every generated file anew; says which were stale.
pub(crate) fn write(place: &Place) -> Result<Comparison> {
    let all = all(place)?;
    for generated in all
        .iter()
        .filter(|generated| generated.is != generated.should_be)
    {
        std::fs::write(place.root().join(generated.file), &generated.should_be)
            .with_context(|| format!("writing {}", generated.file))?;
    }
    Ok(judge(&all))
}

fn all(place: &Place) -> Result<Vec<Generated>> {
    let mut all = parts::all(place)?;
    all.push(limits::page(place)?);
    all.extend(pages::all(place)?);
    Ok(all)
}

fn judge(all: &[Generated]) -> Comparison {
    Comparison {
        count: all.len(),
        stale: all
            .iter()
            .filter(|generated| generated.is != generated.should_be)
            .map(|generated| generated.file)
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_differs_is_stale() {
        let file = |file, is: &str| Generated {
            file,
            is: is.to_owned(),
            should_be: "new".to_owned(),
        };
        let found = judge(&[file("a.md", "new"), file("b.md", "old"), file("c.md", "")]);
        assert_eq!((found.count, found.stale), (3, vec!["b.md", "c.md"]));
    }
}
