//! The command line. `--help` says what it does.

mod cli;

/// What a call needs of memory is taken by one thread and given back by another, which this allocator is good at.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    cli::main()
}
