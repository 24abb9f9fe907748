//! Locks, semaphores and the rest of `sync`.

use crate::rows::Rows;

pub(crate) fn rows(rows: &mut Rows) {
    let lock = rendez_sync::Mutex::new(0_u64);
    rows.add_op("mutex/alone", "rendez", move || *lock.lock() += 1);
    let lock = std::sync::Mutex::new(0_u64);
    rows.add_op("mutex/alone", "std", move || {
        *lock.lock().expect("nobody panics") += 1;
    });
    let lock = parking_lot::Mutex::new(0_u64);
    rows.add_op("mutex/alone", "parking_lot", move || *lock.lock() += 1);

    let sem = rendez_sync::Semaphore::new(2);
    rows.add_op("semaphore/alone", "rendez", move || drop(sem.acquire(1)));
    let sem = async_lock::Semaphore::new(2);
    rows.add_op("semaphore/alone", "async-lock", move || {
        drop(sem.try_acquire())
    });
}
