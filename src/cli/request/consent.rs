//! Checks that the user agrees to the secrets, files, commands and folders of this machine that a stored request uses. A
//! database may come from another person, so the user must have given the request on this machine, or confirm its uses by
//! options.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use serde::Serialize;

use stride::caller::{Reference, Template};
use stride::job::{Checksum, escaped};
use stride::paths::folder_of;
use stride::settings::{Body, Call, Content, Field, Piece, Request, Way};
use stride::store::{Location, Reader, Store};

use crate::cli::output::environment::state_folder;
use crate::cli::output::error::{CliError, command, quoted};
use crate::cli::request::{results_folder, templates};

/// A secret, file, command or folder that a request uses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "use", content = "what", rename_all = "snake_case")]
pub(crate) enum Use {
    /// Runs a command: the program that makes the calls, or one whose output is sent.
    Command(String),
    /// Sends the value of an environment variable.
    Variable(String),
    /// Sends the content of a file as a secret.
    SecretFile(String),
    /// Sends the password that `.netrc` has for a host.
    Netrc(String),
    /// Sends a file that is not in the list, named by a template of its path.
    File(String),
    /// Reads a client certificate or its key.
    Certificate(String),
    /// Sends files of the list that are outside of the database's folder, such as this one.
    Listed(String),
    /// Writes the answers into a folder.
    Folder(String),
}

impl Use {
    /// Describes the use in escaped text.
    pub(crate) fn describe(&self) -> String {
        let (does, what) = match self {
            Self::Command(command) => ("runs the command", command),
            Self::Variable(name) => ("sends the value of the variable", name),
            Self::SecretFile(path) => ("sends the content of the file", path),
            Self::Netrc(host) => ("sends the password that .netrc has for", host),
            Self::File(path) => ("sends the file", path),
            Self::Certificate(path) => ("uses the client certificate or key", path),
            Self::Listed(path) => (
                "sends files outside of the database's folder, such as",
                path,
            ),
            Self::Folder(path) => ("writes files into the folder", path),
        };
        format!("{does} {}", escaped(what.as_bytes()))
    }
}

/// The uses that the command line confirms.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Confirmed<'c> {
    /// Commands may be run.
    pub(crate) commands: bool,
    /// Variables, files and certificates may be read and sent.
    pub(crate) references: bool,
    /// Answers may be written into this folder.
    pub(crate) folder: Option<&'c Path>,
}

impl Confirmed<'_> {
    /// Returns the option that would confirm a use, unless it is confirmed.
    fn missing_option(&self, used: &Use) -> Option<String> {
        match used {
            Use::Command(_) => (!self.commands).then(|| "--allow-commands".to_owned()),
            Use::Folder(path) => {
                let given = self
                    .folder
                    .is_some_and(|folder| results_folder::is_same(folder, Path::new(path)));
                (!given).then(|| format!("--output-dir {}", quoted(Path::new(path))))
            }
            _ => (!self.references).then(|| "--allow-references".to_owned()),
        }
    }
}

/// Returns all uses of a call, except files of the list.
pub(crate) fn uses(call: &Call, base: &Path) -> Vec<Use> {
    let mut found = match &call.sent() {
        Call::Http(request) => uses_of_request(request),
        Call::Command(command) if command.way != Way::Starter => {
            vec![Use::Command(command.shown())]
        }
        Call::Command(_) | Call::Program { .. } => Vec::new(),
    };
    if let Some(folder) = results_folder::of(call, base) {
        found.push(Use::Folder(folder.to_string_lossy().into_owned()));
    }
    found
}

