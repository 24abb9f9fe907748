//! Random programs over a few channels: every value arrives once or comes back, in its
//! sender's order, and everybody ends.
//!
//! `RENDEZ_STRESS_SECONDS` sets how long (default 3); a failing run names its seed, which
//! `RENDEZ_STRESS_SEED` runs again.
#![allow(clippy::disallowed_types, clippy::disallowed_methods)]

mod common;

use std::collections::HashMap;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::thread;
use std::time::{Duration, Instant};

use common::{Census, Counted, channel, poll, within};
use futures_core::Stream;
use rendez_core::block_on::block_on;
use rendez_select::{Receiver, Selector, Sender, TrySendError, select, select_async};

/// xorshift64*.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    fn below(&mut self, n: u64) -> u64 {
        (self.next() >> 11) % n
    }
}

/// A value: who sent it, as which, and its place in the census.
struct Value {
    sender: u64,
    number: u64,
    _counted: Counted,
}

type Ends = Vec<(Sender<Value>, Receiver<Value>)>;

const BRIEFLY: Duration = Duration::from_micros(50);

/// What one goroutine has done.
#[derive(Default)]
struct Log {
    /// Sent for certain.
    sent: Vec<(u64, u64)>,
    /// By channel, in the order received.
    received: Vec<(usize, u64, u64)>,
    /// Sent or dropped: the future was cancelled.
    unsure: Vec<(u64, u64)>,
}

struct Actor {
    me: u64,
    n: u64,
    random: Random,
    ends: Ends,
    census: Census,
    log: Log,
}

impl Actor {
    fn value(&mut self) -> Value {
        self.n += 1;
        Value {
            sender: self.me,
            number: self.n,
            _counted: self.census.born(),
        }
    }

    fn got(&mut self, channel: usize, value: Value) {
        self.log
            .received
            .push((channel, value.sender, value.number));
    }

    fn sent(&mut self, number: u64) {
        self.log.sent.push((self.me, number));
    }

    fn run(mut self, steps: u64) -> Log {
        for _ in 0..steps {
            self.step();
        }
        self.log
    }

    fn step(&mut self) {
        let n = self.ends.len() as u64;
        let (i, j) = (self.random.below(n) as usize, self.random.below(n) as usize);
        let (tx, rx) = self.ends[i].clone();
        let (tx2, rx2) = self.ends[j].clone();
        match self.random.below(20) {
            0 => {
                let value = self.value();
                let number = value.number;
                match tx.try_send(value) {
                    Ok(()) => self.sent(number),
                    Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {}
                }
            }
            1 | 2 => {
                let value = self.value();
                let number = value.number;
                if tx.send_timeout(value, BRIEFLY).is_ok() {
                    self.sent(number);
                }
            }
            3 => {
                if let Ok(value) = rx.try_recv() {
                    self.got(i, value);
                }
            }
            4 | 5 => {
                if let Ok(value) = rx.recv_timeout(BRIEFLY) {
                    self.got(i, value);
                }
            }
            6 => {
                // Dropped after a poll or two.
                let value = self.value();
                let number = value.number;
                let polls = self.random.below(3);
                match abandon(tx.send_async(value), polls) {
                    Some(Ok(())) => self.sent(number),
                    Some(Err(_)) => {}
                    None => self.log.unsure.push((self.me, number)),
                }
            }
            7 => {
                let polls = self.random.below(3);
                if let Some(Ok(value)) = abandon(rx.recv_async(), polls) {
                    self.got(i, value);
                }
            }
            8 | 9 => {
                let value = self.value();
                let number = value.number;
                let mut value = Some(value);
                let (mut sent, mut received) = (false, None);
                select! {
                    send(tx, value.take().expect("made once")) -> r => sent = r.is_ok(),
                    recv(rx2) -> v => received = v.ok(),
                    default(BRIEFLY) => {}
                }
                if sent {
                    self.sent(number);
                }
                if let Some(value) = received {
                    self.got(j, value);
                }
            }
            10 => {
                let mut received = None;
                select! {
                    recv(rx) -> v => received = v.ok().map(|v| (i, v)),
                    recv(rx2) -> v => received = v.ok().map(|v| (j, v)),
                    default => {}
                }
                if let Some((channel, value)) = received {
                    self.got(channel, value);
                }
            }
            11 => {
                let value = self.value();
                let number = value.number;
                let mut value = Some(value);
                let both = async {
                    select_async! {
                        recv(rx) -> v => (false, v.ok()),
                        send(tx2, value.take().expect("made once")) -> r => (r.is_ok(), None),
                        default(BRIEFLY) => (false, None),
                    }
                };
                let (sent, received) = block_on(both);
                if sent {
                    self.sent(number);
                }
                if let Some(value) = received {
                    self.got(i, value);
                }
            }
            12 => {
                let mut received = Vec::new();
                let cancelled = async {
                    select_async! {
                        recv(rx) -> v => received.extend(v.ok().map(|v| (i, v))),
                        recv(rx2) -> v => received.extend(v.ok().map(|v| (j, v))),
                    }
                };
                let polls = self.random.below(3);
                abandon(cancelled, polls);
                for (channel, value) in received {
                    self.got(channel, value);
                }
            }
            13 => {
                let polls = self.random.below(3);
                let mut received = Vec::new();
                abandon(rx.recv_many_async(&mut received, 3), polls);
                for value in received {
                    self.got(i, value);
                }
            }
            14 => {
                let values: Vec<_> = (0..3).map(|_| self.value()).collect();
                let numbers: Vec<_> = values.iter().map(|v| v.number).collect();
                let polls = self.random.below(3);
                let n_sent = match abandon(tx.send_many_async(values), polls) {
                    Some(Ok(n)) => n,
                    Some(Err(rest)) => numbers.len() - rest.0.len(),
                    None => {
                        let me = self.me;
                        self.log.unsure.extend(numbers.iter().map(|&n| (me, n)));
                        0
                    }
                };
                for &number in &numbers[..n_sent] {
                    self.sent(number);
                }
            }
            15 | 16 => {
                let mut selector = Selector::new();
                selector.add(&rx);
                selector.add(&rx2);
                for _ in 0..4 {
                    let got = match self.random.below(3) {
                        0 => selector.try_wait(),
                        1 => selector.wait_timeout(BRIEFLY),
                        _ => abandon(selector.wait_async(), self.random.below(3)),
                    };
                    if let Some((key, Ok(value))) = got {
                        self.got([i, j][key], value);
                    }
                }
            }
            17 => {
                let mut stream = rx.stream();
                for _ in 0..3 {
                    let next = poll_fn(|cx| Pin::new(&mut stream).poll_next(cx));
                    if let Some(Some(value)) = abandon(next, self.random.below(3)) {
                        self.got(i, value);
                    }
                }
            }
            18 => {
                let polls = self.random.below(3);
                let either = async {
                    select_async! {
                        recv(rx) -> v => v.ok().map(|v| (i, v)),
                        await(rx2.recv_async()) -> v => v.ok().map(|v| (j, v)),
                    }
                };
                if let Some(Some((channel, value))) = abandon(either, polls) {
                    self.got(channel, value);
                }
            }
            _ => {
                let polls = self.random.below(3);
                if let Some(Ok(permit)) = abandon(tx.reserve_async(), polls) {
                    if self.random.below(2) == 0 {
                        let value = self.value();
                        let number = value.number;
                        if permit.send(value).is_ok() {
                            self.sent(number);
                        }
                    }
                }
            }
        }
    }
}

