//! Random programs of one thread, against a queue: values are received in the order sent, and counted
//! as `len` says, whatever is granted, returned, held by a permit or received many at a time, and
//! wherever the values lie.
#![allow(clippy::disallowed_types, clippy::disallowed_methods)]

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use rendez_select::{Permit, Receiver, RecvError, RecvFuture, Sender, unbounded};

const SEEDS: u64 = 300;
const STEPS: usize = 300;

struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % n
    }
}

/// A channel, and what is known of it.
struct Program<'a, T> {
    tx: &'a Sender<T>,
    rx: &'a Receiver<T>,
    /// The numbers of the values in it.
    queue: VecDeque<u64>,
    sent: u64,
    /// Futures that have been promised a value each, and those that wait for one.
    granted: Vec<Pin<Box<RecvFuture<'a, T>>>>,
    waiting: VecDeque<Pin<Box<RecvFuture<'a, T>>>>,
    /// How many values lie in it whose promise was dropped: received first, and counted nowhere.
    returned: usize,
    permits: Vec<Permit<'a, T>>,
    of_number: fn(u64) -> T,
}

impl<T: PartialEq> Program<'_, T> {
    fn available(&self) -> usize {
        self.queue.len() - self.granted.len()
    }

    fn has_sent(&mut self) {
        self.queue.push_back(self.sent);
        self.sent += 1;
        self.granted.extend(self.waiting.pop_front());
    }

    /// The oldest value has come, to whoever asked first.
    fn has_come(&mut self, value: Result<T, RecvError>) {
        let number = self.queue.pop_front().unwrap();
        // Not shown, since it may be large.
        assert!(value == Ok((self.of_number)(number)), "of {number}");
    }

    fn has_been_received(&mut self, value: T) {
        assert_ne!(self.available(), 0);
        self.returned = self.returned.saturating_sub(1);
        self.has_come(Ok(value));
    }

    fn redeem(&mut self, which: usize) {
        let mut receiving = self.granted.swap_remove(which);
        let mut context = Context::from_waker(Waker::noop());
        let Poll::Ready(value) = receiving.as_mut().poll(&mut context) else {
            unreachable!("it has been promised one");
        };
        self.has_come(value);
    }

    fn step(&mut self, random: &mut Random) {
        match random.below(9) {
            0 | 1 => {
                for _ in 0..random.below(20) {
                    self.tx.send((self.of_number)(self.sent)).unwrap();
                    self.has_sent();
                }
            }
            2 => {
                for _ in 0..random.below(25) {
                    match self.rx.try_recv() {
                        Ok(value) => self.has_been_received(value),
                        Err(_) => assert_eq!(self.available(), 0),
                    }
                }
            }
            3 if self.available() == 0 => {
                let mut receiving = Box::pin(self.rx.recv_async());
                let mut context = Context::from_waker(Waker::noop());
                assert!(receiving.as_mut().poll(&mut context).is_pending());
                self.waiting.push_back(receiving);
            }
            4 if !self.granted.is_empty() => {
                let which = random.below(self.granted.len());
                self.redeem(which);
            }
            5 if !self.granted.is_empty() => {
                drop(self.granted.swap_remove(0));
                match self.waiting.pop_front() {
                    Some(next) => self.granted.push(next),
                    None => self.returned += 1,
                }
            }
            6 if self.waiting.is_empty() => self.permits.extend(self.tx.reserve().ok()),
            7 => match self.permits.pop() {
                Some(permit) if random.below(3) != 0 => {
                    permit.send((self.of_number)(self.sent)).unwrap();
                    self.has_sent();
                }
                permit => drop(permit),
            },
            8 => {
                let mut got = Vec::new();
                if random.below(3) == 0 {
                    got.extend(self.rx.drain());
                    assert_eq!(got.len(), self.available());
                } else if self.available() != 0 {
                    let most = 1 + random.below(6);
                    self.rx.recv_many(&mut got, most).unwrap();
                }
                got.into_iter()
                    .for_each(|value| self.has_been_received(value));
            }
            _ => {}
        }
        assert_eq!(self.rx.len(), self.available() - self.returned);
        assert_eq!(self.rx.is_empty(), self.available() == 0);
    }
}

fn check<T: PartialEq>(of_number: fn(u64) -> T) {
    for seed in 1..=SEEDS {
        let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let (tx, rx) = unbounded();
        let mut program = Program {
            tx: &tx,
            rx: &rx,
            queue: VecDeque::new(),
            sent: 0,
            granted: Vec::new(),
            waiting: VecDeque::new(),
            returned: 0,
            permits: Vec::new(),
            of_number,
        };
        (0..STEPS).for_each(|_| program.step(&mut random));
        program.permits.clear();
        tx.close();
        while !program.granted.is_empty() {
            program.redeem(0);
        }
        let rest: Vec<_> = rx.iter().collect();
        assert_eq!(rest.len(), program.queue.len());
        rest.into_iter()
            .for_each(|value| program.has_been_received(value));
    }
}

#[test]
fn boxes_come_in_their_order() {
    check(Box::new);
}

#[test]
fn large_values_come_in_their_order() {
    check(|number| [number; 512]);
}

#[test]
fn values_without_a_size_are_all_there() {
    check(|_| ());
}
