//! A small web site on loopback for the programs that fetch: a goroutine accepts, one more
//! answers each connection.
//!
//! | path | answer |
//! |---|---|
//! | `/missing…` | 404 |
//! | `/endless…` | a line every 10 ms, until nobody reads |
//! | any other | its own name |

use std::io::{self, BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::time::Duration;

use rendez::prelude::*;

/// The URLs on the command line; without any, those of `paths` on a site started for them.
///
/// # Panics
///
/// If no port can be had on loopback.
pub fn urls(paths: &[&str]) -> Vec<String> {
    let given: Vec<String> = std::env::args().skip(1).collect();
    if !given.is_empty() {
        return given;
    }
    let base = start().expect("a port on loopback");
    paths.iter().map(|path| format!("{base}{path}")).collect()
}

/// Starts the site, which stays as long as the program; returns its URL.
///
/// # Errors
///
/// If no port can be had.
pub fn start() -> io::Result<String> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let url = format!("http://{}", listener.local_addr()?);
    go(move || {
        for stream in listener.incoming().flatten() {
            // Whoever is not served has gone.
            go(move || answer(stream));
        }
    });
    Ok(url)
}

fn answer(mut stream: TcpStream) -> io::Result<()> {
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    let request = lines.next().transpose()?.unwrap_or_default();
    let path = request.split(' ').nth(1).unwrap_or_default();
    // The head ends with an empty line.
    while lines
        .next()
        .transpose()?
        .is_some_and(|line| !line.is_empty())
    {}
    let status = if path.starts_with("/missing") {
        "404 Not Found"
    } else {
        "200 OK"
    };
    write!(
        stream,
        "HTTP/1.1 {status}\r\nConnection: close\r\n\r\n{path}\n"
    )?;
    while path.starts_with("/endless") {
        rendez::time::sleep(Duration::from_millis(10));
        stream.write_all(b"and on\n")?;
    }
    Ok(())
}
