//! Evaluates `--extract` for each result of an export.

use crate::export::Extract;
use crate::job::Body;
use crate::jq::Expression;
use crate::store::{Record, Stored};
use crate::validate::Reply;

/// Extracts the value of an expression.
#[derive(Debug)]
pub struct Extraction {
    /// The expression.
    pub expression: Expression,
    /// Answers to the run's method have bodies. Without one, the expression sees null.
    pub has_body: bool,
}

impl Extract for Extraction {
    fn needs_columns(&self) -> bool {
        self.expression.needs_columns()
    }

    fn extract(
        &self,
        record: &Record,
        result: &Stored,
        body: &Body,
        bytes: &[u8],
    ) -> Result<String, Box<dyn std::error::Error + Send + Sync>> {
        let reply = Reply {
            status: record.status,
            media_type: result.media_type.as_deref(),
            headers: result.headers.as_deref(),
            columns: &record.columns,
            body,
            has_body: self.has_body,
        };
        Ok(self.expression.value(&reply.input(bytes))?)
    }
}
