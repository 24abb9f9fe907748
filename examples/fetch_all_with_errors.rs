//! Fetches all URLs at the same time in an error group: the first failure cancels the
//! others through the group's context, and is what the group returns.

use std::error::Error;
use std::io::{BufRead, BufReader};

use rendez::prelude::*;

type Failure = Box<dyn Error + Send + Sync>;

fn fetch(ctx: &Context, url: &str) -> Result<usize, Failure> {
    let mut response = ureq::get(url).call().map_err(|e| format!("{url}: {e}"))?;
    let mut n_lines = 0;
    for line in BufReader::new(response.body_mut().as_reader()).lines() {
        line?;
        ctx.check().inspect_err(|_| println!("{url}: given up"))?;
        n_lines += 1;
    }
    Ok(n_lines)
}

fn main() {
    let urls = rendez_examples::site::urls(&["/go", "/endless", "/missing"]);
    let (group, ctx): (Group, _) = Group::with_context(&Context::background());
    for url in urls {
        let ctx = ctx.clone();
        group.go(move || {
            let n_lines = fetch(&ctx, &url)?;
            println!("{url}: {n_lines} lines");
            Ok(())
        });
    }
    match group.wait() {
        Ok(()) => println!("fetched all"),
        Err(error) => println!("failed: {error}"),
    }
}
