//! Models of how workers sleep, how their cores go in and out of service, and how the
//! monitor watches them: under `--cfg rendez_loom` every interleaving is explored, otherwise
//! each runs once.
//!
//! Loom cannot see into crossbeam's deques; a queue under a lock stands in for them.

use std::collections::VecDeque;
use std::sync::Arc;

use rendez_core::shim::atomic::{AtomicBool, AtomicUsize, Ordering};
use rendez_core::shim::{Mutex, model, thread};
use rendez_pool::__private::{Cores, Crew, Limit, Sleep, Watch};

/// Queued work and sleeping cores.
struct Workers {
    queue: Mutex<VecDeque<u8>>,
    sleep: Sleep<u8>,
    done: AtomicUsize,
    // Where there is one processor: whether the core's holder runs something.
    running: Option<[AtomicBool; 2]>,
    // Whether who brings work looks once more before it wakes anybody.
    looks_again: bool,
    // Whether who wakes one wakes another along with it.
    wakes_two: bool,
}

impl Workers {
    fn show(&self, core: u8, runs: bool) {
        if let Some(running) = &self.running {
            running[usize::from(core)].store(runs, Ordering::Relaxed);
        }
    }

    fn is_running(&self) -> bool {
        let running = self.running.as_ref();
        running.is_some_and(|all| all.iter().any(|runs| runs.load(Ordering::Relaxed)))
    }

    fn is_seen_to(&self) -> bool {
        self.is_running() || self.looks_again && (self.sleep.is_searched() || !self.has_work())
    }

    fn has_work(&self) -> bool {
        !self.queue.lock().is_empty()
    }

    fn push(&self, work: u8) {
        self.queue.lock().push_back(work);
        if let Some(core) = self.sleep.work_came(|| self.is_seen_to()) {
            let another = self.wakes_two.then(|| self.sleep.wake_another());
            self.run(core, true);
            if let Some(another) = another.flatten() {
                self.run(another, true);
            }
        }
    }

    /// What a worker does with a core until it goes idle.
    fn run(&self, mut core: u8, mut searching: bool) {
        loop {
            let work = self.queue.lock().pop_front();
            self.show(core, work.is_some());
            if work.is_some() {
                if std::mem::take(&mut searching) {
                    // In place of another thread: this one, later.
                    if let Some(other) = self.sleep.found(|| self.has_work() && !self.is_running())
                    {
                        self.run(other, true);
                    }
                }
                self.done.fetch_add(1, Ordering::Relaxed);
                continue;
            }
            match self.sleep.idle(core, searching, || self.has_work()) {
                Some(again) => (core, searching) = (again, true),
                None => return,
            }
        }
    }
}

fn workers(cores: Vec<u8>) -> Workers {
    Workers {
        queue: Mutex::new(VecDeque::new()),
        sleep: Sleep::new(cores),
        done: AtomicUsize::new(0),
        running: None,
        looks_again: false,
        wakes_two: false,
    }
}

/// As [`workers`], on one processor.
fn on_one_processor(cores: Vec<u8>) -> Workers {
    Workers {
        running: Some([AtomicBool::new(false), AtomicBool::new(false)]),
        ..workers(cores)
    }
}

fn no_work_is_missed(workers: Workers, n_cores: usize) {
    let workers = Arc::new(workers);
    let theirs = Arc::clone(&workers);
    let other = thread::spawn(move || theirs.push(1));
    workers.push(2);
    other.join().unwrap();
    assert_eq!(workers.done.load(Ordering::Relaxed), 2, "all work is done");
    let idle = (0..n_cores).filter_map(|_| workers.sleep.take()).count();
    assert_eq!(idle, n_cores, "every core has come back");
}

#[test]
fn one_core_misses_no_work() {
    model("sleep: two pushes, one core", || {
        no_work_is_missed(workers(vec![0]), 1)
    });
}

