//! A recording's file.

use serde_json::Value;

pub struct Scenario {
    pub document: Value,
}

impl Scenario {
    pub fn load(name: &str) -> Self {
        let path = format!(
            "{}/../../fixtures/pve-traces/{name}.json",
            env!("CARGO_MANIFEST_DIR")
        );
        let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
        Self {
            document: serde_json::from_str(&text).unwrap(),
        }
    }

    pub fn steps(&self) -> &[Value] {
        self.document["steps"].as_array().unwrap()
    }

    pub fn fixture(&self) -> &Value {
        &self.document["fixture"]
    }

    pub fn list(&self, key: &str) -> &[Value] {
        self.fixture()[key]
            .as_array()
            .map(Vec::as_slice)
            .unwrap_or_default()
    }

    pub fn volatile(&self) -> Vec<String> {
        let list = self.document["volatile"].as_array().unwrap();
        list.iter()
            .map(|pointer| pointer.as_str().unwrap().to_owned())
            .collect()
    }
}
