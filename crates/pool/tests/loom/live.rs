//! Models of the count of goroutines that live, with claims in hand: under `--cfg
//! rendez_loom` every interleaving is explored, otherwise each runs once.

use std::sync::Arc;

use rendez_core::shim::{Mutex, model, thread};
use rendez_pool::__private::{Account, Begun, Live};

struct Pool {
    live: Live,
    accounts: [Account; 2],
    /// How often it is kept, by itself.
    n_kept: Mutex<usize>,
}

impl Pool {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            live: Live::new(),
            accounts: [Account::default(), Account::default()],
            n_kept: Mutex::new(1),
        })
    }

    fn begin(&self, core: Option<usize>) -> Begun {
        let again = || *self.n_kept.lock() += 1;
        self.live.begin(core.map(|i| &self.accounts[i]), again)
    }

    fn end(&self, core: Option<usize>) {
        self.drained(self.live.end(core.map(|i| &self.accounts[i])));
    }

    fn settle(&self, core: usize) {
        self.drained(self.live.settle(&self.accounts[core]));
    }

    fn drained(&self, yes: bool) {
        if yes {
            // Kept before what has ended now began.
            *self.n_kept.lock() -= 1;
        }
    }

    /// As all cores lie idle.
    fn check(&self, n_live: usize, drained: bool) {
        assert_eq!(self.live.count(|| self.accounts.iter()), n_live);
        assert_eq!(*self.n_kept.lock(), usize::from(!drained));
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

#[test]
fn a_pool_keeps_itself_again_for_goroutines_that_come_after_its_end() {
    model("live: begin and end of two after the end", || {
        let pool = Pool::new();
        pool.drained(pool.live.let_go());
        let theirs = Arc::clone(&pool);
        let other = thread::spawn(move || {
            let _ = theirs.begin(None);
            theirs.end(Some(0));
            theirs.settle(0);
        });
        let _ = pool.begin(Some(1));
        pool.end(None);
        pool.drained(pool.live.shut());
        other.join().unwrap();
        pool.settle(1);
        pool.check(0, true);
    });
}
