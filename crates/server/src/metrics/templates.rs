//! Figures of prepared templates.

use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use proximity_domain::prepared::Stage;
use proximity_store::{Reader, StoreError};

use super::labels::InStage;

/// Read from the record.
#[derive(Debug, Default)]
pub(super) struct TemplateMetrics {
    there: Family<InStage, Gauge>,
    linked: Gauge,
}

impl TemplateMetrics {
    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register(
            "prepared_templates",
            "Prepared templates, by how far each is: those that are being made, that are ready, and that are on their way out",
            self.there.clone(),
        );
        registry.register(
            "prepared_linked",
            "Containers that share a prepared template's root file system",
            self.linked.clone(),
        );
    }

    /// Counts them.
    pub(super) async fn look(&self, reader: &Reader) -> Result<(), StoreError> {
        let all = reader.prepared().await?;
        for stage in Stage::ALL {
            let there = all.iter().filter(|kept| kept.prepared.stage == stage);
            self.show(stage, there.count());
        }
        let linked: u32 = all.iter().map(|kept| kept.clones.linked).sum();
        self.linked.set(i64::from(linked));
        Ok(())
    }

    /// One series of each figure: without any a figure is not told.
    pub(super) fn show_all(&self) {
        for stage in Stage::ALL {
            self.show(stage, 0);
        }
    }

    fn show(&self, stage: Stage, count: usize) {
        let labels = InStage {
            stage: stage.label(),
        };
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        self.there.get_or_create(&labels).set(count);
    }
}
