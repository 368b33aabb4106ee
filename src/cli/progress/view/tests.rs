use proptest::prelude::*;

use super::*;

const NOW: i64 = 1_800_000_000_000;
const WIDTHS: [usize; 3] = [40, 80, 200];
const OUTAGE: LimitedBy = LimitedBy::Outage {
    since: Duration::ZERO,
    every: Duration::from_secs(3),
};

/// Returns a run that has made ten calls a second for a minute.
fn view() -> View {
    let mut throughput = Throughput::new(NOW - 60_000);
    (0..60).for_each(|second| throughput.add(10, 10, NOW - 60_000 + second * 1000));
    View {
        counts: Counts {
            total: 1_000,
            done: 588,
            failed: 9,
            held: 3,
            pending: 392,
            running: 8,
            ..Counts::default()
        },
        throughput,
        limit: Some((LimitedBy::Threads(8), None)),
        ..View::default()
    }
}

#[track_caller]
fn shows(view: &View, columns: usize, expected: &[&str]) {
    let lines = view.lines(columns, NOW);
    assert_eq!(lines, expected, "{lines:#?}");
}

/// Returns the text after the bar.
fn end(view: &View) -> String {
    let line = view.lines(80, NOW).remove(0);
    line.split_once("%  ").unwrap().1.to_owned()
}

#[test]
fn a_run_is_shown_in_a_few_lines() {
    let view = view();
    shows(
        &view,
        40,
        &[
            "━━━━━━━╸─────  60%  ETA 40 s",
            "588 of 1,000 done · 9 failed · 3 held",
            "392 pending · 8 in flight",
            "limit: 8 threads · 10.0 calls/s",
        ],
    );
    assert_eq!(
        view.line(NOW),
        "588 of 1,000 done, 9 failed, 3 held · ETA 40 s · limit: 8 threads · 10.0 calls/s"
    );
}

#[test]
fn a_large_run_shows_tenths_of_a_percent() {
    let mut view = view();
    view.counts = Counts {
        total: 10_000_000,
        done: 9_999_999,
        running: 1,
        ..Counts::default()
    };
    shows(
        &view,
        40,
        &[
            "━━━━━━━━━━━━╸ 99.9%  ETA unknown",
            "9,999,999 of 10,000,000 done",
            "waiting for the last call",
        ],
    );
}

#[test]
fn a_wait_shows_its_end_and_delays_the_eta() {
    let mut view = view();
    let asked = LimitedBy::RetryAfter(Duration::ZERO);
    view.set_gate(Some((asked, NOW + 19_001)), NOW);
    let later = NOW + 10_000;
    let lines = view.lines(80, later);
    assert!(lines[0].ends_with("60%  ETA 50 s"), "{lines:?}");
    let clock = crate::cli::output::time::clock;
    let waits = format!(
        "waiting until {}, as the service asked · next try in 10 s",
        clock(NOW + 19_001)
    );
    assert_eq!(lines[2], waits);
    assert_eq!(
        view.line(later),
        format!("588 of 1,000 done, 9 failed, 3 held · {waits}")
    );
    // Without a rate, the end of a wait says nothing about the end of the run.
    let pace = std::mem::replace(&mut view.throughput, Throughput::new(NOW));
    view.counts.running = 0;
    assert_eq!(end(&view), "ETA unknown");
    view.finish = Some(NOW + 7_200_000);
    assert_eq!(end(&view), "ETA 2 h 00 m");
    (view.throughput, view.counts.running, view.finish) = (pace, 8, None);
    // The end of an outage is unknown.
    view.set_gate(Some((OUTAGE, NOW + 2_000)), NOW);
    assert_eq!(end(&view), "ETA unknown");
    assert_eq!(
        view.lines(80, NOW)[2],
        "service unavailable, probing every 3 s · next try in 2 s"
    );
    view.limit = Some((OUTAGE, Some(NOW - 5_000)));
    assert_eq!(
        view.lines(120, later)[2],
        format!(
            "service unavailable since {}, probing every 3 s · trying",
            clock(NOW - 5_000)
        )
    );
    view.limit = Some((LimitedBy::Threads(8), None));
    view.set_gate(None, later);
    assert_eq!(view.lines(80, later)[2], "limit: 8 threads · 10.0 calls/s");
}

#[test]
fn the_eta_is_no_earlier_than_rates_and_repeats_allow() {
    let mut view = view();
    view.finish = Some(NOW + 7_200_000);
    assert_eq!(end(&view), "ETA 2 h 00 m");
    view.finish = Some(NOW - 1);
    assert_eq!(end(&view), "ETA 40 s");
    // Calls that are all repeated complete no file.
    view.throughput = Throughput::new(NOW - 60_000);
    view.throughput.add(600, 0, NOW);
    assert_eq!(end(&view), "ETA unknown");
    // If the run only waits for a moment, the end is known without a rate.
    view.throughput = Throughput::new(NOW - 60_000);
    view.throughput.add(30, 30, NOW - 20_000);
    let pace = "limit: 8 threads · 30.0 calls/min";
    assert_eq!(view.lines(80, NOW)[2], pace);
    view.counts.running = 0;
    assert_eq!(view.lines(80, NOW)[2], "limit: 8 threads");
    assert_eq!(end(&view), "ETA unknown");
    view.finish = Some(NOW + 30_000);
    assert_eq!(end(&view), "ETA 30 s");
}

