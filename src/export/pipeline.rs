//! Text exports as a two-stage pipeline: the calling thread reads and writes, another one checks and formats all but
//! large results.

use std::io::Write;
use std::sync::mpsc::{Receiver, SendError, channel, sync_channel};
use std::thread;

use super::cells::TableRow;
use super::content::ResultContent;
use super::error::{ExportError, write_failed};
use super::form::{ExportSummary, Form, Format, Selection};
use super::heading::Heading;
use super::rows::check_result;
use super::{csv, json};
use crate::store::{Batch, Page, Reader, Record};

/// The maximum number of pages in the pipeline.
const IN_FLIGHT: usize = 4;

/// Writes consecutive jobs in a format.
enum Formatter<W: Write> {
    /// Members of an object, separated by commas.
    Json(W, &'static [u8]),
    Jsonl(W),
    Csv(Box<::csv::Writer<W>>),
}

impl<W: Write> Formatter<W> {
    fn new(format: Format, to: W) -> Self {
        match format {
            Format::Json => Self::Json(to, b""),
            Format::Jsonl => Self::Jsonl(to),
            // Parquet does not use the pipeline.
            _ => Self::Csv(Box::new(csv::writer(to))),
        }
    }

    /// Writes a job and counts it.
    fn write(
        &mut self,
        record: &Record,
        plan: Plan<'_>,
        written: &mut ExportSummary,
    ) -> Result<(), ExportError> {
        let Plan { form, headings, .. } = plan;
        let content = ResultContent::new(record, form)?;
        let content = content.as_ref();
        written.count(record, content.and_then(ResultContent::extracted));
        let row = TableRow::new(record, content, headings);
        match self {
            Self::Json(to, separator) => to
                .write_all(std::mem::replace(separator, b",\n"))
                .and_then(|()| json::member(record, content, form, to))
                .map_err(write_failed),
            Self::Jsonl(to) => json::line(&row, form, headings, to).map_err(write_failed),
            Self::Csv(to) => csv::row(&row, form, headings, to),
        }
    }

    fn end(self) -> Result<(), ExportError> {
        match self {
            Self::Csv(mut to) => to.flush().map_err(write_failed),
            _ => Ok(()),
        }
    }
}

/// The form, jobs and columns of an export.
#[derive(Clone, Copy)]
struct Plan<'p> {
    form: &'p Form<'p>,
    selection: Selection,
    headings: &'p [Heading],
}

/// A formatted page.
#[derive(Default)]
struct Formatted {
    text: Vec<u8>,
    written: ExportSummary,
    error: Option<ExportError>,
}

fn format_page(page: &Page, plan: Plan<'_>) -> Formatted {
    let Plan {
        form, selection, ..
    } = plan;
    let mut formatted = Formatted::default();
    let mut formatter = Formatter::new(form.format, &mut formatted.text);
    let written = page.each(&mut |mut record| {
        let summary = &mut formatted.written;
        if check_result(&mut record, form, selection, &mut summary.damaged)? {
            formatter.write(&record, plan, summary)?;
        }
        Ok::<_, ExportError>(())
    });
    formatted.error = written.and(formatter.end()).err();
    formatted
}

/// The end of the pipeline, which writes in list order.
struct Output<'o, W> {
    to: &'o mut W,
    plan: Plan<'o>,
    written: ExportSummary,
    pages: Receiver<Formatted>,
    in_flight: usize,
}

impl<W: Write> Output<'_, W> {
    /// Writes the brace or comma in front of the next members of a JSON object.
    fn separate(&mut self) -> Result<(), ExportError> {
        let separator: &[u8] = match (self.plan.form.format, self.written.jobs) {
            (Format::Json, 0) => b"{\n",
            (Format::Json, _) => b",\n",
            _ => b"",
        };
        self.to.write_all(separator).map_err(write_failed)
    }

    fn write(&mut self, page: Formatted) -> Result<(), ExportError> {
        if !page.text.is_empty() {
            self.separate()?;
            self.to.write_all(&page.text).map_err(write_failed)?;
        }
        self.written.add(page.written);
        page.error.map_or(Ok(()), Err)
    }

    /// Writes pages until at most `most` are in flight. If the formatting thread panics, the scope reports that.
    fn drain(&mut self, most: usize) -> Result<(), ExportError> {
        while self.in_flight > most
            && let Ok(page) = self.pages.recv()
        {
            self.in_flight -= 1;
            self.write(page)?;
        }
        Ok(())
    }

    /// Writes a large result directly, so that memory holds it only once.
    fn write_large(&mut self, record: &mut Record) -> Result<(), ExportError> {
        let Plan {
            form, selection, ..
        } = self.plan;
        if !check_result(record, form, selection, &mut self.written.damaged)? {
            return Ok(());
        }
        self.separate()?;
        let mut formatter = Formatter::new(form.format, &mut *self.to);
        formatter.write(record, self.plan, &mut self.written)?;
        formatter.end()
    }
}

/// Writes the selected jobs. The reader and `to` stay in the calling thread, because neither can leave it.
pub(super) fn write(
    reader: &Reader,
    form: &Form<'_>,
    selection: Selection,
    headings: &[Heading],
    to: &mut impl Write,
) -> Result<ExportSummary, ExportError> {
    if form.format == Format::Csv {
        csv::head(form, headings, to)?;
    }
    let plan = Plan {
        form,
        selection,
        headings,
    };
    let (formatted, pages) = channel();
    let mut output = Output {
        to,
        plan,
        written: ExportSummary::default(),
        pages,
        in_flight: 0,
    };
    thread::scope(|scope| -> Result<(), ExportError> {
        let (read, todo) = sync_channel::<Page>(IN_FLIGHT);
        let format_all = move || {
            for page in todo {
                if formatted.send(format_page(&page, plan)).is_err() {
                    return;
                }
            }
        };
        // If the thread cannot be spawned, sending fails and this thread formats each page.
        let _ = thread::Builder::new()
            .name("export".to_owned())
            .spawn_scoped(scope, format_all);
        let wanted = form.wanted(selection, headings);
        reader.pages(wanted, form.chosen, &mut |found| match found {
            Batch::Page(page) => {
                output.drain(IN_FLIGHT - 1)?;
                match read.send(page) {
                    Ok(()) => output.in_flight += 1,
                    Err(SendError(page)) => output.write(format_page(&page, plan))?,
                }
                Ok(())
            }
            Batch::Large(mut record) => {
                output.drain(0)?;
                output.write_large(&mut record)
            }
        })?;
        drop(read);
        output.drain(0)
    })?;
    if form.format == Format::Json {
        let end: &[u8] = match output.written.jobs {
            0 => b"{}\n",
            _ => b"\n}\n",
        };
        output.to.write_all(end).map_err(write_failed)?;
    }
    Ok(output.written)
}
