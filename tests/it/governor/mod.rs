//! The governor against services in virtual time.

mod lanes;
mod properties;
mod sim;
mod table;
mod weights;
