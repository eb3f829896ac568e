//! Guests that do not want to end.

use rustix::process::{Pid, Signal, kill_process};

use super::support::{Lab, in_private_namespace};

#[test]
fn a_guest_that_does_not_halt_times_out_and_can_be_stopped() {
    let name = "ending::a_guest_that_does_not_halt_times_out_and_can_be_stopped";
    in_private_namespace(name, |directory| {
        let lab = Lab::start(directory, &[]);
        lab.boot("100");
        let status = lab.api("GET", "/nodes/pve1/lxc/100/status/current", &[]);
        let pid = Pid::from_raw(i32::try_from(status["pid"].as_u64().unwrap()).unwrap()).unwrap();
        // An init that does not run cannot halt.
        kill_process(pid, Signal::STOP).unwrap();
        let form = [("timeout", "1"), ("forceStop", "0")];
        let exit = lab.task("POST", "/nodes/pve1/lxc/100/status/shutdown", &form);
        assert_ne!(exit, "OK");
        let status = lab.api("GET", "/nodes/pve1/lxc/100/status/current", &[]);
        assert_eq!(
            (status["status"].as_str(), exit.is_empty()),
            (Some("running"), false)
        );
        assert_eq!(
            lab.task("POST", "/nodes/pve1/lxc/100/status/stop", &[]),
            "OK"
        );
        let status = lab.api("GET", "/nodes/pve1/lxc/100/status/current", &[]);
        assert_eq!(status["status"], "stopped");
        assert!(lab.terminate().success());
    });
}

#[test]
fn a_privileged_guest_is_refused_in_the_task() {
    in_private_namespace(
        "ending::a_privileged_guest_is_refused_in_the_task",
        |directory| {
            let lab = Lab::start(directory, &[]);
            let exit = lab.create("100", &[("unprivileged", "0")]);
            assert!(exit.contains("unprivileged guests only"), "{exit}");
            assert!(lab.terminate().success());
        },
    );
}
