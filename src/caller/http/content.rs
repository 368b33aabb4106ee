//! The content of a request, compiled once and filled for each job.

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::body::Segments;
use super::source::Source;
use super::template::{Braces, Encoding, Template, TemplateError, plus_encoded};
use crate::job::{IdempotencyKey, Job, Outcome, is_json};
use crate::settings::{Body, Content as FieldContent, Escape, Field, Piece, Treatment};
use crate::text::hex;

/// The content of a request.
#[derive(Debug, Clone)]
pub(super) enum Content {
    /// The job's file.
    File,
    Nothing,
    Pieces(Vec<BodyPart>),
    Form(Vec<FormField>),
}

/// The surroundings of a body's templates.
#[derive(Debug, Clone, Copy)]
pub(super) struct Given<'b> {
    /// The folder for relative names of files other than the job's own.
    pub(super) base: &'b Path,
    /// The request was pasted.
    pub(super) is_pasted: bool,
}

/// A piece of a body, or of a URL's query.
#[derive(Debug, Clone)]
pub(super) struct BodyPart {
    pub(super) template: Template,
    kind: PartKind,
}

#[derive(Debug, Clone)]
enum PartKind {
    /// The template is text.
    Text(Encoding),
    /// The template is a path, which resolves against this folder unless it is the job's own.
    Bytes(PathBuf, Treatment),
}

/// A field of a form.
#[derive(Debug, Clone)]
pub(super) struct FormField {
    name: String,
    content: BodyPart,
    kind: FieldKind,
    media_type: Option<String>,
    file_name: Option<BodyPart>,
    headers: Vec<String>,
}

/// The kind of a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum FieldKind {
    /// A text of the request.
    Text,
    /// The text of a file, whose name is not sent.
    TextOfFile,
    /// A file, sent with its name and a media type.
    File,
}

impl BodyPart {
    fn compile(piece: &Piece, given: Given<'_>) -> Result<Self, TemplateError> {
        match piece {
            Piece::Text { template, escape } => Self::text(template, *escape, given),
            Piece::Bytes { path, treatment } => Self::file(path, given, *treatment),
        }
    }

    pub(super) fn compile_all(
        pieces: &[Piece],
        given: Given<'_>,
    ) -> Result<Vec<Self>, TemplateError> {
        let parts = pieces.iter().map(|piece| Self::compile(piece, given));
        parts.collect()
    }

    /// Compiles text in which braces that begin no known placeholder stand for themselves.
    fn text(text: &str, escape: Escape, given: Given<'_>) -> Result<Self, TemplateError> {
        let braces = Braces::of_body(given.is_pasted, escape == Escape::Json);
        let template = Template::read(text, braces)?;
        let (template, encoding) = match escape {
            Escape::Nothing => (template, Encoding::Plain),
            Escape::Json => (template, Encoding::Json),
            Escape::Form => (template, Encoding::Form),
            Escape::All => {
                let encoded = template.with_text(|text| plus_encoded(text.as_bytes()));
                (encoded, Encoding::All)
            }
        };
        let kind = PartKind::Text(encoding);
        Ok(Self { template, kind })
    }

    fn file(path: &str, given: Given<'_>, treatment: Treatment) -> Result<Self, TemplateError> {
        Ok(Self {
            template: Template::read(path, Braces::of_body(given.is_pasted, false))?,
            kind: PartKind::Bytes(given.base.to_owned(), treatment),
        })
    }

    /// Percent-encodes inserted JSON, so that it cannot end the part of the query that it is in.
    pub(super) fn in_query(mut self) -> Self {
        if let PartKind::Text(encoding @ Encoding::Json) = &mut self.kind {
            *encoding = Encoding::JsonInQuery;
        }
        self
    }

    /// Returns whether the part is a file whose path an answer names.
    pub(super) fn is_file_of_answer(&self) -> bool {
        matches!(self.kind, PartKind::Bytes(..)) && self.template.has_answer()
    }

    pub(super) fn needs_file(&self) -> bool {
        match &self.kind {
            PartKind::Text(_) => self.template.needs_file(),
            PartKind::Bytes(..) => self.template.is_path(),
        }
    }

    /// Hides secrets in text. Paths keep theirs: a preview reads the files and shows no path.
    pub(super) fn mask(&mut self) {
        if matches!(self.kind, PartKind::Text(_)) {
            self.template = self.template.masked();
        }
    }

    pub(super) fn fill(
        &self,
        job: &Job,
        source: &Source,
        body: &mut Segments,
    ) -> Result<(), Outcome> {
        let (base, treatment) = match &self.kind {
            PartKind::Text(encoding) => {
                return self.template.fill_into(*encoding, job, source, body);
            }
            PartKind::Bytes(base, treatment) => (base, treatment),
        };
        let other;
        let source = if self.template.is_path() {
            source
        } else {
            let path = base.join(self.path(job, source)?);
            other = Source::new(&path, source.reading());
            &other
        };
        match treatment {
            Treatment::AsIs => body.file(source.share()?),
            Treatment::Joined => {
                let kept = |byte: &u8| !matches!(byte, b'\r' | b'\n' | 0);
                let bytes = source.whole()?;
                body.bytes().extend(bytes.into_iter().filter(kept));
            }
            Treatment::Encoded => body.bytes().extend(plus_encoded(&source.whole()?).bytes()),
        }
        Ok(())
    }

