//! Calls over HTTP.

mod accepted;
mod addresses;
mod body;
mod challenge;
mod classify;
mod client;
mod coding;
mod content;
mod credential;
mod error;
mod exchange;
#[cfg(fuzzing)]
#[doc(hidden)]
pub mod fuzzing;
mod header;
mod headers;
mod judge;
mod keys;
mod message;
mod network;
mod plan;
mod preview;
mod progress;
pub(super) mod reading;
mod receive;
mod redirect;
mod reference;
mod remarks;
mod reuse;
mod secrets;
mod signs;
pub(super) mod source;
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
