//! Offers: what a chosen, uncompleted send holds, and what happens when it lets go.
#![allow(clippy::disallowed_types, clippy::disallowed_methods)]

mod common;

use std::panic::Location;
use std::pin::pin;
use std::task::Poll;

use common::{Count, poll, poll_with};
use rendez_core::countdown::{Countdown, Zero};
use rendez_core::goroutine::WaitKind;
use rendez_core::wait::{Empty, Order, Pending};
use rendez_select::{TryRecvError, bounded, never, select, select_async};
use std::sync::Arc;

/// A select waits for a value and for a zero, and an offer holds it while the zero comes.
#[test]
fn a_zero_that_came_and_went_while_an_offer_held_the_select_is_still_its() {
    let (tx, rx) = bounded::<u8>(0);
    let count = Countdown::new(1, WaitKind::WaitGroup);
    let mut reserve = Box::pin(tx.reserve_async());
    assert!(poll(reserve.as_mut()).is_pending());
    let woken = Arc::new(Count::default());
    let arms = Empty.and(&rx).and(Zero(&count));
    let mut select = pin!(Pending::<_, [_; 2]>::new(
        arms,
        Order::Biased,
        false,
        Location::caller()
    ));
    let mut poll_select = || {
        poll_with(
            pin!(std::future::poll_fn(|cx| select.as_mut().poll_won(cx))),
            &woken,
        )
    };
    assert!(poll_select().is_pending(), "the offer holds it");
    count.done().unwrap();
    count.add(1).unwrap();
    assert!(poll_select().is_pending(), "the offer holds it still");
    drop(reserve);
    assert_eq!(woken.get(), 1);
    assert!(matches!(poll_select(), Poll::Ready((1, _))));
    assert_eq!(count.count(), 1);
}

#[test]
fn who_may_not_wait_passes_over_an_offer_whose_task_has_to_be_polled() {
    let (tx, rx) = bounded(0);
    let mut offering = Box::pin(async {
        select_async! { send(tx, 1) -> sent => sent.is_ok(), recv(never::<()>()) -> _ => false }
    });
    assert!(poll(offering.as_mut()).is_pending());
    assert_eq!(rx.try_recv(), Err(TryRecvError::Empty));
    assert!(select! { recv(rx) -> _ => false, default => true });
    // Neither was taken for a receiver.
    assert!(poll(offering.as_mut()).is_pending());
    let mut receive = pin!(rx.recv_async());
    assert!(poll(receive.as_mut()).is_pending());
    assert_eq!(poll(offering.as_mut()), Poll::Ready(true));
    assert_eq!(poll(receive), Poll::Ready(Ok(1)));
}

/// The only slot is held, and a receiver waits: an offer holds the receiver, as a value would
/// go to it.
#[test]
fn an_offer_without_a_slot_holds_a_receiver_that_waits() {
    let (tx, rx) = bounded(1);
    let permit = tx.reserve().unwrap();
    let mut first = pin!(rx.recv_async());
    let mut second = pin!(rx.recv_async());
    assert!(poll(first.as_mut()).is_pending());
    assert!(poll(second.as_mut()).is_pending());
    let mut offering = pin!(async {
        select_async! { send(tx, 2) -> sent => sent.is_ok(), recv(never::<()>()) -> _ => false }
    });
    assert_eq!(poll(offering.as_mut()), Poll::Ready(true));
    assert!(select! { send(tx, 3) -> sent => sent.is_ok(), default => false });
    let mut third = pin!(tx.reserve_async());
    assert!(poll(third.as_mut()).is_pending(), "nobody waits any more");
    permit.send(4).unwrap();
    assert_eq!(poll(first), Poll::Ready(Ok(2)));
    assert_eq!(poll(second), Poll::Ready(Ok(3)));
    assert!(poll(third.as_mut()).is_pending());
    assert_eq!(rx.try_recv(), Ok(4));
    assert!(poll(third).is_ready());
}
