//! The way of results into an export: read in one thread, looked at and written out in another.

use std::io::Write;
use std::sync::mpsc::{Receiver, SendError, channel, sync_channel};
use std::thread;

use super::column::Column;
use super::content::Content;
use super::error::{ExportError, write_failed};
use super::form::{Form, Format, Selection, Written};
use super::{csv, json};
use crate::job::FileName;
use crate::store::{Found, Page, Reader, Record, StoreError};

/// How many pages may be on their way at a time.
const UNDER_WAY: usize = 4;

/// Writes records in a format, without what stands before the first and after the last.
enum Sink<W: Write> {
    Json(W),
    Jsonl(W),
    Csv(Box<::csv::Writer<W>>),
}

impl<W: Write> Sink<W> {
    fn new(format: Format, to: W) -> Self {
        match format {
            Format::Json => Self::Json(to),
            Format::Jsonl => Self::Jsonl(to),
            // The others have ways of their own.
            _ => Self::Csv(Box::new(csv::writer(to))),
        }
    }

    /// Before each object in JSON there is what parts it from the one before; of the first that is changed later.
    fn write(&mut self, record: &Record, form: &Form<'_>) -> Result<(), ExportError> {
        let content = Content::of(record, form)?;
        match self {
            Self::Json(to) => json::entry(record, content.as_ref(), to).map_err(write_failed),
            Self::Jsonl(to) => match form.columns {
                None => json::line(record, content.as_ref(), to),
                Some(columns) => json::columns(record, content.as_ref(), columns, to),
            }
            .map_err(write_failed),
            Self::Csv(to) => csv::row(record, content.as_ref(), form, to),
        }
    }

    fn end(self) -> Result<(), ExportError> {
        match self {
            Self::Csv(mut to) => to.flush().map_err(write_failed),
            _ => Ok(()),
        }
    }
}

/// A page as it is written, and what else came of it.
#[derive(Default)]
struct Text {
    bytes: Vec<u8>,
    jobs: u64,
    damaged: Vec<FileName>,
    error: Option<ExportError>,
}

/// Checks a result, also one that lies in a file, which is opened by this. A damaged one is an error where all of them
/// are asked for, and is left out otherwise: it is never handed out as if it were one.
pub(super) fn is_whole(
    record: &mut Record,
    selection: Selection,
    damaged: &mut Vec<FileName>,
) -> Result<bool, ExportError> {
    let path = &record.path;
    let checked = match (record.is_damaged, &mut record.result) {
        (true, _) => Err(StoreError::DamagedResult { path: path.clone() }),
        (false, Some(result)) => result.open(path).map(|body| result.body = body),
        (false, None) => Ok(()),
    };
    match checked {
        Ok(()) => return Ok(true),
        Err(error) if selection == Selection::Whole => return Err(error.into()),
        Err(_) => damaged.push(record.path.clone()),
    }
    Ok(false)
}

fn text(page: &Page, form: &Form<'_>, selection: Selection) -> Text {
    let mut text = Text::default();
    let mut sink = Sink::new(form.format, &mut text.bytes);
    let written = page.each(&mut |mut record| {
        if is_whole(&mut record, selection, &mut text.damaged)? {
            sink.write(&record, form)?;
            text.jobs += 1;
        }
        Ok::<_, ExportError>(())
    });
    text.error = written.and(sink.end()).err();
    text
}

/// Where it all comes together, in list order.
struct Out<'o, W> {
    to: &'o mut W,
    form: &'o Form<'o>,
    selection: Selection,
    written: Written,
}

impl<W: Write> Out<'_, W> {
    /// The first object in JSON has a brace before it where the others have a comma.
    fn begin(&mut self, first: usize) -> Result<usize, ExportError> {
        if self.form.format != Format::Json || self.written.jobs > 0 || first == 0 {
            return Ok(0);
        }
        self.to.write_all(b"{").map_err(write_failed)?;
        Ok(1)
    }

    fn put(&mut self, text: Text) -> Result<(), ExportError> {
        let begin = self.begin(text.bytes.len())?;
        self.to
            .write_all(&text.bytes[begin..])
            .map_err(write_failed)?;
        self.written.jobs += text.jobs;
        self.written.damaged.extend(text.damaged);
        text.error.map_or(Ok(()), Err)
    }

    /// Writes a large result directly: a second copy of it would be one too many.
    fn put_large(&mut self, record: &mut Record) -> Result<(), ExportError> {
        if !is_whole(record, self.selection, &mut self.written.damaged)? {
            return Ok(());
        }
        let skip = self.begin(1)?;
        let mut sink = Sink::new(self.form.format, Behind { to: self.to, skip });
        sink.write(record, self.form)?;
        sink.end()?;
        self.written.jobs += 1;
        Ok(())
    }
}

/// What is written without its first bytes.
struct Behind<'o, W> {
    to: &'o mut W,
    skip: usize,
}

impl<W: Write> Write for Behind<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let skip = self.skip.min(bytes.len());
        self.skip -= skip;
        match &bytes[skip..] {
            [] => Ok(skip),
            rest => Ok(skip + self.to.write(rest)?),
        }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.to.flush()
    }
}

/// Writes the chosen jobs. The reader stays with the calling thread, as does what is written to; what lies between is
/// another's.
pub(super) fn write(
    reader: &Reader,
    form: &Form<'_>,
    selection: Selection,
    to: &mut impl Write,
) -> Result<Written, ExportError> {
    if form.format == Format::Csv {
        let mut head = csv::writer(&mut *to);
        csv::head(form.columns.unwrap_or(&Column::PLAIN), &mut head)?;
    }
    let mut out = Out {
        to,
        form,
        selection,
        written: Written::default(),
    };
    thread::scope(|scope| -> Result<(), ExportError> {
        let (pages, todo) = sync_channel::<Page>(UNDER_WAY);
        let (done, texts): (_, Receiver<Text>) = channel();
        let writing = move || {
            for page in todo {
                if done.send(text(&page, form, selection)).is_err() {
                    return;
                }
            }
        };
        // Where there is no thread to be had, nobody takes a page, and it is done here.
        let _ = thread::Builder::new()
            .name("export".to_owned())
            .spawn_scoped(scope, writing);
        let mut under_way = 0;
        // Takes what is ready, and waits for it while more than so many pages are under way. Where the other thread
        // has panicked, there is nothing to wait for: the scope tells.
        let take = |out: &mut Out<'_, _>, under_way: &mut usize, most: usize| {
            while *under_way > 0 {
                let text = match *under_way > most {
                    true => texts.recv().ok(),
                    false => texts.try_recv().ok(),
                };
                let Some(text) = text else {
                    return Ok(());
                };
                *under_way -= 1;
                out.put(text)?;
            }
            Ok(())
        };
        let wanted = form.wanted(selection);
        reader.pages(wanted, form.chosen, &mut |found| match found {
            Found::Page(page) => {
                take(&mut out, &mut under_way, UNDER_WAY - 1)?;
                match pages.send(page) {
                    Ok(()) => under_way += 1,
                    Err(SendError(page)) => out.put(text(&page, form, selection))?,
                }
                Ok(())
            }
            Found::Large(mut record) => {
                take(&mut out, &mut under_way, 0)?;
                out.put_large(&mut record)
            }
        })?;
        drop(pages);
        take(&mut out, &mut under_way, 0)
    })?;
    if form.format == Format::Json {
        let end: &[u8] = match out.written.jobs {
            0 => b"{}\n",
            _ => b"\n}\n",
        };
        out.to.write_all(end).map_err(write_failed)?;
    }
    Ok(out.written)
}
