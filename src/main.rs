//! The command line. `--help` says what it does.

mod cli;

/// One thread allocates the memory of a call and another frees it, which this allocator handles well.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    cli::main()
}
