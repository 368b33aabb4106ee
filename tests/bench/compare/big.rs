//! Many jobs: loaded, resumed, called, inspected and exported.

use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::bench::{Bench, Contestant, Sample, check};
use super::database::{FILES, LIMITED, MANY, copy, load as load_list, loaded, settle};
use super::figures::{figure, median, thousands};
use super::folder::{files, list, remove_database};
use super::measure::Program;
use super::plot::{self, Point};
use super::serve::Latency;

/// The exit code of a run that was stopped by Ctrl-C.
const STOPPED: i32 = 130;
/// An answer of 200 bytes, a typical size of JSON.
fn answer() -> Vec<u8> {
    let text = "a label and why. ".repeat(12);
    format!(
        r#"{{"label":"positive","score":0.75,"text":"{}"}}"#,
        &text[..156]
    )
    .into_bytes()
}

/// Loads names into a database.
pub(crate) fn load(bench: &Bench) -> io::Result<()> {
    let jobs = bench.scaled(MANY, 1000);
    for sorted in [true, false] {
        let list = list(bench.place(), FILES, jobs, sorted)?;
        let order = if sorted { "sorted" } else { "random" };
        let contestants = vec![Contestant::new(
            &format!("stride run, {order}"),
            jobs as u64,
            || {
                let database = bench.fresh("load.db");
                let usage = load_list(bench, &database, &list)?;
                let seconds = usage.wall.as_secs_f64();
                Ok(Some(Sample::of(usage, jobs as u64).beside(seconds)))
            },
        )];
        bench.rounds("load", "names/s", bench.rounds, contestants)?;
        let made = bench.place().join("load.db");
        if sorted && made.exists() {
            // The other scenarios use it unchanged.
            std::fs::rename(&made, bench.place().join(format!("loaded-{jobs}.db")))?;
        }
        remove_database(&made);
        if !sorted {
            std::fs::remove_file(&list)?;
        }
    }
    Ok(())
}

