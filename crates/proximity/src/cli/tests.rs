//! What is typed and what is understood. The help texts are files in git: a change shows in review.

use clap::CommandFactory;

use super::apps::Setting;
use super::*;

fn parsed(line: &str) -> Result<Cli, clap::Error> {
    Cli::try_parse_from(std::iter::once("proximity").chain(line.split_whitespace()))
}

#[cfg(feature = "lab")]
fn helps(command: &mut clap::Command, path: &str, all: &mut String) {
    let help = command.render_long_help();
    all.push_str(&format!("=== {path}\n{help}\n"));
    let names: Vec<String> = command
        .get_subcommands()
        .filter(|sub| !sub.is_hide_set() && sub.get_name() != "help")
        .map(|sub| sub.get_name().to_owned())
        .collect();
    for name in names {
        if let Some(sub) = command.find_subcommand_mut(&name) {
            helps(sub, &format!("{path} {name}"), all);
        }
    }
}

#[test]
#[cfg(feature = "lab")]
fn help_texts() {
    let mut command = Cli::command().term_width(100);
    command.build();
    let mut all = String::new();
    helps(&mut command, "proximity", &mut all);
    insta::assert_snapshot!(all);
}

#[test]
fn the_definition_is_sound() {
    Cli::command().debug_assert();
}

#[test]
fn what_people_type_is_understood() {
    let lines = [
        "serve --log-format json",
        "hosts add home https://192.0.2.10:8006 --token-id root@pam!x --secret-stdin --fingerprint AB:CD",
        "hosts add home https://h:8006 --ssh --ssh-key /k --ssh-address pve1=192.0.2.10:22 --yes",
        "hosts list --json",
        "hosts set home --vmids 5000-5999 --exclude pve2 --include pve3",
        "hosts set home --vmids pve",
        "hosts set home --fetch-templates no",
        "hosts set home --lan home",
        "deploy nginx web --root-password",
        "root-password web --json",
        "hosts forget-node home pve3",
        "hosts forget-node home pve3 --containers-lost",
        "hosts forget-node --containers-lost home pve3 --confirm-lost 2",
        "hosts ssh home pve4",
        "hosts ssh home pve4 --address 192.0.2.14:2222 --host-key ssh-ed25519-AAAA",
        "nodes --host home",
        "ports list --port 8100",
        "ports free --now --port 8100",
        "deploy nginx web",
        "deploy nginx web --memory 512 --cores 2 --disk 8 --set title=a=b --set gzip=false --detach",
        "deploy nginx web --memory 512 --host home --dry-run --json",
        "deploy nginx web --bridge vmbr1 --vlan 30 --ip 192.0.2.10/24 --gateway 192.0.2.1 --dns 192.0.2.53 --dns 192.0.2.54",
        "deploy nginx web-2 --apart-from web-1 --apart-from web-0",
        "deploy nginx web --root-key /home/me/.ssh/id_ed25519.pub --root-key other.pub",
        "deploy nginx web --ip6 2001:db8::10/64 --gateway6 fe80::1 --search-domain lab.example.org",
        "apps --status running --json",
        "logs web -f",
        "logs web -n 1000",
        "stop web --force",
        "restart web --wait-timeout 10",
        "configure web --memory 1024 --cores 2 --disk 16 --set title=a=b --set-file password=/run/p --yes",
        "configure web --memory 1024 --dry-run",
        "configure web --cores 2 --digest ab12 --detach",
        "remove web --dry-run",
        "remove web --yes --force-stop",
        "remove web --dry-run --purge",
        "history web --kind container --host lab --limit 5",
        "snapshots list --kind vm --status running --gone",
        "snapshots at 101 2026-01-31T12:00:00Z --json",
        "snapshots diff pve1/local --from 2026-01-31T12:00:00Z --to 2026-02-01T00:00:00+01:00",
    ];
    all_are_understood(&lines);
}

