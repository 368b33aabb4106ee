//! Typed tables, which read back as the JSON export.

use std::fs::{self, File};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use parquet::basic::{LogicalType, Repetition, TimeUnit};
use parquet::file::reader::{FileReader as _, SerializedFileReader};
use parquet::record::Field;
use serde_json::{Map, Value, json};
use stride::export::{
    Column, ColumnName, ExportError, FileError, Form, Format, Selection, to_file, to_stream,
};
use stride::extract::Extraction;
use stride::job::Class;
use stride::jq::Expression;

use super::{VERBATIM, done, export, mixed};
use crate::support::{BYSTANDER, Fixture, answered, attempt, failed, numbers, succeeded};

/// A row as it was read: by column, bytes in base64.
type Row = Map<String, Value>;

fn parquet(bytes: Vec<u8>) -> Vec<Row> {
    let reader = SerializedFileReader::new(bytes::Bytes::from(bytes)).unwrap();
    let value = |field: &Field| match field {
        Field::Null => Value::Null,
        Field::Int(number) => json!(number),
        Field::TimestampMillis(number) => json!(number),
        Field::Double(number) => json!(number),
        Field::Str(text) => json!(text),
        Field::Bytes(bytes) => json!(STANDARD.encode(bytes.data())),
        other => panic!("{other:?}"),
    };
    let rows = reader.get_row_iter(None).unwrap().map(|row| {
        let row = row.unwrap();
        let columns = row.get_column_iter();
        columns
            .map(|(name, field)| (name.clone(), value(field)))
            .collect()
    });
    rows.collect()
}

/// A result's JSON text, according to its row.
fn result(row: &Row) -> Option<String> {
    let text = row["result"].as_str();
    match row["result_type"].as_str()? {
        "json" | "file" => Some(text.unwrap().to_owned()),
        "text" => Some(json!(text.unwrap()).to_string()),
        "bytes" => {
            assert_eq!(text, None);
            let bytes = json!({"base64": row["result_bytes"], "media_type": row["media_type"]});
            Some(bytes.to_string())
        }
        other => panic!("{other}"),
    }
}

/// The JSON export, rebuilt from a table. Errors have fewer fields in a table.
fn object(rows: &[Row]) -> String {
    let entries = rows.iter().filter_map(|row| {
        let name = match row["path_bytes"].as_str() {
            None => row["file"].to_string(),
            Some(bytes) => {
                let bytes = STANDARD.decode(bytes).unwrap();
                let text: String = bytes
                    .utf8_chunks()
                    .map(|chunk| {
                        let odd = chunk.invalid().iter();
                        let odd: String = odd.map(|byte| format!("\\udc{byte:02x}")).collect();
                        format!("{}{odd}", chunk.valid())
                    })
                    .collect();
                format!("\"{text}\"")
            }
        };
        Some(format!("{name}: {}", result(row)?))
    });
    format!("{{\n{}\n}}\n", entries.collect::<Vec<_>>().join(",\n"))
}

/// The table of a run.
fn table(fixture: &Fixture, form: Form<'_>, selection: Selection) -> Vec<Row> {
    let reader = fixture.reader();
    let file = fixture.at("table");
    let form = Form {
        format: Format::Parquet,
        ..form
    };
    to_file(&reader, form, selection, &file).unwrap();
    let written = fs::read(&file).unwrap();
    let mut streamed = Vec::new();
    to_stream(&reader, form, selection, &mut streamed).unwrap();
    assert!(streamed == written);
    fs::remove_file(&file).unwrap();
    parquet(written)
}

#[test]
fn a_table_has_the_contents_of_the_json_export() {
    let odd = Fixture::new(&["empty", "text", "bytes", "large", "none", "nul"]);
    let mut store = odd.start();
    attempt(&mut store, odd.id("empty"), answered("text/plain", ""));
    attempt(
        &mut store,
        odd.id("text"),
        answered("text/plain", "{\"a\": 1}"),
    );
    attempt(
        &mut store,
        odd.id("bytes"),
        answered("audio/mpeg", &b"ID3\xff\0"[..]),
    );
    let large = format!("[{}1]", "\"ü\", ".repeat(700_000));
    attempt(&mut store, odd.id("large"), succeeded(&large));
    attempt(&mut store, odd.id("none"), answered("image/png", ""));
    attempt(&mut store, odd.id("nul"), answered("text/plain", "a\0b"));
    drop(store);
    for fixture in [done(), odd, mixed()] {
        let json = export(&fixture.reader(), Format::Json, Selection::Partial);
        let table = table(&fixture, Format::Json.into(), Selection::Partial);
        assert!(object(&table) == json, "{table:?}");
    }
}

