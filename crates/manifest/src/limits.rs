//! How much is read. What comes from outside ends here before it costs anything.

/// Bytes of one text.
pub const MOST_SOURCE_BYTES: usize = 2 << 20;
/// Bytes of all texts together.
pub const MOST_BYTES: usize = 16 << 20;
/// Texts that are read together.
pub const MOST_SOURCES: usize = 10_000;
/// Maps, lists, names and values of all texts together, each alias counted as what it stands for.
pub(crate) const MOST_NODES: u32 = 200_000;
/// Bytes of texts and names that aliases and values stand for, wherever one stands.
pub(crate) const MOST_FILLED_BYTES: usize = 4 << 20;
/// Maps and lists inside of each other.
pub(crate) const MOST_DEPTH: u16 = 32;
/// Problems that are told; what is found beyond them is counted.
pub(crate) const MOST_PROBLEMS: usize = 50;

/// Whether limits hold. They do not in the build that is the control of figure R26.
pub(crate) const HOLD: bool = cfg!(not(feature = "no-limits"));

/// How many maps and lists may be inside of each other.
pub(crate) fn depth() -> usize {
    if HOLD {
        usize::from(MOST_DEPTH)
    } else {
        usize::MAX
    }
}

/// What is left of the limits that all texts share.
#[derive(Debug)]
pub(crate) struct Left {
    pub(crate) nodes: u32,
    pub(crate) filled_bytes: usize,
    /// More was wanted than there was. Whoever wanted it told so, and nothing more is read.
    pub(crate) is_passed: bool,
}

impl Left {
    pub(crate) fn all() -> Self {
        Self {
            nodes: MOST_NODES,
            filled_bytes: MOST_FILLED_BYTES,
            is_passed: false,
        }
    }

    /// Takes so many nodes; false, and nothing is left, if there are fewer. Without limits there are always more: a largest number would be
    /// one too, and refuse a bomb before it goes off.
    pub(crate) fn take_nodes(&mut self, wanted: u32) -> bool {
        if !HOLD {
            return true;
        }
        let left = self.nodes.checked_sub(wanted);
        self.nodes = left.unwrap_or(0);
        self.is_passed |= left.is_none();
        left.is_some()
    }

    /// Takes so many bytes; false, and nothing is left, if there are fewer.
    pub(crate) fn take_bytes(&mut self, wanted: usize) -> bool {
        if !HOLD {
            return true;
        }
        let left = self.filled_bytes.checked_sub(wanted);
        self.filled_bytes = left.unwrap_or(0);
        self.is_passed |= left.is_none();
        left.is_some()
    }
}