#[test]
fn what_people_type_of_desired_state_is_understood() {
    let lines = [
        "audit verify",
        "audit verify --anchor - --anchor /var/log/proximity.log --json",
        "validate app.yaml apps --values production.yaml --set domain=example.org --set a.b=c=d",
        "plan app.yaml apps --values production.yaml --set a.b=c --prune --detailed-exitcode --out plan.json",
        "diff apps --detailed-exitcode --json",
        "export",
        "export web shop-db --host home --format json --power --output apps --force",
        "apply apps --values p.yaml --set a.b=c --prune --yes --confirm-removed 4 --confirm-destroyed 2 --parallel 8 --no-wait",
        "apply 018f0000-0000-7000-8000-000000000001 --dry-run --json",
        "apply --stop 018f0000-0000-7000-8000-000000000001 --no-wait",
        "rollback web --to 3",
        "rollback web --to snapshot:7 --dry-run --json",
        "rollback --all --to 2026-01-31T12:00:00Z --prune --yes --confirm-removed 4 --confirm-destroyed 2 --parallel 8 --no-wait",
        "reject 018f0000-0000-7000-8000-000000000001 --app web --why too-large",
        "rejected --json",
        "unreject web",
        "applies list -n 5",
        "applies show 018f0000-0000-7000-8000-000000000001",
        "applies stop 018f0000-0000-7000-8000-000000000001",
        "secrets set db-password",
        "setup-link",
        "setup-link ann --json",
        "accounts list",
        "accounts add ann --role operator",
        "accounts role ann admin",
        "accounts link ann",
        "accounts remove ann",
        "sessions list --json",
        "sessions end 018f0000-0000-7000-8000-000000000001",
        "secrets list --json",
        "secrets remove db-password",
        "sources add home https://example.org/apps.git --branch main --path apps/home --every 60 --policy apply --prune --token-stdin --require-signature s",
        "sources add home ssh://git@example.org/apps.git --key-file k --known-hosts h",
        "sources list --json",
        "sources show home",
        "sources sync home --dry-run",
        "sources remove home",
        "run web logs nginx -n 50",
        "run web system --json",
        "exec web -- df -h /",
        "exec web -i --timeout 10 -- sh -c true",
        "stack list --json",
        "stack show shop",
        "stack start shop --wait-timeout 10",
        "stack stop shop --force",
        "stack restart shop --resume 018f0000-0000-7000-8000-000000000001",
        "templates list --json",
        "templates drop 018f0000-0000-7000-8000-000000000001 --forget",
        "operations list --state stuck",
        "operations retry 018f0000-0000-7000-8000-000000000001",
        "operations abandon 018f0000-0000-7000-8000-000000000001 -q",
        "--json version",
        "config show",
    ];
    all_are_understood(&lines);
}

fn all_are_understood(lines: &[&str]) {
    for line in lines {
        if let Err(error) = parsed(line) {
            panic!("{line}: {error}");
        }
    }
}

#[test]
fn mistakes_are_usage_errors_with_their_reason() {
    let lines = [
        "",
        "dploy nginx web",
        "deploy nginx",
        "deploy nginx web --memory lots",
        "deploy nginx web --set title",
        "deploy nginx web --detach --wait-timeout 5",
        "deploy nginx web --dry-run --detach",
        "deploy nginx web --gateway 192.0.2.1",
        "deploy nginx web --vlan high",
        "hosts add home https://h --secret-stdin --secret-file /s",
        "hosts set home --fetch-templates maybe",
        "hosts add home https://h --ssh-key /k",
        "hosts add home https://h --secret hunter2",
        "logs web -n 0",
        "run web rm",
        "run web logs -n 1001",
        "exec web df -h",
        "exec web --timeout 0 -- true",
        "stack start shop --force",
        "remove web --dry-run --yes",
        "apply",
        "apply apps --parallel 17",
        "rollback --to 3",
        "rollback web",
        "rollback web --to yesterday",
        "rollback web --all --to 2026-01-31T12:00:00Z",
        "rollback web --to 3 --prune",
        "secrets set db hunter2",
        "sources add home https://example.org/apps.git --every 29",
        "sources add home ssh://git@example.org/apps.git --key-file k",
        "hosts forget-node home pve3 --confirm-lost 2",
        "apps -q -v",
    ];
    let mut all = String::new();
    for line in lines {
        let error = parsed(line).unwrap_err();
        assert_eq!(error.exit_code(), 2, "{line}");
        let text = error.to_string();
        let reason = text.lines().next().unwrap_or_default();
        all.push_str(&format!("{line}\n  {reason}\n"));
    }
    insta::assert_snapshot!(all);
}

#[test]
fn no_argument_of_a_command_is_taken_for_a_global_option() {
    let cli = parsed("hosts add home https://192.0.2.10:8006 --ca-file /ca.pem").unwrap();
    assert_eq!(cli.globals.url, None);
    assert_eq!(cli.globals.token_file, None);
    let globals = [
        "json",
        "config",
        "url",
        "token_file",
        "quiet",
        "verbose",
        "die_with_parent",
    ];
    let root = Cli::command();
    let mut all = vec![&root];
    while let Some(command) = all.pop() {
        for argument in command.get_arguments().filter(|a| !a.is_global_set()) {
            let id = argument.get_id().as_str();
            assert!(!globals.contains(&id), "{} {id}", command.get_name());
        }
        all.extend(command.get_subcommands());
    }
}

#[test]
fn settings_keep_everything_after_the_first_equals_sign() {
    let setting: Setting = "a=b=c".parse().unwrap();
    assert_eq!((setting.key.as_str(), setting.value.as_str()), ("a", "b=c"));
    assert_eq!("a=".parse::<Setting>().unwrap().value, "");
    assert!("=b".parse::<Setting>().is_err());
}
