//! The program, started by a BEAM's stand-in and connected to a real BEAM.

use std::io::{BufRead, BufReader, Write};
use std::net::{Shutdown, TcpStream};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};

use dist::{Endpoint, Node};

#[path = "../../../../dist/tests/support/mod.rs"]
mod dist_support;
pub use dist_support::{Beam, shown};

/// A `gp_link`; it ends with the test.
pub struct Link {
    pub child: Child,
    pub input: Option<ChildStdin>,
    name: String,
    _home: tempfile::TempDir,
}

impl Drop for Link {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Link {
    /// Starts it with these variables in its environment.
    pub fn start(beam: &Beam, name: &str, environment: &[(&str, &Path)]) -> Link {
        let home = tempfile::tempdir().unwrap();
        let socket = home.path().join("dist.sock");
        forward(&socket, beam);
        let node = format!("{name}@127.0.0.1");
        let mut child = Command::new(env!("CARGO_BIN_EXE_gp_link"))
            .args(["--connect", "beam@127.0.0.1", "--name", &node, "--cookie-stdin", "--socket"])
            .arg(&socket)
            .envs(environment.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut input = child.stdin.take().unwrap();
        input.write_all(b"secret\n").unwrap();
        let mut ready = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut ready).unwrap();
        assert_eq!(ready, "ready\n");
        Link { child, input: Some(input), name: node, _home: home }
    }

    /// What a call that the BEAM makes gives, as Erlang prints it.
    pub async fn call(&self, node: &Node, request: &str) -> String {
        let call = format!("gen_server:call({{gp_link, '{}'}}, {request}, 60000)", self.name);
        dist_support::shown(node, &call).await
    }
}

/// A BEAM as the application starts it listens at a Unix socket; this one at a port.
fn forward(socket: &Path, beam: &Beam) {
    let Endpoint::Tcp(_, port) = beam.options("any").endpoint else { unreachable!("it listens at a port") };
    let listener = UnixListener::bind(socket).unwrap();
    std::thread::spawn(move || {
        let (unix, _) = listener.accept().unwrap();
        let tcp = TcpStream::connect(("127.0.0.1", port)).unwrap();
        let (mut from_unix, mut to_tcp) = (unix.try_clone().unwrap(), tcp.try_clone().unwrap());
        std::thread::spawn(move || {
            let _ = std::io::copy(&mut from_unix, &mut to_tcp);
            let _ = to_tcp.shutdown(Shutdown::Both);
        });
        let (mut from_tcp, mut to_unix) = (tcp, unix);
        let _ = std::io::copy(&mut from_tcp, &mut to_unix);
        let _ = to_unix.shutdown(Shutdown::Both);
    });
}
