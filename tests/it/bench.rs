//! The instruments of the benchmarks, which must not distort what they say of stride.

use std::process::Command;
use std::time::Duration;

use crate::support::has_tool;

#[path = "../bench/compare/figures.rs"]
mod figures;
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

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

#[test]
fn figures_are_of_the_middle_and_of_neighbours() {
    use figures::{figure, median, range, ratio, steady, thousands};
    assert_eq!(median(&[]), None);
    assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
    assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), Some(2.5));
    assert_eq!(range(&[2.0, 1.0, 3.0]), Some((1.0, 3.0)));
    assert_eq!(range(&[]), None);
    // In the second round both have half a machine; the third has no figure of theirs.
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
    // Only two whole seconds in the middle of the four count.
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
    // A Pareto distribution of 1.5 exceeds twice its minimum with a chance of 35 %, and sixteen times with 1.6 %. One
    // call in a hundred exceeds that in any case.
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
    // The longest call decides, more so the later it begins.
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

#[test]
fn figures_of_limits_are_those_of_its_examples() {
    if !has_tool("python3") {
        return;
    }
    let driver = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/bench/limits/driver.py");
    let words = ["-B", "-m", "doctest", driver];
    let output = Command::new("python3").args(words).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}");
}
