//! The command line: turns arguments into calls of the library, and outcomes into messages and exit codes.

mod args;
mod commands;
mod config;
mod help;
mod output;
mod progress;
mod request;
mod secrets;
mod session;

use std::ffi::OsString;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

use stride::jq::with_room;
use stride::store::Location;

use args::{Args, Command};
use commands::{
    demo, export, failures, forget, recheck, report, retry, run, set, status, try_one, verify,
    watch,
};
use config::Config;
use help::{dashes, suggestions};
use output::error::CliError;
use output::terminal::{self, Terminal};
use output::{exit, guard, lacking, screen, signals};

/// Parses the command line, runs the command, and returns the exit code.
pub(crate) fn main() -> ExitCode {
    let words: Vec<OsString> = std::env::args_os().collect();
    if let Some(code) = guard::work(&words) {
        return code;
    }
    let early = config::color(terminal::find_color(&words));
    if let Err(cli_error) = dashes::check(&words) {
        cli_error.print(&Terminal::new(early, false));
        return ExitCode::from(cli_error.code);
    }
    let args = match help::parse(&words, terminal::help_colors(early)) {
        Ok(args) => args,
        Err(error) => return ExitCode::from(suggestions::print(&error, &words, early)),
    };
    let terminal = Terminal::new(config::color(args.color), config::quiet(args.quiet));
    signals::keep_exits();
    signals::survive_size_limit();
    signals::watch_requests();
    signals::watch_pauses();
    screen::clear_on_panic();
    if let Command::Run(_) | Command::Resume(_) | Command::Retry(_) | Command::Demo(_) =
        args.command
    {
        screen::write_in_background();
    }
    // The library's threads pass their panics on, and the panic hook has printed the place.
    let result = catch_unwind(AssertUnwindSafe(|| dispatch(args, &terminal)));
    let result = result.unwrap_or_else(|_| {
        Err(
            CliError::new(exit::INTERNAL, "stride has a bug and cannot continue")
                .note("the recorded results are safe"),
        )
    });
    let code = result.unwrap_or_else(|cli_error| {
        cli_error.print(&terminal);
        cli_error.code
    });
    screen::drain();
    ExitCode::from(code)
}

fn dispatch(args: Args, terminal: &Terminal) -> Result<u8, CliError> {
    let db = Location::parse(args.db).map_err(|error| {
        CliError::usage(error.to_string()).hint("use the path of a file with --db FILE")
    })?;
    if needs_folder(&args.command)
        && db.file().is_relative()
        && let Err(error) = std::env::current_dir()
    {
        return Err(lacking::current_folder(exit::UNUSABLE, &error));
    }
    if makes_calls(&args.command) {
        demo::revive(&db, terminal);
    }
    match args.command {
        Command::Run(mut args) => {
            let config = Config::load(&mut args.invocation, Some(&mut args.outputs), terminal)?;
            run::run(&db, *args, &config, terminal)
        }
        Command::Try(mut one) => {
            let config = Config::load(&mut one.invocation, None, terminal)?;
            try_one::try_one(&db, *one, &config, terminal)
        }
        Command::Resume(mut all) => {
            let resume = &mut all.resume;
            let config = Config::load(&mut resume.invocation, Some(&mut resume.outputs), terminal)?;
            run::resume(&db, &all, &config, terminal)
        }
        Command::Retry(mut retry) => {
            let resume = &mut retry.resume;
            let config = Config::load(&mut resume.invocation, Some(&mut resume.outputs), terminal)?;
            retry::retry(&db, &retry, &config, terminal)
        }
        Command::Set(limits) => set::set(&db, &limits, terminal),
        Command::Status(args) if args.watch => watch::watch(&db, terminal),
        Command::Status(args) => status::status(&db, &args),
        Command::Failures(failures) => failures::failures(&db, &failures),
        Command::Forget(args) => forget::forget(&db, &args, terminal),
        Command::Export(export) => with_large_stack(|| export::export(&db, &export, terminal)),
        Command::Report(args) => report::report(&db, &args, terminal),
        Command::Recheck(recheck) => with_large_stack(|| recheck::recheck(&db, &recheck, terminal)),
        Command::Verify => verify::verify(&db, terminal),
        Command::Demo(demo) => demo::demo(&demo, terminal, dispatch),
        Command::Completions(shell) => help::completions(&shell),
        Command::Man(pages) => help::man(&pages),
    }
}

/// Returns true for a command that uses the current folder even without a path.
fn needs_folder(command: &Command) -> bool {
    match command {
        Command::Completions(_) | Command::Man(_) => false,
        Command::Demo(demo) => demo.serve.is_none(),
        _ => true,
    }
}

/// Returns true for a command that may call the service of a run.
fn makes_calls(command: &Command) -> bool {
    match command {
        Command::Run(run) => !run.dry_run,
        Command::Retry(retry) => !retry.queue_only,
        Command::Try(_) | Command::Resume(_) => true,
        _ => false,
    }
}

/// Runs `work` on a thread with a large stack, which jq expressions need.
fn with_large_stack(work: impl FnOnce() -> Result<u8, CliError> + Send) -> Result<u8, CliError> {
    with_room(work).map_err(|error| lacking::thread(&error))?
}
