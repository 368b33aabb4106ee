//! Answers with status 202: the service has taken the file, and perhaps not finished with it (RFC 9110, section 15.3.3).

use crate::job::Answer;

/// Headers that say where the result will be.
const MONITORS: [&str; 3] = ["operation-location", "azure-asyncoperation", "location"];

/// An answer with status 202.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Accepted {
    monitor: Option<&'static str>,
}

/// Reads an answer, or returns `None` if it has another status.
pub(super) fn describe(answer: &Answer) -> Option<Accepted> {
    if answer.status != Some(202) {
        return None;
    }
    let headers = answer.headers.as_deref().unwrap_or_default();
    let monitor = MONITORS
        .into_iter()
        .find(|name| headers.contains(&format!("\"{name}\":")));
    Some(Accepted { monitor })
}

impl Accepted {
    /// Returns the failure message of an answer that is not JSON.
    pub(super) fn message(self) -> String {
        let place = self.place();
        format!("HTTP 202 Accepted: the service has taken the file and gives no result yet{place}")
    }

    /// Returns the remark on such answers: how they are recorded, and where the results will be.
    pub(super) fn remark(self, is_result: bool) -> String {
        let recorded = match is_result {
            true => "its answer is recorded as the result",
            false => "its answer is kept",
        };
        let place = self.place();
        let way = self.monitor.map_or_else(String::new, |name| {
            format!("; --then '{{header.{name}}}' --poll-until EXPR collects the results, or `stride recheck --expect any --apply` and `stride export --extract '$headers[\"{name}\"]'` list these places")
        });
        format!(
            "HTTP 202 Accepted: the service may still work on the file, and {recorded}{place}{way}"
        )
    }

    fn place(self) -> String {
        self.monitor.map_or_else(String::new, |name| {
            format!("; its header {name} says where the result will be")
        })
    }
}
