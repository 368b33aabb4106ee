//! Parquet, for programs that look at many rows: typed columns, compressed. Jobs are gathered until there are enough of
//! them for a group of rows, which is then written, so that memory does not grow.

use std::io::{self, Write};
use std::mem::{replace, take};
use std::sync::Arc;

use parquet::basic::{Compression, LogicalType, Repetition, TimeUnit, Type as Physical, ZstdLevel};
use parquet::data_type::{ByteArray, ByteArrayType, DataType, DoubleType, Int32Type, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedColumnWriter, SerializedFileWriter};
use parquet::schema::types::{ColumnPath, Type};

use super::cells::{Cell, cell};
use super::column::Column;
use super::content::Content;
use super::error::{ExportError, write_failed};
use super::form::{Form, Selection, Written};
use super::rows;
use crate::store::{Reader, Record};

/// At most how many jobs make a group.
const ROWS: usize = 1 << 17;
/// With so many bytes a group is full. What is compressed of it is in memory a second time.
const BYTES: usize = 32 << 20;
/// What each job counts for beside its text: its numbers, and what it takes to keep track, in bytes.
const ROW: usize = 128;

pub(super) fn write(
    reader: &Reader,
    form: &Form<'_>,
    selection: Selection,
    to: &mut impl Write,
) -> Result<Written, ExportError> {
    let mut file = ParquetFile::new(form.columns.unwrap_or(&Column::TYPED)).map_err(failed)?;
    let written = rows::each(reader, form, selection, &mut |record, content| {
        file.add(record, content);
        match file.is_full() {
            true => file.write_group(to),
            false => Ok(()),
        }
    })?;
    file.end(to)?;
    Ok(written)
}

fn failed(error: ParquetError) -> ExportError {
    write_failed(io::Error::other(error))
}

/// A file as far as it is not handed on.
struct ParquetFile {
    writer: SerializedFileWriter<Vec<u8>>,
    columns: Vec<(Column, Values)>,
    rows: usize,
    bytes: usize,
}

/// The values of a column in a group: those that are there, and for each job whether it has one.
struct Values {
    kind: Kind,
    there: Vec<i16>,
}

enum Kind {
    Small(Vec<i32>),
    Large(Vec<i64>),
    Real(Vec<f64>),
    Bytes(Vec<ByteArray>),
}

impl ParquetFile {
    fn new(columns: &[Column]) -> Result<Self, ParquetError> {
        let fields = columns.iter().map(|column| Ok(Arc::new(typed(*column)?)));
        let schema = Type::group_type_builder("results")
            .with_fields(fields.collect::<Result<_, ParquetError>>()?)
            .build()?;
        let mut properties = WriterProperties::builder()
            .set_created_by(concat!("stride ", env!("CARGO_PKG_VERSION")).to_owned())
            .set_compression(Compression::ZSTD(ZstdLevel::default()))
            .set_dictionary_enabled(false);
        // The words that come again and again.
        for column in [
            Column::State,
            Column::Class,
            Column::Kind,
            Column::MediaType,
            Column::ResultType,
        ] {
            let path = ColumnPath::from(column.as_str());
            properties = properties.set_column_dictionary_enabled(path, true);
        }
        let schema = Arc::new(schema);
        Ok(Self {
            writer: SerializedFileWriter::new(Vec::new(), schema, Arc::new(properties.build()))?,
            columns: columns
                .iter()
                .map(|column| (*column, Values::of(*column)))
                .collect(),
            rows: 0,
            bytes: 0,
        })
    }

    fn add(&mut self, record: &Record, content: Option<&Content<'_>>) {
        for (column, values) in &mut self.columns {
            self.bytes += values.push(cell(*column, record, content));
        }
        self.bytes += ROW;
        self.rows += 1;
    }

    fn is_full(&self) -> bool {
        self.rows >= ROWS || self.bytes >= BYTES
    }

