//! Containers of a fixture, and their backups.

use serde_json::{Map, Value, json};

use super::Setup;
use crate::support::sim::escape;

impl Setup<'_> {
    /// A guest with what is left out filled in from the defaults.
    fn completed(&self, guest: &Value) -> Value {
        let defaults = &self.scenario.fixture["guest_defaults"];
        let mut whole = defaults.as_object().cloned().unwrap_or_default();
        let mut config = defaults["config"].as_object().cloned().unwrap_or_default();
        config.extend(guest["config"].as_object().cloned().unwrap_or_default());
        whole.extend(guest.as_object().cloned().unwrap_or_default());
        whole.insert("config".into(), Value::Object(config));
        Value::Object(whole)
    }

    pub(super) fn guests(&mut self) -> Result<(), String> {
        let scenario = self.scenario;
        let guests: Vec<Value> = scenario
            .list("guests")
            .iter()
            .map(|guest| self.completed(guest))
            .collect();
        let of = |guest: &&Value, key: &str| !guest[key].is_null();
        for guest in guests
            .iter()
            .filter(|guest| !of(guest, "linked_clone_of") && !of(guest, "restored_from"))
        {
            self.create(guest)?;
        }
        for guest in guests.iter().filter(|guest| of(guest, "linked_clone_of")) {
            let path = format!("{}/{}/clone", lxc(guest), guest["linked_clone_of"]);
            let mut form = json!({"newid": guest["vmid"], "hostname": guest["hostname"]});
            if guest["pool"].is_string() {
                form["pool"] = guest["pool"].clone();
            }
            self.work("POST", &path, &form, Some("root-token"))?;
        }
        self.backups(&guests)?;
        for guest in guests.iter().filter(|guest| of(guest, "restored_from")) {
            self.restore(guest)?;
        }
        for guest in &guests {
            self.finish(guest)?;
        }
        Ok(())
    }

    fn create(&mut self, guest: &Value) -> Result<(), String> {
        let mut form = guest["config"].as_object().cloned().unwrap_or_default();
        for key in ["vmid", "hostname", "rootfs", "pool"] {
            if !guest[key].is_null() {
                form.insert(key.into(), guest[key].clone());
            }
        }
        self.work(
            "POST",
            &lxc(guest),
            &Value::Object(form),
            Some("root-token"),
        )?;
        if guest["template"] == true {
            self.work(
                "POST",
                &format!("{}/template", at(guest)),
                &json!({}),
                Some("root-token"),
            )?;
            // The conversion goes on after the answer.
            self.server.wait_ms(2_000);
        }
        Ok(())
    }

    /// Makes backups; one of a guest that is not there is made of one that exists only for it.
    fn backups(&mut self, guests: &[Value]) -> Result<(), String> {
        let scenario = self.scenario;
        for backup in scenario.list("backups") {
            let present = guests
                .iter()
                .any(|guest| guest["vmid"] == backup["vmid"] && guest["restored_from"].is_null());
            let mut stand_in = backup.get("guest").cloned().unwrap_or_else(|| json!({}));
            if !present {
                for (key, value) in [
                    ("vmid", backup["vmid"].clone()),
                    ("node", backup["node"].clone()),
                    ("hostname", json!(format!("ct{}", backup["vmid"]))),
                    ("rootfs", json!("local:1")),
                ] {
                    if stand_in.get(key).is_none() {
                        stand_in[key] = value;
                    }
                }
                stand_in = self.completed(&stand_in);
                self.create(&stand_in)?;
            }
            self.backup(backup)?;
            if !present {
                self.work("DELETE", &at(&stand_in), &json!({}), Some("root-token"))?;
            }
        }
        Ok(())
    }

    fn backup(&mut self, backup: &Value) -> Result<(), String> {
        let node = backup["node"].as_str().unwrap_or_default();
        let storage = backup["storage"].as_str().unwrap_or("local");
        let listing = format!("/nodes/{node}/storage/{storage}/content");
        let query = json!({"content": "backup", "vmid": backup["vmid"]});
        let known = volids(&self.make("GET", &listing, &query)?.payload());
        // Names of backups have seconds.
        self.server.wait_ms(1_000);
        let mut form = json!({"vmid": backup["vmid"], "storage": storage});
        for key in ["mode", "compress"] {
            if backup[key].is_string() {
                form[key] = backup[key].clone();
            }
        }
        if backup["protected"] == true {
            form["protected"] = json!(1);
        }
        self.work(
            "POST",
            &format!("/nodes/{node}/vzdump"),
            &form,
            Some("root-token"),
        )?;
        let now = volids(&self.make("GET", &listing, &query)?.payload());
        let Some(volid) = now.into_iter().find(|volid| !known.contains(volid)) else {
            return Err("set-up: the backup is not listed".into());
        };
        if let Some(notes) = backup["notes"].as_str() {
            let path = format!("{listing}/{}", escape(&volid));
            self.make("PUT", &path, &json!({"notes": notes}))?;
        }
        if let Some(literal) = backup["ref_literal"].as_str() {
            self.prepared.literals.push((literal.to_owned(), volid));
        }
        Ok(())
    }

    fn restore(&mut self, guest: &Value) -> Result<(), String> {
        let literal = guest["restored_from"].as_str().unwrap_or_default();
        let volid = self
            .prepared
            .literals
            .iter()
            .find(|(from, _)| from == literal);
        let volid = volid.map_or_else(|| literal.to_owned(), |(_, volid)| volid.clone());
        let mut form = json!({"vmid": guest["vmid"], "ostemplate": volid, "restore": 1});
        for key in ["pool", "storage"] {
            if guest[key].is_string() {
                form[key] = guest[key].clone();
            }
        }
        if form.get("storage").is_none() {
            let rootfs = guest["rootfs"].as_str().unwrap_or("local:1");
            form["storage"] = rootfs.split(':').next().unwrap_or("local").into();
        }
        self.work("POST", &lxc(guest), &form, Some("root-token"))
    }

    /// Snapshots, power and lock, once all guests are there.
    fn finish(&mut self, guest: &Value) -> Result<(), String> {
        let managed = self.scenario.list("ha").iter().any(|entry| {
            entry["sid"]
                .as_str()
                .is_some_and(|sid| sid == format!("ct:{}", guest["vmid"]))
        });
        if guest["running"] == true && !managed {
            self.work(
                "POST",
                &format!("{}/status/start", at(guest)),
                &json!({}),
                Some("root-token"),
            )?;
        }
        for snapshot in guest["snapshots"].as_array().into_iter().flatten() {
            let form = match snapshot {
                Value::String(name) => json!({"snapname": name}),
                fields => {
                    let mut form = Map::new();
                    form.insert(
                        "snapname".into(),
                        fields
                            .get("name")
                            .or(fields.get("snapname"))
                            .cloned()
                            .unwrap_or_default(),
                    );
                    form.extend(
                        fields
                            .get("description")
                            .map(|text| ("description".to_owned(), text.clone())),
                    );
                    Value::Object(form)
                }
            };
            self.work(
                "POST",
                &format!("{}/snapshot", at(guest)),
                &form,
                Some("root-token"),
            )?;
        }
        if guest["lock"].is_string() {
            let form = json!({"lock": guest["lock"]});
            self.make("PUT", &format!("{}/config", at(guest)), &form)?;
        }
        Ok(())
    }
}

fn lxc(guest: &Value) -> String {
    format!("/nodes/{}/lxc", guest["node"].as_str().unwrap_or_default())
}

pub(super) fn at(guest: &Value) -> String {
    format!("{}/{}", lxc(guest), guest["vmid"])
}

fn volids(rows: &Value) -> Vec<String> {
    let rows = rows.as_array().into_iter().flatten();
    rows.filter_map(|row| row["volid"].as_str())
        .map(str::to_owned)
        .collect()
}