#[test]
fn two_cores_miss_no_work() {
    model("sleep: two pushes, two cores", || {
        no_work_is_missed(workers(vec![0, 1]), 2)
    });
}

#[test]
fn a_second_look_before_a_wake_misses_no_work() {
    model("sleep: two pushes, two cores, looking again", || {
        let workers = Workers {
            looks_again: true,
            ..workers(vec![0, 1])
        };
        no_work_is_missed(workers, 2)
    });
}

#[test]
fn two_that_are_woken_at_once_miss_no_work() {
    model("sleep: two pushes, two cores, both woken at once", || {
        let workers = Workers {
            wakes_two: true,
            ..workers(vec![0, 1])
        };
        no_work_is_missed(workers, 2)
    });
}

#[test]
fn one_processor_misses_no_work() {
    model("sleep: two pushes, two cores, one processor", || {
        no_work_is_missed(on_one_processor(vec![0, 1]), 2)
    });
}

#[test]
fn work_that_comes_while_the_only_processor_is_busy_is_not_missed() {
    model(
        "sleep: work comes while a holder runs, one processor",
        || {
            let workers = Arc::new(on_one_processor(vec![0, 1]));
            let core = workers.sleep.take().expect("a core is idle");
            workers.show(core, true);
            let theirs = Arc::clone(&workers);
            let pusher = thread::spawn(move || theirs.push(1));
            workers.run(core, false);
            pusher.join().unwrap();
            assert_eq!(workers.done.load(Ordering::Relaxed), 1);
        },
    );
}

#[test]
fn a_core_let_go_by_a_blocking_thread_misses_no_work() {
    model("sleep: a thread blocks while work comes", || {
        let workers = Arc::new(workers(vec![0]));
        let core = workers.sleep.take().expect("a core is idle");
        let theirs = Arc::clone(&workers);
        let pusher = thread::spawn(move || theirs.push(1));
        // What a worker does before it blocks, its own queue being empty.
        if let Some(core) = workers.sleep.idle(core, false, || workers.has_work()) {
            workers.run(core, true);
        }
        pusher.join().unwrap();
        assert_eq!(workers.done.load(Ordering::Relaxed), 1);
    });
}

#[test]
fn a_pool_that_begins_to_run_is_watched() {
    model("watch: a thread begins while the monitor lets go", || {
        let shared = Arc::new((Watch::new(), AtomicBool::new(false)));
        assert!(shared.0.begin(), "the first call");
        let theirs = Arc::clone(&shared);
        let worker = thread::spawn(move || {
            theirs.1.store(true, Ordering::Relaxed);
            theirs.0.begin()
        });
        let let_go = shared.0.end(|| shared.1.load(Ordering::Relaxed));
        let called = worker.join().unwrap();
        assert!(called || !let_go, "it runs and nobody watches");
        assert!(!shared.0.begin(), "whoever watches has switched it on");
    });
}

/// Work, sleeping cores, and a crew of which cores are in service.
struct Staff {
    workers: Workers,
    crew: Crew<u8>,
    n_cores: AtomicUsize,
    asked: [AtomicBool; 3],
}

impl Cores<u8> for Staff {
    fn index(&self, core: &u8) -> usize {
        usize::from(*core)
    }
    fn make(&self) -> Option<u8> {
        Some(self.n_cores.fetch_add(1, Ordering::Relaxed) as u8)
    }
    fn take_idle(&self) -> Option<u8> {
        self.workers.sleep.take()
    }
    fn ask(&self, index: usize) {
        self.asked[index].store(true, Ordering::Relaxed);
    }
    fn unask(&self, index: usize) {
        self.asked[index].store(false, Ordering::Relaxed);
    }
}

