//! With exactly the rights of the table everything works; without any one of them something is denied by name; and what is not
//! ours Proxmox VE keeps from us by itself.

use std::collections::BTreeSet;

use proximity_domain::token_purpose::TokenPurpose;
use proximity_pve::privileges::grants;
use proximity_testkit::least::cases::{CASES, FLOWS};
use proximity_testkit::least::flows::{Flow, Hands, run};
use proximity_testkit::least::{Least, cluster, fences};

async fn works(flow: Flow) {
    let pve = cluster();
    let least = Least::on(&pve, None).await.unwrap();
    assert_eq!(run(flow, &pve, &least).await, Ok(()));
}

#[tokio::test]
async fn an_app_lives_and_goes_with_exactly_the_rights_of_the_table() {
    works(Flow::Lifecycle).await;
}

#[tokio::test]
async fn guests_of_ours_are_copied_and_kept_with_exactly_the_rights_of_the_table() {
    works(Flow::Copies).await;
}

#[tokio::test]
async fn images_and_adopted_guests_need_no_more_than_their_tokens_hold() {
    works(Flow::Images).await;
    works(Flow::Adopted).await;
}

#[tokio::test]
async fn the_look_at_the_tokens_finds_that_they_lack_nothing() {
    works(Flow::Rights).await;
}

/// One test for each case, called as it is.
macro_rules! without {
    ($($name:ident)*) => {
        const NAMES: &[&str] = &[$(stringify!($name)),*];

        mod without {
            $(#[tokio::test]
            async fn $name() {
                super::breaks(stringify!($name)).await;
            })*
        }
    };
}

without! {
    observe_datastore_audit
    observe_pool_audit
    observe_sdn_audit
    observe_sys_audit
    observe_vm_audit
    operate_vm_allocate
    operate_vm_audit
    operate_vm_backup
    operate_vm_clone
    operate_vm_config_cpu
    operate_vm_config_disk
    operate_vm_config_memory
    operate_vm_config_network
    operate_vm_config_options
    operate_vm_migrate
    operate_vm_power_mgmt
    operate_vm_snapshot
    operate_storage_allocate_space
    operate_templates_audit
    operate_backups_allocate_space
    operate_bridge_use
    images_allocate_template
    images_access_network
    adopted_vm_backup
    adopted_vm_config_options
    adopted_vm_power_mgmt
    adopted_vm_snapshot
    adopted_backups_allocate_space
}

async fn breaks(name: &str) {
    let case = CASES.iter().find(|case| case.name == name).unwrap();
    assert_eq!(case.breaks().await, Ok(()));
}

#[test]
fn every_privilege_of_every_token_has_a_test_of_its_name() {
    let names: Vec<&str> = CASES.iter().map(|case| case.name).collect();
    assert_eq!(names, NAMES);
    let dropped: BTreeSet<_> = CASES.iter().map(|case| case.without).collect();
    let held: BTreeSet<_> = TokenPurpose::ALL
        .into_iter()
        .flat_map(|purpose| {
            grants(purpose)
                .into_iter()
                .map(move |g| (purpose, g.privilege, g.on))
        })
        .collect();
    assert_eq!(dropped, held);
    assert_eq!(dropped.len(), CASES.len(), "none is there twice");
    assert!(CASES.iter().all(|case| FLOWS.contains(&case.flow)));
}

#[tokio::test]
async fn the_control_a_role_that_is_too_wide_is_noticed() {
    for case in CASES.iter().step_by(9) {
        let said = case.breaks_with(None).await.unwrap_err();
        assert!(said.contains("nothing was denied"), "{said}");
    }
}

#[tokio::test]
async fn what_is_not_ours_is_kept_from_the_main_token_by_proxmox_ve_itself() {
    assert_eq!(fences::passed().await, Ok(Vec::new()));
}

/// With rights on the pool alone a create with tags is denied (`assert_tag_permissions` does not look at the pool), and tags of
/// the guest that is there are not: so the mark is in the description, and tags come by a call of their own.
#[tokio::test]
async fn tags_are_denied_at_create_and_taken_afterwards() {
    let pve = cluster();
    let least = Least::on(&pve, None).await.unwrap();
    let hands = Hands::new(&pve, &least);
    let (status, reason) = hands.tag_at_create(500).await;
    assert_eq!(status, 403, "{reason}");
    assert!(reason.contains("(/vms/500, VM.Config.Options)"), "{reason}");
    hands.create(500).await.unwrap();
    hands.tag(500).await.unwrap();
}
