//! Three workers share a channel of jobs and send what they make of them to another.
//! Closing the channel of jobs ends the workers, and with the last of them the results.

use std::time::Duration;

use rendez::prelude::*;

fn worker(id: u32, jobs: Receiver<u32>, results: Sender<u32>) {
    for job in jobs {
        println!("worker {id} began job {job}");
        rendez::time::sleep(Duration::from_millis(50)); // an expensive task
        println!("worker {id} ended job {job}");
        results.send(job * 2).expect("the results are received");
    }
}

fn main() {
    let (jobs, to_do) = bounded(100);
    let (results, done) = bounded(100);
    for id in 1..=3 {
        let (to_do, results) = (to_do.clone(), results.clone());
        go(move || worker(id, to_do, results));
    }
    drop(results); // the workers hold the rest

    for job in 1..=5 {
        jobs.send(job).expect("there are workers");
    }
    jobs.close();

    let mut sum = 0;
    for result in done {
        println!("result {result}");
        sum += result;
    }
    println!("sum {sum}");
}
