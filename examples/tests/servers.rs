//! The sieve, the chat server with a thousand connections, and the crawler.
#![cfg(unix)]
#![allow(clippy::disallowed_types, clippy::disallowed_methods)]

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// An example, which cargo builds beside the tests.
fn program(name: &str) -> Command {
    let test = std::env::current_exe().expect("a test has a path");
    let folder = test.ancestors().nth(2).expect("it lies in target/*/deps");
    let program: PathBuf = folder.join("examples").join(name);
    assert!(program.is_file(), "{} is not built", program.display());
    let mut command = Command::new(program);
    command.stdin(Stdio::null());
    command
}

fn output(command: &mut Command) -> (String, Option<i32>) {
    let output = command.output().expect("the program starts");
    (
        String::from_utf8(output.stdout).expect("text"),
        output.status.code(),
    )
}

#[test]
fn the_sieve_finds_the_first_two_thousand_primes() {
    let (text, code) = output(&mut program("sieve"));
    let found: Vec<u32> = text
        .lines()
        .map(|line| line.parse().expect("a number"))
        .collect();
    let is_prime = |&n: &u32| (2..).take_while(|d| d * d <= n).all(|d| n % d != 0);
    let expected: Vec<u32> = (2..).filter(is_prime).take(2000).collect();
    assert_eq!(found, expected);
    assert_eq!((found[1999], code), (17389, Some(0)));
    assert_eq!(output(program("sieve").arg("3")).0, "2\n3\n5\n");
}

/// A chat server that runs.
struct Chat {
    server: Child,
    out: BufReader<std::process::ChildStdout>,
    address: String,
}

impl Chat {
    fn start(idle: &str) -> Self {
        let mut server = program("chat")
            .args(["127.0.0.1:0", "--idle", idle])
            .stdout(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let mut out = BufReader::new(server.stdout.take().expect("piped"));
        let mut line = String::new();
        out.read_line(&mut line).expect("it says where it listens");
        let address = line
            .trim()
            .rsplit(' ')
            .next()
            .expect("an address")
            .to_owned();
        Self {
            server,
            out,
            address,
        }
    }

    fn join(&self, name: &str) -> Client {
        let stream = TcpStream::connect(&self.address).expect("it accepts");
        stream
            .set_read_timeout(Some(Duration::from_secs(60)))
            .expect("a timeout is set");
        let mut client = Client(BufReader::new(stream));
        client.say(name);
        let welcome = client.hear();
        assert!(
            welcome.starts_with(&format!("* welcome {name}, ")),
            "{welcome}"
        );
        client
    }

    /// Interrupts it, and waits for its end.
    fn stop(&mut self) -> (String, Option<i32>) {
        let kill = Command::new("kill")
            .args(["-INT", &self.server.id().to_string()])
            .status();
        assert!(kill.expect("kill starts").success());
        let mut rest = String::new();
        self.out.read_to_string(&mut rest).expect("text");
        let status = self.server.wait().expect("it ends");
        (rest, status.code())
    }
}

impl Drop for Chat {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

struct Client(BufReader<TcpStream>);

impl Client {
    fn say(&mut self, text: &str) {
        writeln!(self.0.get_mut(), "{text}").expect("it is sent");
    }

    /// The next line, empty at the end.
    fn hear(&mut self) -> String {
        let mut line = String::new();
        self.0.read_line(&mut line).expect("a line comes in time");
        line.trim_end().to_owned()
    }

    /// The next line that is nobody's coming or going.
    fn hear_said(&mut self) -> String {
        loop {
            let line = self.hear();
            if !line.ends_with("has joined") {
                return line;
            }
        }
    }
}

#[test]
fn a_thousand_clients_chat_and_the_server_stops_gracefully() {
    let mut chat = Chat::start("600");
    let mut clients: Vec<_> = (0..1000).map(|i| chat.join(&format!("c{i}"))).collect();
    for i in (0..1000).step_by(100) {
        clients[i].say(&format!("hello from {i}"));
        let said = format!("c{i}: hello from {i}");
        for client in &mut clients {
            assert_eq!(client.hear_said(), said);
        }
    }
    clients[1].say("/quit");
    assert_eq!(clients[0].hear_said(), "* c1 has left (bye)");
    let (rest, code) = chat.stop();
    assert_eq!((rest.as_str(), code), ("stopped\n", Some(0)));
    assert_eq!(clients[0].hear(), "* the server stops, goodbye");
    for client in &mut clients {
        while !client.hear().is_empty() {}
    }
}

#[test]
fn who_says_nothing_for_too_long_is_sent_away() {
    let mut chat = Chat::start("0.5");
    let mut idle = chat.join("idle");
    assert_eq!(idle.hear(), "* idle has left (idle for too long)");
    assert_eq!(idle.hear(), "", "and the connection ends");
    let mut alone = chat.join("alone");
    alone.say("/who");
    assert_eq!(alone.hear(), "* here: alone");
    assert_eq!(chat.stop().1, Some(0));
}

/// A web site: pages by path, and how many were asked for at the same time.
struct Site {
    address: String,
    asked: Arc<Mutex<HashMap<String, usize>>>,
    most: Arc<AtomicUsize>,
}

impl Site {
    fn start(pages: &'static [(&'static str, &'static str)]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let site = Self {
            address: format!("http://{}", listener.local_addr().expect("it is bound")),
            asked: Arc::default(),
            most: Arc::default(),
        };
        let (asked, most) = (Arc::clone(&site.asked), Arc::clone(&site.most));
        let now = Arc::new(AtomicUsize::new(0));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (asked, most, now) = (Arc::clone(&asked), Arc::clone(&most), Arc::clone(&now));
                std::thread::spawn(move || {
                    most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    answer(stream, pages, &asked, || {
                        now.fetch_sub(1, Ordering::SeqCst);
                    });
                });
            }
        });
        site
    }
}

