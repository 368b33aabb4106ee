//! Calls that programs make.

use std::io;

use super::bench::{Bench, Contestant, Sample};
use super::folder::list;
use super::measure::Program;

/// A worker in Python that answers at once, and its pipes alone.
pub(crate) fn worker(bench: &Bench) -> io::Result<()> {
    let calls = bench.scaled(200_000, 2000);
    let list = list(bench.place(), "files", calls, true)?;
    let script = bench.peers.script("echo_worker.py");
    let Some(python) = bench.peers.other("python3") else {
        return Err(io::Error::other("python3 is not installed"));
    };
    let command = format!("'{}' '{}'", python.display(), script.display());
    let stride = || {
        let database = bench.fresh("worker.db");
        let usage = bench
            .stride("run", &database)
            .with([
                "--worker",
                &command,
                "-j",
                "64",
                "--rate",
                "none",
                "--files-from",
            ])
            .with([&list])
            .run()?;
        let sample = Sample::of(usage, calls as u64);
        Ok(Some(sample.with_note("every call and answer synced")))
    };
    let pipes = || {
        let program = Program::new(&python, bench.place())
            .with([&script])
            .with(["feed", &calls.to_string()]);
        let sample = Sample::of(program.run()?, calls as u64);
        Ok(Some(sample.with_note(
            "raw limit: keeps no answer; the feeder is in Python too",
        )))
    };
    let contestants = vec![
        Contestant::new("stride --worker -j 64", calls as u64, stride),
        Contestant::new("the worker's pipes alone", calls as u64, pipes),
    ];
    bench.rounds("worker", "calls/s", bench.rounds, contestants)?;
    std::fs::remove_file(&list)
}

/// A process for each name, which ends at once.
pub(crate) fn exec(bench: &Bench) -> io::Result<()> {
    let calls = bench.scaled(4000, 200);
    let list = list(bench.place(), "files", calls, true)?;
    let Some(xargs) = bench.peers.other("xargs") else {
        return Err(io::Error::other("xargs is not installed"));
    };
    let stride = || {
        let database = bench.fresh("exec.db");
        let words = ["--exec", "true {name}", "-j", "8", "--rate", "none"];
        let usage = bench
            .stride("run", &database)
            .with(words)
            .with(["--files-from"])
            .with([&list])
            .run()?;
        let sample = Sample::of(usage, calls as u64);
        Ok(Some(sample.with_note("every call and answer synced")))
    };
    let alone = || {
        let program = Program::new(&xargs, bench.place())
            .with(["-P", "8", "-n", "1", "-a"])
            .with([&list])
            .with(["true"]);
        let sample = Sample::of(program.run()?, calls as u64);
        Ok(Some(sample.with_note("keeps nothing")))
    };
    let contestants = vec![
        Contestant::new("stride --exec true -j 8", calls as u64, stride),
        Contestant::new("xargs -P 8 -n 1 true", calls as u64, alone),
    ];
    bench.rounds("exec", "calls/s", bench.rounds, contestants)?;
    std::fs::remove_file(&list)
}
