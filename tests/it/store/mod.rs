//! The guarantees of the store, on real files.

mod columns;
mod create;
mod flat;
mod lanes;
mod load;
mod open;
mod owner;
mod pace;
mod queue;
mod read;
mod recheck;
mod recover;
mod refuse;
mod requeue;
mod rescue;
mod schema;
mod steps;
mod survey;
mod verify;
mod view;
