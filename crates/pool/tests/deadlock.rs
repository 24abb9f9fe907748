//! All goroutines are asleep: what is reported, and what is not.
//!
//! A test's own harness has threads that might wake anyone, so each program runs in a process
//! of its own: this test's, started again, in which the program runs before there is any test.
#![cfg(target_os = "linux")]
#![allow(clippy::disallowed_types, clippy::disallowed_methods)]

use std::io::Read;
use std::process::{Command, Stdio};
use std::sync::mpsc::RecvTimeoutError;
use std::time::{Duration, Instant};

use rendez_pool::{Pool, go, spawn};
use rendez_select::{after, bounded, select};

const PROGRAM: &str = "RENDEZ_DEADLOCK_PROGRAM";

fn stuck() {
    let (tx, rx) = bounded::<u8>(0);
    let keep = tx.clone();
    let a = spawn().name("reader").go(move || rx.recv());
    let _ = a.join();
    drop(keep);
}

fn stuck_after_a_while() {
    let (tx, rx) = bounded::<u8>(0);
    let handle = go(async move { rx.recv_async().await });
    // Any thread that runs might wake it, until then.
    std::thread::sleep(Duration::from_millis(500));
    eprintln!("main joins");
    let _ = handle.join();
    drop(tx);
}

fn waits_for_a_thread() {
    let (tx, rx) = bounded::<u8>(0);
    std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(700));
        tx.send(1).unwrap();
    });
    assert_eq!(go(move || rx.recv()).join().unwrap(), Ok(1));
}

fn waits_for_time() {
    let (_tx, rx) = bounded::<u8>(0);
    let blocked = go(move || {
        select! {
            recv(rx) -> _ => {}
            recv(after(Duration::from_millis(700))) -> _ => {}
        }
    });
    let awaits = go(async { after(Duration::from_millis(700)).recv_async().await });
    blocked.join().unwrap();
    awaits.join().unwrap().unwrap();
}

fn passes_tokens() {
    let pool = Pool::builder().workers(1).build().unwrap();
    let (ping, pong) = (bounded::<u32>(0), bounded::<u32>(0));
    let (rx, tx) = (ping.1, pong.0);
    let echo = pool.go(move || rx.iter().try_for_each(|n| tx.send(n)));
    let until = Instant::now() + Duration::from_millis(700);
    let mut n = 0;
    while Instant::now() < until {
        ping.0.send(n).unwrap();
        assert_eq!(pong.1.recv(), Ok(n));
        n += 1;
    }
    drop(ping.0);
    echo.join().unwrap().unwrap();
}

fn program(name: &str) -> fn() {
    match name {
        "stuck" => stuck,
        "stuck_after_a_while" => stuck_after_a_while,
        "waits_for_a_thread" => waits_for_a_thread,
        "waits_for_time" => waits_for_time,
        "passes_tokens" => passes_tokens,
        other => panic!("no program {other}"),
    }
}

/// Runs a program until it ends, or until it has reported that it stands still, or for so
/// long that neither will happen.
fn run(name: &str) -> String {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .env(PROGRAM, name)
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut errors = child.stderr.take().unwrap();
    let (ended, has_ended) = std::sync::mpsc::channel::<()>();
    let id = child.id().to_string();
    let watchdog = std::thread::spawn(move || {
        if has_ended.recv_timeout(Duration::from_secs(60)) == Err(RecvTimeoutError::Timeout) {
            let _ = Command::new("kill").args(["-KILL", &id]).status();
        }
    });
    let mut text = String::new();
    let mut buffer = [0; 4096];
    loop {
        let n = errors.read(&mut buffer).unwrap();
        text.push_str(std::str::from_utf8(&buffer[..n]).unwrap());
        if n == 0 || text.contains("started at") {
            break;
        }
    }
    drop(ended);
    watchdog.join().unwrap();
    let _ = child.kill();
    let _ = child.wait();
    text
}

fn main() {
    if let Ok(name) = std::env::var(PROGRAM) {
        program(&name)();
        return;
    }
    let text = run("stuck");
    let expected = "rendez: all goroutines are asleep - deadlock!\n\ngoroutine ";
    assert!(text.starts_with(expected), "{text}");
    assert!(text.contains("'reader' [chan receive at "), "{text}");
    assert!(text.contains("deadlock.rs:"), "{text}");
    let text = run("stuck_after_a_while");
    assert!(
        text.starts_with(&format!("main joins\n{expected}")),
        "{text}"
    );
    for name in ["waits_for_a_thread", "waits_for_time", "passes_tokens"] {
        assert_eq!(run(name), "", "{name} is not stuck");
    }
    println!("what stands still is reported, and nothing else");
}
