//! Steps that sagas are made of.

pub(crate) mod apply_settings;
pub(crate) mod capture;
mod choose_again;
pub(crate) mod clone_container;
pub(crate) mod configuration;
pub(crate) mod create_container;
pub(crate) mod destroy;
mod fetch_template;
pub(crate) mod grow_disk;
pub(crate) mod guest_output;
pub(crate) mod guest_session;
pub(crate) mod health_check;
pub(crate) mod identify;
mod image;
pub(crate) mod install;
pub(crate) mod members;
pub(crate) mod power;
pub(crate) mod publish_route;
pub(crate) mod reserve_vmid;
pub(crate) mod set_limits;
pub(crate) mod shutdown;
pub(crate) mod start;
pub(crate) mod status;
pub(crate) mod unprotect;
pub(crate) mod wait_network;
pub(crate) mod withdraw_route;
