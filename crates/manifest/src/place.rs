//! Where something stands.

/// A place in one of the sources.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    /// Which source.
    pub(crate) source: u32,
    /// From 1.
    pub(crate) line: u32,
    /// From 1, in characters.
    pub(crate) column: u32,
    /// Bytes in front of it.
    pub(crate) offset: u32,
    /// Bytes that it covers; 0 where that is not known.
    pub(crate) length: u32,
}

impl Place {
    /// The first place of a source.
    pub(crate) fn first(source: u32) -> Self {
        Self {
            source,
            line: 1,
            column: 1,
            offset: 0,
            length: 0,
        }
    }

    /// The place behind `before`, which is all that stands in front of it in its source.
    pub(crate) fn behind(source: u32, before: &str) -> Self {
        let lines = before.matches('\n').count() + 1;
        let line = before.rsplit('\n').next().unwrap_or_default();
        Self {
            source,
            line: small(lines),
            column: small(line.chars().count() + 1),
            offset: small(before.len()),
            length: 0,
        }
    }
}

/// Sources are smaller than 4 GiB, and so is each place in one.
pub(crate) fn small(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_counted_in_lines_and_characters() {
        let place = Place::behind(3, "ä: 1\nöb");
        assert_eq!((place.source, place.line, place.column), (3, 2, 3));
        assert_eq!(place.offset, 9);
        assert_eq!(Place::behind(0, ""), Place::first(0));
    }
}