/// Polls a few times, others running in between, and drops.
fn abandon<F: Future>(future: F, polls: u64) -> Option<F::Output> {
    let mut future = pin!(future);
    for _ in 0..polls {
        if let std::task::Poll::Ready(output) = poll(future.as_mut()) {
            return Some(output);
        }
        thread::yield_now();
    }
    None
}

fn round(seed: u64) {
    let mut random = Random(seed | 1);
    let census = Census::default();
    let n_channels = 1 + random.below(3);
    let ends: Ends = (0..n_channels)
        .map(|_| channel([Some(0), Some(1), Some(3), None][random.below(4) as usize]))
        .collect();
    let n_actors = 2 + random.below(4);
    let steps = 50 + random.below(200);
    let actors: Vec<_> = (0..n_actors)
        .map(|me| {
            let actor = Actor {
                me,
                n: 0,
                random: Random(random.next() | 1),
                ends: ends.clone(),
                census: census.clone(),
                log: Log::default(),
            };
            thread::spawn(move || actor.run(steps))
        })
        .collect();
    if random.below(3) == 0 {
        ends[0].0.close();
    }
    let mut logs: Vec<Log> = actors.into_iter().map(|a| a.join().unwrap()).collect();
    // What is left in the channels.
    let mut rest = Log::default();
    for (i, (tx, rx)) in ends.iter().enumerate() {
        tx.close();
        for value in rx.iter() {
            rest.received.push((i, value.sender, value.number));
        }
    }
    logs.push(rest);
    drop(ends);

    let mut times: HashMap<(u64, u64), usize> = HashMap::new();
    for &(_, sender, number) in logs.iter().flat_map(|l| &l.received) {
        *times.entry((sender, number)).or_default() += 1;
    }
    assert!(times.values().all(|&n| n == 1), "a value arrived twice");
    for value in logs.iter().flat_map(|l| &l.sent) {
        assert!(times.contains_key(value), "{value:?} was sent and is lost");
    }
    let unsure = logs.iter().flat_map(|l| &l.unsure).count();
    let sent = logs.iter().map(|l| l.sent.len()).sum::<usize>();
    assert!(
        times.len() <= sent + unsure,
        "a value arrived that was not sent"
    );
    // One receiver sees the values of one sender over one channel in their order.
    for log in &logs {
        let mut last: HashMap<(usize, u64), u64> = HashMap::new();
        for &(channel, sender, number) in &log.received {
            let before = last.insert((channel, sender), number);
            assert!(before.is_none_or(|b| b < number), "out of order");
        }
    }
    assert_eq!(census.alive(), 0, "a value was leaked");
}

#[test]
fn nothing_is_lost_doubled_or_stuck() {
    let setting = |name: &str| std::env::var(name).ok().and_then(|v| v.parse().ok());
    let seconds = setting("RENDEZ_STRESS_SECONDS").unwrap_or(3);
    let fixed: Option<u64> = setting("RENDEZ_STRESS_SEED");
    let until = Instant::now() + Duration::from_secs(seconds);
    let mut seed = fixed.unwrap_or_else(rendez_core::hooks::random);
    let mut rounds = 0;
    while Instant::now() < until {
        let name = format!("seed {seed}");
        eprintln!("{name}");
        within(Duration::from_secs(60), &name, || round(seed));
        rounds += 1;
        if fixed.is_none() {
            seed = Random(seed | 1).next();
        }
    }
    println!("{rounds} rounds");
}
