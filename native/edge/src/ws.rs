//! RFC 6455: the handshake, the headers of frames, reading them, and the task of a connection.

pub mod handshake;
pub mod header;
pub mod reader;
pub mod task;
