//! What the BEAM says about how to listen.

use std::path::PathBuf;
use std::time::Duration;

use dist::term::{as_atom, as_binary, as_int};
use dist::{Target, Term};
use thiserror::Error;

use crate::origin::Origins;

/// Why a configuration is of no use.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum ConfigError {
    /// It is no map.
    #[error("the configuration is no map of atoms: give one, with acceptor at least")]
    NoMap,
    /// There is no such option.
    #[error("there is no option {0}: see docs/edge.md for those there are")]
    Unknown(String),
    /// An option has a value that it cannot have.
    #[error("{name} is {found}, expected {expected}")]
    Value {
        /// The option.
        name: &'static str,
        /// What it is.
        found: String,
        /// What it can be.
        expected: &'static str,
    },
    /// Nobody is told of connections.
    #[error("acceptor is missing: give the pid or the name of the process that is told of connections")]
    NoAcceptor,
}

/// How to listen.
#[derive(Debug, Clone)]
pub struct Config {
    /// The address to listen at.
    pub bind: String,
    /// The port; 0 lets the system choose.
    pub port: u16,
    /// Who is told of each connection.
    pub acceptor: Target,
    /// Who is told several times a second that the edge turns, if anybody.
    pub watcher: Option<Target>,
    /// Who is told of each request for one of the paths below, if anybody.
    pub answerer: Option<Target>,
    /// Those paths and all below them are answered by the BEAM.
    pub request_paths: Vec<String>,
    /// The folder of static files.
    pub files: Option<PathBuf>,
    /// Where sockets connect.
    pub socket_paths: Vec<String>,
    /// Which pages may connect.
    pub origins: Origins,
    /// The limits.
    pub limits: Limits,
}

