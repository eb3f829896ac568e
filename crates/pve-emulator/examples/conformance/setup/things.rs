//! Volumes, jobs, tasks of the past and managed resources of a fixture.

use serde_json::{Value, json};

use super::Setup;
use super::guests::at;
use crate::history::Wanted;

impl Setup<'_> {
    pub(super) fn volumes(&mut self) -> Result<(), String> {
        for volume in self.scenario.list("volumes") {
            let node = volume["node"].as_str().unwrap_or_default();
            let storage = volume["storage"].as_str().unwrap_or("local");
            let mut form = volume.as_object().cloned().unwrap_or_default();
            for key in ["node", "storage", "volid", "ref_literal", "notes"] {
                form.remove(key);
            }
            let path = format!("/nodes/{node}/storage/{storage}/content");
            let made = self.make("POST", &path, &Value::Object(form))?;
            if let (Some(literal), Some(ours)) =
                (volume["ref_literal"].as_str(), made.payload().as_str())
            {
                self.prepared
                    .literals
                    .push((literal.to_owned(), ours.to_owned()));
            }
        }
        Ok(())
    }

    pub(super) fn jobs(&mut self) -> Result<(), String> {
        for job in self.scenario.list("jobs") {
            let mut form = job.as_object().cloned().unwrap_or_default();
            for key in ["type", "notes"] {
                form.remove(key);
            }
            self.make("POST", "/cluster/backup", &Value::Object(form))?;
        }
        Ok(())
    }

    /// Tasks of the past are those that made the guests, or are made now.
    pub(super) fn tasks(&mut self) -> Result<(), String> {
        let scenario = self.scenario;
        for entry in scenario.list("tasks") {
            let wanted = Wanted::of(entry)?;
            let known: Vec<String> = self
                .prepared
                .literals
                .iter()
                .map(|(_, o)| o.clone())
                .collect();
            let mut found = self.find_task(&wanted, &known)?;
            if found.is_none() {
                for (method, path, form) in wanted.calls(scenario)? {
                    self.work(method, &path, &form, wanted.by())?;
                }
                found = self.find_task(&wanted, &known)?;
            }
            let upid = found.ok_or_else(|| format!("set-up: there is no task like {entry}"))?;
            if let Some(literal) = entry["ref_literal"].as_str() {
                self.prepared.literals.push((literal.to_owned(), upid));
            }
        }
        Ok(())
    }

    /// The newest task like this that stands for nothing yet.
    fn find_task(&mut self, wanted: &Wanted, known: &[String]) -> Result<Option<String>, String> {
        let path = format!("/nodes/{}/tasks", wanted.node);
        let query = json!({"source": "all", "limit": 500});
        let rows = self.make("GET", &path, &query)?.payload();
        let rows = rows.as_array().into_iter().flatten();
        let upids = rows
            .filter(|row| wanted.is(row))
            .filter_map(|row| row["upid"].as_str());
        let mut unused = upids.filter(|upid| !known.iter().any(|other| other == upid));
        Ok(unused.next().map(str::to_owned))
    }

    /// Resources are added once everything else is there; then their guests are awaited.
    pub(super) fn high_availability(&mut self) -> Result<(), String> {
        let scenario = self.scenario;
        for resource in scenario.list("ha") {
            let mut form = resource.as_object().cloned().unwrap_or_default();
            form.remove("notes");
            self.make("POST", "/cluster/ha/resources", &Value::Object(form))?;
        }
        for resource in scenario
            .list("ha")
            .iter()
            .filter(|entry| entry["state"] == "started")
        {
            let vmid = resource["sid"]
                .as_str()
                .and_then(|sid| sid.split(':').nth(1))
                .unwrap_or_default();
            let guest = scenario
                .list("guests")
                .iter()
                .find(|guest| guest["vmid"] == json!(vmid.parse::<u32>().ok()));
            let Some(guest) = guest else { continue };
            let path = format!("{}/status/current", at(guest));
            for _ in 0..120 {
                if self.make("GET", &path, &json!({}))?.payload()["status"] == "running" {
                    break;
                }
                self.server.wait_ms(1_000);
            }
        }
        Ok(())
    }
}
