//! The edge over real sockets, with the BEAM played by the test.

mod abuse;
mod beam;
mod drain;
mod files;
mod http;
mod longpoll;
mod queues;
mod requests;
mod rfc6455;
mod support;
