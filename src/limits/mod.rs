//! Limits set by the user: rates, budgets and the maximum number of failed files. Each parses from its notation on the
//! command line.

mod budget;
mod failures;
mod gcra;
mod rate;
mod window;

pub use crate::job::Money;
pub use budget::{Budget, Budgets, Pricing, Usage, UsageDelta};
pub use failures::MaxFailures;
pub(crate) use gcra::seconds;
pub use rate::{Measure, Rate, Rates};
pub(crate) use window::RateLimits;
pub use window::{Cost, PastCharge};
