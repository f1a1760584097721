//! A real BEAM to talk to. It needs no epmd, listens at a free port, and ends with the test.

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use dist::{Endpoint, Node, Options, Term, connect, term};

/// Only to notice a test that hangs.
pub const WATCHDOG: Duration = Duration::from_secs(60);

/// Evaluates what it is called with, each in a process of its own; ends with standard input.
const EVAL: &str = r#"
    register(eval, spawn(fun Loop() ->
        receive {'$gen_call', From, Text} ->
            spawn(fun() ->
                {ok, Tokens, _} = erl_scan:string(binary_to_list(Text)),
                {ok, Exprs} = erl_parse:parse_exprs(Tokens),
                Value = try erl_eval:exprs(Exprs, []) of {value, V, _} -> V catch C:R -> {C, R} end,
                gen_server:reply(From, Value)
            end),
            Loop()
        end
    end)),
    spawn(fun() -> io:get_line(""), halt() end)."#;

pub struct Beam {
    child: Child,
    port: u16,
    _home: tempfile::TempDir,
}

impl Beam {
    pub async fn start() -> Beam {
        let home = tempfile::tempdir().unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let child = Command::new("erl")
            .args(["-noshell", "-name", "beam@127.0.0.1", "-setcookie", "secret", "-kernel"])
            .args(["inet_dist_use_interface", "{127,0,0,1}", "-kernel", "logger_level", "critical"])
            .args(["-start_epmd", "false", "-erl_epmd_port", &port.to_string(), "-eval", EVAL])
            .env("HOME", home.path())
            .stdin(Stdio::piped())
            .spawn()
            .expect("erl was not found: install Erlang/OTP 25 or newer");
        let beam = Beam { child, port, _home: home };
        let start = Instant::now();
        let node = loop {
            match connect(&beam.options("starting")).await {
                Ok((node, driver)) => {
                    tokio::spawn(driver.run());
                    break node;
                }
                // It may listen already and not be ready to shake hands.
                Err(error) => assert!(start.elapsed() < WATCHDOG, "the BEAM does not listen: {error}"),
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        };
        while node.call("eval", term::binary("ok.")).await.is_err() {
            tokio::time::sleep(Duration::from_millis(5)).await;
            assert!(start.elapsed() < WATCHDOG, "the BEAM does not start");
        }
        beam
    }

    pub fn options(&self, name: &str) -> Options {
        Options {
            endpoint: Endpoint::Tcp("127.0.0.1".to_owned(), self.port),
            peer: "beam@127.0.0.1".to_owned(),
            name: format!("{name}@127.0.0.1"),
            cookie: "secret".to_owned(),
        }
    }

    pub async fn node(&self, name: &str) -> Node {
        let (node, driver) = connect(&self.options(name)).await.unwrap();
        tokio::spawn(driver.run());
        node
    }
}

impl Drop for Beam {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The value of Erlang expressions.
pub async fn eval(node: &Node, text: &str) -> Term {
    let answer = node.call("eval", term::binary(format!("{text}.")));
    tokio::time::timeout(WATCHDOG, answer).await.expect("no answer").unwrap()
}

/// As `eval`, as the text that `~p` prints.
pub async fn shown(node: &Node, text: &str) -> String {
    let text = format!("unicode:characters_to_binary(io_lib:format(\"~0p\", [begin {text} end]))");
    let value = eval(node, &text).await;
    String::from_utf8(term::as_binary(&value).unwrap().to_vec()).unwrap()
}