/// Measures the time until a run resumes.
pub(crate) fn resume(bench: &Bench) -> io::Result<()> {
    let jobs = bench.scaled(MANY, 10_000);
    // Each round makes some calls before it is stopped.
    files(
        &bench.place().join(FILES),
        jobs / 2..(jobs / 2 + 1000 * bench.rounds).min(jobs),
    )?;
    let database = copy(bench, &loaded(bench, jobs)?, "half.db")?;
    settle(&database, jobs / 2, br#"{"ok":true}"#)?;
    let contestants = vec![Contestant::new("stride resume -j 64", jobs as u64, || {
        let mut service = bench.service(Latency::Fixed(Duration::from_millis(200)), 0)?;
        let program = bench
            .stride("resume", &database)
            .with(["-j", "64", "--max-calls", "none"]);
        let mut running = program.start()?;
        let first = service.first_call(&mut running)?;
        running.interrupt();
        let usage = running.wait(&[STOPPED])?;
        let sample = Sample::of(usage, 1).with_figure(first.as_secs_f64() * 1e3);
        Ok(Some(
            Sample {
                cpu: None,
                ..sample
            }
            .with_note("until the first call"),
        ))
    })];
    bench.rounds("resume", "ms", bench.rounds, contestants)?;
    remove_database(&database);
    Ok(())
}

/// Measures the cost of a call for lists of any size.
pub(crate) fn flat(bench: &Bench, svg: Option<PathBuf>) -> io::Result<()> {
    const CALLS: usize = 5000;
    let most = bench.scaled(MANY, 1000);
    let sizes = [1000, 10_000, 100_000, 1_000_000, MANY].into_iter();
    let sizes: Vec<usize> = sizes.filter(|size| *size <= most).collect();
    // Threads that are ahead in their strides are farther in the list than the number of calls.
    files(&bench.place().join(FILES), 0..(2 * CALLS).min(most))?;
    let points = std::cell::RefCell::new(Vec::new());
    let mut contestants = Vec::new();
    for jobs in &sizes {
        let jobs = *jobs;
        let calls = CALLS.min(jobs);
        let pristine = loaded(bench, jobs)?;
        let points = &points;
        let title = format!("stride, {} names", thousands(jobs as u64));
        contestants.push(Contestant::new(&title, calls as u64, move || {
            let database = copy(bench, &pristine, "flat.db")?;
            let mut service = bench.prompt()?;
            let program = bench.stride("resume", &database);
            let program = program.with(["-j", "64", "--max-calls", &calls.to_string()]);
            let usage = program.run_to(&[0, LIMITED])?;
            let seen = service.settled()?;
            check(&seen, calls)?;
            remove_database(&database);
            let rate = calls as f64 / seen.span().as_secs_f64();
            let sample = Sample::of(usage, calls as u64).with_figure(rate);
            points.borrow_mut().push((jobs, sample.clone()));
            Ok(Some(
                sample.with_note("from the first call to the last answer"),
            ))
        }));
    }
    bench.rounds("flat", "calls/s", bench.rounds, contestants)?;
    let (Some(svg), points) = (svg, points.borrow()) else {
        return Ok(());
    };
    let middle = |jobs: usize, of: fn(&Sample) -> Option<f64>| {
        let of_size = points.iter().filter(|(size, _)| *size == jobs);
        median(
            &of_size
                .filter_map(|(_, sample)| of(sample))
                .collect::<Vec<_>>(),
        )
    };
    let points: Vec<Point> = sizes
        .iter()
        .filter_map(|jobs| {
            Some(Point {
                names: *jobs as f64,
                peak: middle(*jobs, |sample| {
                    sample.peak.map(|peak| peak as f64 / f64::from(1 << 20))
                })?,
                cpu: middle(*jobs, |sample| sample.cpu)?,
            })
        })
        .collect();
    std::fs::write(svg, plot::svg(&points))
}

/// The median time in milliseconds of a command that is started over and over.
fn starts(bench: &Bench, words: &[&std::ffi::OsStr]) -> io::Result<Sample> {
    const TIMES: usize = 50;
    let mut times = Vec::new();
    for _ in 0..TIMES {
        let mut command = Command::new(&bench.peers.stride);
        let command = command
            .args(words)
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        let begun = Instant::now();
        let said = command.output()?;
        times.push(begun.elapsed().as_secs_f64() * 1e3);
        if !said.status.success() {
            let said = String::from_utf8_lossy(&said.stderr).replace('\n', " ");
            return Err(io::Error::other(format!("{}: {said}", said.trim())));
        }
    }
    let worst = times.iter().copied().fold(0.0, f64::max);
    let sample = Sample::default().with_figure(median(&times).unwrap_or_default());
    Ok(sample.with_note(format!(
        "the median of {TIMES}; the longest {} ms",
        figure(worst)
    )))
}

/// Measures the time of `status`.
pub(crate) fn status(bench: &Bench) -> io::Result<()> {
    const SMALL: usize = 1000;
    let jobs = bench.scaled(MANY, 10_000);
    files(&bench.place().join(FILES), 0..20_000.min(jobs))?;
    let small = copy(bench, &loaded(bench, SMALL)?, "small.db")?;
    let large = copy(bench, &loaded(bench, jobs)?, "status.db")?;
    let look = |database: &Path| {
        let words = ["status".as_ref(), "--db".as_ref(), database.as_os_str()];
        starts(bench, &words).map(Some)
    };
    let one = |title: &str, of: usize, turn: &dyn Fn() -> io::Result<Option<Sample>>| {
        bench.rounds(
            "status",
            "ms",
            bench.rounds,
            vec![Contestant::new(title, of as u64, turn)],
        )
    };
    one("stride --version", 0, &|| {
        starts(bench, &["--version".as_ref()]).map(Some)
    })?;
    one("stride status, no runner", SMALL, &|| look(&small))?;
    one("stride status, during a run", jobs, &|| {
        let mut service = bench.service(Latency::Fixed(Duration::from_millis(100)), 0)?;
        let program = bench.stride("resume", &large);
        let program = program.with(["-j", "64", "--max-calls", "none"]);
        let mut running = program.start()?;
        service.first_call(&mut running)?;
        let seen = look(&large)?;
        // A run that has ended is an error here, because its `status` is cheaper.
        running.interrupt();
        running.wait(&[STOPPED])?;
        Ok(seen)
    })?;
    remove_database(&small);
    remove_database(&large);
    Ok(())
}

/// Exports all results of a large run.
pub(crate) fn export(bench: &Bench) -> io::Result<()> {
    const SELECT: &str = "SELECT json_quote(job.path), result.body FROM job JOIN result ON result.job = job.id ORDER BY job.id";
    let jobs = bench.scaled(MANY, 1000);
    let database = copy(bench, &loaded(bench, jobs)?, "done.db")?;
    settle(&database, jobs, &answer())?;
    let format = |format: &'static str| {
        let (bench, database) = (bench, &database);
        let title = format!("stride export --format {format}");
        Contestant::new(&title, jobs as u64, move || {
            let program = bench.stride("export", database).with(["--format", format]);
            Ok(Some(Sample::of(program.run()?, jobs as u64)))
        })
    };
    let contestants = vec![
        format("json"),
        format("jsonl"),
        Contestant::new("sqlite3 SELECT", jobs as u64, || {
            let Some(sqlite) = bench.peers.other("sqlite3") else {
                return Ok(None);
            };
            let program = Program::new(sqlite, bench.place()).with(["-readonly"]);
            let program = program.with([&database]).with([SELECT]);
            Ok(Some(
                Sample::of(program.run()?, jobs as u64).with_note("names and answers, unchecked"),
            ))
        }),
    ];
    bench.rounds("export", "results/s", bench.rounds, contestants)?;
    remove_database(&database);
    Ok(())
}
