//! A hidden Erlang node for native programs: one connection to a BEAM, over which this program's processes
//! are called, messaged, linked and monitored like any on the BEAM.
//!
//! [`connect`] gives a [`Node`], from which come processes, and a [`Driver`], which does the work and ends with
//! the connection. [`program`] holds what every native program needs besides: flags, the cookie, the end.
//!
//! ```no_run
//! # async fn example(options: dist::Options) -> Result<(), Box<dyn std::error::Error>> {
//! use dist::{Event, term};
//!
//! let (node, driver) = dist::connect(&options).await?;
//! let mut echo = node.register("echo")?;
//! tokio::spawn(async move {
//!     while let Some(event) = echo.recv().await {
//!         if let Event::Call(call) = event {
//!             let answer = term::tuple([term::atom("ok"), call.request]);
//!             let _ = call.caller.reply(answer).await;
//!         }
//!     }
//! });
//! println!("{}", driver.run().await);
//! # Ok(())
//! # }
//! ```
#![forbid(unsafe_code)]

mod check;
mod connect;
mod dispatch;
mod driver;
mod frame;
mod group;
mod node;
mod outbox;
mod process;
pub mod program;
mod stream;
mod table;
pub mod term;

pub use connect::{ConnectError, Endpoint, Options, connect};
pub use driver::{Driver, Ended};
pub use eetf::{Pid, Reference, Term};
pub use frame::{MAX_FRAME, ProtocolError};
pub use group::{Group, Member, Members};
pub use node::{CallError, NameTaken, Node};
pub use outbox::{Closed, QUEUE_BYTES, TrySendError};
pub use process::{Call, Caller, Event, Process};
pub use term::Target;
