//! Parquet: typed, compressed columns. Jobs are buffered until they fill a row group, which is then written, so that
//! memory does not grow.

use std::io::{self, Write};
use std::mem::{replace, take};
use std::sync::Arc;

use parquet::basic::{Compression, LogicalType, Repetition, TimeUnit, Type as Physical, ZstdLevel};
use parquet::data_type::{
    BoolType, ByteArray, ByteArrayType, DataType, DoubleType, Int32Type, Int64Type,
};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedColumnWriter, SerializedFileWriter};
use parquet::schema::types::{ColumnPath, Type};

use super::cells::{TableCell, TableRow};
use super::column::Column;
use super::error::{ExportError, write_failed};
use super::fields::Kind;
use super::form::{ExportSummary, Form, Selection};
use super::heading::{Heading, Source};
use super::rows;
use crate::store::Reader;

/// The maximum number of jobs in a row group.
const ROWS: usize = 1 << 17;
/// The bytes that fill a row group. While it is written, memory holds it a second time, compressed.
const BYTES: usize = 32 << 20;
/// The bytes of a job beside its text: numbers and bookkeeping.
const ROW: usize = 128;

pub(super) fn write(
    reader: &Reader,
    form: &Form<'_>,
    selection: Selection,
    headings: &[Heading],
    to: &mut impl Write,
) -> Result<ExportSummary, ExportError> {
    let mut file = ParquetFile::new(headings).map_err(failed)?;
    let written = rows::each(reader, form, selection, headings, |record, content| {
        file.add(&TableRow::new(record, content, headings));
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

/// A file that is being written, with the bytes that are not passed on yet.
struct ParquetFile<'h> {
    writer: SerializedFileWriter<Vec<u8>>,
    columns: Vec<(&'h Source, ColumnValues)>,
    rows: usize,
    bytes: usize,
}

/// The values of a column in a row group, and for each job 1 if it has a value and 0 otherwise.
struct ColumnValues {
    typed: TypedValues,
    definition_levels: Vec<i16>,
}

enum TypedValues {
    Boolean(Vec<bool>),
    Int32(Vec<i32>),
    Int64(Vec<i64>),
    Real(Vec<f64>),
    Bytes(Vec<ByteArray>),
}

impl<'h> ParquetFile<'h> {
    fn new(headings: &'h [Heading]) -> Result<Self, ParquetError> {
        let fields = headings
            .iter()
            .map(|heading| Ok(Arc::new(schema_type(heading)?)));
        let schema = Type::group_type_builder("results")
            .with_fields(fields.collect::<Result<_, ParquetError>>()?)
            .build()?;
        let mut properties = WriterProperties::builder()
            .set_created_by(concat!("stride ", env!("CARGO_PKG_VERSION")).to_owned())
            .set_compression(Compression::ZSTD(ZstdLevel::default()))
            .set_dictionary_enabled(false);
        for heading in headings
            .iter()
            .filter(|heading| is_repetitive(&heading.source))
        {
            let path = ColumnPath::from(heading.name.as_str());
            properties = properties.set_column_dictionary_enabled(path, true);
        }
        let schema = Arc::new(schema);
        Ok(Self {
            writer: SerializedFileWriter::new(Vec::new(), schema, Arc::new(properties.build()))?,
            columns: headings
                .iter()
                .map(|heading| (&heading.source, ColumnValues::new(&heading.source)))
                .collect(),
            rows: 0,
            bytes: 0,
        })
    }

    fn add(&mut self, row: &TableRow<'_>) {
        for (source, values) in &mut self.columns {
            self.bytes += values.push(row.cell(source));
        }
        self.bytes += ROW;
        self.rows += 1;
    }

    fn is_full(&self) -> bool {
        self.rows >= ROWS || self.bytes >= BYTES
    }

    /// Writes the buffered row group to `to`.
    fn write_group(&mut self, to: &mut impl Write) -> Result<(), ExportError> {
        let write = |file: &mut Self| -> Result<(), ParquetError> {
            let mut group = file.writer.next_row_group()?;
            for (source, values) in &mut file.columns {
                let values = replace(values, ColumnValues::new(source));
                let Some(mut writer) = group.next_column()? else {
                    return Err(ParquetError::General(
                        "the schema has fewer columns".to_owned(),
                    ));
                };
                values.write(&mut writer, is_required(source))?;
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

impl ColumnValues {
    fn new(source: &Source) -> Self {
        Self {
            typed: match physical(source) {
                Physical::BOOLEAN => TypedValues::Boolean(Vec::new()),
                Physical::INT32 => TypedValues::Int32(Vec::new()),
                Physical::INT64 => TypedValues::Int64(Vec::new()),
                Physical::DOUBLE => TypedValues::Real(Vec::new()),
                _ => TypedValues::Bytes(Vec::new()),
            },
            definition_levels: Vec::new(),
        }
    }

    /// Adds a value, and returns its length if it is text or bytes.
    fn push(&mut self, cell: TableCell<'_>) -> usize {
        let (mut length, before) = (0, self.len());
        match (&mut self.typed, cell) {
            // Statuses and numbers of attempts are far below the bound.
            (TypedValues::Int32(values), TableCell::Integer(number)) => {
                values.push(i32::try_from(number).unwrap_or(i32::MAX));
            }
            (TypedValues::Boolean(values), TableCell::Boolean(value)) => values.push(value),
            (TypedValues::Int64(values), TableCell::Integer(number)) => values.push(number),
            (TypedValues::Real(values), TableCell::Real(number)) => values.push(number),
            (TypedValues::Bytes(values), TableCell::Text(text)) => {
                length = text.len();
                values.push(text.into_owned().into_bytes().into());
            }
            (TypedValues::Bytes(values), TableCell::Bytes(bytes)) => {
                length = bytes.len();
                values.push(bytes.into_owned().into());
            }
            _ => {}
        }
        self.definition_levels.push(i16::from(self.len() > before));
        length
    }

    /// Returns the number of values.
    fn len(&self) -> usize {
        match &self.typed {
            TypedValues::Boolean(values) => values.len(),
            TypedValues::Int32(values) => values.len(),
            TypedValues::Int64(values) => values.len(),
            TypedValues::Real(values) => values.len(),
            TypedValues::Bytes(values) => values.len(),
        }
    }

    fn write(
        self,
        to: &mut SerializedColumnWriter<'_>,
        is_required: bool,
    ) -> Result<(), ParquetError> {
        let levels = (!is_required).then_some(self.definition_levels.as_slice());
        match &self.typed {
            TypedValues::Boolean(values) => write_batch::<BoolType>(to, values, levels),
            TypedValues::Int32(values) => write_batch::<Int32Type>(to, values, levels),
            TypedValues::Int64(values) => write_batch::<Int64Type>(to, values, levels),
            TypedValues::Real(values) => write_batch::<DoubleType>(to, values, levels),
            TypedValues::Bytes(values) => write_batch::<ByteArrayType>(to, values, levels),
        }
    }
}

fn write_batch<T: DataType>(
    to: &mut SerializedColumnWriter<'_>,
    values: &[T::T],
    levels: Option<&[i16]>,
) -> Result<(), ParquetError> {
    to.typed::<T>().write_batch(values, levels, None).map(drop)
}

/// Returns whether a column gets a dictionary, which pays if it has few distinct values.
fn is_repetitive(source: &Source) -> bool {
    match source {
        Source::Own(column) => matches!(
            column,
            Column::State
                | Column::Class
                | Column::Kind
                | Column::Outcome
                | Column::MediaType
                | Column::ResultType
        ),
        Source::Rest => false,
        // The writer falls back to plain values where it does not pay.
        Source::List(..) | Source::Field(..) => physical(source) != Physical::BOOLEAN,
    }
}

/// Returns whether every job has a value in a column.
fn is_required(source: &Source) -> bool {
    matches!(
        source,
        Source::Own(Column::File | Column::State | Column::Attempts)
    )
}

fn physical(source: &Source) -> Physical {
    match source {
        Source::Own(Column::Attempts | Column::Status | Column::Step) => Physical::INT32,
        Source::Own(Column::Started) => Physical::INT64,
        Source::Own(Column::Duration) => Physical::DOUBLE,
        Source::Own(_) | Source::Rest => Physical::BYTE_ARRAY,
        Source::List(_, kind) | Source::Field(_, kind) => match kind {
            Kind::Integer => Physical::INT64,
            Kind::Real => Physical::DOUBLE,
            Kind::Boolean => Physical::BOOLEAN,
            Kind::Text => Physical::BYTE_ARRAY,
        },
    }
}

/// Returns a column's type in the schema.
fn schema_type(heading: &Heading) -> Result<Type, ParquetError> {
    let source = &heading.source;
    let logical = match source {
        Source::Own(Column::PathBytes | Column::ResultBytes) => None,
        Source::Own(Column::Started) => Some(LogicalType::timestamp(true, TimeUnit::MILLIS)),
        _ if physical(source) == Physical::BYTE_ARRAY => Some(LogicalType::String),
        _ => None,
    };
    Type::primitive_type_builder(&heading.name, physical(source))
        .with_repetition(match is_required(source) {
            true => Repetition::REQUIRED,
            false => Repetition::OPTIONAL,
        })
        .with_logical_type(logical)
        .build()
}