fn answer(
    stream: TcpStream,
    pages: &[(&str, &str)],
    asked: &Mutex<HashMap<String, usize>>,
    answered: impl FnOnce(),
) {
    let mut reader = BufReader::new(stream);
    let mut request = String::new();
    let _ = reader.read_line(&mut request);
    let path = request.split(' ').nth(1).unwrap_or_default().to_owned();
    let page = pages
        .iter()
        .find(|(at, _)| *at == path)
        .map(|(_, page)| *page);
    *asked.lock().expect("no panic").entry(path).or_default() += 1;
    if page == Some("never") {
        // Until the crawler gives up.
        let _ = reader.read_to_string(&mut request);
        return;
    }
    // So that some are under way at the same time.
    let slow = if request.contains("/slow") { 10 } else { 1 };
    std::thread::sleep(slow * Duration::from_millis(20));
    answered();
    let (status, body) = page.map_or(("404 Not Found", ""), |page| ("200 OK", page));
    let _ = write!(reader.get_mut(), "HTTP/1.0 {status}\r\n\r\n{body}");
}

#[test]
fn the_crawler_fetches_each_page_once_and_no_deeper_than_told() {
    let site = Site::start(&[
        (
            "/",
            r#"<a href="a"> <a href="/b"> <a href="c#x"> <a href="http://elsewhere/">"#,
        ),
        (
            "/a",
            r#"<a href="/"> <a href="deep/1"> <a href="/missing">"#,
        ),
        ("/b", r#"<a href="./a"> <a href="deep/../c">"#),
        ("/c", ""),
        ("/deep/1", r#"<a href="2">"#),
        ("/deep/2", "too deep"),
    ]);
    let mut crawler = program("crawler");
    let (text, code) = output(crawler.args([&site.address, "--depth", "2", "--at-once", "2"]));
    assert_eq!(code, Some(0), "{text}");
    let mut lines: Vec<_> = text
        .lines()
        .map(|line| line.replace(&site.address, ""))
        .collect();
    assert_eq!(lines.pop().expect("a summary"), "6 pages, 0 failed");
    lines.sort_unstable();
    assert_eq!(
        lines,
        [
            "200 /",
            "200 /a",
            "200 /b",
            "200 /c",
            "200 /deep/1",
            "404 /missing"
        ]
    );
    let asked = site.asked.lock().expect("no panic");
    assert!(asked.values().all(|&n| n == 1), "{asked:?}");
    assert!(site.most.load(Ordering::SeqCst) <= 2);
}

#[test]
fn a_page_found_by_a_fast_and_long_way_first_is_as_near_as_the_short_one_says() {
    let site = Site::start(&[
        ("/", r#"<a href="/slow"> <a href="/a">"#),
        ("/slow", r#"<a href="/goal">"#),
        ("/a", r#"<a href="/b">"#),
        ("/b", r#"<a href="/goal">"#),
        ("/goal", r#"<a href="/behind">"#),
        ("/behind", r#"<a href="/too-far">"#),
        ("/too-far", ""),
    ]);
    let (text, code) = output(program("crawler").args([&site.address, "--depth", "3"]));
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("/behind"), "{text}");
    assert!(text.ends_with("6 pages, 0 failed\n"), "{text}");
    let asked = site.asked.lock().expect("no panic");
    assert!(asked.values().all(|&n| n == 1), "{asked:?}");
}

#[test]
fn the_crawler_stops_when_its_time_is_up() {
    let site = Site::start(&[("/", r#"<a href="/never">"#), ("/never", "never")]);
    let mut crawler = program("crawler");
    let (text, code) = output(crawler.args([&site.address, "--seconds", "1"]));
    assert_eq!(code, Some(0), "{text}");
    assert!(
        text.contains("/never (context deadline exceeded)"),
        "{text}"
    );
    assert!(text.ends_with("2 pages, 1 failed\n"), "{text}");
    // Nobody listens there.
    let (text, code) = output(program("crawler").arg("http://127.0.0.1:1/"));
    assert_eq!(code, Some(1), "{text}");
}
