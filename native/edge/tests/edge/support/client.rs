//! A client that speaks bytes.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::soon;

/// The answer to a request.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Its code, after having looked whether it is an error as all are.
    pub fn error_code(&self) -> String {
        assert!(self.header("content-type").unwrap().starts_with("application/json"), "{self:?}");
        let json = self.json();
        assert!(json["error"]["message"].as_str().is_some_and(|message| !message.is_empty()), "{json}");
        json["error"]["code"].as_str().unwrap().to_owned()
    }
}

/// A frame of the server.
#[derive(Debug, PartialEq, Eq)]
pub struct Frame {
    pub fin: bool,
    pub opcode: u8,
    pub payload: Vec<u8>,
}

/// A client that speaks bytes.
pub struct Client {
    pub stream: TcpStream,
    read: Vec<u8>,
}

/// A frame as a client sends it.
pub fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mask = [0x5a, 0, 0xff, 7];
    let mut frame = vec![first];
    match payload.len() {
        len @ 0..=125 => frame.push(0x80 | len as u8),
        len @ 126..=0xffff => {
            frame.push(0x80 | 126);
            frame.extend_from_slice(&(len as u16).to_be_bytes());
        }
        len => {
            frame.push(0x80 | 127);
            frame.extend_from_slice(&(len as u64).to_be_bytes());
        }
    }
    frame.extend_from_slice(&mask);
    frame.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame
}

pub fn text_frame(text: &str) -> Vec<u8> {
    frame(0x81, text.as_bytes())
}

impl Client {
    pub async fn open(port: u16) -> Client {
        let stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Client { stream, read: Vec::new() }
    }

    pub async fn write(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).await.unwrap();
    }

    /// Asks for a WebSocket.
    pub async fn ask(&mut self, path: &str, headers: &[(&str, &str)]) {
        let more: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        self.write(format!(
            "GET {path} HTTP/1.1\r\nHost: game.example\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{more}\r\n"
        ))
        .await;
    }

    pub async fn request(&mut self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) {
        let more: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let length =
            if body.is_empty() { String::new() } else { format!("Content-Length: {}\r\n", body.len()) };
        self.write(format!("{method} {path} HTTP/1.1\r\nHost: game.example\r\n{length}{more}\r\n{body}"))
            .await;
    }

    pub async fn get(&mut self, path: &str) -> Answer {
        self.request("GET", path, &[], "").await;
        self.response().await
    }

    /// Asks, and stays connected.
    pub async fn get_and_stay(mut self, path: &str) -> Client {
        assert_eq!(self.get(path).await.status, 200);
        self
    }

    /// The answer to something that is not whole; may be dropped while it waits.
    pub async fn answered(&mut self) -> Answer {
        self.stream.readable().await.unwrap();
        self.response().await
    }

    /// Reads more; whether there was more.
    async fn more(&mut self) -> bool {
        let mut buffer = [0; 65536];
        // A reset is an end too.
        let read = soon(self.stream.read(&mut buffer)).await.unwrap_or(0);
        self.read.extend_from_slice(&buffer[..read]);
        read > 0
    }

    async fn need(&mut self, len: usize) {
        while self.read.len() < len {
            assert!(self.more().await, "it ended after {:?}", String::from_utf8_lossy(&self.read));
        }
    }

    /// The answer to a GET or POST.
    pub async fn response(&mut self) -> Answer {
        self.answer(true).await
    }

    pub async fn answer(&mut self, has_body: bool) -> Answer {
        let end = loop {
            if let Some(end) = self.read.windows(4).position(|window| window == b"\r\n\r\n") {
                break end + 4;
            }
            assert!(self.more().await, "it ended after {:?}", String::from_utf8_lossy(&self.read));
        };
        let head = String::from_utf8(self.read.drain(..end).collect()).unwrap();
        let mut lines = head.lines();
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let headers: Vec<(String, String)> = lines
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
            .collect();
        let mut answer = Answer { status, headers, body: Vec::new() };
        if !has_body || status == 101 || status == 304 {
            return answer;
        }
        if answer.header("transfer-encoding") == Some("chunked") {
            loop {
                let line = loop {
                    if let Some(end) = self.read.windows(2).position(|window| window == b"\r\n") {
                        break String::from_utf8(self.read.drain(..end + 2).collect()).unwrap();
                    }
                    assert!(self.more().await);
                };
                let len = usize::from_str_radix(line.trim(), 16).unwrap();
                self.need(len + 2).await;
                answer.body.extend(self.read.drain(..len));
                self.read.drain(..2);
                if len == 0 {
                    return answer;
                }
            }
        }
        let len = answer.header("content-length").map_or(0, |len| len.parse().unwrap());
        self.need(len).await;
        answer.body = self.read.drain(..len).collect();
        answer
    }

    pub async fn frame(&mut self) -> Frame {
        self.need(2).await;
        assert_eq!(self.read[1] & 0x80, 0, "a server does not mask");
        let (start, len) = match self.read[1] {
            126 => {
                self.need(4).await;
                (4, u16::from_be_bytes([self.read[2], self.read[3]]).into())
            }
            127 => {
                self.need(10).await;
                (10, u64::from_be_bytes(self.read[2..10].try_into().unwrap()) as usize)
            }
            len => (2, len.into()),
        };
        self.need(start + len).await;
        let bytes: Vec<u8> = self.read.drain(..start + len).collect();
        Frame { fin: bytes[0] & 0x80 != 0, opcode: bytes[0] & 0x7f, payload: bytes[start..].to_vec() }
    }

    /// The next text.
    pub async fn text(&mut self) -> String {
        let frame = self.frame().await;
        assert_eq!((frame.fin, frame.opcode), (true, 1), "{frame:?}");
        String::from_utf8(frame.payload).unwrap()
    }

    /// The code of the close that comes next; answers it, and waits for the end.
    pub async fn closed(&mut self) -> (u16, String) {
        let Frame { opcode, payload, .. } = self.frame().await;
        assert_eq!(opcode, 8);
        let _ = self.stream.write_all(&frame(0x88, &payload)).await;
        self.ended().await;
        let (code, reason) = payload.split_at(2);
        (u16::from_be_bytes(code.try_into().unwrap()), String::from_utf8(reason.to_vec()).unwrap())
    }

    /// Waits for the end of the connection; nothing may come before.
    pub async fn ended(&mut self) {
        assert!(!self.more().await, "{:?} came before the end", String::from_utf8_lossy(&self.read));
    }
}