impl Staff {
    fn new(n: usize) -> Arc<Self> {
        let staff = Self {
            workers: workers(Vec::new()),
            crew: Crew::new(),
            n_cores: AtomicUsize::new(0),
            asked: Default::default(),
        };
        for core in staff.crew.resize(n, &staff) {
            assert!(staff.workers.sleep.idle(core, false, || false).is_none());
        }
        Arc::new(staff)
    }

    fn push(&self, work: u8) {
        self.workers.queue.lock().push_back(work);
        if let Some(core) = self.workers.sleep.work_came(|| false) {
            self.run(core, true);
        }
    }

    /// What a worker does with a core until it goes idle or retires.
    fn run(&self, mut core: u8, mut searching: bool) {
        let sleep = &self.workers.sleep;
        loop {
            if self.asked[usize::from(core)].load(Ordering::Relaxed) {
                self.crew.retire(core, self);
                let next = if searching {
                    sleep.found(|| self.workers.has_work())
                } else {
                    None
                };
                match next.or_else(|| sleep.work_came(|| false)) {
                    // In place of another thread: this one.
                    Some(again) => (core, searching) = (again, true),
                    None => return,
                }
                continue;
            }
            if self.workers.queue.lock().pop_front().is_some() {
                if std::mem::take(&mut searching) {
                    if let Some(other) = sleep.found(|| self.workers.has_work()) {
                        self.run(other, true);
                    }
                }
                self.workers.done.fetch_add(1, Ordering::Relaxed);
                continue;
            }
            match sleep.idle(core, searching, || self.workers.has_work()) {
                Some(again) => (core, searching) = (again, true),
                None => return,
            }
        }
    }

    /// Every core in service has come back, and there are as many as there should be.
    fn check(&self, done: usize) {
        assert_eq!(self.workers.done.load(Ordering::Relaxed), done);
        assert!(!self.workers.has_work());
        while let Some(core) = self.take_idle() {
            if self.asked[usize::from(core)].load(Ordering::Relaxed) {
                self.crew.retire(core, self);
            }
        }
        assert_eq!(self.crew.n_retiring(), 0);
    }
}

#[test]
fn a_worker_that_comes_back_while_its_place_is_taken_loses_no_work() {
    model(
        "crew: the monitor retakes against the worker's return",
        || {
            let staff = Staff::new(1);
            let core = staff.take_idle().expect("a core is idle");
            staff.workers.queue.lock().push_back(1);
            let theirs = Arc::clone(&staff);
            let monitor = thread::spawn(move || {
                if let Some(other) = theirs.crew.retake(0, &*theirs) {
                    theirs.workers.sleep.join_search();
                    theirs.run(other, true);
                }
            });
            // The worker has come back from its goroutine.
            staff.run(core, false);
            monitor.join().unwrap();
            staff.check(1);
        },
    );
}

#[test]
fn fewer_workers_miss_no_work() {
    model(
        "crew: set_workers against a worker that parks and work that comes",
        || {
            let staff = Staff::new(2);
            let core = staff.take_idle().expect("a core is idle");
            let theirs = Arc::clone(&staff);
            let other = thread::spawn(move || theirs.push(1));
            let theirs = Arc::clone(&staff);
            let worker = thread::spawn(move || theirs.run(core, false));
            assert!(staff.crew.resize(1, &*staff).is_empty());
            other.join().unwrap();
            worker.join().unwrap();
            staff.check(1);
            assert_eq!(staff.crew.n_workers(), 1);
        },
    );
}

#[test]
fn nobody_waits_while_there_is_room() {
    model("limit: entering against leaving", || {
        let limit = Arc::new(Limit::new(1));
        assert_eq!(limit.enter(0), Some(0));
        let theirs = Arc::clone(&limit);
        let other = thread::spawn(move || usize::from(theirs.enter(1).is_some()));
        let mut ran = limit.leave().map_or(0, |_| 1);
        ran += other.join().unwrap();
        assert_eq!(ran, 1, "it has room at once or when the first leaves");
        assert_eq!(limit.n_waiting(), 0);
    });
}
