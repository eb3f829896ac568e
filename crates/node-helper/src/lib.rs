//! The helper on a node: PVE's API cannot run a command in a container, so this small program does, and nothing else.
//!
//! It is started by `sshd` as the forced command of one key (`restrict`), reads requests from standard input and answers
//! on standard output. It never takes a command string: a request is JSON, and what runs is a vector of arguments.
//!
//! **Whom it trusts**: the node's root, who wrote its own arguments; nobody else. Before it acts in a container it reads that
//! container's configuration on the node and compares mark, MAC and volume with what the request says, or looks for
//! root's own permission (`allow VMID`) for a container that was adopted.
//!
//! **What it caps**: the length of a request and of its input, the output that is passed on, the time a command may take, how
//! many are at work. What it did is in a file that its callers cannot write.

pub mod act;
pub mod allowed;
pub mod answer;
pub mod audit;
pub mod clock;
pub mod conf;
pub mod decide;
pub mod ground;
pub mod inbox;
pub mod inside;
pub mod limits;
pub mod refusal;
pub mod request;
pub mod serve;
pub mod slots;
