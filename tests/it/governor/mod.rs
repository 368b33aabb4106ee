//! The governor against services in virtual time.

mod properties;
mod sim;

use std::time::Duration;

use stride::governor::Past;

use sim::{Kind, Seen, Service, rules, run};

const LATENCY: Duration = Duration::from_millis(20);

fn against(
    kind: Kind,
    limits: &[(u64, f64)],
    rates: &[&str],
    threads: usize,
    seconds: u64,
) -> Seen {
    let mut service = Service::new(kind, limits);
    run(
        rules(rates, threads),
        &Past::default(),
        &mut service,
        LATENCY,
        Duration::from_secs(seconds),
        usize::MAX,
    )
}

/// Prints how much of a service's limit is used, and how often it has to refuse, and holds both to what is
/// promised. To see the table: `cargo test --test it governor -- --nocapture`.
#[test]
fn a_limit_is_found_used_and_kept() {
    let mut table = "service  limit/s  threads  rate     accepted  refused\n".to_owned();
    let mut poor = Vec::new();
    for kind in [Kind::Bucket, Kind::Stated, Kind::Left, Kind::Fixed] {
        for limit in [20.0, 100.0, 1000.0] {
            // One thread cannot make more than fifty calls a second here.
            let threads: &[usize] = match kind {
                Kind::Bucket | Kind::Fixed => &[1, 32, 1000],
                Kind::Stated | Kind::Left => &[32],
            };
            for &threads in threads {
                if threads == 1 && limit > 40.0 {
                    continue;
                }
                for rate in ["auto".to_owned(), format!("{limit}/s"), "none".to_owned()] {
                    let seen = against(kind, &[(0, limit)], &[&rate], threads, 300);
                    let share = seen.accepted.len() as f64 / (limit * 300.0);
                    let refused = seen.refused.len() as f64
                        / (seen.accepted.len() + seen.refused.len()) as f64;
                    table += &format!(
                        "{:8} {limit:7} {threads:8}  {rate:8} {:7.2}% {:7.3}%\n",
                        format!("{kind:?}"),
                        share * 100.0,
                        refused * 100.0
                    );
                    let (least, most) = match (kind, rate.as_str()) {
                        // It refuses as soon as it is met, and each time costs a second.
                        (Kind::Fixed, "auto") => (0.75, 0.01),
                        (_, "auto") => (0.95, 0.01),
                        // Everybody calls at first, and is told once.
                        (_, "none") => (0.8, 0.2),
                        _ => (0.98, 0.001),
                    };
                    if share < least || refused > most {
                        poor.push(format!("{kind:?} {limit}/s {threads} {rate}"));
                    }
                }
            }
        }
    }
    table += "service  change        settled  after that  refused\n";
    for kind in [Kind::Bucket, Kind::Stated, Kind::Left, Kind::Fixed] {
        for (before, after) in [
            (100.0, 20.0),
            (1000.0, 200.0),
            (20.0, 100.0),
            (200.0, 1000.0),
        ] {
            let limits = [(0, before), (60, after)];
            let seen = against(kind, &limits, &["auto"], 64, 180);
            let (late, within) = match (kind, after > before) {
                (Kind::Stated | Kind::Left, _) => (5.0, 10.0),
                (_, false) => (15.0, 10.0),
                (_, true) => (60.0, 10.0),
            };
            let from = 60.0 + late;
            let share = seen.accepted_within(from, from + within) as f64 / (after * within);
            let settles = (0..120).find(|second| {
                let from = 60.0 + f64::from(*second);
                let share = seen.accepted_within(from, from + 5.0) as f64 / (after * 5.0);
                (0.8..1.2).contains(&share)
            });
            table += &format!(
                "{:8} {before:4} to {after:4} {:7} s {share:10.2}  {:7}\n",
                format!("{kind:?}"),
                settles.unwrap_or(999),
                seen.refused.len()
            );
            if !(0.8..1.2).contains(&share) {
                poor.push(format!("{kind:?} {before} to {after}"));
            }
        }
    }
    #[expect(clippy::print_stdout, reason = "the table is what one looks at")]
    {
        println!("{table}");
    }
    assert_eq!(poor, Vec::<String>::new());
}
