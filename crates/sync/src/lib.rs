//! Mutex, RwLock, Once, Semaphore and their kin for threads and tasks: FIFO, cancellable, no poisoning.
