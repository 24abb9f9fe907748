//! A crawler: `crawler URL [--depth N] [--at-once N] [--seconds N]` fetches a page, and the
//! pages of the same host that it links to, and prints each with its status.
//!
//! It fetches so many pages at the same time, goes so deep, and stops when the time is up;
//! then it says what it had no time for. Plain HTTP only.

mod crawl;
mod http;

use std::time::Duration;

use rendez::context::Context;
use rendez::pool::block_on;

use crate::crawl::{Crawl, Page};
use crate::http::Url;

struct Args {
    url: Url,
    crawl: Crawl,
    seconds: f64,
}

fn parse(mut args: impl Iterator<Item = String>) -> Option<Args> {
    let mut url = None;
    let mut crawl = Crawl {
        depth: 3,
        at_once: 8,
    };
    let mut seconds = 30.0;
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--depth" => crawl.depth = args.next()?.parse().ok()?,
            "--at-once" => crawl.at_once = args.next()?.parse().ok().filter(|&n| n > 0)?,
            "--seconds" => seconds = args.next()?.parse().ok()?,
            _ if url.is_none() => url = Some(Url::parse(&arg)?),
            _ => return None,
        }
    }
    Some(Args {
        url: url?,
        crawl,
        seconds,
    })
}

fn main() {
    let Some(args) = parse(std::env::args().skip(1)) else {
        eprintln!("usage: crawler http://HOST[:PORT]/PATH [--depth N] [--at-once N] [--seconds N]");
        std::process::exit(2);
    };
    let time = Duration::try_from_secs_f64(args.seconds).unwrap_or(Duration::MAX);
    let (ctx, _cancel) = Context::background().with_timeout(time);
    let pages = block_on(args.crawl.run(&ctx, args.url, |page| println!("{page}")));
    let failed = pages.iter().filter(|page| page.result.is_err()).count();
    println!("{} pages, {failed} failed", pages.len());
    std::process::exit(i32::from(
        pages.first().is_none_or(|page: &Page| page.result.is_err()),
    ));
}
