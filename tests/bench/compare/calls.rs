//! Calls: small ones, slow ones, many at once, and unequal ones.

use std::io;
use std::path::Path;
use std::time::Duration;

use super::bench::{Bench, Contestant, Sample, check};
use super::figures::figure;
use super::folder::{files, list, name};
use super::measure::Program;
use super::peers::Peer;
use super::serve::{Latency, Seen};
use super::tail::{self, CUT};

/// The folder of the files, inside the benchmark's folder.
const FILES: &str = "files";

/// A complete `stride run` over a list.
fn stride(
    bench: &Bench,
    list: &Path,
    calls: usize,
    threads: usize,
    latency: Latency,
) -> io::Result<(Sample, f64, Duration)> {
    let mut service = bench.service(latency, 0)?;
    let database = bench.fresh("calls.db");
    let usage = bench.run(&database, list, threads).run()?;
    let seen = service.settled()?;
    check(&seen, calls)?;
    let sample = Sample::of(usage, calls as u64).with_note(means(&seen));
    Ok((sample, seen.steady(), usage.wall))
}

/// Describes the parts of a call's time, as the service sees them.
fn means(seen: &Seen) -> String {
    let ms = |time: Duration| 1000.0 * time.as_secs_f64();
    let (worked, idle) = seen.means();
    format!(
        "{:.2} ms at the service, {:.2} ms between",
        ms(worked),
        ms(idle)
    )
}

/// curl's messages name files that it could not send, and the service counts them.
fn peer(bench: &Bench, peer: Peer, place: &Path, calls: usize) -> io::Result<Option<Sample>> {
    let mut service = bench.prompt()?;
    let Some(program) = bench.peers.program(peer, place, calls, &bench.url())? else {
        return Ok(None);
    };
    let usage = program.run()?;
    let seen = service.settled()?;
    if peer.is_timed() {
        let sample = Sample::of(usage, seen.calls);
        let rate = seen.answered as f64 / seen.span().as_secs_f64();
        return Ok(Some(sample.with_figure(rate).with_note(peer.note())));
    }
    check(&seen, calls)?;
    Ok(Some(Sample::of(usage, calls as u64).with_note(peer.note())))
}

/// Small texts at full speed.
pub(crate) fn small(bench: &Bench) -> io::Result<()> {
    let calls = bench.scaled(20_000, 200);
    // A folder of its own, because some programs take all its files.
    let place = bench.place().join("small");
    files(&place.join(FILES), 0..calls)?;
    let list = list(bench.place(), "small/files", calls, true)?;
    let mut contestants = vec![Contestant::new("stride -j 64", calls as u64, || {
        let (sample, ..) = stride(bench, &list, calls, 64, Latency::Fixed(Duration::ZERO))?;
        Ok(Some(sample.with_note("every call and answer synced")))
    })];
    for one in Peer::ALL {
        let calls = (calls / one.fewer()).max(100);
        let place = &place;
        let turn = move || peer(bench, one, place, calls);
        let of = if one.is_timed() { 0 } else { calls as u64 };
        contestants.push(Contestant::new(one.title(), of, turn));
    }
    bench.rounds("small", "calls/s", bench.rounds, contestants)?;
    std::fs::remove_dir_all(&place)?;
    std::fs::remove_file(&list)
}

/// A service that takes some time for each call.
pub(crate) fn latency(
    bench: &Bench,
    scenario: &str,
    threads: usize,
    calls: usize,
    latency: Duration,
    client: bool,
) -> io::Result<()> {
    // A few waves of calls: fewer have no steady part.
    let calls = bench.scaled(calls, 5 * threads);
    files(&bench.place().join(FILES), 0..calls)?;
    let list = list(bench.place(), FILES, calls, true)?;
    let most = threads as f64 / latency.as_secs_f64();
    let note = |steady: f64| {
        format!(
            "{} calls/s in the steady part, {:.1} % of {}",
            figure(steady),
            100.0 * steady / most,
            figure(most),
        )
    };
    let service = Latency::Fixed(latency);
    let title = format!("stride -j {threads}");
    let mut contestants = vec![
        Contestant::new(&title, calls as u64, || {
            let (sample, steady, _) = stride(bench, &list, calls, threads, service)?;
            Ok(Some(sample.beside(steady)))
        })
        .saying(note),
    ];
    if client {
        let alone = || {
            let mut service = bench.service(service, 0)?;
            let program = Program::new(std::env::current_exe()?, bench.place())
                .with(["client", &bench.url()])
                .with([&list])
                .with([threads.to_string()]);
            let usage = program.run()?;
            let seen = service.settled()?;
            check(&seen, calls)?;
            let sample = Sample::of(usage, calls as u64).beside(seen.steady());
            Ok(Some(
                sample.with_note(format!("keeps nothing; {}", means(&seen))),
            ))
        };
        let title = "its HTTP client alone";
        contestants.push(Contestant::new(title, calls as u64, alone).saying(note));
    }
    bench.rounds(scenario, "calls/s", bench.rounds, contestants)?;
    std::fs::remove_file(&list)
}

/// A service that is fast for most calls and slow for some.
pub(crate) fn tail(bench: &Bench) -> io::Result<()> {
    const THREADS: usize = 32;
    let calls = bench.scaled(20_000, 1000);
    files(&bench.place().join(FILES), 0..calls)?;
    let list = list(bench.place(), FILES, calls, true)?;
    let latencies: Vec<Duration> = (0..calls)
        .map(|number| tail::latency(name(number).as_bytes()))
        .collect();
    let bound = tail::bound(&latencies, THREADS);
    let seconds = |time: Duration| time.as_secs_f64();
    let turn = || {
        let (sample, _, wall) = stride(bench, &list, calls, THREADS, Latency::Tail)?;
        Ok(Some(
            sample.with_figure(seconds(wall)).beside(seconds(wall)),
        ))
    };
    let words = |wall: f64| {
        format!(
            "{:.3} times the least with the calls in this order, {:.2} s, and {:.2} times that in any order, {:.2} s; no call takes more than {} s",
            wall / seconds(bound.strided),
            seconds(bound.strided),
            wall / seconds(bound.lower),
            seconds(bound.lower),
            CUT.as_secs(),
        )
    };
    let contestants = vec![Contestant::new("stride -j 32", calls as u64, turn).saying(words)];
    bench.rounds("tail", "s", bench.rounds, contestants)?;
    std::fs::remove_file(&list)
}
