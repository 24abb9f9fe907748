//! The concurrent prime sieve: a chain of goroutines, one for each prime found, each letting
//! through what its prime does not divide. After Hoare's CSP, by way of Go's first examples.
//!
//! `sieve [COUNT]` prints the first COUNT primes, 2000 if none is given.

use rendez::prelude::*;

/// How many numbers may wait between two filters.
const BUFFER: usize = 32;

/// Sends 2, 3, 4, … until nobody wants more.
async fn count(out: Sender<u32>) {
    for n in 2.. {
        if out.send_async(n).await.is_err() {
            return;
        }
    }
}

/// Passes on what `prime` does not divide.
async fn filter(numbers: Receiver<u32>, out: Sender<u32>, prime: u32) {
    while let Ok(n) = numbers.recv_async().await {
        if n % prime != 0 && out.send_async(n).await.is_err() {
            return;
        }
    }
}

/// The primes, for ever. Dropping it ends the goroutines, the last filter first.
pub fn primes() -> impl Iterator<Item = u32> {
    let (tx, mut numbers) = bounded(BUFFER);
    drop(go(count(tx)));
    std::iter::from_fn(move || {
        // What has passed all filters is prime.
        let prime = numbers.recv().ok()?;
        let (tx, rest) = bounded(BUFFER);
        let before = std::mem::replace(&mut numbers, rest);
        drop(go(filter(before, tx, prime)));
        Some(prime)
    })
}

fn main() {
    let count = match std::env::args().nth(1).map(|arg| arg.parse()) {
        None => 2000,
        Some(Ok(count)) => count,
        Some(Err(_)) => {
            eprintln!("usage: sieve [COUNT]");
            std::process::exit(2);
        }
    };
    for prime in primes().take(count) {
        println!("{prime}");
    }
}
