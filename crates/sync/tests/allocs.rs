//! What is asked again and again does not allocate, as Go's tests of its once functions want.
#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::hint::black_box;

use rendez_sync::{OnceCell, once_func, once_value};

struct Counting;

thread_local! {
    static COUNT: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: the system's allocator, which is asked as we are.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let _ = COUNT.try_with(|count| count.set(count.get() + 1));
        // SAFETY: by our caller.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: by our caller.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn allocations<R>(f: impl Fn() -> R) -> usize {
    let before = COUNT.get();
    for _ in 0..10 {
        drop(f());
    }
    COUNT.get() - before
}

#[test]
fn a_once_function_that_has_run_allocates_nothing() {
    let (func, value) = (
        once_func(|| drop(black_box(Box::new(1)))),
        once_value(|| vec![1]),
    );
    assert!(allocations(&func) > 0, "what it runs is counted");
    assert!(allocations(&value) > 0);
    assert_eq!(allocations(&func), 0);
    assert_eq!(allocations(&value), 0);

    let cell = OnceCell::new();
    assert!(allocations(|| cell.get_or_init(|| vec![1])) > 0);
    assert_eq!(allocations(|| cell.get_or_init(Vec::new)), 0);
}
