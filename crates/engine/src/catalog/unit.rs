//! A service's unit file out of typed fields. Pure.

use std::fmt::Write as _;

use super::escape::systemd_argument;
use super::format::UnitFileStep;

/// What every service gets: no new rights, no set-id files, a `/tmp` of its own, and the system read-only.
const HARDENING: &str = "\
UMask=0027
NoNewPrivileges=yes
PrivateTmp=yes
ProtectSystem=full
RestrictSUIDSGID=yes
LockPersonality=yes
CapabilityBoundingSet=
";

/// Where the file lies.
pub(super) fn path_of(step: &UnitFileStep) -> String {
    format!("/etc/systemd/system/{}.service", step.name.as_str())
}

/// The file; `exec` is the command line with its templates filled in.
pub(super) fn text_of(step: &UnitFileStep, exec: &[String]) -> String {
    let name = step.name.as_str();
    let description = step.description.as_deref().unwrap_or(name);
    let mut after = vec!["network.target"];
    after.extend(step.after.iter().map(|unit| unit.as_str()));
    let user = step.user.as_str();
    let group = step.group.as_ref().map_or(user, |group| group.as_str());
    let exec: Vec<String> = exec
        .iter()
        .map(|argument| systemd_argument(argument))
        .collect();
    let mut text = format!(
        "[Unit]\nDescription={}\nAfter={}\n\n[Service]\nUser={user}\nGroup={group}\n",
        description.replace('%', "%%"),
        after.join(" "),
    );
    // Writing to a String cannot fail; the errors are dropped on purpose.
    if let Some(path) = &step.working_directory {
        let _ = writeln!(text, "WorkingDirectory={path}");
    }
    if let Some(path) = &step.environment_file {
        let _ = writeln!(text, "EnvironmentFile={path}");
    }
    let _ = write!(
        text,
        "ExecStart={}\nRestart=on-failure\nRestartSec=2\n{HARDENING}\n[Install]\nWantedBy=multi-user.target\n",
        exec.join(" ")
    );
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_has_its_fields_and_what_is_filled_in_stays_an_argument() {
        let yaml = "{name: lamp, description: 100 % lamp, exec: [/opt/lamp/bin/serve], user: lamp, \
                    working_directory: /opt/lamp, environment_file: /etc/lamp.env, after: [postgresql.service]}";
        let step: UnitFileStep = serde_saphyr::from_str(yaml).unwrap();
        let exec = [
            "/opt/lamp/bin/serve",
            "--title",
            "a \"b\" %n $HOME \\; x",
            "",
        ];
        let text = text_of(&step, &exec.map(str::to_owned));
        assert_eq!(
            text,
            "[Unit]
Description=100 %% lamp
After=network.target postgresql.service

[Service]
User=lamp
Group=lamp
WorkingDirectory=/opt/lamp
EnvironmentFile=/etc/lamp.env
ExecStart=\"/opt/lamp/bin/serve\" \"--title\" \"a \\\"b\\\" %%n $$HOME \\\\; x\" \"\"
Restart=on-failure
RestartSec=2
UMask=0027
NoNewPrivileges=yes
PrivateTmp=yes
ProtectSystem=full
RestrictSUIDSGID=yes
LockPersonality=yes
CapabilityBoundingSet=

[Install]
WantedBy=multi-user.target
"
        );
        assert_eq!(path_of(&step), "/etc/systemd/system/lamp.service");
    }
}
