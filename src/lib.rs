//! stride
pub mod caller;
pub mod engine;
pub mod event;
pub mod export;
pub mod input;
pub mod job;
pub mod pace;
pub mod retry;
pub mod settings;
pub mod store;
