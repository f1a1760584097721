//! Why the log refuses, in the words of the protocol.

use std::io;
use std::path::Path;

use thiserror::Error;

/// What the operations of this crate give.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a request is refused. Each variant is one reason of the protocol; its text says what to do.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Error {
    /// No directory is open.
    #[error("no event log is open: call {{open, Dir, Options}} first")]
    NotOpen,
    /// The directory is another release's.
    #[error("{0}")]
    NewerVersion(String),
    /// What was read cannot be what was written.
    #[error("{0}")]
    Corrupt(String),
    /// The files cannot be opened.
    #[error("{0}")]
    CannotOpen(String),
    /// Another process writes.
    #[error("{0}")]
    InUse(String),
    /// There is no room.
    #[error("{0}")]
    Full(String),
    /// The disk fails.
    #[error("{0}")]
    Io(String),
    /// There is no such world.
    #[error("there is no world {0} in the event log: create it first")]
    UnknownWorld(String),
    /// A world of that name has another origin.
    #[error("the event log has another world named {0}: use another data directory, or another name")]
    Exists(String),
    /// The call does not fit.
    #[error("{0}")]
    BadRequest(String),
    /// The operations do not follow those in the log.
    #[error("{0}")]
    OutOfOrder(String),
}

impl Error {
    /// The reason's atom.
    pub fn reason(&self) -> &'static str {
        match self {
            Error::NotOpen => "not_open",
            Error::NewerVersion(_) => "newer_version",
            Error::Corrupt(_) => "corrupt",
            Error::CannotOpen(_) => "cannot_open",
            Error::InUse(_) => "in_use",
            Error::Full(_) => "full",
            Error::Io(_) => "io",
            Error::UnknownWorld(_) => "unknown_world",
            Error::Exists(_) => "exists",
            Error::BadRequest(_) => "bad_request",
            Error::OutOfOrder(_) => "out_of_order",
        }
    }

    /// What is in `file` is damaged.
    pub(crate) fn corrupt(file: &Path, what: impl std::fmt::Display) -> Error {
        Error::Corrupt(format!("{}: {what}; restore the data directory from a copy", file.display()))
    }

    pub(crate) fn cannot_open(file: &Path, error: impl std::fmt::Display) -> Error {
        Error::CannotOpen(format!(
            "{}: {error}; give a directory that this user may write to",
            file.display()
        ))
    }

    /// What an operation on a file failed with.
    pub(crate) fn io(file: &Path, error: &io::Error) -> Error {
        if matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) {
            return Error::full(file);
        }
        Error::Io(format!(
            "{}: {error}; nothing was written, look after the disk and try again",
            file.display()
        ))
    }

    pub(crate) fn full(file: &Path) -> Error {
        Error::Full(format!(
            "{}: there is no room for more; nothing was written, make room or raise the limit",
            file.display()
        ))
    }

    /// What SQLite or the driver says, of the database `file`.
    ///
    /// All statements are this crate's own, so one that does not fit the tables means that these are damaged.
    pub(crate) fn sql(file: &Path, error: sqlx::Error) -> Error {
        match &error {
            sqlx::Error::Database(database) => {
                let code: i32 = database.code().and_then(|code| code.parse().ok()).unwrap_or(0);
                let message = database.message();
                match (code & 0xff, code) {
                    (FULL, _) => Error::full(file),
                    (CORRUPT | NOT_A_DATABASE | CONSTRAINT | ERROR | MISMATCH | TOO_BIG, _)
                    | (_, SHORT_READ | CORRUPT_FS) => {
                        Error::corrupt(file, format_args!("SQLite says \"{message}\" ({code})"))
                    }
                    (CANNOT_OPEN | READ_ONLY | PERM, _) => Error::cannot_open(file, message),
                    _ => Error::Io(format!(
                        "{}: SQLite says \"{message}\" ({code}); look after the disk and try again",
                        file.display()
                    )),
                }
            }
            sqlx::Error::Io(error) => Error::io(file, error),
            sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) | sqlx::Error::RowNotFound => {
                Error::corrupt(file, format_args!("a row is not as it was written ({error})"))
            }
            _ => Error::Io(format!("{}: {error}; start the program again", file.display())),
        }
    }
}

/// Result codes of SQLite.
const ERROR: i32 = 1;
const PERM: i32 = 3;
const READ_ONLY: i32 = 8;
const CORRUPT: i32 = 11;
const FULL: i32 = 13;
const CANNOT_OPEN: i32 = 14;
const TOO_BIG: i32 = 18;
const CONSTRAINT: i32 = 19;
const MISMATCH: i32 = 20;
const NOT_A_DATABASE: i32 = 26;
const SHORT_READ: i32 = 522;
const CORRUPT_FS: i32 = 8458;