#[test]
fn the_columns_have_their_types_and_missing_values_are_null() {
    let fixture = mixed();
    let parquet = table(&fixture, Format::Json.into(), Selection::All);
    assert_eq!(parquet.len(), 7);
    let lines = export(&fixture.reader(), Format::Jsonl, Selection::All);
    for (line, row) in lines.lines().zip(&parquet) {
        let line: Row = serde_json::from_str(line).unwrap();
        let names: Vec<&str> = row.keys().map(String::as_str).collect();
        let typed: Vec<&str> = Column::TYPED.iter().map(|column| column.as_str()).collect();
        assert_eq!(names, typed);
        for (name, value) in row {
            let expected = line.get(name).unwrap_or(&Value::Null);
            match name.as_str() {
                // A timestamp here, and text in JSON lines.
                "started" => {
                    let shown = value.as_i64().map(stride::export::timestamp);
                    assert_eq!(json!(shown), *expected);
                }
                "media_type" | "result_type" | "result_bytes" | "result" => {}
                _ => assert_eq!(value, expected, "{name}"),
            }
        }
    }
    let column = |name: &str| -> Vec<&Value> { parquet.iter().map(|row| &row[name]).collect() };
    let null = Value::Null;
    assert_eq!(
        column("result"),
        [
            &json!("null"),
            &null,
            // Cells are not formulas.
            &json!("=cmd|' /C calc'!A0"),
            &null,
            &null,
            &null,
            &json!("{\"by\": \"stander\"}")
        ]
    );
    assert_eq!(column("path_bytes")[1], &json!("ZmFpbOlk"));
    assert_eq!(
        column("error")[1],
        &json!("-2+3 \"quoted\",\nand more: why \u{fffd}")
    );
}

#[test]
fn the_schemas_describe_the_columns() {
    let fixture = done();
    let file = fixture.at("table");
    to_file(&fixture.reader(), Format::Parquet, Selection::Whole, &file).unwrap();
    let reader = SerializedFileReader::new(File::open(&file).unwrap()).unwrap();
    let schema = reader.metadata().file_metadata().schema();
    for field in schema.get_fields() {
        let info = field.get_basic_info();
        let expected = match field.name() {
            "attempts" | "status" | "duration" | "path_bytes" | "result_bytes" => None,
            "started" => Some(LogicalType::timestamp(true, TimeUnit::MILLIS)),
            _ => Some(LogicalType::String),
        };
        assert_eq!(
            info.logical_type_ref(),
            expected.as_ref(),
            "{}",
            field.name()
        );
        let required = matches!(field.name(), "file" | "state" | "attempts");
        assert_eq!(info.repetition() == Repetition::REQUIRED, required);
    }
}

#[test]
fn a_table_without_rows_is_a_table() {
    let fixture = Fixture::empty();
    let (store, _) = fixture.create(&[]).unwrap();
    store.close().unwrap();
    let table = table(&fixture, Format::Json.into(), Selection::Whole);
    assert_eq!(table, [] as [Row; 0]);
}

#[test]
fn many_rows_are_several_groups_and_come_in_list_order() {
    const JOBS: usize = 40;
    let fixture = Fixture::new(&numbers(JOBS));
    let mut store = fixture.start();
    for job in (0..JOBS).rev() {
        // Incompressible text of more than a mebibyte.
        let mut seed = job as u64 + 1;
        let words = (0..70_000).map(|_| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            format!("{seed:016x}")
        });
        let text = json!(words.collect::<String>()).to_string();
        attempt(
            &mut store,
            fixture.id(job.to_string().as_str()),
            succeeded(&text),
        );
    }
    drop(store);
    let file = fixture.at("table");
    to_file(&fixture.reader(), Format::Parquet, Selection::Whole, &file).unwrap();
    let reader = SerializedFileReader::new(File::open(&file).unwrap()).unwrap();
    assert_eq!(reader.num_row_groups(), 2);
    for group in reader.metadata().row_groups() {
        assert!(
            group.total_byte_size() < 40 << 20,
            "{}",
            group.total_byte_size()
        );
    }
    let json = export(&fixture.reader(), Format::Json, Selection::Whole);
    assert!(object(&parquet(fs::read(&file).unwrap())) == json);
}

