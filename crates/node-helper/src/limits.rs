//! What a caller may not go beyond. All of it is by this program, whatever a request says.

/// Longest request: its JSON, in bytes. Two arguments of full length fit.
pub const REQUEST_BYTES: usize = 256 * 1024;
/// Longest argument of a program, in bytes: Linux takes no longer one (`MAX_ARG_STRLEN`, with its NUL).
pub const ARGUMENT_BYTES: usize = 128 * 1024 - 1;
/// Most input of a command, or content of a file, in bytes.
pub const BODY_BYTES: u64 = 256 << 20;
/// Most output of one kind that is passed on, in bytes.
pub const OUTPUT_BYTES: u64 = 256 << 20;
/// The longest time for one command, milliseconds.
pub const TIMEOUT_MS: u64 = 3_600_000;
/// Commands at work on a node at the same time.
pub const AT_WORK: usize = 16;
/// Commands of one installation at work on a node at the same time: it cannot take all places.
pub const AT_WORK_OF_ONE: usize = 8;
/// The longest time for input to come, milliseconds.
pub const INPUT_MS: u64 = 600_000;
/// Room of the node's file system that input is not put into, bytes.
pub const ROOM_LEFT_BYTES: u64 = 64 << 20;
/// How long a command that is over its time has between being asked to end and being ended, milliseconds.
pub const GRACE_MS: u64 = 5_000;
/// How long output is still read that something in the background holds open after its command ended, milliseconds.
pub const LINGER_MS: u64 = 500;
/// Longest configuration of a container that is read, in bytes. PVE itself keeps files of less than 1 MiB.
pub const CONF_BYTES: u64 = 1 << 20;
/// Largest audit file before it is put aside, in bytes.
pub const AUDIT_BYTES: u64 = 16 << 20;
/// How many files of what was done are kept beside the audit's newest.
pub const AUDITS_KEPT: u32 = 3;
/// How many files of what was refused are kept beside their newest.
pub const REFUSALS_KEPT: u32 = 1;
/// How much of each argument the audit keeps, in bytes.
pub const AUDITED_ARGUMENT_BYTES: usize = 512;
/// How much of all arguments together the audit keeps, in bytes.
pub const AUDITED_BYTES: usize = 4_096;
/// How many arguments the audit keeps.
pub const AUDITED_ARGUMENTS: usize = 64;
