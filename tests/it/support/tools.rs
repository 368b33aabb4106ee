//! Other programs that a test needs, and a terminal to type into.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::{Child, Command};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Instant;

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

use super::LIMIT;

/// Returns true if a program is installed. Otherwise says that the test skips it, or fails if `STRIDE_REQUIRE_TOOLS` is
/// set.
#[expect(clippy::print_stderr, reason = "said of a test")]
pub(crate) fn has_tool(name: &str) -> bool {
    let look = format!("command -v {name} >/dev/null");
    let status = Command::new("/bin/sh").args(["-c", &look]).status();
    // A script that is read has a path for a name.
    let there = match name.starts_with('/') {
        true => Path::new(name).exists(),
        false => status.unwrap().success(),
    };
    let required = std::env::var_os("STRIDE_REQUIRE_TOOLS").is_some();
    assert!(there || !required, "{name} is not installed");
    if !there {
        eprintln!("left out: {name} is not installed");
    }
    there
}

/// Makes a terminal. Returns this side of it, and a function that opens the other side for a program.
pub(crate) fn terminal() -> (OwnedFd, impl Fn() -> File) {
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let near = openpt(flags).unwrap();
    grantpt(&near).unwrap();
    unlockpt(&near).unwrap();
    let name = ptsname(&near, Vec::new()).unwrap();
    let far = move || {
        let flags = rustix::fs::OFlags::NOCTTY.bits() as i32;
        let mut options = OpenOptions::new();
        let options = options.read(true).write(true).custom_flags(flags);
        options.open(name.to_str().unwrap()).unwrap()
    };
    (near, far)
}

/// A program in a terminal, with its keyboard and screen.
pub(crate) struct Typist {
    child: Child,
    keys: File,
    shown: Receiver<Vec<u8>>,
    /// Output that no call of `sees` has consumed.
    unread: Vec<u8>,
}

impl Typist {
    /// Begins a command in a terminal of its own.
    pub(crate) fn begin(words: &[&str], prepare: impl FnOnce(&mut Command)) -> Self {
        let (terminal, end) = terminal();
        // The process leads a session of which this is the terminal, as a shell in a window does.
        let mut command = Command::new("setsid");
        command.arg("--ctty").args(words);
        prepare(&mut command);
        command.stdin(end()).stdout(end()).stderr(end());
        let child = command.spawn().unwrap();
        drop(command);
        let keys = File::from(terminal);
        let mut screen = keys.try_clone().unwrap();
        let (show, shown) = mpsc::channel();
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            // The end of the terminal is an error on some systems.
            while let Ok(n @ 1..) = screen.read(&mut buffer) {
                if show.send(buffer[..n].to_vec()).is_err() {
                    break;
                }
            }
        });
        Self {
            child,
            keys,
            shown,
            unread: Vec::new(),
        }
    }

    pub(crate) fn types(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).unwrap();
    }

    /// Reads until each of these texts has been shown, with any text in between.
    #[track_caller]
    pub(crate) fn sees(&mut self, texts: &[&str]) {
        let began = Instant::now();
        loop {
            let shown = plain(&self.unread);
            if texts.iter().all(|text| shown.contains(text)) {
                self.unread.clear();
                return;
            }
            let left = LIMIT.saturating_sub(began.elapsed());
            match self.shown.recv_timeout(left) {
                Ok(more) => self.unread.extend(more),
                Err(_) => panic!("{texts:?} did not come; shown was: {shown:?}"),
            }
        }
    }
}

impl Drop for Typist {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Returns roughly the text that a terminal shows: without control sequences and erased characters.
fn plain(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let (mut out, mut chars) = (String::new(), text.chars());
    while let Some(c) = chars.next() {
        match c {
            '\x1b' => {
                if chars.next() == Some('[') {
                    // A control sequence ends with a letter or one of a few other signs.
                    let _ = chars.find(|c| ('@'..='~').contains(c));
                }
            }
            '\x08' => {
                out.pop();
            }
            '\n' => out.push(c),
            c if c.is_control() => {}
            c => out.push(c),
        }
    }
    out
}