#[test]
fn slow_last_calls_are_named() {
    let mut view = view();
    view.counts.pending = 0;
    view.slowest = vec![
        (
            "texts/a/very/long/name/of/a/folder/0017.txt".into(),
            NOW - 100_000,
        ),
        ("文/ビデオ".into(), NOW - 3_500),
        ("texts/\x1b[2J".into(), NOW - 2_000),
        ("texts/quick".into(), NOW - 1_999),
    ];
    shows(
        &view,
        40,
        &[
            "━━━━━━━╸─────  60%  ETA unknown",
            "588 of 1,000 done · 9 failed · 3 held",
            "waiting for the last 8 calls",
            "  1 m 40 s  …g/name/of/a/folder/0017.txt",
            "  3 s  文/ビデオ",
            "  2 s  texts/\\u{1b}[2J",
        ],
    );
    assert_eq!(
        view.lines(200, NOW)[3],
        "  1 m 40 s  texts/a/very/long/name/of/a/folder/0017.txt"
    );
    // While other files are pending, slow calls are not named.
    view.counts.pending = 1;
    assert_eq!(view.lines(80, NOW).len(), 3);
    view.stopping = true;
    let lines = view.lines(80, NOW);
    assert_eq!(lines[2], "stopping, waiting for 8 calls");
    assert_eq!(lines.len(), 6);
    assert_eq!(end(&view), "stopping");
}

#[test]
fn the_last_calls_take_as_long_as_usual() {
    let mut view = view();
    view.counts.pending = 0;
    view.throughput.call_began(NOW - 1_000);
    view.throughput
        .call_ended(true, Duration::from_secs(5), NOW);
    assert_eq!(end(&view), "ETA 4 s");
    view.counts.running = 0;
    assert_eq!(end(&view), "ETA 0 s");
}

#[test]
fn nothing_is_known_of_a_run_that_has_just_begun() {
    let mut view = View {
        throughput: Throughput::new(NOW),
        ..View::default()
    };
    view.counts.total = 5;
    view.counts.pending = 5;
    shows(
        &view,
        40,
        &["╸────────────   0%  ETA unknown", "0 of 5 done · 5 pending"],
    );
    assert_eq!(view.line(NOW), "0 of 5 done · ETA unknown");
    view.counts = Counts::default();
    assert_eq!(view.lines(40, NOW)[0], "━━━━━━━━━━━━━ 100%  ETA 0 s");
}

#[test]
fn times_and_rates_read_well() {
    let left = |seconds: f64| rounded(Duration::from_secs_f64(seconds));
    assert_eq!(left(0.2), "1 s");
    assert_eq!(left(59.0), "59 s");
    assert_eq!(left(119.5), "2 m 00 s");
    assert_eq!(left(121.0), "2 m 05 s");
    assert_eq!(left(1_801.0), "31 m");
    assert_eq!(left(3_599.0), "1 h 00 m");
    assert_eq!(left(7_261.0), "2 h 10 m");
    assert_eq!(rounded(Duration::MAX), "213503982334601 d 07 h");
    assert_eq!(whole(59_999), "59 s");
    assert_eq!(whole(-1), "0 s");
    assert_eq!(speed(12_345.6), "12,345 calls/s");
    assert_eq!(speed(0.1), "6.0 calls/min");
    assert_eq!(speed(0.001), "3.6 calls/h");
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_line_is_wider_than_the_terminal(
        columns in prop::sample::select(&[1, 7, 20, WIDTHS[0], WIDTHS[1], WIDTHS[2]][..]),
        numbers in prop::array::uniform5(0_u64..20_000_000),
        name in "\\PC{0,300}",
        threads in 0..10_000_usize,
        age in 0..1_000_000_000_i64,
        gate in 0..3_usize,
        stopping: bool,
    ) {
        let [done, failed, held, pending, running] = numbers;
        let view = View {
            counts: Counts { total: numbers.iter().sum(), done, failed, held, pending, running, ..Counts::default() },
            gate: [None, Some((LimitedBy::RetryAfter(Duration::ZERO), NOW + age)), Some((OUTAGE, NOW))][gate],
            limit: Some((LimitedBy::Threads(threads), None)),
            finish: Some(NOW + age),
            stopping,
            slowest: vec![(name.as_str().into(), NOW - age); NAMED],
            about: vec![name],
            ..view()
        };
        let lines = view.lines(columns, NOW);
        prop_assert!(lines.len() <= 10 + NAMED, "{lines:#?}");
        for line in &lines {
            prop_assert!(width(line) <= columns, "{columns}: {line}");
            prop_assert!(!line.contains(char::is_control), "{line:?}");
        }
    }
}
