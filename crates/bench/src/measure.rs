//! Takes the samples of one row: finds out how many operations fill the time asked for, which
//! warms everything up, then measures.

use std::io::Write;
use std::time::Duration;

use cpu_time::ProcessTime;

use crate::rows::Run;

/// A row that takes longer than this in all is stuck.
const STUCK: Duration = Duration::from_secs(30);

thread_local! {
    // How many operations the last call of a row did for each it was asked for.
    static DONE: std::cell::Cell<f64> = const { std::cell::Cell::new(1.0) };
}

/// What `n` operations took of the `done` that `run` does; the processor's time too.
pub(crate) fn scaled(n: u64, done: u64, run: impl FnOnce() -> Duration) -> Duration {
    let share = n as f64 / done as f64;
    DONE.set(1.0 / share);
    run().mul_f64(share)
}

/// Prints `samples` samples of about `ms` milliseconds each.
pub(crate) fn run(row: &Run, ms: u64, samples: u32) {
    // A peer that hangs must not hang the whole run.
    std::thread::spawn(|| {
        std::thread::sleep(STUCK);
        eprintln!("stuck");
        std::process::exit(3);
    });
    let target = Duration::from_millis(ms);
    let warm = target / 4;
    let mut n = 64;
    let mut took = row(n);
    while took < warm {
        let wanted = warm.as_secs_f64() / took.as_secs_f64().max(1e-9) * 1.2;
        n = (n as f64 * wanted.clamp(2.0, 64.0)) as u64;
        took = row(n);
    }
    for _ in 0..samples {
        n = ((n as f64 * target.as_secs_f64() / took.as_secs_f64()) as u64).max(16);
        let cpu = ProcessTime::now();
        took = row(n);
        let cpu = cpu.elapsed();
        let per_op = |d: Duration| d.as_secs_f64() * 1e9 / n as f64;
        println!("{:.3} {:.3} {n}", per_op(took), per_op(cpu) / DONE.get());
        let _ = std::io::stdout().flush();
    }
}
