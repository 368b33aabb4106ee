//! A job for the targets that fill in templates.

use std::path::PathBuf;
use std::sync::OnceLock;

use arbitrary::Arbitrary;
use serde_json::Value;
use stride::job::{Columns, FileName, Job, JobId, Position};

/// The parts of a job.
#[derive(Debug, Arbitrary)]
pub struct Given {
    pub name: Vec<u8>,
    pub a: String,
    pub b: String,
    pub position: u32,
}

pub fn job(given: &Given) -> Job {
    static FILE: OnceLock<PathBuf> = OnceLock::new();
    let file = FILE.get_or_init(|| {
        let path = std::env::temp_dir().join(format!("stride-fuzz-{}", std::process::id()));
        std::fs::write(&path, "\"},\r\n\\\u{1}'&#/?=+% {name}").expect("a place for a file");
        path
    });
    // A column may be any JSON; in most lists it is text.
    let value = |text: &str| match stride::job::json_text(text.as_bytes()) {
        Ok(json) if given.position % 2 == 0 => json.to_owned(),
        _ => Value::from(text).to_string(),
    };
    let columns = format!("{{\"a\":{},\"b\":{}}}", value(&given.a), value(&given.b));
    let name: Vec<u8> = given
        .name
        .iter()
        .copied()
        .filter(|byte| *byte != 0)
        .collect();
    Job {
        id: JobId(1),
        position: Position(given.position.into()),
        path: FileName::new(name),
        file: file.clone(),
        columns: Columns::read(&columns).expect("an object"),
        answers: Vec::new(),
    }
}
