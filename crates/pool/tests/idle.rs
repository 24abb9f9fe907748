//! Pools with nothing to do take no processor time. Alone in its process, which it measures.
#![cfg(target_os = "linux")]
#![allow(clippy::disallowed_types, clippy::disallowed_methods)]

mod common;

use std::time::{Duration, Instant};

use common::{pool, within_a_minute};
use rendez_select::bounded;

/// The processor time the other threads of this process have taken.
fn taken() -> Duration {
    let me = std::fs::read_link("/proc/thread-self").unwrap();
    let me = me.file_name().unwrap().to_owned();
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    let of_task = |task: std::io::Result<std::fs::DirEntry>| -> Option<u64> {
        let task = task.ok().filter(|task| task.file_name() != me)?;
        let stat = std::fs::read_to_string(task.path().join("schedstat")).ok()?;
        stat.split(' ').next()?.parse().ok()
    };
    Duration::from_nanos(tasks.filter_map(of_task).sum())
}

#[test]
fn an_idle_pool_takes_no_processor_time() {
    within_a_minute(|| {
        let pool = pool(4);
        let (finish, may_finish) = bounded::<()>(0);
        let waiting: Vec<_> = (0..100)
            .map(|i| {
                let may_finish = may_finish.clone();
                if i % 2 == 0 {
                    pool.go(move || may_finish.recv().is_err())
                } else {
                    pool.go(async move { may_finish.recv_async().await.is_err() })
                }
            })
            .collect();
        // Soon nothing happens any more; how soon is the machine's business.
        let quiet = |for_at_least: Duration| {
            let (began, before) = (Instant::now(), taken());
            std::thread::sleep(for_at_least);
            (taken() - before).as_secs_f64() / began.elapsed().as_secs_f64()
        };
        while quiet(Duration::from_millis(300)) > 0.001 {}
        assert!(quiet(Duration::from_millis(500)) < 0.01);
        drop(finish);
        for handle in waiting {
            assert!(handle.join().unwrap());
        }
    });
}
