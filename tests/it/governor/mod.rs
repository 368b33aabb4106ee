//! The governor against services in virtual time.

mod properties;
mod sim;
mod table;
mod weights;
