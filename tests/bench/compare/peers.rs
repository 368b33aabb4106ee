//! The programs that stride is compared with: common alternatives, and raw limits.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write as _};
use std::path::{Path, PathBuf};

use super::folder;
use super::machine::first_line;
use super::measure::Program;

/// The number of concurrent calls of all programs.
pub(crate) const WIDTH: &str = "64";
/// The duration of wrk.
const WRK: &str = "5s";

/// A program that stride is compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Peer {
    Threads,
    Aiohttp,
    Curl,
    Parallel,
    Xargs,
    Oha,
    Wrk,
}

impl Peer {
    pub(crate) const ALL: [Self; 7] = [
        Self::Threads,
        Self::Aiohttp,
        Self::Curl,
        Self::Parallel,
        Self::Xargs,
        Self::Oha,
        Self::Wrk,
    ];

    /// Returns its name in the table.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Threads => "threads.py (requests)",
            Self::Aiohttp => "asyncio_client.py (aiohttp)",
            Self::Curl => "curl --parallel",
            Self::Parallel => "GNU parallel curl",
            Self::Xargs => "xargs -P curl",
            Self::Oha => "oha",
            Self::Wrk => "wrk",
        }
    }

    /// Returns a note that its figures need.
    pub(crate) fn note(self) -> &'static str {
        match self {
            Self::Threads | Self::Aiohttp => "answers in memory until the end",
            Self::Curl => "answers in files, not synced",
            Self::Parallel | Self::Xargs => "a process a call; the peak is the largest one's",
            Self::Oha => "reads no file, keeps no answer",
            Self::Wrk => "raw limit: reads no file, keeps no answer; for a fixed time",
        }
    }

    /// Returns the factor by which it gets fewer files, so that a round does not take minutes.
    pub(crate) fn fewer(self) -> usize {
        match self {
            Self::Threads => 5,
            Self::Parallel | Self::Xargs => 20,
            _ => 1,
        }
    }

    /// Returns whether it runs for a fixed time.
    pub(crate) fn is_timed(self) -> bool {
        self == Self::Wrk
    }
}

/// The paths of the programs that exist.
pub(crate) struct Peers {
    pub(crate) stride: PathBuf,
    /// Those that `tests/bench/run` installs.
    installed: PathBuf,
    /// The scripts of this folder's `peers`.
    scripts: PathBuf,
}

/// Returns a program of the system.
fn of_system(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let mut folders = std::env::split_paths(&path);
    folders.find_map(|folder| Some(folder.join(name)).filter(|file| file.is_file()))
}

impl Peers {
    /// Finds the programs. `target` is Cargo's build folder.
    pub(crate) fn find(stride: PathBuf, target: &Path) -> Self {
        Self {
            stride,
            installed: target.join("peers"),
            scripts: Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/bench/peers"),
        }
    }

    fn python(&self) -> Option<PathBuf> {
        Some(self.installed.join("venv/bin/python")).filter(|file| file.is_file())
    }

    /// Returns the program itself, or its interpreter.
    fn file(&self, peer: Peer) -> Option<PathBuf> {
        match peer {
            Peer::Threads | Peer::Aiohttp => self.python(),
            Peer::Curl => of_system("curl"),
            Peer::Parallel => of_system("curl").and(of_system("parallel")),
            Peer::Xargs => of_system("curl").and(of_system("xargs")),
            Peer::Oha => Some(self.installed.join("bin/oha"))
                .filter(|file| file.is_file())
                .or_else(|| of_system("oha")),
            Peer::Wrk => of_system("wrk"),
        }
    }

    /// Returns the path of a script.
    pub(crate) fn script(&self, name: &str) -> PathBuf {
        self.scripts.join(name)
    }

    /// Returns a program of the system that is not a peer.
    pub(crate) fn other(&self, name: &str) -> Option<PathBuf> {
        of_system(name)
    }

