// mod.md defines its links as files, for code hosts. Markdown uses the first definition, so these make them modules in
// the documentation.
#![doc = "[request]: request"]
#![doc = "[exec]: exec"]
#![doc = "[worker]: worker"]
#![doc = "[python]: python"]
#![doc = "[keys]: keys"]
#![doc = "[several_keys]: several_keys"]
#![doc = "[limits]: limits"]
#![doc = "[answers]: answers"]
#![doc = "[daily_limit]: daily_limit"]
#![doc = "[cost]: cost"]
#![doc = "[later]: later"]
#![doc = "[going_home]: going_home"]
#![doc = "[unattended]: unattended"]
#![doc = "[half_failed]: half_failed"]
#![doc = "[ten_million]: ten_million"]
#![doc = "[one_field]: one_field"]
#![doc = "[results]: results"]
#![doc = "[another_key]: another_key"]
#![doc = "[another_machine]: another_machine"]
#![doc = "[database]: database"]
#![doc = ""]
#![doc = include_str!("mod.md")]

#[doc = include_str!("another_key.md")]
pub mod another_key {}
#[doc = include_str!("another_machine.md")]
pub mod another_machine {}
#[doc = "[later]: later"]
#[doc = ""]
#[doc = include_str!("answers.md")]
pub mod answers {}
#[doc = include_str!("cost.md")]
pub mod cost {}
#[doc = include_str!("daily_limit.md")]
pub mod daily_limit {}
#[doc = "[results]: results"]
#[doc = ""]
#[doc = include_str!("database.md")]
pub mod database {}
#[doc = "[another_machine]: another_machine"]
#[doc = ""]
#[doc = include_str!("going_home.md")]
pub mod going_home {}
#[doc = include_str!("exec.md")]
pub mod exec {}
#[doc = "[results]: results"]
#[doc = ""]
#[doc = include_str!("half_failed.md")]
pub mod half_failed {}
#[doc = "[later]: later"]
#[doc = "[several_keys]: several_keys"]
#[doc = ""]
#[doc = include_str!("keys.md")]
pub mod keys {}
#[doc = include_str!("later.md")]
pub mod later {}
#[doc = include_str!("limits.md")]
pub mod limits {}
#[doc = include_str!("one_field.md")]
pub mod one_field {}
#[doc = include_str!("python.md")]
pub mod python {}
#[doc = "[later]: later"]
#[doc = ""]
#[doc = include_str!("request.md")]
pub mod request {}
#[doc = include_str!("results.md")]
pub mod results {}
#[doc = include_str!("ten_million.md")]
pub mod ten_million {}
#[doc = "[keys]: keys"]
#[doc = ""]
#[doc = include_str!("several_keys.md")]
pub mod several_keys {}
#[doc = "[going_home]: going_home"]
#[doc = ""]
#[doc = include_str!("unattended.md")]
pub mod unattended {}
#[doc = "[several_keys]: several_keys"]
#[doc = ""]
#[doc = include_str!("worker.md")]
pub mod worker {}
