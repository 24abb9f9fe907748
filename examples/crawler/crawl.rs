//! The crawl: one goroutine for each page, a semaphore for how many fetch at a time, and one
//! loop that knows what has been seen.

use std::collections::HashSet;
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
    pub(crate) depth: usize,
    pub(crate) result: Result<u16, String>,
    links: Vec<Url>,
}

impl Crawl {
    /// Fetches `first` and what it links to. `found` sees each page when it is done; all of
    /// them are returned in that order.
    pub(crate) async fn run(self, ctx: &Context, first: Url, found: impl Fn(&Page)) -> Vec<Page> {
        let slots = Arc::new(Semaphore::new(self.at_once));
        let mut seen = HashSet::from([first.clone()]);
        let mut pages = Vec::new();
        // Unbounded, but no more lie in it than pages are under way.
        let (tx, done) = unbounded();
        let start = |url: Url, depth: usize| {
            let (ctx, slots, tx) = (ctx.clone(), Arc::clone(&slots), tx.clone());
            drop(go(async move {
                let page = fetch(&ctx, &slots, url, depth).await;
                let _ = tx.send(page);
            }));
        };
        start(first, 0);
        let mut under_way = 1;
        while under_way > 0 {
            // Each page that was started arrives: a fetch that the context ends is an error.
            let Ok(page) = done.recv_async().await else {
                break;
            };
            under_way -= 1;
            if page.depth < self.depth {
                for link in &page.links {
                    if seen.insert(link.clone()) {
                        start(link.clone(), page.depth + 1);
                        under_way += 1;
                    }
                }
            }
            found(&page);
            pages.push(page);
        }
        pages
    }
}

async fn fetch(ctx: &Context, slots: &Semaphore, url: Url, depth: usize) -> Page {
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
    Page {
        url,
        depth,
        result,
        links,
    }
}

impl fmt::Display for Page {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.result {
            Ok(status) => write!(f, "{status} {}", self.url),
            Err(error) => write!(f, "--- {} ({error})", self.url),
        }
    }
}
