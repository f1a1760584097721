//! The load client against a server that does just what the benchmark asks for.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use bench::edge::{Command, Load};
use nix::time::{ClockId, clock_gettime};
use serde_json::{Value, json};

type Joined = Arc<Mutex<Vec<TcpStream>>>;

fn server() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let joined = Joined::default();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let joined = joined.clone();
            std::thread::spawn(move || client(stream.unwrap(), &joined));
        }
    });
    address
}

fn client(mut stream: TcpStream, joined: &Joined) -> Option<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(byte(&mut stream)?);
    }
    let head = String::from_utf8(head).unwrap();
    assert!(head.starts_with("GET /socket/websocket?vsn=2.0.0 HTTP/1.1\r\n"));
    let upgrade =
        "HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
    stream.write_all(upgrade.as_bytes()).ok()?;
    loop {
        let message: Value = serde_json::from_slice(&payload(&mut stream)?).unwrap();
        let [join_ref, reference, topic, event, params] = message.as_array().unwrap().as_slice() else {
            panic!("not a message: {message}");
        };
        let reply = |response: &Value| json!([join_ref, reference, topic, "phx_reply", {"response": response, "status": "ok"}]);
        match event.as_str().unwrap() {
            "phx_join" => {
                send(&mut stream, &reply(&json!({})))?;
                joined.lock().unwrap().push(stream.try_clone().unwrap());
            }
            "start" => {
                send(&mut stream, &reply(&json!({})))?;
                broadcast(params, &mut joined.lock().unwrap());
            }
            // A client that breaks: the server closes.
            "echo" if topic != "bench:room" => return None,
            _ => send(&mut stream, &reply(params))?,
        }
    }
}

fn broadcast(params: &Value, joined: &mut [TcpStream]) {
    let pad = "x".repeat(params["bytes"].as_u64().unwrap() as usize);
    for _ in 0..params["count"].as_u64().unwrap() {
        let now = clock_gettime(ClockId::CLOCK_MONOTONIC).unwrap();
        let at = now.tv_sec() as u64 * 1_000_000_000 + now.tv_nsec() as u64;
        for stream in &mut *joined {
            // Those that have closed are no matter.
            let _ = send(stream, &json!([null, null, "bench:room", "tick", {"at": at, "pad": pad}]));
        }
    }
}

fn send(stream: &mut TcpStream, message: &Value) -> Option<()> {
    let text = message.to_string();
    let mut frame = match text.len() {
        short @ 0..=125 => vec![0x81, short as u8],
        long => [&[0x81, 126][..], &(long as u16).to_be_bytes()].concat(),
    };
    frame.extend_from_slice(text.as_bytes());
    stream.write_all(&frame).ok()
}

fn payload(stream: &mut TcpStream) -> Option<Vec<u8>> {
    assert_eq!(byte(stream)?, 0x81);
    let length = byte(stream)? - 0x80;
    assert!(length < 126, "the benchmark sends short messages");
    let mut mask = [0; 4];
    stream.read_exact(&mut mask).ok()?;
    let mut bytes = vec![0; usize::from(length)];
    stream.read_exact(&mut bytes).ok()?;
    for (byte, mask) in bytes.iter_mut().zip(mask.iter().cycle()) {
        *byte ^= mask;
    }
    Some(bytes)
}

fn byte(stream: &mut TcpStream) -> Option<u8> {
    let mut byte = [0];
    stream.read_exact(&mut byte).ok()?;
    Some(byte[0])
}

#[test]
fn joins_asks_and_listens() {
    let mut load = Load::new(server(), "/socket/websocket").unwrap();
    let joined = load.run(Command::Sockets(5)).unwrap();
    assert_eq!((joined.sockets, joined.lost, &joined.error), (5, 0, &None));

    let echo = load.run(Command::Echo { clients: 3, count: 50 }).unwrap();
    assert_eq!((echo.messages, &echo.error), (Some(50), &None));
    assert!(echo.p50_us.unwrap() > 0.0 && echo.p50_us <= echo.p99_us && echo.p99_us <= echo.max_us);

    let fanout = load.run(Command::Fanout { rate: 0, count: 30, bytes: 512 }).unwrap();
    assert_eq!((fanout.messages, &fanout.error), (Some(150), &None));

    // The others go on when some leave, and more may come.
    assert_eq!(load.run(Command::Sockets(2)).unwrap().sockets, 2);
    assert_eq!(load.run(Command::Fanout { rate: 0, count: 3, bytes: 70 }).unwrap().messages, Some(6));
    assert_eq!(load.run(Command::Sockets(4)).unwrap().sockets, 4);
    assert_eq!(load.run(Command::Echo { clients: 4, count: 4 }).unwrap().messages, Some(4));
}

#[test]
fn tells_what_goes_wrong() {
    let mut load = Load::new(server(), "/socket/websocket").unwrap();
    assert!(load.run(Command::Echo { clients: 1, count: 1 }).unwrap().error.is_some());
    assert!(load.run(Command::Fanout { rate: 1, count: 1, bytes: 64 }).unwrap().error.is_some());

    // A server that answers something else.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.write_all(b"HTTP/1.1 403 Forbidden\r\n\r\n").unwrap();
        while byte(&mut stream).is_some() {}
    });
    let refused = Load::new(address, "/socket/websocket").unwrap().run(Command::Sockets(1)).unwrap();
    assert_eq!((refused.sockets, refused.lost), (0, 1));
    assert!(refused.error.unwrap().contains("HTTP/1.1 403 Forbidden"));

    assert!(Load::new("192.0.2.1:80".parse().unwrap(), "/").is_err());
}
