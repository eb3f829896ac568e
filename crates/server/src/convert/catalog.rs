//! Entries of the catalog.

use proximity_api::catalog::{CatalogEntry, CatalogSetting, ShownWhen};
use proximity_engine::catalog::{self, Setting, SettingKind};

/// An entry as people choose from it.
pub(crate) fn catalog_entry(entry: &catalog::CatalogEntry) -> CatalogEntry {
    CatalogEntry {
        id: entry.id.to_string(),
        name: entry.name.clone(),
        version: entry.version.clone(),
        summary: entry.summary.clone(),
        category: entry.category.clone(),
        container_port: entry.port,
        min_memory: entry.needs.min_memory_mib,
        settings: entry.settings.iter().map(setting).collect(),
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
