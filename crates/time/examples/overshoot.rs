//! By how much sleeps come late here: median and 99th percentile, for a thread and for a
//! goroutine, beside std's sleep.
//!
//! ```sh
//! cargo run --release -p rendez-time --example overshoot
//! ```

use std::time::{Duration, Instant};

use rendez_pool::go;
use rendez_time::{sleep, sleep_async};

const N: usize = 2000;

fn report(what: &str, d: Duration, mut late: Vec<Duration>) {
    late.sort_unstable();
    let (median, p99) = (late[late.len() / 2], late[late.len() * 99 / 100]);
    println!("{d:>6.0?}  {what:<22} median {median:>9.1?}   p99 {p99:>9.1?}");
}

fn late(d: Duration, sleep: impl Fn(Duration)) -> Vec<Duration> {
    let once = |_| {
        let start = Instant::now();
        sleep(d);
        start.elapsed().saturating_sub(d)
    };
    (0..N).map(once).collect()
}

fn main() {
    for d in [100, 1000].map(Duration::from_micros) {
        report("thread", d, late(d, sleep));
        report("thread, std's sleep", d, late(d, std::thread::sleep));
        let goroutine = go(async move {
            let mut all = Vec::with_capacity(N);
            for _ in 0..N {
                let start = Instant::now();
                sleep_async(d).await;
                all.push(start.elapsed().saturating_sub(d));
            }
            all
        });
        report("goroutine", d, goroutine.join().expect("it does not panic"));
    }
}
