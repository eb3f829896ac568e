//! What is exported.

use proximity_api::export::{Export, ExportedDocument, ExportedSecret, NotExported};
use proximity_domain::manifest::Manifest;
use proximity_engine::commands::Exports;
use proximity_manifest::WriteError;

/// The documents as text, each by itself.
pub(crate) fn export(
    exports: Exports,
    written: impl Fn(&Manifest) -> Result<String, WriteError>,
) -> Export {
    let left_out = exports.left_out.into_iter().map(|one| NotExported {
        app_id: one.app.to_string(),
        name: one.name.to_string(),
        why: one.why.to_string(),
    });
    let mut all = Export {
        documents: Vec::new(),
        secrets: Vec::new(),
        left_out: left_out.collect(),
    };
    for one in exports.documents {
        let (app_id, name) = (one.app.to_string(), one.document.name().to_owned());
        let text = match written(&one.document) {
            Ok(text) => text,
            Err(why) => {
                let why = why.to_string();
                all.left_out.push(NotExported { app_id, name, why });
                continue;
            }
        };
        let secrets = one.secrets.into_iter().map(|secret| ExportedSecret {
            name: secret.secret.to_string(),
            app: name.clone(),
            setting: secret.setting.to_string(),
        });
        all.secrets.extend(secrets);
        all.documents.push(ExportedDocument {
            app_id,
            kind: one.document.kind().label().to_owned(),
            name,
            text,
            notes: one.notes,
        });
    }
    all.left_out.sort_by(|a, b| a.name.cmp(&b.name));
    all
}
