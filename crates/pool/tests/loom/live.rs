//! Models of the count of goroutines that live, with claims in hand: under `--cfg
//! rendez_loom` every interleaving is explored, otherwise each runs once.

use std::sync::Arc;

use rendez_core::shim::atomic::{AtomicUsize, Ordering};
use rendez_core::shim::{model, thread};
use rendez_pool::__private::{Account, Begun, Live};

struct Pool {
    live: Live,
    accounts: [Account; 2],
    n_drained: AtomicUsize,
}

impl Pool {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            live: Live::new(),
            accounts: [Account::default(), Account::default()],
            n_drained: AtomicUsize::new(0),
        })
    }

    fn begin(&self, core: Option<usize>) -> Begun {
        self.live.begin(core.map(|i| &self.accounts[i]))
    }

    fn end(&self, core: Option<usize>) {
        self.drained(self.live.end(core.map(|i| &self.accounts[i])));
    }

    fn settle(&self, core: usize) {
        self.drained(self.live.settle(&self.accounts[core]));
    }

    fn drained(&self, yes: bool) {
        if yes {
            self.n_drained.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// As all cores lie idle.
    fn check(&self, n_live: usize, drained: bool) {
        assert_eq!(self.live.count(|| self.accounts.iter()), n_live);
        let n_drained = self.n_drained.load(Ordering::Relaxed);
        assert_eq!(n_drained > 0, drained, "{n_drained}");
    }
}

#[test]
fn the_last_end_is_not_missed_whoever_holds_the_claims() {
    model("live: end and settle against let go", || {
        let pool = Pool::new();
        assert_eq!(pool.begin(Some(0)), Begun::Counted);
        let theirs = Arc::clone(&pool);
        let other = thread::spawn(move || {
            theirs.end(Some(1));
            theirs.settle(1);
        });
        pool.drained(pool.live.let_go());
        pool.settle(0);
        other.join().unwrap();
        pool.check(0, true);
    });
}

#[test]
fn a_pool_that_is_shut_while_goroutines_begin_is_drained() {
    model("live: begin and end against shut", || {
        let pool = Pool::new();
        let theirs = Arc::clone(&pool);
        let other = thread::spawn(move || {
            // The second is given a claim in hand.
            let begun = [theirs.begin(Some(0)), theirs.begin(Some(0))];
            theirs.end(Some(0));
            theirs.end(Some(0));
            theirs.settle(0);
            begun
        });
        pool.drained(pool.live.shut());
        let begun = other.join().unwrap();
        assert!(begun[0] == Begun::Counted || begun[1] == Begun::Refused);
        pool.check(0, true);
    });
}

#[test]
fn a_count_neither_misses_claims_that_move_nor_counts_them_twice() {
    model("live: count against settle", || {
        let pool = Pool::new();
        let _ = pool.begin(Some(0));
        let theirs = Arc::clone(&pool);
        let other = thread::spawn(move || theirs.settle(0));
        pool.check(1, false);
        other.join().unwrap();
        pool.check(1, false);
    });
}

#[test]
fn a_count_does_not_see_claims_on_their_way_into_an_account() {
    model("live: count against begin", || {
        let pool = Pool::new();
        let theirs = Arc::clone(&pool);
        let counting = thread::spawn(move || theirs.live.count(|| theirs.accounts.iter()));
        assert_eq!(pool.begin(Some(0)), Begun::Counted);
        let n = counting.join().unwrap();
        assert!(n <= 1, "{n}");
        pool.settle(0);
        pool.check(1, false);
    });
}
