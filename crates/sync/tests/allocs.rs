//! What is asked again and again does not allocate, as Go's tests of its once functions want.

use std::hint::black_box;

use rendez_sync::{Map, OnceCell, once_func, once_value};

fn allocations<R>(f: impl Fn() -> R) -> u64 {
    let ten_times = || (0..10).for_each(|_| drop(f()));
    allocation_counter::measure(ten_times).count_total
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

#[test]
fn a_range_of_a_map_and_a_clear_of_an_empty_one_allocate_nothing() {
    let map: Map<_, _> = (0..1000).map(|n| (n, n)).collect();
    let range = || map.range(|&key, &value| black_box(key) == value);
    range();
    assert_eq!(allocations(range), 0);
    // What is taken out is handed over in a list of its own, however many keys there were.
    let clear = || allocation_counter::measure(|| map.clear()).count_total;
    assert!(clear() <= 2);
    assert_eq!(allocations(|| map.clear()), 0);
    map.store(1, 1);
    assert!(clear() <= 2);
}
