//! Fetches all URLs at the same time and waits for every one with a wait group. Each
//! goroutine borrows its own slot of one slice: no lock, no `Arc`.

use rendez::prelude::*;

fn fetch(url: &str) -> Result<String, ureq::Error> {
    ureq::get(url).call()?.body_mut().read_to_string()
}

fn main() {
    let urls = rendez_examples::site::urls(&["/go", "/missing", "/rust"]);
    let mut pages: Vec<_> = urls.iter().map(|_| None).collect();
    let wg = WaitGroup::new();
    scope(|s| {
        for (url, page) in urls.iter().zip(pages.iter_mut()) {
            let done = wg.guard(); // counted before the goroutine is started
            s.go(move || {
                *page = Some(fetch(url));
                drop(done); // at a panic it is dropped, too
            });
        }
        wg.wait();
        println!("fetched {}", urls.len());
    });
    for (url, page) in urls.iter().zip(pages) {
        match page.expect("every slot is filled") {
            Ok(text) => println!("{url}: {} bytes", text.len()),
            Err(error) => println!("{url}: {error}"),
        }
    }
}
