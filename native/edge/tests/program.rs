//! The program against a real BEAM: the calls, and what sockets see of its end.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

/// Only to notice a test that hangs.
const WATCHDOG: Duration = Duration::from_secs(60);

/// Starts an acceptor that lets everybody in and subscribes them, and evaluates what comes by standard input.
const BEAM: &str = r#"
    io:format("up~n"),
    Edge = {gp_edge, 'edge@127.0.0.1'},
    Up = fun Up() -> try pong = gen_server:call(Edge, ping) catch _:_ -> timer:sleep(20), Up() end end,
    Up(),
    Acceptor = spawn(fun Loop() -> receive
        {gp_connect, Socket, Id, #{transport := _}} ->
            Connection = spawn(fun() ->
                monitor(process, Socket),
                (fun Serve() -> receive
                    {gp_in, Id, J, R, T, <<"exit">>, _} -> exit(normal);
                    {gp_in, Id, J, R, T, _, P} -> Edge ! {gp, [{reply, Id, J, R, T, <<"ok">>, P}]}, Serve();
                    {'DOWN', _, _, _, Why} -> io:format("down ~0p~n", [Why])
                end end)()
            end),
            Edge ! {gp, [{accept, Id, Connection}, nonsense]},
            Loop()
    end end),
    {ok, Port} = gen_server:call(Edge, {listen, #{acceptor => Acceptor}}),
    {error, Again} = gen_server:call(Edge, {listen, #{acceptor => Acceptor}}),
    io:format("port ~p~n~ts~n", [Port, Again]),
    (fun Read() -> case io:get_line("") of
        "stats\n" -> #{websockets := W, refused := #{bad_command := B}} = gen_server:call(Edge, stats),
            io:format("stats ~p ~p~n", [W, B]), Read();
        "drain\n" -> io:format("drained ~p~n", [gen_server:call(Edge, {drain, 5000})]), Read();
        "ping\n" -> pong = gen_server:call(Edge, ping), io:format("pong~n"), Read();
        _ -> halt()
    end end)()."#;

/// Ends with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

struct World {
    beam: Running,
    to_beam: ChildStdin,
    from_beam: BufReader<ChildStdout>,
    edge: Running,
    to_edge: ChildStdin,
    port: u16,
    _home: tempfile::TempDir,
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

impl World {
    fn start() -> World {
        let home = tempfile::tempdir().unwrap();
        let socket = home.path().join("dist.sock");
        let port = free_port();
        let mut beam = Command::new("erl")
            .args(["-noshell", "-name", "beam@127.0.0.1", "-setcookie", "secret", "-kernel"])
            .args(["inet_dist_use_interface", "{127,0,0,1}", "-kernel", "logger_level", "critical"])
            .args(["-start_epmd", "false", "-erl_epmd_port", &port.to_string(), "-eval", BEAM])
            .env("HOME", home.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("erl was not found: install Erlang/OTP 25 or newer");
        let (to_beam, mut from_beam) =
            (beam.stdin.take().unwrap(), BufReader::new(beam.stdout.take().unwrap()));
        // Before that it may listen and not be ready to shake hands.
        let mut up = String::new();
        from_beam.read_line(&mut up).unwrap();
        forward(&socket, port);
        let mut edge = Command::new(env!("CARGO_BIN_EXE_gp_edge"))
            .args([
                "--connect",
                "beam@127.0.0.1",
                "--name",
                "edge@127.0.0.1",
                "--cookie-stdin",
                "--threads",
                "2",
            ])
            .arg("--socket")
            .arg(&socket)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut to_edge = edge.stdin.take().unwrap();
        to_edge.write_all(b"secret\n").unwrap();
        let mut ready = String::new();
        BufReader::new(edge.stdout.take().unwrap()).read_line(&mut ready).unwrap();
        assert_eq!(ready, "ready\n");
        let (beam, edge) = (Running(beam), Running(edge));
        let mut world = World { beam, to_beam, from_beam, edge, to_edge, port: 0, _home: home };
        world.port = world.line().strip_prefix("port ").unwrap().parse().unwrap();
        assert!(world.line().starts_with("listening already"));
        world
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.from_beam.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    fn tell(&mut self, line: &str) -> String {
        writeln!(self.to_beam, "{line}").unwrap();
        self.line()
    }

    fn connect(&self) -> TcpStream {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_read_timeout(Some(WATCHDOG)).unwrap();
        let request = "GET /socket/websocket?vsn=2.0.0 HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n\
            Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
        stream.write_all(request.as_bytes()).unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
        assert!(head.starts_with(b"HTTP/1.1 101"), "{}", String::from_utf8_lossy(&head));
        stream
    }

    /// The edge has ended within a second.
    fn ended(&mut self) {
        let start = Instant::now();
        while self.edge.0.try_wait().unwrap().is_none() {
            assert!(start.elapsed() < WATCHDOG, "the edge goes on");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// A BEAM as the application starts it listens at a Unix socket; this one at a port.
fn forward(socket: &Path, port: u16) {
    let listener = std::os::unix::net::UnixListener::bind(socket).unwrap();
    std::thread::spawn(move || {
        let (unix, _) = listener.accept().unwrap();
        let tcp = TcpStream::connect(("127.0.0.1", port)).unwrap();
        let (mut from_unix, mut to_tcp) = (unix.try_clone().unwrap(), tcp.try_clone().unwrap());
        std::thread::spawn(move || {
            let _ = std::io::copy(&mut from_unix, &mut to_tcp);
            let _ = to_tcp.shutdown(std::net::Shutdown::Both);
        });
        let (mut from_tcp, mut to_unix) = (tcp, unix);
        let _ = std::io::copy(&mut from_tcp, &mut to_unix);
        let _ = to_unix.shutdown(std::net::Shutdown::Both);
    });
}

fn send(stream: &mut TcpStream, text: &str) {
    let mut frame = vec![0x81, 0x80 | text.len() as u8, 0, 0, 0, 0];
    frame.extend_from_slice(text.as_bytes());
    stream.write_all(&frame).unwrap();
}

/// The next frame, of less than 126 bytes.
fn receive(stream: &mut TcpStream) -> (u8, Vec<u8>) {
    let mut head = [0; 2];
    stream.read_exact(&mut head).unwrap();
    let mut payload = vec![0; head[1].into()];
    stream.read_exact(&mut payload).unwrap();
    (head[0] & 0x0f, payload)
}

fn is_restart(stream: &mut TcpStream) {
    let (opcode, payload) = receive(stream);
    assert_eq!((opcode, payload.as_slice()), (8, &b"\x03\xf4service_restart"[..]));
}

#[test]
fn a_beam_serves_its_clients_and_is_missed() {
    let mut world = World::start();
    let mut one = world.connect();
    send(&mut one, r#"["1","2","t","ping",{"a":1}]"#);
    let reply = r#"["1","2","t","phx_reply",{"response":{"a":1},"status":"ok"}]"#;
    assert_eq!(receive(&mut one), (1, reply.as_bytes().to_vec()));
    assert_eq!(world.tell("stats"), "stats 1 1");

    // A client that goes, and a process that ends.
    one.write_all(&[0x88, 0x82, 0, 0, 0, 0, 0x0f, 0xa1]).unwrap();
    assert_eq!(receive(&mut one), (8, b"\x0f\xa1".to_vec()));
    assert_eq!(world.line(), "down {closed,4001}");
    let mut two = world.connect();
    send(&mut two, r#"["1","2","t","exit",{}]"#);
    assert_eq!(receive(&mut two), (8, b"\x03\xe8".to_vec()));

    // The BEAM dies, and with it the connection.
    let mut three = world.connect();
    world.beam.0.kill().unwrap();
    let start = Instant::now();
    is_restart(&mut three);
    drop(three);
    world.ended();
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
}

#[test]
fn the_end_of_the_input_leaves_time_to_say_so() {
    let mut world = World::start();
    let mut client = world.connect();
    world.to_edge.write_all(b"stop\n").unwrap();
    is_restart(&mut client);
    drop(client);
    world.ended();
    assert!(world.edge.0.wait().unwrap().success());
}

#[test]
fn a_drained_edge_still_answers() {
    let mut world = World::start();
    let mut client = world.connect();
    writeln!(world.to_beam, "drain").unwrap();
    is_restart(&mut client);
    client.write_all(&[0x88, 0x82, 0, 0, 0, 0, 0x03, 0xf4]).unwrap();
    let mut lines = [world.line(), world.line()];
    lines.sort();
    assert_eq!(lines, ["down {closed,1012}", "drained ok"]);
    assert!(TcpStream::connect(("127.0.0.1", world.port)).is_err());
    assert_eq!(world.tell("ping"), "pong");
}
