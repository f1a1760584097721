//! What a native program needs besides its work: flags, the cookie, and an end when the BEAM is gone.
//!
//! A BEAM that starts the program gives the cookie as the first line of standard input and keeps that open: the
//! line `stop`, or its end, ends the program at once. By hand, with the cookie in a file, the program runs until
//! the connection ends or a signal ends it.

use std::error::Error;
use std::io::{self, BufRead, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use clap::error::ErrorKind;

use crate::{Endpoint, Node, Options, connect};

/// A directory whose name begins so was made for one program, which removes it when nobody else can.
pub const PRIVATE_DIRECTORY: &str = "gp_native_";

const LONGEST_COOKIE: u64 = 256;

/// How much later than the connection the input of a dead BEAM may end.
const INPUT_ENDS: Duration = Duration::from_millis(50);

/// The flags that say how to connect; a program puts them among its own with `#[command(flatten)]`.
#[derive(Debug, Clone, Args)]
pub struct Connection {
    /// The BEAM to connect to, as its node() prints it
    #[arg(long, value_name = "NODE", value_parser = node_name)]
    pub connect: String,
    /// The name that this program has as a node
    #[arg(long, value_name = "NAME@HOST", value_parser = node_name)]
    pub name: String,
    /// A file that holds the cookie, like ~/.erlang.cookie
    #[arg(long, value_name = "FILE", required_unless_present = "cookie_stdin")]
    pub cookie_file: Option<PathBuf>,
    /// Read the cookie from the first line of standard input, and end with the input
    #[arg(long, conflicts_with = "cookie_file")]
    pub cookie_stdin: bool,
    /// The Unix socket where the BEAM listens; without it epmd on the host of NODE is asked for a port
    #[arg(long, value_name = "PATH")]
    pub socket: Option<PathBuf>,
}

fn node_name(text: &str) -> Result<String, String> {
    text.parse::<erl_dist::node::NodeName>()
        .map(|name| name.to_string())
        .map_err(|error| format!("{error}; expected a node name like worker@127.0.0.1"))
}

impl Connection {
    /// Reads the cookie and, if it comes by standard input, ends the program with that input from now on, after
    /// `before_exit`.
    ///
    /// The error names the flag; `exit()` prints it and ends the program with status 2.
    pub fn open(&self, before_exit: impl FnOnce() + Send + 'static) -> Result<Options, clap::Error> {
        let endpoint = match &self.socket {
            Some(path) => Endpoint::Unix(path.clone()),
            None => Endpoint::Epmd(self.connect.split_once('@').map_or("", |(_, host)| host).to_owned()),
        };
        let cookie = match &self.cookie_file {
            Some(file) => cookie_in(file)?,
            None => {
                // A BEAM that is gone by now does not clean up, either.
                let cookie = cookie_line(&mut io::stdin().lock()).inspect_err(|_| self.clean())?;
                let connection = self.clone();
                wake_with_parent();
                std::thread::spawn(move || connection.end_with_input(before_exit));
                cookie
            }
        };
        Ok(Options { endpoint, peer: self.connect.clone(), name: self.name.clone(), cookie })
    }

    fn end_with_input(&self, before_exit: impl FnOnce()) {
        for line in io::stdin().lock().lines() {
            if !line.is_ok_and(|line| line != "stop") {
                break;
            }
        }
        before_exit();
        self.clean();
        std::process::exit(0);
    }

    /// Removes what the BEAM made for this program, which it cannot do itself if it was killed.
    pub fn clean(&self) {
        let Some(socket) = self.socket.as_deref().filter(|_| self.cookie_stdin) else { return };
        match socket.parent() {
            // Another thread may be writing there: then it is not empty at the first attempt.
            Some(dir) if is_private(dir) => drop((0..100).find(|_| std::fs::remove_dir_all(dir).is_ok())),
            _ => drop(std::fs::remove_file(socket)),
        }
    }
}

fn is_private(dir: &Path) -> bool {
    dir.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with(PRIVATE_DIRECTORY))
}

/// A program that is stopped sees the end of its input only when it is woken, so the end of its parent, which
/// ends with the BEAM, wakes it.
fn wake_with_parent() {
    #[cfg(target_os = "linux")]
    let _ = nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGCONT);
}

fn unusable(text: String) -> clap::Error {
    clap::Error::raw(ErrorKind::ValueValidation, text + "\n")
}

fn cookie_in(file: &Path) -> Result<String, clap::Error> {
    let bad = |reason: String| unusable(format!("--cookie-file {}: {reason}", file.display()));
    let text = std::fs::read_to_string(file)
        .map_err(|error| bad(format!("{error}; expected a file that can be read, like ~/.erlang.cookie")))?;
    match text.trim() {
        "" => Err(bad("it is empty; expected a cookie in one line".to_owned())),
        cookie => Ok(cookie.to_owned()),
    }
}

fn cookie_line(input: &mut impl BufRead) -> Result<String, clap::Error> {
    let mut line = String::new();
    let read = input.take(LONGEST_COOKIE).read_line(&mut line);
    if read.is_err() || !line.ends_with('\n') || line.trim().is_empty() {
        let expected = "expected the cookie as the first line of standard input";
        return Err(unusable(format!("--cookie-stdin: {expected}, at most {LONGEST_COOKIE} bytes")));
    }
    Ok(line.trim().to_owned())
}