    /// Returns the versions that the programs report.
    pub(crate) fn versions(&self) -> Vec<String> {
        let of = |file: Option<PathBuf>, name: &str, words: &[&str]| {
            let said = file.and_then(|file| first_line(&file, words));
            said.unwrap_or_else(|| format!("{name} missing"))
        };
        let requests = "import sys, requests; print('Python', sys.version.split()[0], 'requests', requests.__version__)";
        let aiohttp = "import aiohttp; print('aiohttp', aiohttp.__version__)";
        let curl = of(of_system("curl"), "curl", &["--version"]);
        let wrk = of(of_system("wrk"), "wrk", &["-v"]);
        vec![
            of(Some(self.stride.clone()), "stride", &["--version"]),
            of(self.python(), "Python with requests", &["-c", requests]),
            of(self.python(), "Python with aiohttp", &["-c", aiohttp]),
            curl.split(" (").next().unwrap_or_default().to_owned(),
            of(of_system("parallel"), "parallel", &["--version"]),
            of(of_system("xargs"), "xargs", &["--version"]),
            of(self.file(Peer::Oha), "oha", &["--version"]),
            wrk.split(" Copyright")
                .next()
                .unwrap_or_default()
                .to_owned(),
            format!(
                "sqlite3 {}",
                of(of_system("sqlite3"), "missing", &["--version"])
            ),
        ]
    }

    /// Returns the program that calls `url` for the first `files` files of `place`, or `None` if it is missing. Its
    /// output goes into the folder `out`, which is made anew.
    pub(crate) fn program(
        &self,
        peer: Peer,
        place: &Path,
        files: usize,
        url: &str,
    ) -> io::Result<Option<Program>> {
        let Some(file) = self.file(peer) else {
            return Ok(None);
        };
        let out = place.join("out");
        if out.exists() {
            fs::remove_dir_all(&out)?;
        }
        fs::create_dir(&out)?;
        let program = Program::new(file, place);
        let script = |name: &str| self.scripts.join(name).into_os_string();
        let curl = [
            "curl",
            "-sS",
            "-f",
            "--data-binary",
            "@files/{}",
            "-o",
            "out/{}",
        ];
        Ok(Some(match peer {
            Peer::Threads | Peer::Aiohttp => {
                let name = match peer {
                    Peer::Threads => "threads.py",
                    _ => "asyncio_client.py",
                };
                let all = place.join("files");
                let taken = if fs::read_dir(&all)?.count() == files {
                    all
                } else {
                    // It takes every file of a folder.
                    let fewer = place.join(format!("files-{files}"));
                    folder::files(&fewer, 0..files)?;
                    fewer
                };
                let words = [script(name), taken.into(), WIDTH.into(), url.into()];
                program.with(words).with(["out/answers.json"])
            }
            Peer::Curl => {
                entries(&place.join("curl.config"), files, url)?;
                program
                    .with(["--parallel", "--parallel-max", WIDTH, "--no-progress-meter"])
                    .with(["--fail-early", "--config", "curl.config"])
            }
            Peer::Parallel => {
                names(&place.join("names"), files)?;
                let program = program.with(["--will-cite", "-j", WIDTH, "--arg-file", "names"]);
                program.with(curl).with([format!("{url}/{{}}")])
            }
            Peer::Xargs => {
                names(&place.join("names"), files)?;
                let program = program.with(["-a", "names", "-P", WIDTH, "-I{}"]);
                program.with(curl).with([format!("{url}/{{}}")])
            }
            Peer::Oha => {
                let number = files.to_string();
                let body = fs::read_to_string(place.join("files").join(folder::name(0)))?;
                program
                    .with([
                        "-n", &number, "-c", WIDTH, "-m", "POST", "--no-tui", "-d", &body,
                    ])
                    .with([url])
            }
            Peer::Wrk => {
                let program = program.with(["-t", "2", "-c", WIDTH, "-d", WRK, "-s"]);
                program.with([script("post.lua")]).with([url])
            }
        }))
    }
}

/// A list of names without their folder.
fn names(file: &Path, files: usize) -> io::Result<()> {
    let mut list = BufWriter::new(File::create(file)?);
    for number in 0..files {
        writeln!(list, "{}", folder::name(number))?;
    }
    list.flush()
}

/// Writes curl's configuration, one entry for each file.
fn entries(file: &Path, files: usize, url: &str) -> io::Result<()> {
    let mut config = BufWriter::new(File::create(file)?);
    for number in 0..files {
        let name = folder::name(number);
        let next = if number == 0 { "" } else { "next\n" };
        writeln!(
            config,
            "{next}url = \"{url}/{name}\"\ndata-binary = \"@files/{name}\"\noutput = \"out/{name}\"\nfail",
        )?;
    }
    config.flush()
}
