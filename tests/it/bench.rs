//! The instruments of the benchmarks: what they say of stride is worth what they are.

use std::time::Duration;

#[path = "../bench/compare/figures.rs"]
mod figures;
#[path = "../bench/limits/limiter.rs"]
#[allow(dead_code, reason = "what only the benchmark needs")]
mod limiter;
#[path = "../bench/limits/log.rs"]
#[allow(dead_code, reason = "what only the benchmark needs")]
mod log;
#[path = "../bench/compare/plot.rs"]
mod plot;
#[path = "../bench/compare/table.rs"]
#[allow(
    dead_code,
    clippy::print_stdout,
    reason = "what only the benchmark needs"
)]
mod table;
#[path = "../bench/compare/tail.rs"]
mod tail;

use limiter::{Kind, Limiter, Verdict};
use log::Log;

const SECOND: Duration = Duration::from_secs(1);

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// How many of `calls` at one moment are taken.
fn taken(limiter: &mut Limiter, at: u64, calls: usize) -> usize {
    let verdicts = (0..calls).map(|_| limiter.judge(ms(at)));
    verdicts.filter(|v| *v == Verdict::Accepted).count()
}

#[test]
fn a_bucket_is_full_at_first_and_one_second_deep() {
    let mut bucket = Limiter::new(Kind::Headers, 20.0, SECOND);
    assert_eq!(bucket.left(), 20);
    assert_eq!(taken(&mut bucket, 0, 30), 20);
    assert_eq!(bucket.judge(ms(49)), Verdict::Refused(1));
    assert_eq!(bucket.judge(ms(50)), Verdict::Accepted);
    assert_eq!(taken(&mut bucket, 550, 30), 10);
    assert_eq!(taken(&mut bucket, 60_000, 30), 20);
    let mut slow = Limiter::new(Kind::Bucket, 0.4, SECOND);
    assert_eq!(slow.judge(ms(0)), Verdict::Accepted);
    assert_eq!(slow.judge(ms(100)), Verdict::Refused(3));
}

#[test]
fn a_bucket_whose_rate_falls_loses_what_is_over_its_new_depth() {
    let mut bucket = Limiter::new(Kind::Bucket, 100.0, SECOND);
    assert_eq!(taken(&mut bucket, 0, 100), 100);
    // Filled at the old rate until the change: fifty, of which the new depth holds twenty.
    bucket.change(ms(500), 20.0);
    assert_eq!(taken(&mut bucket, 500, 100), 20);
    assert_eq!(taken(&mut bucket, 1000, 100), 10);
    bucket.change(ms(1000), 100.0);
    assert_eq!(taken(&mut bucket, 1500, 100), 50);
}

#[test]
fn fixed_windows_begin_with_the_seconds_of_the_service() {
    let mut fixed = Limiter::new(Kind::Fixed, 20.0, SECOND);
    assert_eq!(taken(&mut fixed, 900, 30), 20);
    assert_eq!(fixed.judge(ms(999)), Verdict::Refused(1));
    assert_eq!(taken(&mut fixed, 1000, 30), 20);
    fixed.change(ms(1500), 30.0);
    assert_eq!(taken(&mut fixed, 1600, 30), 10);
}

#[test]
fn a_sliding_window_takes_so_many_wherever_it_begins() {
    let minute = 60 * SECOND;
    let mut sliding = Limiter::new(Kind::Sliding, 100.0 / 60.0, minute);
    assert_eq!(taken(&mut sliding, 0, 60), 60);
    assert_eq!(taken(&mut sliding, 30_000, 60), 40);
    assert_eq!(sliding.judge(ms(30_500)), Verdict::Refused(30));
    assert_eq!(sliding.judge(ms(59_999)), Verdict::Refused(1));
    assert_eq!(taken(&mut sliding, 60_000, 100), 60);
    assert_eq!(taken(&mut sliding, 90_000, 100), 40);
}

/// A log of so many calls, evenly spread over each of the seconds, of which a service took at most `limit`.
fn log(seconds: &[u64], limit: u64) -> Log {
    let mut log = Log::watching(ms(1500));
    for (second, calls) in (0..).zip(seconds) {
        for call in 0..*calls {
            let at = ms(second * 1000 + call * 1000 / calls);
            log.arrived(at, call < limit);
            log.answered(at, ms(call));
        }
    }
    log
}

#[test]
fn a_log_tells_what_arrived_when() {
    let log = log(&[10, 20, 30], 20);
    let tally = log.between(SECOND, 3 * SECOND);
    assert_eq!((tally.calls, tally.accepted, tally.refused), (50, 40, 10));
    assert!((tally.refused_percent() - 20.0).abs() < 1e-9);
    assert!((tally.accepted_percent(20.0, 2 * SECOND) - 100.0).abs() < 1e-9);
    assert_eq!(log.between(ms(0), ms(500)).calls, 5);
    assert_eq!(log.between(3 * SECOND, 9 * SECOND).calls, 0);
    assert_eq!(log.between(ms(0), SECOND).mean_latency(), ms(4) + ms(1) / 2);
    // All of the third second, and half of the one before.
    assert_eq!(log.most(), 40);
}

