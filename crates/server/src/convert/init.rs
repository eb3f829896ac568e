//! Hosts that are set up and given up. Passwords go in and never come out.

use proximity_api::init::{InitDone, InitHost, InitPlan, PersonLogin, PlannedToken, UninitPlan};
use proximity_api::secret::Secret;
use proximity_engine::commands;

use super::hosts::{add_ssh, host, host_probe};

/// The request as the engine takes it.
pub(crate) fn init_host(body: InitHost) -> commands::InitHost {
    commands::InitHost {
        label: body.label,
        url: body.url,
        fingerprint: body.fingerprint,
        ca_pem: body.ca_pem,
        login: person(body.login),
        pool: body.pool,
        storages: body.storages,
        template_storage: body.template_storage,
        bridge: body.bridge,
        images: body.images,
        adopted: body.adopted,
        ssh: body.ssh.map(add_ssh),
    }
}

/// A login as the engine takes it.
pub(crate) fn person(login: PersonLogin) -> commands::PersonLogin {
    commands::PersonLogin {
        user: login.user,
        password: login.password.into_inner(),
        totp_code: login.totp.map(Secret::into_inner),
    }
}

pub(crate) fn init_plan(plan: commands::InitPlan) -> InitPlan {
    let tokens = plan.tokens.into_iter();
    InitPlan {
        found: host_probe(plan.found),
        known: plan.known,
        tokens: tokens
            .map(|(purpose, id)| PlannedToken {
                purpose: purpose.to_string(),
                id,
            })
            .collect(),
        steps: plan.steps,
        notes: plan.notes,
    }
}

pub(crate) fn init_done(done: commands::InitDone) -> InitDone {
    InitDone {
        host: host(done.host),
        steps: done.steps,
        notes: done.notes,
    }
}

pub(crate) fn uninit_plan(plan: commands::UninitPlan) -> UninitPlan {
    UninitPlan {
        label: plan.label,
        steps: plan.steps,
        stays: plan.stays,
    }
}