fn uses_of_request(request: &Request) -> Vec<Use> {
    let mut found = Vec::new();
    let mut note = |used: Use| {
        if !found.contains(&used) {
            found.push(used);
        }
    };
    for template in templates(request) {
        template.references().for_each(|reference| {
            note(match reference {
                Reference::Cmd(command) => Use::Command(command.clone()),
                Reference::Env(name) => Use::Variable(name.clone()),
                Reference::File(path) => Use::SecretFile(path.to_string_lossy().into_owned()),
                Reference::Netrc(host) => Use::Netrc(host.clone()),
                // The command line gives its value each time, and the pool is checked by itself.
                Reference::Given(_) | Reference::Pool(_) => return,
            });
        });
    }
    request
        .all()
        .flat_map(files)
        .filter(|path| !Template::parse(path).is_ok_and(|template| template.is_path()))
        .for_each(|path| note(Use::File(path.to_owned())));
    for transport in request.all().map(|request| &request.transport) {
        for path in transport.certificate.iter().chain(&transport.key) {
            note(Use::Certificate(path.to_string_lossy().into_owned()));
        }
    }
    found
}

/// Returns the paths of the files that a request carries, as templates.
fn files(request: &Request) -> impl Iterator<Item = &String> {
    let (pieces, fields): (&[Piece], &[Field]) = match &request.body {
        Body::Pieces { pieces } => (pieces, &[]),
        Body::Multipart { fields } => (&[], fields),
        Body::File | Body::Nothing => (&[], &[]),
    };
    let fields = fields.iter().filter_map(|field| match &field.content {
        Content::File(path) | Content::TextOf(path) => Some(path),
        Content::Text(_) => None,
    });
    let pieces = request.query.iter().chain(pieces);
    let pieces = pieces.filter_map(|piece| match piece {
        Piece::Bytes { path, .. } => Some(path),
        Piece::Text { .. } => None,
    });
    pieces.chain(fields)
}

/// Returns all uses of a run, including files of its list outside of the database's folder.
pub(crate) fn uses_of_run(reader: &Reader, call: &Call) -> Result<Vec<Use>, CliError> {
    let mut found = uses(call, &reader.info()?.base);
    found.extend(listed(reader)?);
    Ok(found)
}

/// Returns the use of files of the list that are outside of the database's folder.
fn listed(reader: &Reader) -> Result<Option<Use>, CliError> {
    let name = reader.listed_elsewhere()?;
    Ok(name.map(|name| Use::Listed(name.to_string())))
}

/// Refuses a request that is new on this machine if the database lists files outside of its folder.
///
/// # Errors
///
/// There are such files, and no option confirms them.
pub(crate) fn check_list(
    db: &Location,
    store: &Store,
    call: &Call,
    references: bool,
) -> Result<(), CliError> {
    let uses = || Ok(listed(&Reader::open(store.path())?)?.into_iter().collect());
    let confirmed = Confirmed {
        references,
        ..Confirmed::default()
    };
    check(db, call, store.base(), Scope::Run, uses, confirmed)
}

/// The scope of a consent: all calls of a run, one call for a named file, or the use of a pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope<'s> {
    Run,
    OneCall,
    /// A run with this pool.
    Pool(&'s str),
}

/// Remembers that the user has given a request on this machine, so that `resume` may use what it refers to.
pub(crate) fn remember(call: &Call, base: &Path) {
    // Ignore failure: `resume` asks again.
    let _ = store(&fingerprint(call, base, Scope::Run));
}

/// Returns whether the user has given this request on this machine, or confirmed it for this scope.
pub(crate) fn is_known(call: &Call, base: &Path, scope: Scope<'_>) -> bool {
    let known = known_requests().and_then(|path| fs::read_to_string(path).ok());
    // Consent to all calls includes one call.
    let wider = matches!(scope, Scope::OneCall).then_some(Scope::Run);
    let scopes = wider.into_iter().chain([scope]);
    let ours: Vec<String> = scopes.map(|scope| fingerprint(call, base, scope)).collect();
    known.is_some_and(|known| {
        known
            .lines()
            .any(|line| ours.iter().any(|fingerprint| fingerprint == line))
    })
}

/// Remembers that the user has named a pool for a request on this machine.
pub(crate) fn remember_pool(call: &Call, base: &Path, pool: Option<&str>) {
    if let Some(pool) = pool {
        // Ignore failure: `resume` asks again.
        let _ = store(&fingerprint(call, base, Scope::Pool(pool)));
    }
}