#[test]
fn a_rate_has_settled_when_it_stays() {
    // Nothing for three seconds after the change, and then the new limit.
    let mut seconds = [[100; 10].as_slice(), &[0; 3], &[20; 27]].concat();
    let settled = |seconds: &[u64]| {
        let end = SECOND * u32::try_from(seconds.len()).unwrap();
        log(seconds, 1000).settled(10 * SECOND, 20.0, end)
    };
    // A window with one second of nothing in it is still near.
    assert_eq!(settled(&seconds), Some(ms(2000)));
    seconds[12] = 20;
    assert_eq!(settled(&seconds), Some(ms(1000)));
    // A stop near the end is far away from it in too many windows.
    seconds[37..].fill(0);
    assert_eq!(settled(&seconds), None);
    assert_eq!(settled(&[100; 40]), None);
    // What has been seen for a moment only has not settled.
    assert_eq!(settled(&[[100; 31].as_slice(), &[20; 9]].concat()), None);
}

#[test]
fn a_rate_is_reached_when_the_last_seconds_have_it_in_the_mean() {
    let at_once = [[20; 10].as_slice(), &[100; 20]].concat();
    let reached = |seconds: &[u64]| log(seconds, 1000).reached(10 * SECOND, 100.0, 30 * SECOND);
    // A quarter of the five seconds may still be of the old rate.
    assert_eq!(reached(&at_once), Some(ms(3800)));
    assert_eq!(reached(&[20; 30]), None);
}

#[test]
fn figures_are_of_the_middle_and_of_neighbours() {
    use figures::{figure, median, range, ratio, steady, thousands};
    assert_eq!(median(&[]), None);
    assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
    assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), Some(2.5));
    assert_eq!(range(&[2.0, 1.0, 3.0]), Some((1.0, 3.0)));
    assert_eq!(range(&[]), None);
    // The second round was on half a machine, for both; the third has no figure of theirs.
    let (ours, theirs) = (
        [Some(20.0), Some(10.0), Some(90.0)],
        [Some(10.0), Some(5.0), None],
    );
    assert_eq!(ratio(&ours, &theirs), Some(2.0));
    assert_eq!(ratio(&ours, &[None, Some(0.0)]), None);
    assert_eq!(
        [0, 999, 1000, 1_234_567].map(thousands),
        ["0", "999", "1,000", "1,234,567"]
    );
    assert_eq!(
        [0.123, 12.34, 123.4, 12_345.6].map(figure),
        ["0.12", "12.3", "123", "12,346"]
    );
    // Neither the beginning nor the end; two whole seconds of the four in the middle.
    let counts = [[0; 10].as_slice(), &[5; 20], &[1; 10]].concat();
    assert!((steady(&counts, 10) - 50.0).abs() < 1e-9);
    assert!((steady(&[1, 6, 6, 1], 10) - 60.0).abs() < 1e-9);
    assert!((steady(&[7], 10) - 70.0).abs() < 1e-9);
    assert!(steady(&[], 10).abs() < 1e-9);
}

#[test]
fn a_tail_is_heavy_and_the_same_each_time() {
    let latencies: Vec<Duration> = (0..100_000)
        .map(|number| tail::latency(format!("{number:08}.txt").as_bytes()))
        .collect();
    assert_eq!(latencies[7], tail::latency(b"00000007.txt"));
    let part = |of: &dyn Fn(&Duration) -> bool| {
        latencies.iter().filter(|latency| of(latency)).count() as f64 / latencies.len() as f64
    };
    assert!(latencies.iter().all(|latency| *latency >= ms(5)));
    assert_eq!(latencies.iter().max(), Some(&tail::CUT));
    // A Pareto distribution of 1.5 is above twice its least with a chance of 35 %, above sixteen times with 1.6 %,
    // and one in a hundred is above that anyway.
    let above = |times: u32| part(&move |latency: &Duration| *latency > times * ms(5));
    assert!((0.35..0.37).contains(&above(2)), "{}", above(2));
    assert!((0.022..0.029).contains(&above(16)), "{}", above(16));
}

#[test]
fn a_bound_is_the_least_time() {
    let bound = |latencies: &[u64], threads| {
        let latencies: Vec<Duration> = latencies.iter().map(|latency| ms(*latency)).collect();
        let bound = tail::bound(&latencies, threads);
        (bound.lower, bound.strided)
    };
    assert_eq!(bound(&[], 2), (ms(0), ms(0)));
    assert_eq!(bound(&[10; 8], 4), (ms(20), ms(20)));
    // The longest decides, and the more so the later it begins.
    assert_eq!(bound(&[50, 10, 10], 2), (ms(50), ms(50)));
    assert_eq!(bound(&[10, 10, 50], 2), (ms(50), ms(60)));
}

#[test]
fn a_table_goes_between_its_marks() {
    let text = "before\n<!-- table -->\nold\n<!-- /table -->\nafter\n";
    let put = table::put(text, "new\nrows\n\n").unwrap();
    let whole = "before\n<!-- table -->\nnew\nrows\n<!-- /table -->\nafter\n";
    assert_eq!(put, whole);
    assert_eq!(table::put(&put, "new\nrows").as_deref(), Some(whole));
    assert_eq!(table::put("no marks", "new"), None);
}

#[test]
fn a_plot_has_its_points_and_says_them_in_words() {
    assert_eq!(
        [0.7, 1.0, 21.0, 300.0].map(plot::ceiling),
        [1.0, 1.0, 50.0, 500.0]
    );
    let point = |names, peak, cpu| plot::Point { names, peak, cpu };
    let svg = plot::svg(&[point(1e3, 20.0, 300.0), point(1e7, 25.0, 310.0)]);
    assert_eq!(svg.matches("<circle").count(), 4);
    assert!(svg.contains("1000 names: 20.0 MiB, 300 µs a call; 10000000 names: 25.0 MiB, 310 µs"));
    assert!(svg.contains(r#"points="60.0,164.0 350.0,145.0""#), "{svg}");
}
