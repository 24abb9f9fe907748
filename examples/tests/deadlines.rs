//! The server with a context per request, and clients that wait, time out, and leave.
#![cfg(unix)]
#![allow(clippy::disallowed_types, clippy::disallowed_methods)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

struct Server {
    process: Child,
    out: BufReader<ChildStdout>,
    address: String,
}

impl Server {
    fn start() -> Self {
        let test = std::env::current_exe().expect("a test has a path");
        let folder = test.ancestors().nth(2).expect("it lies in target/*/deps");
        let mut process = Command::new(folder.join("examples/deadlines"))
            .stdout(Stdio::piped())
            .spawn()
            .expect("the program is built");
        let out = BufReader::new(process.stdout.take().expect("piped"));
        let mut server = Self {
            process,
            out,
            address: String::new(),
        };
        let line = server.line();
        server.address = line.rsplit(' ').next().expect("an address").to_owned();
        server
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.out.read_line(&mut line).expect("a line of text");
        line.trim().to_owned()
    }

    fn ask(&self, ms: u64, headers: &str) -> TcpStream {
        let mut stream = TcpStream::connect(&self.address).expect("it accepts");
        let limit = Some(Duration::from_secs(60));
        stream.set_read_timeout(limit).expect("a limit");
        let host = &self.address;
        write!(
            stream,
            "GET /work?ms={ms} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n{headers}\r\n"
        )
        .expect("it reads");
        stream
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn answer(mut stream: TcpStream) -> String {
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    answer
}

#[test]
fn requests_are_answered_time_out_or_are_given_up() {
    let mut server = Server::start();
    let answered = answer(server.ask(20, ""));
    assert!(answered.starts_with("HTTP/1.1 200"), "{answered}");
    assert!(answered.ends_with("worked for 20 ms\n"), "{answered}");
    assert_eq!(server.line(), "working for 20 ms");

    let late = answer(server.ask(600_000, "grpc-timeout: 50m\r\n"));
    assert!(late.starts_with("HTTP/1.1 504"), "{late}");
    assert_eq!(server.line(), "working for 600000 ms");
    assert_eq!(server.line(), "gave up: context deadline exceeded");

    let refused = answer(server.ask(20, "grpc-timeout: 1day\r\n"));
    assert!(refused.starts_with("HTTP/1.1 400"), "{refused}");

    let leaving = server.ask(600_000, "");
    // A server that sees a request and its client's leaving at once need not begin.
    assert_eq!(server.line(), "working for 600000 ms");
    drop(leaving);
    let gave_up = server.line();
    assert!(
        gave_up.starts_with("gave up: the request is over"),
        "{gave_up}"
    );
}
