//! `fetch_all` from a task: futures outlive whom they would borrow from, so each fetch
//! gives its page to whoever awaits its handle. The fetch itself blocks, which a goroutine
//! may.

use rendez::prelude::*;

fn fetch(url: &str) -> Result<String, ureq::Error> {
    ureq::get(url).call()?.body_mut().read_to_string()
}

async fn fetch_all(urls: Vec<String>) {
    let wg = WaitGroup::new();
    let mut fetches = Vec::new();
    for url in &urls {
        let (url, done) = (url.clone(), wg.guard());
        fetches.push(go(move || {
            let page = fetch(&url);
            drop(done);
            page
        }));
    }
    wg.wait_async().await;
    println!("fetched {}", urls.len());
    for (url, page) in urls.iter().zip(fetches) {
        match page.await.unwrap_or_else(|panic| panic.resume()) {
            Ok(text) => println!("{url}: {} bytes", text.len()),
            Err(error) => println!("{url}: {error}"),
        }
    }
}

fn main() {
    let urls = rendez_examples::site::urls(&["/go", "/missing", "/rust"]);
    rendez::pool::block_on(fetch_all(urls));
}
