//! Stacks and their runs.

use proximity_api::stacks::{
    Stack, StackAction, StackActionRequest, StackApp, StackAppPart, StackAppRun, StackPart,
    StackRun, StackRunState,
};
use proximity_domain::stack::{Part, RunState, StackAct};
use proximity_engine::commands::{
    self, MemberRun, PartOfRun, StackMember, StackRequest, StackView,
};

use super::problem;

pub(crate) fn stack(view: StackView) -> Stack {
    Stack {
        name: view.name.into(),
        apps: view.apps.into_iter().map(app).collect(),
    }
}

fn app(member: StackMember) -> StackApp {
    StackApp {
        hostname: member.name.into(),
        app_id: member.app.as_ref().map(|app| app.id.to_string()),
        status: member.app.map(|app| app.status.label().label().to_owned()),
        depends_on: member.depends_on.into_iter().map(String::from).collect(),
    }
}

pub(crate) fn stack_request(body: StackActionRequest, sees_only: Option<&str>) -> StackRequest {
    StackRequest {
        act: match body.action {
            StackAction::Start => StackAct::Start,
            StackAction::Stop => StackAct::Stop,
            StackAction::Restart => StackAct::Restart,
        },
        force: body.force,
        run: body.run,
        sees_only: sees_only.map(str::to_owned),
    }
}

pub(crate) fn stack_run(run: commands::StackRun) -> StackRun {
    StackRun {
        name: run.name.into(),
        action: match run.act {
            StackAct::Start => StackAction::Start,
            StackAct::Stop => StackAction::Stop,
            StackAct::Restart => StackAction::Restart,
        },
        run: run.run,
        state: match run.state {
            RunState::Going => StackRunState::Going,
            RunState::Done => StackRunState::Done,
            RunState::Failed => StackRunState::Failed,
        },
        apps: run.apps.into_iter().map(app_run).collect(),
    }
}

fn app_run(one: MemberRun) -> StackAppRun {
    StackAppRun {
        hostname: one.member.name.into(),
        stop: part(&one.down),
        start: part(&one.up),
    }
}

fn part(one: &PartOfRun) -> StackAppPart {
    StackAppPart {
        state: match one.part {
            Part::Open => StackPart::Open,
            Part::Going => StackPart::Going,
            Part::Done => StackPart::Done,
            Part::Left => StackPart::Left,
            Part::Failed => StackPart::Failed,
        },
        operation_id: one.operation.map(|id| id.to_string()),
        problem: one.why.as_ref().map(problem),
    }
}
