//! What a request carries, compiled: ready to be put together for any file.

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::body::Segments;
use super::reference::Reference;
use super::source::Source;
use super::template::{Braces, Encoding, Template, TemplateError, plus_encoded};
use crate::job::{IdempotencyKey, Job, Outcome, is_json};
use crate::settings::{Body, Content as FieldContent, Escape, Field, Piece, Treatment};

/// What a request carries.
#[derive(Debug, Clone)]
pub(super) enum Content {
    /// The file.
    File,
    Nothing,
    Pieces(Vec<Part>),
    Form(Vec<FormField>),
}

/// A piece of a body.
#[derive(Debug, Clone)]
pub(super) enum Part {
    Text(Template, Encoding),
    Bytes(Place, Treatment),
}

/// Where a file lies.
#[derive(Debug, Clone)]
pub(super) struct Place {
    path: Template,
    base: PathBuf,
}

/// A field of a form.
#[derive(Debug, Clone)]
pub(super) struct FormField {
    name: String,
    content: FieldPart,
    media_type: Option<String>,
    file_name: Option<Template>,
    headers: Vec<String>,
}

#[derive(Debug, Clone)]
enum FieldPart {
    Text(Template, Encoding),
    File(Place),
    TextOf(Place),
}

impl Part {
    fn compile(piece: &Piece, base: &Path) -> Result<Self, TemplateError> {
        Ok(match piece {
            Piece::Text { template, escape } => {
                let (template, encoding) = text(template, *escape)?;
                Self::Text(template, encoding)
            }
            Piece::Bytes { path, treatment } => {
                Self::Bytes(Place::compile(path, base)?, *treatment)
            }
        })
    }

    fn compile_all(pieces: &[Piece], base: &Path) -> Result<Vec<Self>, TemplateError> {
        pieces
            .iter()
            .map(|piece| Self::compile(piece, base))
            .collect()
    }

    /// The pieces of a URL's query. What is inserted into one stays in it, JSON or not.
    pub(super) fn compile_query(pieces: &[Piece], base: &Path) -> Result<Vec<Self>, TemplateError> {
        let mut parts = Self::compile_all(pieces, base)?;
        for part in &mut parts {
            if let Self::Text(_, encoding @ Encoding::Json) = part {
                *encoding = Encoding::JsonInQuery;
            }
        }
        Ok(parts)
    }

    pub(super) fn masked(&self) -> Self {
        match self {
            Self::Text(template, encoding) => Self::Text(template.masked(), *encoding),
            Self::Bytes(..) => self.clone(),
        }
    }

    pub(super) fn is_private(&self) -> bool {
        match self {
            Self::Text(template, _) => template.is_private(),
            Self::Bytes(place, _) => place.path.is_private(),
        }
    }

    fn needs_file(&self) -> bool {
        match self {
            Self::Text(template, _) => template.needs_file(),
            Self::Bytes(place, _) => place.path.is_path(),
        }
    }

    fn resolve(&self, value: Values<'_>) -> Result<Self, TemplateError> {
        Ok(match self {
            Self::Text(template, encoding) => Self::Text(template.resolve(value)?, *encoding),
            Self::Bytes(place, treatment) => Self::Bytes(place.resolve(value)?, *treatment),
        })
    }

    pub(super) fn fill(
        &self,
        job: &Job,
        source: &Source,
        body: &mut Segments,
    ) -> Result<(), Outcome> {
        match self {
            Self::Text(template, encoding) => template.fill_into(*encoding, job, source, body),
            Self::Bytes(place, treatment) => place.with(job, source, |source, _| {
                match treatment {
                    Treatment::AsIs => body.file(source.share()?),
                    Treatment::Joined => {
                        let kept = |byte: &u8| !matches!(byte, b'\r' | b'\n' | 0);
                        body.bytes()
                            .extend(source.whole()?.into_iter().filter(kept));
                    }
                    Treatment::Encoded => {
                        body.bytes().extend(plus_encoded(&source.whole()?).bytes());
                    }
                }
                Ok(())
            }),
        }
    }
}

/// The values of references, by looking them up.
type Values<'v> = &'v mut dyn FnMut(&Reference) -> Result<Vec<u8>, TemplateError>;

/// Reads the text of a body, where only what is a placeholder is one.
fn text(text: &str, escape: Escape) -> Result<(Template, Encoding), TemplateError> {
    Ok(match escape {
        Escape::Nothing => (Template::read(text, Braces::Pasted)?, Encoding::Plain),
        Escape::Json => (Template::read(text, Braces::Json)?, Encoding::Json),
        Escape::Form => (Template::read(text, Braces::Pasted)?, Encoding::Form),
        Escape::All => {
            let template = Template::read(text, Braces::Pasted)?;
            let encoded = template.with_text(|text| plus_encoded(text.as_bytes()));
            (encoded, Encoding::All)
        }
    })
}

