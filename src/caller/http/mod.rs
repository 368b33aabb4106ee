//! Calls over HTTP.

mod accepted;
mod addresses;
mod body;
mod challenge;
mod classify;
mod client;
mod coding;
mod connect;
mod content;
mod credential;
mod error;
mod exchange;
#[cfg(fuzzing)]
#[doc(hidden)]
pub mod fuzzing;
mod header;
mod headers;
mod inside;
mod judge;
mod keys;
mod message;
mod network;
mod origins;
mod plan;
mod preview;
mod progress;
pub(super) mod reading;
mod receive;
mod redirect;
mod reference;
mod remarks;
mod reuse;
pub(super) mod secrets;
mod signs;
pub(super) mod source;
mod steps;
mod target;
pub(super) mod template;
mod tls;
mod tunnel;
mod unreachable;

pub use challenge::UNSUPPORTED;
pub use client::{AsyncHttpCaller, HttpCaller, HttpPlan, PlanContext};
pub use credential::{Credential, PROXY_AUTHORIZATION};
pub use error::PlanError;
pub use headers::ResponseHead;
pub use network::Network;
pub use preview::Preview;
pub use reference::{Lookup, Reference};
pub use template::{Braces, Template, TemplateError, meant_placeholder};
pub use unreachable::{NO_TLS, UNTRUSTED};