    /// Writes what was gathered, and hands on what is written.
    fn write_group(&mut self, to: &mut impl Write) -> Result<(), ExportError> {
        let write = |file: &mut Self| -> Result<(), ParquetError> {
            let mut group = file.writer.next_row_group()?;
            for (column, values) in &mut file.columns {
                let values = replace(values, Values::of(*column));
                let Some(mut writer) = group.next_column()? else {
                    return Err(ParquetError::General("there is no such column".to_owned()));
                };
                values.write(&mut writer, column.is_there())?;
                writer.close()?;
            }
            group.close()?;
            file.writer.flush()?;
            Ok(())
        };
        write(self).map_err(failed)?;
        (self.rows, self.bytes) = (0, 0);
        to.write_all(&take(self.writer.inner_mut()))
            .map_err(write_failed)
    }

    fn end(mut self, to: &mut impl Write) -> Result<(), ExportError> {
        if self.rows > 0 {
            self.write_group(to)?;
        }
        let rest = self.writer.into_inner().map_err(failed)?;
        to.write_all(&rest).map_err(write_failed)
    }
}

impl Values {
    fn of(column: Column) -> Self {
        Self {
            kind: match physical(column) {
                Physical::INT32 => Kind::Small(Vec::new()),
                Physical::INT64 => Kind::Large(Vec::new()),
                Physical::DOUBLE => Kind::Real(Vec::new()),
                _ => Kind::Bytes(Vec::new()),
            },
            there: Vec::new(),
        }
    }

    /// Takes a value. Returns how many bytes it has that lie elsewhere.
    fn push(&mut self, cell: Cell<'_>) -> usize {
        let (mut length, before) = (0, self.len());
        match (&mut self.kind, cell) {
            // Statuses and counts of attempts, which are far below the bound.
            (Kind::Small(values), Cell::Integer(number)) => {
                values.push(i32::try_from(number).unwrap_or(i32::MAX));
            }
            (Kind::Large(values), Cell::Integer(number)) => values.push(number),
            (Kind::Real(values), Cell::Real(number)) => values.push(number),
            (Kind::Bytes(values), Cell::Text(text)) => {
                length = text.len();
                values.push(text.into_owned().into_bytes().into());
            }
            (Kind::Bytes(values), Cell::Bytes(bytes)) => {
                length = bytes.len();
                values.push(bytes.into_owned().into());
            }
            _ => {}
        }
        self.there.push(i16::from(self.len() > before));
        length
    }

    /// How many values there are.
    fn len(&self) -> usize {
        match &self.kind {
            Kind::Small(values) => values.len(),
            Kind::Large(values) => values.len(),
            Kind::Real(values) => values.len(),
            Kind::Bytes(values) => values.len(),
        }
    }

    fn write(
        self,
        to: &mut SerializedColumnWriter<'_>,
        is_there: bool,
    ) -> Result<(), ParquetError> {
        let there = (!is_there).then_some(self.there.as_slice());
        match &self.kind {
            Kind::Small(values) => put::<Int32Type>(to, values, there),
            Kind::Large(values) => put::<Int64Type>(to, values, there),
            Kind::Real(values) => put::<DoubleType>(to, values, there),
            Kind::Bytes(values) => put::<ByteArrayType>(to, values, there),
        }
    }
}

fn put<T: DataType>(
    to: &mut SerializedColumnWriter<'_>,
    values: &[T::T],
    there: Option<&[i16]>,
) -> Result<(), ParquetError> {
    to.typed::<T>().write_batch(values, there, None).map(drop)
}

fn physical(column: Column) -> Physical {
    match column {
        Column::Attempts | Column::Status => Physical::INT32,
        Column::Started => Physical::INT64,
        Column::Duration => Physical::DOUBLE,
        _ => Physical::BYTE_ARRAY,
    }
}

/// A column as the file's schema has it.
fn typed(column: Column) -> Result<Type, ParquetError> {
    let logical = match column {
        Column::Attempts | Column::Status | Column::Duration => None,
        Column::PathBytes | Column::ResultBytes => None,
        Column::Started => Some(LogicalType::timestamp(true, TimeUnit::MILLIS)),
        _ => Some(LogicalType::String),
    };
    Type::primitive_type_builder(column.as_str(), physical(column))
        .with_repetition(match column.is_there() {
            true => Repetition::REQUIRED,
            false => Repetition::OPTIONAL,
        })
        .with_logical_type(logical)
        .build()
}
