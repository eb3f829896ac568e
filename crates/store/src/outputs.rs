//! What a step read back: in the open, or sealed where secrets are to be expected in it.

use proximity_domain::ids::OperationId;
use proximity_domain::saga::StepRecord;
use secrecy::ExposeSecret;
use serde_json::Value;

use crate::error::StoreError;
use crate::row::{Columns, damaged, to_json};
use crate::seal::{Place, Sealer};
use crate::sql::Row;

/// What a step read back, as its row keeps it.
#[derive(Clone)]
pub enum StepOutput {
    /// Stored as it is.
    Open(Value),
    /// Stored sealed: secrets are to be expected in it. [`crate::Reader::steps`] opens it.
    Sealed(Value),
}

impl From<Value> for StepOutput {
    fn from(value: Value) -> Self {
        Self::Open(value)
    }
}

impl std::fmt::Debug for StepOutput {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Open(value) => write!(f, "Open({value})"),
            Self::Sealed(_) => f.write_str("Sealed"),
        }
    }
}

impl StepOutput {
    /// The value itself.
    pub(crate) fn into_value(self) -> Value {
        match self {
            Self::Open(value) | Self::Sealed(value) => value,
        }
    }

    /// The texts of the columns `output` and `output_sealed`.
    pub(crate) fn columns(
        &self,
        sealer: &Sealer,
        operation: OperationId,
        index: u32,
    ) -> Result<(Option<String>, Option<String>), StoreError> {
        match self {
            Self::Open(value) => Ok((Some(to_json("output", value)?), None)),
            Self::Sealed(value) => {
                let row = row_name(operation, index);
                let text = to_json("output_sealed", value)?;
                Ok((None, Some(sealer.seal(place(&row), &text)?)))
            }
        }
    }
}

/// Opens the output of `record`, which was read from `row`, if it is sealed.
pub(crate) fn open(
    sealer: &Sealer,
    operation: OperationId,
    row: &Row,
    mut record: StepRecord,
) -> Result<StepRecord, StoreError> {
    if let Some(sealed) = row.text_opt("output_sealed")? {
        let name = row_name(operation, record.index);
        let text = sealer.unseal(place(&name), &sealed)?;
        let value = serde_json::from_str(text.expose_secret());
        // What is in there must not get into an error.
        record.output = Some(value.map_err(|_| damaged("output_sealed", name))?);
    }
    Ok(record)
}

fn row_name(operation: OperationId, index: u32) -> String {
    format!("{operation}/{index}")
}

fn place(row: &str) -> Place<'_> {
    Place {
        table: "steps",
        id: row,
        column: "output_sealed",
    }
}
