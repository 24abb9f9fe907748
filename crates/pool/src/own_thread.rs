//! Goroutines that run on a thread of their own from beginning to end: Go's
//! `runtime.LockOSThread`.
//!
//! Such a goroutine holds no core. Its scheduler is its thread's mailbox: a wake puts it
//! there and unparks the thread. The thread ends with the goroutine, as Go's does, and
//! whatever the goroutine did to it, a priority, a namespace, ends with it.
//!
//! Invariant: a scheduler hears of its goroutine's end whatever becomes of it, so the thread
//! ends: also when nobody is left who could wake it, and its cell is freed.

use std::io;

use rendez_core::goroutine::Goroutine as Identity;
use rendez_core::shim::atomic::{AtomicBool, Ordering};
use rendez_core::shim::{Arc, Mutex, OnceLock, thread};

use crate::error::Payload;
use crate::registry::Registry;
use crate::schedule::Schedule;
use crate::shared::Shared;
use crate::task::Task;
use crate::worker;

pub(crate) struct OwnThread {
    pool: Arc<Shared>,
    mailbox: Mutex<Option<Task>>,
    thread: OnceLock<thread::Thread>,
    ended: AtomicBool,
}

impl OwnThread {
    pub(crate) fn new(pool: Arc<Shared>) -> Arc<Self> {
        Arc::new(Self {
            pool,
            mailbox: Mutex::new(None),
            thread: OnceLock::new(),
            ended: AtomicBool::new(false),
        })
    }

    /// Starts the thread, which runs `task`.
    ///
    /// # Errors
    ///
    /// If there is no thread to be had: the goroutine comes back.
    pub(crate) fn start(self: &Arc<Self>, task: Task) -> Result<(), (Task, io::Error)> {
        *self.mailbox.lock() = Some(task);
        let this = Arc::clone(self);
        let started = self.pool.threads.start_own(move || this.main());
        started.map_err(|error| {
            let task = self.mailbox.lock().take();
            (task.expect("no thread has taken it"), error)
        })
    }

    fn main(&self) {
        let _ = self.thread.set(thread::current());
        worker::without_core(&self.pool, |run| {
            while !self.ended.load(Ordering::Acquire) {
                let task = self.mailbox.lock().take();
                match task {
                    Some(task) => run(task, self),
                    None => thread::park(),
                }
            }
        });
    }

    fn unpark(&self) {
        // Where there is none yet, it has not locked its mailbox either.
        if let Some(thread) = self.thread.get() {
            thread.unpark();
        }
    }
}

impl Schedule for OwnThread {
    fn schedule(&self, task: Task) {
        *self.mailbox.lock() = Some(task);
        self.unpark();
    }

    fn reschedule(&self, task: Task) {
        self.schedule(task);
    }

    fn finished(&self) {
        self.ended.store(true, Ordering::Release);
        self.unpark();
        self.pool.finished();
    }

    fn unclaimed_panic(&self, identity: &Identity, payload: Payload) {
        self.pool.unclaimed_panic(identity, payload);
    }

    fn registry(&self) -> Option<&Registry> {
        self.pool.registry()
    }
}