    /// Returns the path of a file that is the same for every job, if this is one.
    pub(super) fn fixed_file(&self) -> Option<PathBuf> {
        let PartKind::Bytes(base, _) = &self.kind else {
            return None;
        };
        let path = self.template.constant().ok()?;
        Some(base.join(std::ffi::OsStr::from_bytes(&path)))
    }

    /// Returns the path of a file as the list or the user names it.
    fn path(&self, job: &Job, source: &Source) -> Result<PathBuf, Outcome> {
        let path = self.template.fill(Encoding::Plain, job, source)?;
        Ok(PathBuf::from(std::ffi::OsStr::from_bytes(&path)))
    }
}

impl Content {
    /// Compiles the content of a request.
    pub(super) fn compile(body: &Body, given: Given<'_>) -> Result<Self, TemplateError> {
        Ok(match body {
            Body::File => Self::File,
            Body::Nothing => Self::Nothing,
            Body::Pieces { pieces } => Self::Pieces(BodyPart::compile_all(pieces, given)?),
            Body::Multipart { fields } => {
                let fields = fields.iter().map(|field| FormField::compile(field, given));
                Self::Form(fields.collect::<Result<_, _>>()?)
            }
        })
    }

    /// Returns all parts, file names of form fields among them.
    pub(super) fn parts(&self) -> Vec<&BodyPart> {
        match self {
            Self::File | Self::Nothing => Vec::new(),
            Self::Pieces(parts) => parts.iter().collect(),
            Self::Form(fields) => fields
                .iter()
                .flat_map(|field| [Some(&field.content), field.file_name.as_ref()])
                .flatten()
                .collect(),
        }
    }

    pub(super) fn parts_mut(&mut self) -> Vec<&mut BodyPart> {
        match self {
            Self::File | Self::Nothing => Vec::new(),
            Self::Pieces(parts) => parts.iter_mut().collect(),
            Self::Form(fields) => fields
                .iter_mut()
                .flat_map(|field| [Some(&mut field.content), field.file_name.as_mut()])
                .flatten()
                .collect(),
        }
    }

    /// Returns whether the job's own file is needed, and not only its name.
    pub(super) fn needs_file(&self) -> bool {
        matches!(self, Self::File) || self.parts().into_iter().any(BodyPart::needs_file)
    }

    /// Returns whether the content holds a secret or a reference to one.
    pub(super) fn is_private(&self) -> bool {
        let mut parts = self.parts().into_iter();
        parts.any(|part| part.template.is_private())
    }

    /// Puts the body together, under the media type that the request states for it.
    pub(super) fn fill(
        &self,
        job: &Job,
        source: &Source,
        key: &IdempotencyKey,
        media_type: Option<&str>,
    ) -> Result<Segments, Outcome> {
        let mut body = Segments::default();
        match self {
            Self::Nothing => {}
            Self::File => body.file(source.share()?),
            Self::Pieces(parts) => {
                for part in parts {
                    part.fill(job, source, &mut body)?;
                }
            }
            Self::Form(fields) => {
                let boundary = boundary(key);
                let disposition = disposition(media_type);
                for field in fields {
                    let out = body.bytes();
                    out.extend(format!("--{boundary}\r\n").bytes());
                    field.fill(job, source, disposition, &mut body)?;
                }
                body.bytes().extend(format!("--{boundary}--\r\n").bytes());
            }
        }
        Ok(body)
    }
}

/// Returns the boundary between the fields of a form. It follows from the attempt's key, so that a repeat under the
/// same key is the same request, byte for byte. The author of a file cannot predict it.
pub(super) fn boundary(key: &IdempotencyKey) -> String {
    format!("------------------------{}", hex(&key.0[8..]))
}

/// The disposition of a form's fields (RFC 7578, section 4.2).
const FORM_DATA: &str = "form-data";

/// Returns the disposition of the fields of a multipart body. Fields of a form are form data; the parts of other bodies
/// with names are attachments, as with curl.
fn disposition(media_type: Option<&str>) -> &'static str {
    const FORM: &str = "multipart/form-data";
    let essence = media_type.map_or(FORM, |value| value.split(';').next().unwrap_or(value));
    match essence.trim().eq_ignore_ascii_case(FORM) {
        true => FORM_DATA,
        false => "attachment",
    }
}

