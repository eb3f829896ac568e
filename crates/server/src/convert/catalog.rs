//! Entries of the catalog.

use proximity_api::catalog::{
    CatalogEntry, CatalogPort, CatalogProblem, CatalogSetting, CatalogStats, ShownWhen,
};
use proximity_engine::catalog::{self, Check, EntryOrigin, Offered, Setting, SettingKind};

/// An entry as people choose from it.
pub(crate) fn catalog_entry(offered: &Offered) -> CatalogEntry {
    let entry = &offered.entry;
    let commit = match &offered.origin {
        EntryOrigin::Source { commit, .. } => Some(commit.as_str().to_owned()),
        EntryOrigin::Shipped | EntryOrigin::Folder(_) => None,
    };
    CatalogEntry {
        id: entry.id.to_string(),
        name: entry.name.clone(),
        version: entry.version.clone(),
        summary: entry.summary.clone(),
        category: entry.category.clone(),
        container_port: entry.port,
        min_memory: entry.needs.min_memory_mib,
        description: entry.description.clone(),
        tags: entry.tags.clone(),
        website: entry.website.clone(),
        license: entry.license.clone(),
        releases: entry
            .releases
            .as_ref()
            .map(|releases| format!("{}:{}", releases.source, releases.name)),
        os_template: entry.base.to_string(),
        health: health(&entry.health.check),
        ports: entry.ports.iter().map(port).collect(),
        source: offered.origin.label(),
        commit,
        revision: offered.revision.hash.clone(),
        verified: offered.is_verified(),
        unpinned: entry.unpinned,
        settings: entry.settings.iter().map(setting).collect(),
    }
}

/// Counts over a catalog.
pub(crate) fn catalog_stats(stats: catalog::CatalogStats) -> CatalogStats {
    CatalogStats {
        entries: stats.entries,
        by_category: stats.categories,
        by_source: stats.origins,
        verified: stats.verified,
        problems: stats.problems,
    }
}

/// What is not in a catalog.
pub(crate) fn catalog_problems(problems: &[catalog::CatalogProblem]) -> Vec<CatalogProblem> {
    let problems = problems.iter().map(|one| CatalogProblem {
        place: one.place.clone(),
        message: one.message.clone(),
    });
    problems.collect()
}

fn health(check: &Check) -> String {
    match check {
        Check::Http(http) => format!(
            "GET {} on port {} has status {} and its marker",
            http.path, http.port, http.expect_status
        ),
        Check::Tcp(port) => format!("port {port} takes connections"),
        Check::Exec(exec) => {
            let program = exec.argv.first().map_or("", String::as_str);
            format!("{program} inside the container ends with 0")
        }
    }
}

fn port(port: &catalog::Port) -> CatalogPort {
    CatalogPort {
        name: port.name.clone(),
        number: port.number,
        protocol: port.protocol.label().to_owned(),
        main: port.main,
    }
}

fn setting(setting: &Setting) -> CatalogSetting {
    let (kind, default) = match &setting.kind {
        SettingKind::Text { default, .. } => ("text", default.clone()),
        SettingKind::Secret { .. } => ("secret", None),
        SettingKind::Integer { default, .. } => ("integer", default.map(|n| n.to_string())),
        SettingKind::Boolean { default } => ("boolean", default.map(|b| b.to_string())),
        SettingKind::Choice { default, .. } => ("choice", default.clone()),
        SettingKind::Port { default } => ("port", default.map(|n| n.to_string())),
        SettingKind::Path { default } => ("path", default.clone()),
    };
    let options = match &setting.kind {
        SettingKind::Choice { options, .. } => options.clone(),
        SettingKind::Text { .. }
        | SettingKind::Secret { .. }
        | SettingKind::Integer { .. }
        | SettingKind::Boolean { .. }
        | SettingKind::Port { .. }
        | SettingKind::Path { .. } => Vec::new(),
    };
    let generated = matches!(
        setting.kind,
        SettingKind::Secret {
            generate: Some(_),
            ..
        }
    );
    let shown_when = setting.shown_when.as_ref().map(|when| ShownWhen {
        setting: when.setting.clone(),
        equals: match when.equals.as_str() {
            Some(text) => text.to_owned(),
            None => when.equals.to_string(),
        },
    });
    CatalogSetting {
        name: setting.name.clone(),
        env: setting.env.clone(),
        summary: setting.help.clone(),
        kind: kind.to_owned(),
        default,
        options,
        required: setting.required,
        generated,
        shown_when,
    }
}

#[cfg(test)]
mod tests {
    use proximity_engine::catalog::Catalog;

    use super::*;

    #[test]
    fn what_is_shown_of_an_entry_is_what_its_file_says() {
        let catalog = Catalog::load(&[]).unwrap();
        let nginx = catalog.offered(&"nginx".parse().unwrap()).unwrap();
        let shown = catalog_entry(nginx);
        assert_eq!((shown.source.as_str(), shown.verified), ("shipped", true));
        assert_eq!((shown.revision.len(), shown.commit), (64, None));
        assert_eq!(
            shown.health,
            "GET / on port 8080 has status 200 and its marker"
        );
        let main = CatalogPort {
            name: "main".to_owned(),
            number: 8080,
            protocol: "http".to_owned(),
            main: true,
        };
        assert_eq!(shown.ports, [main]);
        assert_eq!(shown.os_template, "debian-12-standard");
        assert_eq!(shown.website.as_deref(), Some("https://nginx.org/"));
        let size = shown.settings.iter().find(|one| one.name == "max_body_mib");
        let size = size.unwrap();
        assert_eq!((size.kind.as_str(), size.generated), ("integer", false));
        assert_eq!(size.shown_when, None);
    }
}
