//! Sizes: of the database, and of one large file.

use std::fs::File;
use std::io;
use std::path::Path;

use super::bench::{Bench, Contestant, Sample, check};
use super::database::{FILES, MANY, load};
use super::folder::{files, list, size as bytes};
use super::measure::Program;
use super::serve::Latency;

/// Returns the bytes for each of `of` items beyond the given ones. After a clean end the WAL is empty; otherwise it
/// counts.
fn beyond(database: &Path, given: u64, of: usize) -> Sample {
    let whole = bytes(database) + bytes(&database.with_extension("db-wal"));
    let each = (whole as f64 - given as f64) / of as f64;
    Sample::default().with_figure(each)
}

/// Measures the size of a job in the database.
pub(crate) fn size(bench: &Bench) -> io::Result<()> {
    const ANSWER: usize = 1024;
    let jobs = bench.scaled(MANY / 10, 10_000);
    let pending = || {
        let names = list(bench.place(), FILES, jobs, true)?;
        let database = bench.fresh("size.db");
        load(bench, &database, &names)?;
        // The line feed after each name belongs to the list.
        let sample = beyond(&database, bytes(&names) - jobs as u64, jobs);
        Ok(Some(sample.with_note("beyond its name")))
    };
    let contestants = vec![Contestant::new(
        "stride, a pending job",
        jobs as u64,
        pending,
    )];
    // A size has no noise.
    bench.rounds("size", "bytes", 1, contestants)?;
    let calls = bench.scaled(20_000, 1000);
    files(&bench.place().join(FILES), 0..calls)?;
    let done = || {
        let names = list(bench.place(), FILES, calls, true)?;
        let database = bench.fresh("size.db");
        let mut service = bench.service(Latency::Fixed(std::time::Duration::ZERO), ANSWER)?;
        bench.run(&database, &names, 64).run()?;
        check(&service.settled()?, calls)?;
        let given = bytes(&names) - calls as u64 + (ANSWER * calls) as u64;
        let sample = beyond(&database, given, calls);
        Ok(Some(sample.with_note(
            "beyond its name and its answer of 1 KiB; with its attempt",
        )))
    };
    let contestants = vec![Contestant::new("stride, a done job", calls as u64, done)];
    bench.rounds("size", "bytes", 1, contestants)?;
    bench.fresh("size.db");
    Ok(())
}

/// Measures the upload of one large file.
pub(crate) fn upload(bench: &Bench) -> io::Result<()> {
    const WHOLE: usize = 5 << 30;
    let large = bench.scaled(WHOLE, 1 << 20) as u64;
    // A sparse file, because the disk is not measured.
    let path = bench.place().join("large");
    File::create(&path)?.set_len(large)?;
    let whole = |program: Program| {
        let mut service = bench.prompt()?;
        let usage = program.run()?;
        let seen = service.settled()?;
        check(&seen, 1)?;
        if seen.bytes != large {
            let came = seen.bytes;
            return Err(io::Error::other(format!("{came} bytes came, of {large}")));
        }
        let rate = large as f64 / f64::from(1 << 20) / usage.wall.as_secs_f64();
        let sample = Sample::of(usage, 1).with_figure(rate);
        Ok(Some(sample.beside(usage.wall.as_secs_f64())))
    };
    let url = format!("{}/large", bench.url());
    let contestants = vec![
        Contestant::new("stride run -T", 1, || {
            let database = bench.fresh("upload.db");
            whole(
                bench
                    .stride("run", &database)
                    .with(["-T", "{path}", "--url", &url, "-j", "1", "large"]),
            )
        }),
        Contestant::new("curl -T", 1, || {
            let Some(curl) = bench.peers.other("curl") else {
                return Ok(None);
            };
            let program = Program::new(curl, bench.place());
            whole(program.with(["-sS", "-f", "-T", "large", &url]))
        }),
    ];
    bench.rounds("upload", "MiB/s", bench.rounds, contestants)?;
    bench.fresh("upload.db");
    std::fs::remove_file(path)
}
