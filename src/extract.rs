//! Extracts the value of a jq expression from each result of an export.

use crate::export::Extract;
use crate::job::Body;
use crate::jq::Expression;
use crate::store::{Record, Stored};
use crate::validate::Reply;

/// The value of an expression, as `--extract` writes it.
#[derive(Debug)]
pub struct Extraction {
    /// The expression.
    pub expression: Expression,
    /// Answers have bodies. Where they have none, the expression sees null.
    pub has_body: bool,
}

impl Extract for Extraction {
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
            body,
            has_body: self.has_body,
        };
        Ok(self.expression.value(&reply.input(bytes))?)
    }
}