#[test]
fn columns_are_chosen_and_ordered_in_every_table() {
    let fixture = mixed();
    let columns = [
        Column::Kind,
        Column::Outcome,
        Column::Result,
        Column::File,
        Column::PathBytes,
    ];
    let names = columns.map(Column::as_str);
    let columns = columns.map(ColumnName::Own);
    let form = Form {
        columns: Some(&columns),
        ..Format::Json.into()
    };
    let table = table(&fixture, form, Selection::All);
    for row in &table {
        assert_eq!(row.keys().collect::<Vec<_>>(), names);
    }
    assert_eq!(table[1]["kind"], "test");
    let text = |format| {
        let mut out = Vec::new();
        let form = Form { format, ..form };
        to_stream(&fixture.reader(), form, Selection::All, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    };
    let lines = text(Format::Jsonl);
    assert_eq!(
        lines.lines().take(2).collect::<Vec<_>>(),
        [
            r#"{"kind":null,"outcome":"succeeded","result":null,"file":"done","path_bytes":null}"#,
            "{\"kind\":\"test\",\"outcome\":\"failed\",\"result\":null,\"file\":\"fail\u{fffd}d\",\"path_bytes\":\"ZmFpbOlk\"}",
        ]
    );
    let csv = text(Format::Csv);
    assert_eq!(
        csv.lines().take(3).collect::<Vec<_>>(),
        [
            "kind,outcome,result,file,path_bytes",
            ",succeeded,null,done,",
            "test,failed,,fail\u{fffd}d,ZmFpbOlk"
        ]
    );
    // All of them, in both kinds of lines.
    let all: Vec<ColumnName> = Column::ALL.iter().map(|own| (*own).into()).collect();
    let form = Form {
        columns: Some(&all),
        format: Format::Jsonl,
        ..form
    };
    let fixture = done();
    let mut out = Vec::new();
    to_stream(&fixture.reader(), form, Selection::Whole, &mut out).unwrap();
    let out = String::from_utf8(out).unwrap();
    assert!(out.contains(&format!("\"result\":{VERBATIM},")), "{out}");
    let first: Row = serde_json::from_str(out.lines().next().unwrap()).unwrap();
    assert_eq!(first["result_type"], "bytes");
    assert_eq!(first["result_bytes"], first["result"]["base64"]);
    assert_eq!(first["media_type"], "application/octet-stream");
    assert!(first["started"].is_string() && first["duration"].is_f64());
}

#[test]
fn tables_have_extracted_values_too() {
    let fixture = Fixture::new(&["a", "b"]);
    let mut store = fixture.start();
    attempt(&mut store, fixture.id("a"), succeeded(r#"{"by": "=1"}"#));
    attempt(
        &mut store,
        fixture.id("b"),
        succeeded(r#"{"by": {"n": 1}}"#),
    );
    drop(store);
    let extract = Extraction {
        expression: Expression::new(".by").unwrap(),
        has_body: true,
    };
    let form = Form {
        extract: Some(&extract),
        ..Format::Json.into()
    };
    let mut json = Vec::new();
    to_stream(&fixture.reader(), form, Selection::Whole, &mut json).unwrap();
    let json = String::from_utf8(json).unwrap();
    let table = table(&fixture, form, Selection::Whole);
    assert_eq!(object(&table), json);
    let types: Vec<&Value> = table.iter().map(|row| &row["result_type"]).collect();
    assert_eq!(types, ["text", "json", "text"]);
    assert_eq!(table[0]["result"], "=1");
    assert!(json.contains(BYSTANDER.split('\'').next().unwrap()));
}

#[test]
fn a_table_that_cannot_be_written_is_an_error() {
    struct Full(usize);
    impl std::io::Write for Full {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            match self.0.checked_sub(bytes.len()) {
                Some(left) => self.0 = left,
                None => return Err(std::io::ErrorKind::StorageFull.into()),
            }
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let fixture = Fixture::new(&["a"]);
    let mut store = fixture.start();
    attempt(
        &mut store,
        fixture.id("a"),
        failed(Class::Rejected, None, "no"),
    );
    let failed = to_stream(
        &fixture.reader(),
        Format::Parquet,
        Selection::All,
        &mut Full(100),
    );
    assert!(
        matches!(failed, Err(ExportError::File(FileError::Write { .. }))),
        "{failed:?}"
    );
}
