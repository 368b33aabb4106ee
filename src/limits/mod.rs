//! The limits that a user sets: rates, budgets, and how many files may fail.
//!
//! Each is read from the words in which people write it. [`Rates`] become windows in which calls take room; budgets are
//! counted over all runners of a run.

mod budget;
mod failures;
mod rate;
mod window;

pub use budget::{Budget, Budgets, Money, Usage, Used};
pub use failures::MaxFailures;
pub use rate::{Measure, Rate, Rates};
pub use window::{Cost, Spent};
pub(crate) use window::{Windows, seconds};
