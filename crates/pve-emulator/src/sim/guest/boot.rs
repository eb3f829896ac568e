//! Power: boot, halt, and what the machine around a guest does to it.

use super::exec::{Interrupt, Run, World};
use super::machine::{Faults, Guest, Shape};
use super::processes::Process;
use super::units::{self, Verdict};
use crate::core::guest::GuestInit;

/// The first program.
const INIT: &str = "systemd";
/// Which units a boot starts.
const WANTS: &str = "/etc/systemd/system/multi-user.target.wants";

impl Guest {
    /// Boots with this shape; a guest that runs goes on.
    pub fn boot(&mut self, world: &World<'_>, shape: Shape) {
        if self.running {
            return;
        }
        self.shape = shape;
        if self.faults.no_network {
            let nets = self.shape.nets.iter_mut();
            nets.for_each(|net| net.address = None);
        }
        self.halt();
        self.running = true;
        self.write_identity(world.now_s);
        if let Some(init) = self.shape.init.clone() {
            return self.run_init(world, &init);
        }
        let programs = world.image.base_programs();
        let init = programs.get(INIT).copied().unwrap_or(1);
        self.add_process(Process::of(&["/sbin/init".to_owned()], init, None));
        for (program, memory_mib) in programs.iter().filter(|(name, _)| *name != INIT) {
            let argv = [format!("/lib/systemd/{program}")];
            self.add_process(Process::of(&argv, *memory_mib, None));
        }
        let mut run = Run::new(self, world);
        let wanted: Vec<String> = run
            .guest
            .files
            .children(WANTS)
            .map(|(name, _)| name.to_owned())
            .collect();
        for unit in wanted {
            // A unit that does not come up is in the journal and makes the system degraded.
            let _ = units::start(&mut run, &unit);
        }
    }

    /// Runs the one program of a guest that was made of an image. When it ends, so does the guest.
    fn run_init(&mut self, world: &World<'_>, init: &GuestInit) {
        let mut run = Run::new(self, world);
        run.env.extend(init.env.clone());
        run.cwd.clone_from(&init.folder);
        match run.command(&init.argv) {
            Err(Interrupt::Hang(Some(_))) => {}
            Err(Interrupt::Hang(None) | Interrupt::NeedsInput | Interrupt::Blocked { .. }) => {
                self.add_process(Process::of(&init.argv, 1, None));
            }
            Ok(_) => self.halt(),
        }
    }

    /// Gives it other limits and network devices. Its name changes with the next boot only; memory that is taken away
    /// ends processes at once.
    pub fn reshape(&mut self, world: &World<'_>, shape: Shape) {
        let hostname = std::mem::take(&mut self.shape.hostname);
        self.shape = Shape { hostname, ..shape };
        if self.running {
            Run::new(self, world).relieve_memory();
        }
    }

    /// A copy of its disk: what is in memory, and what was broken on purpose, is not part of it.
    pub fn on_disk(&self) -> Self {
        let mut copy = self.clone();
        copy.halt();
        copy.faults = Faults::default();
        copy
    }

    /// Everything in memory is gone.
    pub fn halt(&mut self) {
        self.running = false;
        self.units.clear();
        self.processes.clear();
        self.next_pid = 1;
        self.faults.exec_hangs = false;
        self.faults.half_output = false;
        self.faults.hogged_mib = 0;
        for volatile in ["/run", "/tmp"] {
            let names: Vec<String> = self
                .files
                .children(volatile)
                .map(|(name, _)| format!("{volatile}/{name}"))
                .filter(|path| path != "/run/lock")
                .collect();
            for path in names {
                // They were just listed.
                let _ = self.files.remove_tree(&path);
            }
        }
        let locks: Vec<String> = self
            .files
            .children("/run/lock")
            .map(|(name, _)| format!("/run/lock/{name}"))
            .collect();
        for path in locks {
            let _ = self.files.remove_tree(&path);
        }
    }

    /// What Proxmox writes into a guest before it boots.
    fn write_identity(&mut self, now_s: u64) {
        let name = self.shape.hostname.clone();
        let hosts = format!("127.0.0.1 localhost\n::1 localhost\n127.0.1.1 {name}\n");
        // A guest whose /etc was destroyed boots without them.
        let _ = self
            .files
            .write("/etc/hostname", format!("{name}\n").into_bytes(), now_s);
        let _ = self.files.write("/etc/hosts", hosts.into_bytes(), now_s);
    }

    /// Breaks or mends it. Memory that is taken away ends processes at once.
    pub fn set_faults(&mut self, world: &World<'_>, faults: Faults) {
        self.faults = faults;
        if self.running {
            Run::new(self, world).relieve_memory();
        }
    }

    /// The machine around the guest no longer lets it have this port: whoever listens there ends.
    pub fn lose_port(&mut self, world: &World<'_>, port: u16) {
        let listeners = self
            .listening()
            .into_iter()
            .filter(|open| open.port == port);
        let pids: Vec<u32> = listeners.map(|open| open.pid).collect();
        for pid in pids {
            units::end_process(&mut Run::new(self, world), pid, Verdict::ExitCode);
        }
    }

    /// Kills the main process of a unit, as SIGKILL from nowhere would. False when it has none.
    pub fn crash_unit(&mut self, world: &World<'_>, unit: &str) -> bool {
        let name = units::full_name(unit);
        let pid = self.units.get(&name).and_then(|state| state.main_pid);
        if let Some(pid) = pid {
            units::end_process(&mut Run::new(self, world), pid, Verdict::Signal);
        }
        pid.is_some()
    }
}