impl Place {
    fn compile(path: &str, base: &Path) -> Result<Self, TemplateError> {
        Ok(Self {
            path: Template::read(path, Braces::Pasted)?,
            base: base.to_owned(),
        })
    }

    fn resolve(&self, value: Values<'_>) -> Result<Self, TemplateError> {
        Ok(Self {
            path: self.path.resolve(value)?,
            base: self.base.clone(),
        })
    }

    /// Hands over the file that lies there, and its path.
    fn with<T>(
        &self,
        job: &Job,
        source: &Source,
        use_it: impl FnOnce(&Source, &Path) -> Result<T, Outcome>,
    ) -> Result<T, Outcome> {
        if self.path.is_path() {
            return use_it(source, job.path.as_path());
        }
        let path = self.path.fill(Encoding::Plain, job, source)?;
        let path = Path::new(std::ffi::OsStr::from_bytes(&path));
        let other = Source::of(&self.base.join(path), source.reading());
        use_it(&other, path)
    }
}

impl Content {
    /// Compiles what a request carries. Files that are not the job's own resolve against `base`.
    pub(super) fn compile(body: &Body, base: &Path) -> Result<Self, TemplateError> {
        Ok(match body {
            Body::File => Self::File,
            Body::Nothing => Self::Nothing,
            Body::Pieces { pieces } => Self::Pieces(Part::compile_all(pieces, base)?),
            Body::Multipart { fields } => {
                let fields = fields.iter().map(|field| FormField::compile(field, base));
                Self::Form(fields.collect::<Result<_, _>>()?)
            }
        })
    }

    /// Puts values in the place of references.
    pub(super) fn resolve(&self, value: Values<'_>) -> Result<Self, TemplateError> {
        Ok(match self {
            Self::File => Self::File,
            Self::Nothing => Self::Nothing,
            Self::Pieces(parts) => Self::Pieces(resolve_all(parts, value)?),
            Self::Form(fields) => {
                let fields = fields.iter().map(|field| field.resolve(&mut *value));
                Self::Form(fields.collect::<Result<_, _>>()?)
            }
        })
    }

    /// Whether the job's own file is needed, and not only its name.
    pub(super) fn needs_file(&self) -> bool {
        match self {
            Self::File => true,
            Self::Nothing => false,
            Self::Pieces(parts) => parts.iter().any(Part::needs_file),
            Self::Form(fields) => fields.iter().any(|field| match &field.content {
                FieldPart::Text(template, _) => template.needs_file(),
                FieldPart::File(place) | FieldPart::TextOf(place) => place.path.is_path(),
            }),
        }
    }

    /// Whether it has a secret's value in it, or a reference to one.
    pub(super) fn is_private(&self) -> bool {
        match self {
            Self::File | Self::Nothing => false,
            Self::Pieces(parts) => parts.iter().any(Part::is_private),
            Self::Form(fields) => fields.iter().any(FormField::is_private),
        }
    }

    /// The same without any secret's value.
    pub(super) fn masked(&self) -> Self {
        match self {
            Self::File | Self::Nothing => self.clone(),
            Self::Pieces(parts) => Self::Pieces(parts.iter().map(Part::masked).collect()),
            Self::Form(fields) => Self::Form(fields.iter().map(FormField::masked).collect()),
        }
    }

    /// Puts the body together.
    pub(super) fn fill(
        &self,
        job: &Job,
        source: &Source,
        key: &IdempotencyKey,
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
                for field in fields {
                    field.fill(job, source, &boundary, &mut body)?;
                }
                body.bytes().extend(format!("--{boundary}--\r\n").bytes());
            }
        }
        Ok(body)
    }
}

pub(super) fn resolve_all(parts: &[Part], value: Values<'_>) -> Result<Vec<Part>, TemplateError> {
    parts.iter().map(|part| part.resolve(&mut *value)).collect()
}

pub(super) fn needs_file(parts: &[Part]) -> bool {
    parts.iter().any(Part::needs_file)
}

/// What stands between the fields of a form. It follows from the attempt's key, so that a repeat under the same
/// key is the same request, byte for byte; and nobody who wrote the file can know it.
pub(super) fn boundary(key: &IdempotencyKey) -> String {
    let hex = key.0.iter().rev().take(8).map(|byte| format!("{byte:02x}"));
    format!("------------------------{}", hex.collect::<String>())
}

