//! The command line. `--help` says what it does.

mod cli;

fn main() -> std::process::ExitCode {
    cli::main()
}