/// Says on standard output that the program serves; whoever started it waits for this line.
pub fn ready() {
    let mut out = io::stdout().lock();
    // Nobody may be listening.
    let _ = writeln!(out, "ready").and_then(|()| out.flush());
}

/// Connects and serves on this thread, until `serve` or the connection ends. An error is one line on standard
/// error.
pub fn run<F>(connection: &Connection, serve: impl FnOnce(Node) -> F) -> ExitCode
where
    F: Future<Output = Result<(), Box<dyn Error>>>,
{
    let options = connection.open(|| {}).unwrap_or_else(|error| error.exit());
    let served = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Into::into);
    let result: Result<(), Box<dyn Error>> = served.and_then(|runtime| {
        runtime.block_on(async {
            let (node, driver) = connect(&options).await?;
            tokio::select! {
                result = serve(node) => result,
                ended = driver.run() => Err(ended.into()),
            }
        })
    });
    finish(connection, result)
}

/// What `serve` of [`run_threaded`] fails with.
pub type Served = Box<dyn Error + Send + Sync>;

fn finish(connection: &Connection, result: Result<(), impl std::fmt::Display>) -> ExitCode {
    connection.clean();
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            if connection.cookie_stdin {
                // If the BEAM is gone its end of the input is closed too, and that is no error.
                std::thread::sleep(INPUT_ENDS);
            }
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// How [`run_threaded`] runs.
#[derive(Debug, Clone, Copy)]
pub struct Threaded {
    /// How many threads do the work.
    pub threads: usize,
    /// How long `serve` may go on when the connection or the input has ended.
    pub grace: Duration,
}

/// As [`run`], on several threads, for a program with something to say when the BEAM goes: when the connection
/// or the input ends, mailboxes end, and `serve` has a moment of `grace` to come to an end itself.
pub fn run_threaded<F>(
    connection: &Connection,
    options: Threaded,
    serve: impl FnOnce(Node) -> F + Send + 'static,
) -> ExitCode
where
    F: Future<Output = Result<(), Served>> + Send + 'static,
{
    let (stop, stopped) = tokio::sync::oneshot::channel();
    let (done, is_done) = std::sync::mpsc::channel::<()>();
    let before_exit = move || {
        let _ = stop.send(());
        let _ = is_done.recv_timeout(options.grace);
    };
    let to = connection.open(before_exit).unwrap_or_else(|error| error.exit());
    let built = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(options.threads)
        .max_blocking_threads(16)
        .enable_all()
        .build();
    let result = built.map_err(Served::from).and_then(|runtime| {
        let result = runtime.block_on(async {
            let (node, driver) = connect(&to).await?;
            let mut serving = tokio::spawn(serve(node));
            let mut driving = tokio::spawn(driver.run());
            // By hand there is no input that could end.
            let input = async {
                if stopped.await.is_err() {
                    std::future::pending().await
                }
            };
            let ended = tokio::select! {
                served = &mut serving => return served?,
                ended = &mut driving => Err(ended?.into()),
                () = input => Ok(()),
            };
            driving.abort();
            let _ = tokio::time::timeout(options.grace, serving).await;
            ended
        });
        runtime.shutdown_background();
        result
    });
    drop(done);
    finish(connection, result)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct Cli {
        #[command(flatten)]
        connection: Connection,
    }

    fn parse(args: &str) -> Result<Connection, String> {
        Cli::try_parse_from(std::iter::once("x").chain(args.split_whitespace()))
            .map(|cli| cli.connection)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn flags_are_checked_and_errors_name_them() {
        assert!(parse("--connect a@h --name b@h --cookie-stdin --socket /x").unwrap().cookie_stdin);
        for (args, flag) in [
            ("--connect a --name b@h --cookie-stdin", "--connect"),
            ("--connect a@h --name @h --cookie-stdin", "--name"),
            ("--connect a@h --name b@h", "--cookie-file"),
            ("--connect a@h --name b@h --cookie-stdin --cookie-file x", "--cookie-file"),
        ] {
            let error = parse(args).unwrap_err();
            assert!(error.contains(flag), "{args}: {error}");
        }
    }

    #[test]
    fn a_cookie_is_one_line() {
        let cookie = |text: &str| cookie_line(&mut text.as_bytes());
        assert_eq!(cookie("secret\nstop\n").unwrap(), "secret");
        for bad in ["", "\n", "no end of line", &"x".repeat(1000)] {
            assert!(cookie(bad).unwrap_err().to_string().contains("--cookie-stdin"));
        }
        let error = cookie_in(Path::new("/nonexistent")).unwrap_err().to_string();
        assert!(error.contains("--cookie-file /nonexistent"), "{error}");
    }

    #[test]
    fn only_a_directory_made_for_the_program_is_removed() {
        let dir = tempfile::tempdir().unwrap();
        for (name, kept) in [("gp_native_x", false), ("mine", true)] {
            let dir = dir.path().join(name);
            std::fs::create_dir(&dir).unwrap();
            let socket = dir.join("dist.sock");
            std::fs::write(&socket, "").unwrap();
            let args = format!("--connect a@h --name b@h --cookie-stdin --socket {}", socket.display());
            parse(&args).unwrap().clean();
            assert!(!socket.exists());
            assert_eq!(dir.exists(), kept);
        }
    }
}
