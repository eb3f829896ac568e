//! The seeds' own test of the doctrine, scenario by scenario and regression by regression, on simulated guests and on real
//! containers: what the programs do by themselves ([`by_program`]), and what takes hours, by an installation of its own beside
//! them, whose clock is moved ([`by_clock`]).

mod by_clock;
mod by_program;
mod receiver;
mod second;

use crate::standing::Standing;

fn seeds_own_test(args: &[&str]) {
    let lab = Standing::up(args);
    by_program::scenarios_1_and_6_adoption_is_informed_and_its_removal_soft(&lab);
    by_program::regression_3_adopted_apps_are_listed_and_keep_their_ports(&lab);
    by_program::what_was_changed_since_adoption_is_brought_back(&lab);
    lab.beside(async || by_clock::scenarios(&lab).await);
    by_program::regression_1_what_was_deployed_is_native_and_untouched(&lab);
}

#[test]
fn the_doctrine_holds_on_simulated_containers() {
    seeds_own_test(&["--guests", "simulated"]);
}

#[test]
fn real_lxc_the_doctrine_s_six_scenarios_and_three_regressions() {
    if !rustix::process::geteuid().is_root() {
        println!("SKIPPED: real containers need root");
        return;
    }
    if let Err(missing) = proximity_pve_emulator::lab::check_programs() {
        println!("SKIPPED: {missing}");
        return;
    }
    seeds_own_test(&["--private"]);
}
