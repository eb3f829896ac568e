//! What a file system refuses, in the words of the C library.

/// A refused file operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Errno {
    /// ENOENT.
    NoEntry,
    /// ENOTDIR.
    NotDirectory,
    /// EISDIR.
    IsDirectory,
    /// EEXIST.
    Exists,
    /// ENOTEMPTY.
    NotEmpty,
    /// ELOOP.
    Loop,
    /// ENOSPC.
    NoSpace,
    /// EINVAL.
    Invalid,
}

impl Errno {
    /// The number, as nginx prints it.
    pub(crate) fn number(self) -> u8 {
        match self {
            Self::NoEntry => 2,
            Self::NotDirectory => 20,
            Self::IsDirectory => 21,
            Self::Exists => 17,
            Self::NotEmpty => 39,
            Self::Loop => 40,
            Self::NoSpace => 28,
            Self::Invalid => 22,
        }
    }
}

impl std::fmt::Display for Errno {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::NoEntry => "No such file or directory",
            Self::NotDirectory => "Not a directory",
            Self::IsDirectory => "Is a directory",
            Self::Exists => "File exists",
            Self::NotEmpty => "Directory not empty",
            Self::Loop => "Too many levels of symbolic links",
            Self::NoSpace => "No space left on device",
            Self::Invalid => "Invalid argument",
        })
    }
}
