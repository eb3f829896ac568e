//! Which calls of the kernel are in a program itself: a crate that makes them without the C library leaves no symbol of theirs once it
//! is inlined. What is looked into are the machine's instructions, as `objdump` prints them.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

/// Calls that make a socket, give it an address or send to one, and one that does anything unseen; numbers of x86-64.
const NETWORK: [(u32, &str); 9] = [
    (41, "socket"),
    (42, "connect"),
    (43, "accept"),
    (44, "sendto"),
    (49, "bind"),
    (50, "listen"),
    (288, "accept4"),
    (307, "sendmmsg"),
    (425, "io_uring_setup"),
];

/// Those that are about a network, by their names, and those of crates that cannot be told.
pub(super) fn network(program: &Path) -> Result<Vec<String>> {
    let mut child = Command::new("objdump")
        .args(["-d", "--no-show-raw-insn"])
        .arg(program)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .context("starting objdump")?;
    let output = child.stdout.take().context("no output")?;
    let mut reader = Reader::default();
    for line in BufReader::new(output).lines() {
        reader.read(&line.context("reading what objdump prints")?);
    }
    let status = child.wait()?;
    if !status.success() || reader.calls == 0 {
        bail!(
            "objdump ended with {status} and showed {} calls",
            reader.calls
        );
    }
    Ok(reader.network.into_iter().collect())
}

/// What was read so far.
#[derive(Default)]
struct Reader {
    function: String,
    /// What the register has that says which call a `syscall` is.
    eax: Option<u32>,
    /// The same of musl's function of that name, whose first argument says it.
    edi: Option<u32>,
    calls: usize,
    network: BTreeSet<String>,
}

impl Reader {
    fn read(&mut self, line: &str) {
        if let Some(name) = line
            .strip_suffix(">:")
            .and_then(|line| line.split_once('<'))
        {
            self.function = name.1.to_owned();
            (self.eax, self.edi) = (None, None);
            return;
        }
        let Some((_, instruction)) = line.split_once('\t') else {
            return;
        };
        let instruction = instruction.trim();
        if instruction == "syscall" {
            self.call(self.eax);
        } else if instruction.ends_with("<syscall>") {
            self.call(self.edi);
        }
        for (name, register) in [("ax", &mut self.eax), ("di", &mut self.edi)] {
            let is_target = ["%e", "%r"]
                .iter()
                .any(|size| instruction.ends_with(&format!(",{size}{name}")));
            if is_target {
                *register = value(instruction);
            }
        }
    }

    fn call(&mut self, number: Option<u32>) {
        self.calls += 1;
        // Rust's own library waits by calls whose number is in a register for longer; its network code is known by name.
        let is_crates = ["_ZN", "_R"]
            .iter()
            .any(|beginning| self.function.starts_with(beginning))
            && !self.function.contains("3std");
        match number {
            Some(number) => {
                let named = NETWORK.iter().find(|(known, _)| *known == number);
                self.network
                    .extend(named.map(|(_, name)| format!("{name} in {}", self.function)));
            }
            None if is_crates => {
                self.network
                    .insert(format!("a call that cannot be told in {}", self.function));
            }
            // Musl's own, whose symbols are looked at; one that takes its number is seen at its callers.
            None => {}
        }
    }
}

/// What an instruction puts into its register, if it says so.
fn value(instruction: &str) -> Option<u32> {
    let mut words = instruction.split_whitespace();
    let (verb, operands) = (words.next()?, words.next()?);
    let (from, to) = operands.split_once(',')?;
    match verb {
        "mov" => u32::from_str_radix(from.strip_prefix("$0x")?, 16).ok(),
        "xor" if from == to => Some(0),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(text: &str) -> Vec<String> {
        let mut reader = Reader::default();
        text.lines().for_each(|line| reader.read(line));
        reader.network.into_iter().collect()
    }

    #[test]
    fn calls_are_told_by_their_numbers() {
        let socket = "0000000000001000 <_ZN6helper4makeE>:\n    1000:\tmov    $0x29,%eax\n    1005:\tsyscall\n";
        assert_eq!(network(socket), ["socket in _ZN6helper4makeE"]);
        let poll = socket.replace("0x29", "0x10f");
        assert_eq!(network(&poll), Vec::<String>::new());
        let read = "1 <_R1>:\n 1:\tmov    $0x29,%eax\n 2:\txor    %eax,%eax\n 3:\tsyscall\n";
        assert_eq!(network(read), Vec::<String>::new());
    }

    #[test]
    fn calls_by_way_of_musl_and_those_that_cannot_be_told_are_seen() {
        let by_musl = "1 <_R1>:\n 1:\tmov    $0x2a,%edi\n 2:\tcall   3d0 <syscall>\n";
        assert_eq!(network(by_musl), ["connect in _R1"]);
        let unknown = "1 <_R1>:\n 1:\tmov    %rdx,%rax\n 2:\tsyscall\n";
        assert_eq!(network(unknown), ["a call that cannot be told in _R1"]);
        for known in ["__syscall_cp_c", "_RNv3std4sync"] {
            assert_eq!(
                network(&unknown.replace("_R1", known)),
                Vec::<String>::new()
            );
        }
    }
}
