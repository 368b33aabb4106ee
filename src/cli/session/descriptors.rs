//! The limit on open files, and the number of threads that it allows.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use stride::settings::Threads;

use crate::cli::output::error::CliError;

/// Descriptors that a thread usually needs at once: its connection, its file, and one for an answer that is too large for
/// memory. A job that needs more waits for a free one.
const DESCRIPTORS_EACH: u64 = 3;
/// Descriptors of a driver's runtime. Each processor has one driver.
const DESCRIPTORS_OF_A_RUNTIME: u64 = 4;
/// Descriptors for everything else.
const DESCRIPTORS_BESIDE: u64 = 32;

/// Raises the limit as far as the system allows, and checks that it suffices.
pub(crate) fn raise_descriptors(threads: Threads) -> Result<(), CliError> {
    let limit = getrlimit(Resource::Nofile);
    // If that fails, the present limit may suffice.
    let _ = setrlimit(
        Resource::Nofile,
        Rlimit {
            current: limit.maximum,
            ..limit
        },
    );
    let Threads::Fixed(threads) = threads else {
        // The engine adds them one at a time, while descriptors last.
        return Ok(());
    };
    let processors = std::thread::available_parallelism().map_or(1, |count| count.get() as u64);
    let beside = DESCRIPTORS_BESIDE + processors * DESCRIPTORS_OF_A_RUNTIME;
    let allowed = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    let needed = threads as u64 * DESCRIPTORS_EACH + beside;
    if needed <= allowed {
        return Ok(());
    }
    let most = allowed.saturating_sub(beside) / DESCRIPTORS_EACH;
    let fewer = match most {
        0 => String::new(),
        _ => format!("use -j {most} or fewer, or "),
    };
    Err(CliError::usage(format!(
        "{threads} threads need more open files than the system allows"
    ))
    .cause(format!("the limit is {allowed} descriptors"))
    .hint(format!("{fewer}raise the limit: ulimit -n {needed}")))
}
