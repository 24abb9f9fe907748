//! The crawl: one goroutine for each page, a semaphore for how many fetch at a time, and one
//! loop that knows what has been seen.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use rendez::prelude::*;

use crate::http::{self, Url};

/// How far a crawl goes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Crawl {
    /// How many links away from the first page.
    pub(crate) depth: usize,
    /// How many pages are fetched at the same time.
    pub(crate) at_once: usize,
}

/// A page that was fetched, or was not.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) url: Url,
    pub(crate) result: Result<u16, String>,
}

/// What is known of a page that was started.
struct Seen {
    /// How many links away it is, by the shortest way found so far.
    depth: usize,
    /// Empty until it is fetched.
    links: Vec<Url>,
}

impl Crawl {
    /// Fetches `first` and what it links to. `found` sees each page when it is done; all of
    /// them are returned in that order.
    pub(crate) async fn run(self, ctx: &Context, first: Url, found: impl Fn(&Page)) -> Vec<Page> {
        let slots = Arc::new(Semaphore::new(self.at_once));
        let mut pages = Vec::new();
        // Unbounded, but no more lie in it than pages are under way.
        let (tx, done) = unbounded();
        let start = |url: Url| {
            let (ctx, slots, tx) = (ctx.clone(), Arc::clone(&slots), tx.clone());
            drop(go(async move {
                let page = fetch(&ctx, &slots, url).await;
                let _ = tx.send(page);
            }));
        };
        let mut seen = HashMap::new();
        let root = Seen {
            depth: 0,
            links: Vec::new(),
        };
        seen.insert(first.clone(), root);
        start(first);
        let mut under_way = 1;
        while under_way > 0 {
            // Each page that was started arrives: a fetch that the context ends is an error.
            let Ok((page, links)) = done.recv_async().await else {
                break;
            };
            under_way -= 1;
            if let Some(this) = seen.get_mut(&page.url) {
                this.links = links;
            }
            for url in self.follow(&mut seen, &page.url) {
                start(url);
                under_way += 1;
            }
            found(&page);
            pages.push(page);
        }
        pages
    }

    /// Goes along the links of a page that was fetched, and gives the pages to be started.
    fn follow(self, seen: &mut HashMap<Url, Seen>, fetched: &Url) -> Vec<Url> {
        let mut new = Vec::new();
        let mut to_do = vec![fetched.clone()];
        while let Some(url) = to_do.pop() {
            let Some(Seen { depth, links }) = seen.get(&url) else {
                continue;
            };
            let depth = depth + 1;
            if depth > self.depth {
                continue;
            }
            for link in links.clone() {
                match seen.get_mut(&link) {
                    None => {
                        let links = Vec::new();
                        seen.insert(link.clone(), Seen { depth, links });
                        new.push(link);
                    }
                    // This way is shorter than the one by which it came first, whose pages were
                    // only faster: what it links to is nearer too.
                    Some(known) if known.depth > depth => {
                        known.depth = depth;
                        to_do.push(link);
                    }
                    Some(_) => {}
                }
            }
        }
        new
    }
}

/// A page and what it links to.
async fn fetch(ctx: &Context, slots: &Semaphore, url: Url) -> (Page, Vec<Url>) {
    let fetched = ctx.run(async {
        let _slot = slots.acquire_async(1).await.map_err(|e| e.to_string())?;
        http::get(&url).await.map_err(|e| e.to_string())
    });
    let fetched = fetched.await.unwrap_or_else(|ended| Err(ended.to_string()));
    let (result, links) = match fetched {
        Ok(response) => {
            let links = http::links(&response.body).filter_map(|link| url.join(link));
            (Ok(response.status), links.collect())
        }
        Err(error) => (Err(error), Vec::new()),
    };
    (Page { url, result }, links)
}

impl fmt::Display for Page {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.result {
            Ok(status) => write!(f, "{status} {}", self.url),
            Err(error) => write!(f, "--- {} ({error})", self.url),
        }
    }
}
