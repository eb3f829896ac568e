//! `cargo xtask dist`: the product as it is shipped, with the page and the helper for the nodes inside.

use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::clock::Deadline;
use crate::figures::Binary;
use crate::place::Place;
use crate::{say, ui};

/// What building both from cold may take.
const LIMIT: Duration = Duration::from_secs(3600);

/// Builds it, looks whether the helper is in it, and says where it is.
///
/// # Errors
/// It cannot be built, or not with the page and the helper: there is no product that is shipped without them.
pub(crate) fn run(place: &Place) -> Result<()> {
    ui::run(place)?;
    Binary::Shipped.build(place, Deadline::after(LIMIT))?;
    let [product, helper] = [Binary::Shipped, Binary::NodeHelper].map(|binary| binary.path(place));
    let read = |path| std::fs::read(path).context("reading what was built");
    let (product_bytes, helper_bytes) = (read(&product)?, read(&helper)?);
    if !holds(&product_bytes, &helper_bytes) {
        bail!(
            "{} was built without the helper in it; remove it and run `cargo xtask dist` again",
            product.display()
        );
    }
    let page = std::fs::read(ui::built(place)).context("reading the page")?;
    if !holds(&product_bytes, &page) {
        bail!(
            "{} was built without the page in it; remove it and run `cargo xtask dist` again",
            product.display()
        );
    }
    say::line(format!(
        "{} bytes, with the page and the helper for the nodes ({} bytes) inside",
        product_bytes.len(),
        helper_bytes.len()
    ));
    say::line(product.display().to_string());
    Ok(())
}

/// Whether one holds the other, whole.
fn holds(outer: &[u8], inner: &[u8]) -> bool {
    !inner.is_empty() && outer.windows(inner.len()).any(|window| window == inner)
}

#[cfg(test)]
mod tests {
    use super::holds;

    #[test]
    fn a_program_is_found_whole_or_not_at_all() {
        assert!(holds(b"..helper..", b"helper"));
        assert!(!holds(b"..helpe", b"helper"));
        assert!(!holds(b"anything", b""));
    }
}