impl FormField {
    fn compile(field: &Field, given: Given<'_>) -> Result<Self, TemplateError> {
        let content = match &field.content {
            FieldContent::Text(text) => {
                let begins_json = text.trim_start().starts_with(['{', '['])
                    && Template::read(text.trim_start(), Braces::Pasted)?.begins_with_text();
                let is_json = field.media_type.as_deref().is_some_and(is_json) || begins_json;
                let escape = if is_json {
                    Escape::Json
                } else {
                    Escape::Nothing
                };
                BodyPart::text(text, escape, given)?
            }
            FieldContent::File(path) | FieldContent::TextOf(path) => {
                BodyPart::file(path, given, Treatment::AsIs)?
            }
        };
        let file_name = field.file_name.as_deref();
        let file_name = file_name.map(|name| BodyPart::text(name, Escape::Nothing, given));
        Ok(Self {
            name: field.name.clone(),
            content,
            kind: match field.content {
                FieldContent::Text(_) => FieldKind::Text,
                FieldContent::TextOf(_) => FieldKind::TextOfFile,
                FieldContent::File(_) => FieldKind::File,
            },
            media_type: field.media_type.clone(),
            file_name: file_name.transpose()?,
            headers: field.headers.clone(),
        })
    }

    fn fill(
        &self,
        job: &Job,
        source: &Source,
        disposition: &str,
        body: &mut Segments,
    ) -> Result<(), Outcome> {
        let set_name = self
            .file_name
            .as_ref()
            .map(|name| name.template.fill(Encoding::Plain, job, source))
            .transpose()?;
        let own_name = match self.kind {
            FieldKind::Text => None,
            FieldKind::TextOfFile | FieldKind::File => {
                let path = self.content.path(job, source)?;
                Some(path.file_name().unwrap_or_default().as_bytes().to_vec())
            }
        };
        let sent_name = set_name.as_deref().or(match self.kind {
            FieldKind::File => own_name.as_deref(),
            FieldKind::Text | FieldKind::TextOfFile => None,
        });
        let names = [set_name.as_deref(), own_name.as_deref()];
        let derived = names.into_iter().flatten().find_map(by_extension);
        let out = body.bytes();
        if !self.has_header("content-disposition") {
            out.extend(self.disposition(disposition, sent_name));
        }
        if let Some(media_type) = self.media_type(derived, sent_name.is_some())
            && !self.has_header("content-type")
        {
            out.extend(format!("Content-Type: {media_type}\r\n").bytes());
        }
        for header in &self.headers {
            out.extend(format!("{header}\r\n").bytes());
        }
        out.extend(b"\r\n");
        self.content.fill(job, source, body)?;
        body.bytes().extend_from_slice(b"\r\n");
        Ok(())
    }

    /// Returns the line that names the field and its file. The part of an attachment without names has none.
    fn disposition(&self, disposition: &str, file_name: Option<&[u8]>) -> Vec<u8> {
        let name = Some(self.name.as_bytes()).filter(|name| !name.is_empty());
        let names = [("name", name), ("filename", file_name)];
        if disposition != FORM_DATA && names.iter().all(|(_, name)| name.is_none()) {
            return Vec::new();
        }
        let mut line = format!("Content-Disposition: {disposition}").into_bytes();
        for (key, name) in names {
            if let Some(name) = name {
                line.extend(format!("; {key}=\"").bytes());
                line.extend(quoted(name));
                line.push(b'"');
            }
        }
        line.extend(b"\r\n");
        line
    }

    /// Returns the media type to state. `derived` follows from the names. Like curl, a part without a file name does not
    /// state that it is plain text.
    fn media_type<'m>(&'m self, derived: Option<&'m str>, has_name: bool) -> Option<&'m str> {
        let derived = derived.filter(|derived| has_name || *derived != "text/plain");
        let default = (self.kind == FieldKind::File).then_some("application/octet-stream");
        self.media_type.as_deref().or(derived).or(default)
    }

    /// Returns whether the user gives this header of the part.
    fn has_header(&self, name: &str) -> bool {
        let names = self
            .headers
            .iter()
            .filter_map(|line| line.split(':').next());
        names
            .map(str::trim_end)
            .any(|given| given.eq_ignore_ascii_case(name))
    }
}

/// Escapes a name for double quotes (HTML, section 4.10.21.8, "multipart/form-data encoding algorithm").
fn quoted(name: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(name.len());
    for byte in name {
        match byte {
            b'"' => out.extend(b"%22"),
            b'\r' => out.extend(b"%0D"),
            b'\n' => out.extend(b"%0A"),
            byte => out.push(*byte),
        }
    }
    out
}

/// Returns the media type that curl derives from a file's name. Services whose documentation calls them with curl
/// expect it.
fn by_extension(name: &[u8]) -> Option<&'static str> {
    const TYPES: [(&str, &str); 10] = [
        (".gif", "image/gif"),
        (".jpg", "image/jpeg"),
        (".jpeg", "image/jpeg"),
        (".png", "image/png"),
        (".svg", "image/svg+xml"),
        (".txt", "text/plain"),
        (".htm", "text/html"),
        (".html", "text/html"),
        (".pdf", "application/pdf"),
        (".xml", "application/xml"),
    ];
    let name = name.to_ascii_lowercase();
    let found = TYPES.iter().find(|(end, _)| name.ends_with(end.as_bytes()));
    found.map(|(_, media_type)| *media_type)
}
