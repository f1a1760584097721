//! `gp_edge`: HTTP, WebSockets and long polls for a BEAM, to which every connection is a process.
//!
//! The edge knows bytes: framing, envelopes, limits, queues, fan-out. The BEAM decides who may connect and join.
//! Top to bottom: [`control`] takes what the BEAM says and [`commands`] decodes it; [`router`] owns who has
//! subscribed to what and puts shared [`frames`] in the queue of a [`socket`]; [`ws`] and [`longpoll`] empty it.
//! In the other direction [`http`] takes connections, [`connect`] asks the BEAM, and [`inbound`] reads messages.
//! What is no socket may be a request for the BEAM: [`http::requests`] asks, and [`pending`] knows who waits.

#![forbid(unsafe_code)]

pub mod beam;
pub mod commands;
pub mod config;
pub mod connect;
pub mod control;
pub mod edge;
pub mod frames;
pub mod http;
pub mod inbound;
pub mod limits;
pub mod longpoll;
pub mod metrics;
pub mod origin;
pub mod pending;
pub mod rates;
pub mod router;
pub mod socket;
pub mod ws;
