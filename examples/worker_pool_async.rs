//! `worker_pool` with workers that are futures: thousands would cost no threads.

use std::time::Duration;

use rendez::prelude::*;

async fn worker(id: u32, jobs: Receiver<u32>, results: Sender<u32>) {
    while let Ok(job) = jobs.recv_async().await {
        println!("worker {id} began job {job}");
        rendez::time::sleep_async(Duration::from_millis(50)).await; // an expensive task
        println!("worker {id} ended job {job}");
        let sent = results.send_async(job * 2).await;
        sent.expect("the results are received");
    }
}

async fn run() -> u32 {
    let (jobs, to_do) = bounded(100);
    let (results, done) = bounded(100);
    for id in 1..=3 {
        go(worker(id, to_do.clone(), results.clone()));
    }
    drop(results); // the workers hold the rest

    for job in 1..=5 {
        jobs.send_async(job).await.expect("there are workers");
    }
    jobs.close();

    let mut sum = 0;
    while let Ok(result) = done.recv_async().await {
        println!("result {result}");
        sum += result;
    }
    sum
}

fn main() {
    let sum = rendez::pool::block_on(run());
    println!("sum {sum}");
}
