//! `POST /nodes/{node}/storage/{storage}/upload`.

use super::super::call::{Call, Outcome};
use super::super::error::ApiError;
use super::super::request::Upload;
use super::super::stored::{Arrival, NewFile, plain_name, quoted};
use super::fetching::{begin, check_name};
use super::storage;

/// Takes a file in. It came to the node that was called; one for another node is copied over.
pub(super) fn upload(call: &mut Call<'_>) -> Outcome {
    let target = match call.text("node").unwrap_or_default() {
        name if name == "localhost" => call.node.clone(),
        name => name,
    };
    let id = call.text("storage").unwrap_or_default();
    let content = call.text("content").unwrap_or_default();
    let store = storage::require(call.world, &id, &target)?.clone();
    if !store.has_files() {
        let text = format!("can't upload to storage type '{}'", store.kind);
        return Err(ApiError::died(text).into());
    }
    let Some(upload) = call.upload else {
        return Err(match call.text("tmpfilename") {
            None => ApiError::died("missing temporary file name"),
            Some(name) => ApiError::died(format!("temporary file '{name}' does not exist")),
        }
        .into());
    };
    let name = plain_name(&call.text("filename").unwrap_or_default());
    check_name(&content, &name)?;
    if !store.holds(&content) {
        let text = format!("storage '{id}' does not support '{content}' content");
        return Err(ApiError::died(text).into());
    }
    let path = store.volume_path(&format!("{content}/{name}"));
    let temporary = format!(
        "/var/tmp/pveupload-{}",
        &call.world.keys.secret().replace('-', "")[..32]
    );
    let (checked, error) = check_sum(call, upload);
    let start = format!("starting file import from: {temporary}");
    let mut log = vec![start];
    log.extend(checked);
    let size_bytes = upload.size_bytes;
    if error.is_none() {
        log.extend([
            format!("target node: {target}"),
            format!("target file: {path}"),
            format!("file size is: {size_bytes}"),
            format!("command: cp -- {temporary} {}", quoted(&path)),
        ]);
    }
    let arrival = Arrival {
        log,
        error,
        file: Some(NewFile {
            storage: id,
            node: target,
            content,
            file: name,
            size_bytes,
            ostype: "unmanaged".into(),
            image: upload.image.clone(),
        }),
        finished: vec!["finished file import successfully".into()],
    };
    begin(call, "imgcopy", "", arrival)
}

/// What the task says of the checksum, or what it fails with.
fn check_sum(call: &Call<'_>, upload: &Upload) -> (Option<String>, Option<String>) {
    let given = (call.text("checksum-algorithm"), call.text("checksum"));
    let (Some(algorithm), Some(wanted)) = given else {
        return (None, None);
    };
    let got = upload
        .checksums
        .get(&algorithm)
        .cloned()
        .unwrap_or_default();
    if got.eq_ignore_ascii_case(&wanted) {
        let line = "calculating checksum...OK, checksum verified";
        return (Some(line.to_owned()), None);
    }
    let error = format!("checksum mismatch: got '{got}' != expect '{wanted}'");
    (None, Some(error))
}
