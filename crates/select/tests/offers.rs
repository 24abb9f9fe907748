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
use rendez_select::{
    Receiver, RecvError, Sender, TryRecvError, bounded, never, select, select_async,
};
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

/// Waits to receive from `rx`, and to send 9 by `tx`: whether that was sent, if it came to it.
async fn receive_or_send(rx: &Receiver<u8>, tx: &Sender<u8>) -> Result<Option<u8>, bool> {
    select_async! { recv(rx) -> got => Ok(got.ok()), send(tx, 9) -> sent => Err(sent.is_ok()) }
}

/// An offer on one channel holds the select while another closes, and lets it go; before it looks
/// again a slot of the closed one becomes free.
#[test]
fn who_was_held_while_a_channel_closed_sends_nothing_there() {
    let (offering, held) = bounded(0);
    let (tx, rx) = bounded(1);
    tx.send(1).unwrap();
    let mut select = pin!(receive_or_send(&held, &tx));
    assert!(poll(select.as_mut()).is_pending());
    let permit = offering.reserve().unwrap();
    assert!(rx.close());
    drop(permit);
    assert_eq!(rx.try_recv(), Ok(1));
    assert_eq!(poll(select), Poll::Ready(Err(false)));
    assert_eq!(rx.try_recv(), Err(TryRecvError::Disconnected));
}

/// As above, and a receiver comes to the closed channel before the select looks again.
#[test]
fn who_was_held_while_a_channel_closed_meets_no_receiver_there() {
    let (offering, held) = bounded(0);
    let (tx, rx) = bounded(0);
    let mut select = pin!(receive_or_send(&held, &tx));
    assert!(poll(select.as_mut()).is_pending());
    let permit = offering.reserve().unwrap();
    assert!(rx.close());
    drop(permit);
    let mut receive = pin!(rx.recv_async());
    assert_eq!(poll(receive.as_mut()), Poll::Ready(Err(RecvError)));
    assert_eq!(poll(select), Poll::Ready(Err(false)));
}

/// An offer holds the select while a value comes to another channel, and lets it go: before it
/// looks again it is a receiver for that value, and for no second one.
#[test]
fn who_was_held_while_a_value_came_is_no_receiver_for_another() {
    fn case(another: impl FnOnce(&Sender<u8>) -> bool) {
        let (offering, held) = bounded(0);
        let (tx, rx) = bounded(0);
        let mut leaving = Box::pin(rx.recv_async());
        assert!(poll(leaving.as_mut()).is_pending());
        let first = tx.reserve().unwrap();
        let mut both = pin!(async {
            select_async! { recv(held) -> got => got, recv(rx) -> got => got }
        });
        assert!(poll(both.as_mut()).is_pending());
        let permit = offering.reserve().unwrap();
        drop(leaving);
        first.send(1).unwrap();
        drop(permit);
        assert!(!another(&tx), "there is one receiver, and a value before");
        assert_eq!(poll(both), Poll::Ready(Ok(1)));
        assert_eq!(rx.try_recv(), Err(TryRecvError::Empty));
    }
    case(|tx| tx.try_send(2).is_ok());
    case(|tx| select! { send(tx, 2) -> sent => sent.is_ok(), default => false });
    case(|tx| poll(pin!(tx.send_async(2))).is_ready());
    case(|tx| poll(pin!(tx.reserve_async())).is_ready());
    case(|tx| {
        let or_never = async {
            select_async! { send(tx, 2) -> sent => sent.is_ok(), recv(never::<()>()) -> _ => false }
        };
        poll(pin!(or_never)).is_ready()
    });
}