impl FormField {
    fn compile(field: &Field, base: &Path) -> Result<Self, TemplateError> {
        let content = match &field.content {
            FieldContent::Text(template) => {
                let begins_json = template.trim_start().starts_with(['{', '['])
                    && Template::read(template.trim_start(), Braces::Pasted)?.begins_with_text();
                let is_json = field.media_type.as_deref().is_some_and(is_json) || begins_json;
                let escape = if is_json {
                    Escape::Json
                } else {
                    Escape::Nothing
                };
                let (template, encoding) = text(template, escape)?;
                FieldPart::Text(template, encoding)
            }
            FieldContent::File(path) => FieldPart::File(Place::compile(path, base)?),
            FieldContent::TextOf(path) => FieldPart::TextOf(Place::compile(path, base)?),
        };
        let file_name = field.file_name.as_deref();
        Ok(Self {
            name: field.name.clone(),
            content,
            media_type: field.media_type.clone(),
            file_name: file_name
                .map(|name| Template::read(name, Braces::Pasted))
                .transpose()?,
            headers: field.headers.clone(),
        })
    }

    fn is_private(&self) -> bool {
        let name = self.file_name.as_ref().is_some_and(Template::is_private);
        name || match &self.content {
            FieldPart::Text(template, _) => template.is_private(),
            FieldPart::File(place) | FieldPart::TextOf(place) => place.path.is_private(),
        }
    }

    fn masked(&self) -> Self {
        let content = match &self.content {
            FieldPart::Text(template, encoding) => FieldPart::Text(template.masked(), *encoding),
            file => file.clone(),
        };
        Self {
            content,
            file_name: self.file_name.as_ref().map(Template::masked),
            ..self.clone()
        }
    }

    fn resolve(&self, value: Values<'_>) -> Result<Self, TemplateError> {
        let content = match &self.content {
            FieldPart::Text(template, encoding) => {
                FieldPart::Text(template.resolve(value)?, *encoding)
            }
            FieldPart::File(place) => FieldPart::File(place.resolve(value)?),
            FieldPart::TextOf(place) => FieldPart::TextOf(place.resolve(value)?),
        };
        let file_name = self.file_name.as_ref().map(|name| name.resolve(value));
        Ok(Self {
            content,
            file_name: file_name.transpose()?,
            ..self.clone()
        })
    }

    fn fill(
        &self,
        job: &Job,
        source: &Source,
        boundary: &str,
        body: &mut Segments,
    ) -> Result<(), Outcome> {
        let told = self.file_name.as_ref();
        let told = told.map(|name| name.fill(Encoding::Plain, job, source));
        let told = told.transpose()?;
        match &self.content {
            FieldPart::Text(template, encoding) => {
                let media_type = told.as_deref().and_then(by_extension);
                self.head(boundary, told.as_deref(), media_type, body);
                template.fill_into(*encoding, job, source, body)?;
            }
            FieldPart::TextOf(place) => {
                let media_type = told.as_deref().and_then(by_extension);
                self.head(boundary, told.as_deref(), media_type, body);
                place.with(job, source, |source, _| {
                    body.file(source.share()?);
                    Ok(())
                })?;
            }
            FieldPart::File(place) => place.with(job, source, |source, path| {
                let own = path.file_name().unwrap_or_default().as_bytes();
                let told = told.as_deref().unwrap_or(own);
                let media_type = by_extension(told)
                    .or_else(|| by_extension(own))
                    .unwrap_or("application/octet-stream");
                self.head(boundary, Some(told), Some(media_type), body);
                body.file(source.share()?);
                Ok(())
            })?,
        }
        body.bytes().extend_from_slice(b"\r\n");
        Ok(())
    }

    fn head(
        &self,
        boundary: &str,
        file_name: Option<&[u8]>,
        media_type: Option<&str>,
        body: &mut Segments,
    ) {
        let out = body.bytes();
        out.extend(format!("--{boundary}\r\nContent-Disposition: form-data; name=\"").bytes());
        out.extend(quoted(self.name.as_bytes()));
        if let Some(name) = file_name {
            out.extend(b"\"; filename=\"");
            out.extend(quoted(name));
        }
        out.extend(b"\"\r\n");
        if let Some(media_type) = self.media_type.as_deref().or(media_type) {
            out.extend(format!("Content-Type: {media_type}\r\n").bytes());
        }
        for header in &self.headers {
            out.extend(format!("{header}\r\n").bytes());
        }
        out.extend(b"\r\n");
    }
}

/// A name within double quotes (HTML, section 4.10.21.8, "multipart/form-data encoding algorithm").
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

/// The media type that curl gives a file of a form for its name; services that are called with curl in their
/// documentation expect what curl says.
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
