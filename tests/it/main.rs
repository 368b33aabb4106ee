//! The integration tests: one binary.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "tests"
)]

mod bench;
mod cli;
mod engine;
mod export;
mod fake_api;
mod faults;
mod governor;
mod house;
mod http;
mod library;
mod limits;
mod model;
mod store;
mod support;