/// Returns the use of a pool.
pub(crate) fn use_of_pool(pool: &str) -> Use {
    match pool.strip_prefix("env:") {
        Some(name) => Use::Variable(name.to_owned()),
        None => Use::SecretFile(pool.to_owned()),
    }
}

/// Refuses a pool that the user has not named for this request on this machine, unless an option confirms it.
///
/// # Errors
///
/// It is not confirmed.
pub(crate) fn check_pool(
    db: &Location,
    call: &Call,
    base: &Path,
    pool: Option<&str>,
    confirmed: Confirmed<'_>,
) -> Result<(), CliError> {
    let Some(pool) = pool else {
        return Ok(());
    };
    let used = use_of_pool(pool);
    check(
        db,
        call,
        base,
        Scope::Pool(pool),
        || Ok(vec![used]),
        confirmed,
    )
}

/// Refuses the uses of a request that is not known on this machine, unless options confirm them. Remembers confirmed ones.
///
/// # Errors
///
/// One of `uses` is not confirmed.
pub(crate) fn check(
    db: &Location,
    call: &Call,
    base: &Path,
    scope: Scope<'_>,
    uses: impl FnOnce() -> Result<Vec<Use>, CliError>,
    confirmed: Confirmed<'_>,
) -> Result<(), CliError> {
    if is_known(call, base, scope) {
        return Ok(());
    }
    let uses = uses()?;
    if uses.is_empty() {
        return Ok(());
    }
    let lacking: Vec<(Use, String)> = uses
        .into_iter()
        .filter_map(|used| confirmed.missing_option(&used).map(|option| (used, option)))
        .collect();
    if lacking.is_empty() {
        let _ = store(&fingerprint(call, base, scope));
        return Ok(());
    }
    let mut cli_error = CliError::usage("this run's request is not known on this machine");
    let mut options: Vec<&str> = Vec::new();
    for (used, option) in &lacking {
        cli_error = cli_error.cause(format!("the request {}", used.describe()));
        if !options.contains(&option.as_str()) {
            options.push(option);
        }
    }
    Err(cli_error
        .note("nothing was run or called; a database from another person can contain any request")
        .hint(format!(
            "use {} to see the whole request",
            command(db, "status --request")
        ))
        .hint(format!(
            "if you agree to all of that, add {}, or repeat the whole `stride run …`",
            options.join(" ")
        )))
}

/// Returns the line that identifies a request: a checksum, because the request itself may be private. It covers all that
/// decides about the content and the destination of the calls.
fn fingerprint(call: &Call, base: &Path, scope: Scope<'_>) -> String {
    let text = match call {
        Call::Http(request) => serde_json::to_vec(request),
        // A worker says its name after this.
        Call::Command(command) => {
            serde_json::to_vec(&(command.way, &command.words, &command.output_dir))
        }
        Call::Program { name } => serde_json::to_vec(name),
    };
    let mut text = text.unwrap_or_default();
    match scope {
        Scope::Run => text.push(0),
        Scope::OneCall => text.extend_from_slice(b"\0one\0"),
        Scope::Pool(pool) => text.extend_from_slice(format!("\0pool\0{pool}\0").as_bytes()),
    }
    text.extend_from_slice(base.as_os_str().as_bytes());
    Checksum::of(&text).to_string()
}

/// Returns the file of known requests (XDG Base Directory Specification, `XDG_STATE_HOME`).
fn known_requests() -> Option<PathBuf> {
    Some(state_folder()?.join("requests"))
}

/// Adds a fingerprint to the file of known requests.
fn store(fingerprint: &str) -> io::Result<()> {
    let Some(path) = known_requests() else {
        return Ok(());
    };
    let known = fs::read_to_string(&path).unwrap_or_default();
    if known.lines().any(|line| line == fingerprint) {
        return Ok(());
    }
    let folder = folder_of(&path);
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)?;
    let mut file = OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .custom_flags(OFlags::NOFOLLOW.bits() as i32)
        .open(&path)?;
    file.write_all(format!("{fingerprint}\n").as_bytes())
}
