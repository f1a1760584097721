//! To be preloaded (`LD_PRELOAD`) into a program under test: takes the place of libc's functions that change files,
//! for the files below one directory.
//!
//! | variable | what |
//! |---|---|
//! | `POWERCUT_DIR` | the directory; absolute, without symbolic links; nothing is done without it |
//! | `POWERCUT_JOURNAL` | a file outside of it, to which every operation is appended; none if unset |
//! | `POWERCUT_NOSYNC` | if set, syncs are written down and not done, which is faster |
//! | `POWERCUT_FULL` | the name of a file outside; while it exists, what needs room fails with `ENOSPC`, and so do syncs; only these if it holds the word `sync` |
//! | `POWERCUT_SLOW` | the name of a file outside; while it holds a number, each sync first takes so many milliseconds |
//!
//! From the journal a test can build the directory as it may be after a cut at any operation: what was synced, and
//! of the rest whatever the disk had got round to.
//!
//! A file whose name ends with `.mark` is the test's own notebook: what is written to it appears in the journal as
//! a mark, say for an acknowledgement, and the disk is never full for it. Files ending with `-shm` are memory.
//!
//! The journal is a sequence of records, little-endian: kind u8, inode u64, number u64, length of the name u32,
//! length of the data u32, name (from the directory on), data. Kinds are in `journal.rs`. A sync's number is
//! the length of the journal when it began: earlier changes to the file, or to the names in the directory, are
//! durable.
//!
//! It knows what Rust's library, SQLite and the BEAM use. What it does not: memory maps, `O_TMPFILE`, links,
//! renamed directories, duplicated descriptors, `FILE*`.

mod interpose;
mod journal;
mod paths;
mod real;
mod state;