macro_rules! limits {
    ($($(#[$doc:meta])* $name:ident: $default:expr,)*) => {
        /// What a client may use. Times are in milliseconds.
        #[derive(Debug, Clone, Copy)]
        pub struct Limits { $($(#[$doc])* pub $name: u64,)* }

        impl Default for Limits {
            fn default() -> Self {
                Limits { $($name: $default,)* }
            }
        }

        impl Limits {
            /// All of them, by name.
            pub fn all(&self) -> Vec<(&'static str, u64)> {
                vec![$((stringify!($name), self.$name),)*]
            }

            fn set(&mut self, name: &str, value: &Term) -> Option<Result<(), ConfigError>> {
                match name {
                    $(stringify!($name) => Some(positive(stringify!($name), value).map(|value| self.$name = value)),)*
                    _ => None,
                }
            }
        }
    };
}

limits! {
    /// Connections of all clients, and as many sockets.
    max_connections: 20_000,
    /// Connections from one address, and as many long poll sessions.
    per_ip: 1000,
    /// A whole message of a client, in bytes.
    message_bytes: 65_536,
    /// A frame of a client, in bytes.
    frame_bytes: 65_536,
    /// The headers of a request, in bytes.
    header_bytes: 16_384,
    /// The path and query of a request, in bytes.
    url_bytes: 8192,
    /// For the head of a request to come, and between two requests.
    header_ms: 10_000,
    /// For the body of a request to come.
    body_ms: 10_000,
    /// A WebSocket from which nothing comes for so long is closed.
    idle_ms: 60_000,
    /// A poll waits so long for a message.
    poll_window_ms: 10_000,
    /// A session that nobody polls for so long ends.
    poll_idle_ms: 20_000,
    /// What may wait for a slow client, in bytes.
    queue_bytes: 1 << 20,
    /// What may wait for a slow client, in frames.
    queue_frames: 1024,
    /// Messages of a client that the BEAM has not handled yet.
    input_messages: 1024,
    /// The same in bytes of payload.
    input_bytes: 1 << 20,
    /// Messages of a client in a second, for long.
    rate: 200,
    /// Messages of a client at once.
    burst: 400,
    /// For the BEAM to let a client in.
    connect_ms: 10_000,
    /// A client that takes nothing for so long is dropped.
    write_ms: 30_000,
    /// The body of a request for the BEAM, in bytes.
    request_bytes: 262_144,
    /// For the BEAM to answer a request.
    request_ms: 45_000,
    /// Requests that the BEAM has not answered yet.
    requests: 20_000,
    /// The same from one address.
    requests_per_ip: 1000,
    /// Requests for the BEAM from one address in a second, for long.
    request_rate: 500,
    /// The same at once.
    request_burst: 1000,
}

impl Limits {
    /// The bytes of a body; a batch of a long poll has several messages, binary ones in base64.
    pub fn body_bytes(&self) -> u64 {
        self.message_bytes.saturating_mul(16)
    }

    /// How often sockets are looked at for those that have overstayed: often enough for the shortest limit.
    pub fn sweep(&self) -> Duration {
        let shortest = [self.idle_ms, self.poll_idle_ms, self.write_ms].into_iter().min().unwrap_or(1000);
        Duration::from_millis((shortest / 4).clamp(5, 1000))
    }
}

impl Config {
    /// The defaults, with this acceptor.
    pub fn new(acceptor: impl Into<Target>) -> Self {
        Config {
            bind: "127.0.0.1".to_owned(),
            port: 0,
            acceptor: acceptor.into(),
            watcher: None,
            answerer: None,
            request_paths: Vec::new(),
            files: None,
            socket_paths: vec!["/socket".to_owned()],
            origins: Origins::Same,
            limits: Limits::default(),
        }
    }

    /// What a map of the BEAM says.
    pub fn from_term(term: &Term) -> Result<Self, ConfigError> {
        let Term::Map(map) = term else { return Err(ConfigError::NoMap) };
        let entries: Vec<(&str, &Term)> = map
            .map
            .iter()
            .map(|(name, value)| as_atom(name).map(|name| (name, value)).ok_or(ConfigError::NoMap))
            .collect::<Result<_, _>>()?;
        let acceptor =
            entries.iter().find(|(name, _)| *name == "acceptor").and_then(|(_, value)| process(value));
        let mut config = Config::new(acceptor.ok_or(ConfigError::NoAcceptor)?);
        for (name, value) in entries {
            config.set(name, value)?;
        }
        Ok(config)
    }

    fn set(&mut self, name: &str, value: &Term) -> Result<(), ConfigError> {
        match name {
            "acceptor" => {}
            "watcher" => match value {
                Term::Pid(pid) => self.watcher = Some(pid.into()),
                other => return Err(wrong("watcher", other, "a pid")),
            },
            "answerer" if as_atom(value) == Some("nil") => self.answerer = None,
            "answerer" => {
                let answerer = process(value);
                self.answerer =
                    Some(answerer.ok_or_else(|| wrong("answerer", value, "a pid, a name, or nil"))?);
            }
            "bind" => self.bind = text("bind", value, "an address like 127.0.0.1")?,
            "port" => {
                let port = as_int(value).and_then(|port| u16::try_from(port).ok());
                self.port = port.ok_or_else(|| wrong("port", value, "0 to 65535"))?;
            }
            "static" if as_atom(value) == Some("nil") => self.files = None,
            "static" => self.files = Some(text("static", value, "the path of a folder, or nil")?.into()),
            "socket_paths" => self.socket_paths = paths("socket_paths", value)?,
            "request_paths" => self.request_paths = paths("request_paths", value)?,
            "origins" => {
                self.origins = Origins::from_term(value).ok_or_else(|| {
                    wrong("origins", value, "any, same, or a list like [\"https://game.example\"]")
                })?;
            }
            name => match self.limits.set(name, value) {
                Some(result) => result?,
                None => return Err(ConfigError::Unknown(name.to_owned())),
            },
        }
        Ok(())
    }
}

fn wrong(name: &'static str, found: &Term, expected: &'static str) -> ConfigError {
    let found = match as_binary(found).and_then(|bytes| std::str::from_utf8(bytes).ok()) {
        Some(text) => format!("{text:?}"),
        None => found.to_string(),
    };
    ConfigError::Value { name, found, expected }
}

fn positive(name: &'static str, value: &Term) -> Result<u64, ConfigError> {
    let number = as_int(value).and_then(|value| u64::try_from(value).ok()).filter(|value| *value > 0);
    number.ok_or_else(|| wrong(name, value, "a positive integer"))
}

fn text(name: &'static str, value: &Term, expected: &'static str) -> Result<String, ConfigError> {
    let text =
        as_binary(value).and_then(|bytes| std::str::from_utf8(bytes).ok()).filter(|text| !text.is_empty());
    text.map(str::to_owned).ok_or_else(|| wrong(name, value, expected))
}

fn process(term: &Term) -> Option<Target> {
    match term {
        Term::Pid(pid) => Some(Target::from(pid)),
        Term::Atom(name) => Some(Target::from(name.name.as_str())),
        _ => None,
    }
}

fn paths(name: &'static str, value: &Term) -> Result<Vec<String>, ConfigError> {
    let expected = "a list of paths like [\"/path\"], of letters, digits, / - _ . and ~";
    let Term::List(list) = value else { return Err(wrong(name, value, expected)) };
    let fits = |path: &String| {
        path.len() > 1
            && path.starts_with('/')
            && !path.ends_with('/')
            && path.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/-_.~".contains(&byte))
    };
    let paths = list
        .elements
        .iter()
        .map(|path| text(name, path, expected).ok().filter(fits).ok_or_else(|| wrong(name, path, expected)));
    let mut paths: Vec<String> = paths.collect::<Result<_, _>>()?;
    paths.sort();
    paths.dedup();
    Ok(paths)
}

#[cfg(test)]
mod tests {
    use super::*;
    use dist::Pid;
    use dist::term::{atom, binary, int, list, map};

    fn read(entries: impl IntoIterator<Item = (&'static str, Term)>) -> Result<Config, ConfigError> {
        let acceptor = (atom("acceptor"), Pid::new("beam@h", 1, 0, 1).into());
        let entries = entries.into_iter().map(|(name, value)| (atom(name), value));
        Config::from_term(&map(entries.chain([acceptor])))
    }

    #[test]
    fn what_is_not_said_has_a_default() {
        let config = read([
            ("port", int(4000)),
            ("static", atom("nil")),
            ("rate", int(7)),
            ("socket_paths", list([binary("/a"), binary("/b/c")])),
            ("answerer", atom("answers")),
            ("request_paths", list([binary("/api")])),
        ])
        .unwrap();
        assert_eq!((config.port, config.limits.rate, config.limits.burst), (4000, 7, 400));
        assert_eq!(config.socket_paths, ["/a", "/b/c"]);
        assert_eq!(
            (config.answerer, config.request_paths),
            (Some("answers".into()), vec!["/api".to_owned()])
        );
        assert_eq!(read([("answerer", atom("nil"))]).unwrap().answerer, None);
        assert!(config.files.is_none());
    }

    #[test]
    fn what_cannot_be_is_named() {
        let sentence = |entry| read([entry]).unwrap_err().to_string();
        assert_eq!(sentence(("port", int(70_000))), "port is 70000, expected 0 to 65535");
        assert_eq!(sentence(("rate", int(0))), "rate is 0, expected a positive integer");
        assert!(sentence(("ports", int(1))).starts_with("there is no option ports"));
        assert!(sentence(("origins", binary("x"))).starts_with("origins is \"x\", expected any, same"));
        assert_eq!(sentence(("answerer", int(1))), "answerer is 1, expected a pid, a name, or nil");
        assert!(sentence(("request_paths", list([binary("api")]))).starts_with("request_paths is \"api\""));
        for path in ["socket", "/", "/{a}", "/a/", "/a b"] {
            assert!(sentence(("socket_paths", list([binary(path)]))).starts_with("socket_paths is"));
        }
        assert_eq!(Config::from_term(&map([])).unwrap_err(), ConfigError::NoAcceptor);
        assert_eq!(Config::from_term(&int(1)).unwrap_err(), ConfigError::NoMap);
    }
}
