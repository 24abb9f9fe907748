//! Models of the channel's own protocol: under `--cfg rendez_loom` every interleaving is
//! explored, otherwise each runs once.
#![allow(clippy::disallowed_types, clippy::disallowed_methods)]

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};

use rendez_core::block_on::block_on;
use rendez_core::case::Case;
use rendez_core::shim::{model, thread};
use rendez_select::{
    Receiver, RecvError, Select, Selector, Sender, TryRecvError, bounded, broadcast_waiting,
    oneshot, or_done, select, select_async, unbounded, watch,
};

struct Ignore;

impl std::task::Wake for Ignore {
    fn wake(self: Arc<Self>) {}
}

fn poll_once<F: Future + ?Sized>(future: Pin<&mut F>) -> Poll<F::Output> {
    let waker = Waker::from(Arc::new(Ignore));
    future.poll(&mut Context::from_waker(&waker))
}

#[test]
fn a_rendezvous_hands_one_value_over() {
    model("cap 0: send against recv", || {
        let (tx, rx) = bounded(0);
        let sender = thread::spawn(move || tx.send(7).unwrap());
        assert_eq!(rx.recv(), Ok(7));
        sender.join().unwrap();
        assert_eq!(rx.recv(), Err(RecvError));
    });
}

#[test]
fn a_buffer_of_one_keeps_the_order() {
    model("cap 1: two sends against two receives", || {
        let (tx, rx) = bounded(1);
        let sender = thread::spawn(move || {
            tx.send(1).unwrap();
            tx.send(2).unwrap();
        });
        assert_eq!(rx.recv(), Ok(1));
        assert_eq!(rx.recv(), Ok(2));
        sender.join().unwrap();
    });
}

#[test]
fn two_senders_lose_nothing() {
    model("cap 0: two senders, one receiver", || {
        let (tx, rx) = bounded(0);
        let other = tx.clone();
        let a = thread::spawn(move || tx.send(1).unwrap());
        let b = thread::spawn(move || other.send(2).unwrap());
        let sum = rx.recv().unwrap() + rx.recv().unwrap();
        assert_eq!(sum, 3);
        a.join().unwrap();
        b.join().unwrap();
    });
}

#[test]
fn two_receivers_are_both_released_by_the_last_sender() {
    model("the last sender goes: two receivers are released", || {
        let (tx, rx) = unbounded::<u8>();
        let other = rx.clone();
        let a = thread::spawn(move || other.recv());
        let b = thread::spawn(move || drop(tx));
        assert_eq!(rx.recv(), Err(RecvError));
        assert_eq!(a.join().unwrap(), Err(RecvError));
        b.join().unwrap();
    });
}

#[test]
fn close_gives_a_parked_sender_its_value_back() {
    model("close against a parked send", || {
        let (tx, rx) = bounded::<u8>(0);
        let closer = tx.clone();
        let a = thread::spawn(move || closer.close());
        let sent = tx.send(9);
        assert_eq!(sent.unwrap_err().into_inner(), 9);
        assert!(a.join().unwrap());
        assert_eq!(rx.recv(), Err(RecvError));
    });
}

#[test]
fn close_against_a_buffered_send_loses_nothing() {
    model(
        "close against a buffered send: received or given back",
        || {
            let (tx, rx) = bounded::<u8>(1);
            let closer = rx.clone();
            let a = thread::spawn(move || closer.close());
            let sent = tx.send(9);
            a.join().unwrap();
            match sent {
                Ok(()) => assert_eq!(rx.recv(), Ok(9)),
                Err(e) => assert_eq!(e.into_inner(), 9),
            }
            assert_eq!(rx.recv(), Err(RecvError));
        },
    );
}

#[test]
fn a_dropped_receive_passes_its_grant_on() {
    for cap in [0, 1] {
        let name = format!("cap {cap}: a served future is dropped, another receives");
        model(&name, move || {
            let (tx, rx) = bounded(cap);
            let mut cancelled = Box::pin(rx.recv_async());
            assert!(poll_once(cancelled.as_mut()).is_pending());
            let sender = thread::spawn(move || tx.send(5).unwrap());
            let other = rx.clone();
            let receiver = thread::spawn(move || other.recv());
            drop(cancelled);
            assert_eq!(receiver.join().unwrap(), Ok(5));
            sender.join().unwrap();
        });
    }
}

#[test]
fn a_dropped_send_never_delivers() {
    model("cap 0: a pending send is dropped against recv", || {
        let (tx, rx) = bounded(0);
        let mut cancelled = Box::pin(tx.send_async(5));
        assert!(poll_once(cancelled.as_mut()).is_pending());
        let receiver = thread::spawn(move || rx.recv());
        // Taken while it was parked, or never.
        drop(cancelled);
        drop(tx);
        let got = receiver.join().unwrap();
        assert!(got == Ok(5) || got == Err(RecvError));
    });
}

#[test]
fn a_task_and_a_thread_meet() {
    model("cap 0: an awaiting sender meets a blocked receiver", || {
        let (tx, rx) = bounded(0);
        let sender = thread::spawn(move || block_on(tx.send_async(3)).unwrap());
        assert_eq!(rx.recv(), Ok(3));
        sender.join().unwrap();
    });
}

#[test]
fn a_select_receives_from_exactly_one() {
    model("select: two channels become ready, one is received", || {
        let (ta, ra) = bounded(1);
        let (tb, rb) = bounded(1);
        let a = thread::spawn(move || ta.send(1).unwrap());
        let b = thread::spawn(move || tb.send(2).unwrap());
        let got = select! {
            recv(ra) -> v => v.unwrap(),
            recv(rb) -> v => v.unwrap(),
        };
        a.join().unwrap();
        b.join().unwrap();
        let (left, right) = (ra.try_recv().ok(), rb.try_recv().ok());
        let rest = if got == 1 {
            (None, Some(2))
        } else {
            (Some(1), None)
        };
        assert_eq!((left, right), rest);
    });
}

/// One of two selects that offer each other a value over `send` and `recv`.
fn swap(send: &Sender<u8>, recv: &Receiver<u8>) -> bool {
    select! {
        send(send, 1) -> res => {
            res.unwrap();
            true
        },
        recv(recv) -> v => {
            assert_eq!(v, Ok(1));
            false
        },
    }
}

#[test]
fn two_selects_that_meet_on_two_channels_meet_on_one() {
    model(
        "select: two selects meet on exactly one of two channels",
        || {
            let (ta, ra) = bounded(0);
            let (tb, rb) = bounded(0);
            let keep = (ta.clone(), ra.clone(), tb.clone(), rb.clone());
            let other = thread::spawn(move || swap(&tb, &ra));
            let sent = swap(&ta, &rb);
            assert_ne!(sent, other.join().unwrap(), "one sends, the other receives");
            drop(keep);
        },
    );
}

#[test]
fn a_select_offer_meets_a_receiver() {
    model("select: a send arm against a blocked receiver", || {
        let (tx, rx) = bounded(0);
        let receiver = thread::spawn(move || rx.recv());
        select! {
            send(tx, 4) -> res => res.unwrap(),
        }
        assert_eq!(receiver.join().unwrap(), Ok(4));
    });
}

#[test]
fn a_dropped_offer_puts_its_receiver_back() {
    model(
        "offer: a permit is dropped, its receiver is served by another",
        || {
            let (tx, rx) = bounded(0);
            let other = tx.clone();
            let receiver = thread::spawn(move || rx.recv());
            let sender = thread::spawn(move || other.send(6).unwrap());
            if let Poll::Ready(Ok(permit)) = poll_once(pin!(tx.reserve_async())) {
                drop(permit);
            }
            assert_eq!(receiver.join().unwrap(), Ok(6));
            sender.join().unwrap();
        },
    );
}

#[test]
fn a_grant_dropped_after_close_ends_every_wait() {
    model(
        "close: a dropped grant goes to one receiver, the end to the other",
        || {
            let (tx, rx) = bounded(1);
            let mut served = Box::pin(rx.recv_async());
            assert!(poll_once(served.as_mut()).is_pending());
            let blocked = [(); 2].map(|()| {
                let rx = rx.clone();
                thread::spawn(move || rx.recv().is_ok())
            });
            tx.try_send(1).unwrap();
            tx.close();
            drop(served);
            let got = blocked.map(|b| b.join().unwrap());
            assert_ne!(got[0], got[1], "one got the value, one the end");
        },
    );
}

#[test]
fn a_dropped_permit_lets_the_next_sender_in() {
    model(
        "cap 1: a permit is dropped against a waiting sender",
        || {
            let (tx, rx) = bounded(1);
            let other = tx.clone();
            let permit = tx.reserve().unwrap();
            let sender = thread::spawn(move || other.send(2).unwrap());
            drop(permit);
            sender.join().unwrap();
            assert_eq!(rx.try_recv(), Ok(2));
        },
    );
}

#[test]
fn a_filled_permit_leaves_no_offer_behind() {
    model(
        "cap 1: a permit is filled for a receiver, an offer waits",
        || {
            let (tx, rx) = bounded(1);
            let (_keep, never) = bounded::<u8>(0);
            let (other, theirs) = (tx.clone(), rx.clone());
            let permit = tx.reserve().unwrap();
            let receiver = thread::spawn(move || theirs.recv().unwrap());
            let offer = thread::spawn(move || {
                rendez_select::select! {
                    send(other, 2) -> sent => sent.unwrap(),
                    recv(never) -> _ => unreachable!(),
                }
            });
            permit.send(1).unwrap();
            offer.join().unwrap();
            let first = receiver.join().unwrap();
            assert_eq!(first + rx.try_recv().unwrap(), 3);
        },
    );
}

#[test]
fn a_dropped_select_future_takes_nothing() {
    model("select_async: dropped against a send", || {
        let (tx, rx) = bounded(1);
        let (_keep, never) = bounded::<u8>(0);
        let theirs = rx.clone();
        let mut select = Box::pin(async move {
            rendez_select::select_async! {
                recv(theirs) -> v => v.ok(),
                recv(never) -> _ => None,
            }
        });
        assert!(poll_once(select.as_mut()).is_pending());
        let sender = thread::spawn(move || tx.send(8).unwrap());
        drop(select);
        sender.join().unwrap();
        assert_eq!(rx.try_recv(), Ok(8));
    });
}

#[test]
fn what_a_served_goroutine_has_seen_it_sees_again() {
    model(
        "close, then the sender it released looks: disconnected",
        || {
            let (tx, rx) = bounded::<u8>(0);
            let closer = tx.clone();
            let a = thread::spawn(move || closer.close());
            tx.send(9).unwrap_err();
            assert_eq!(rx.try_recv(), Err(TryRecvError::Disconnected));
            let looked = select! { recv(rx) -> v => v.is_err(), default => false };
            assert!(looked, "an arm that is ready goes before default");
            a.join().unwrap();
        },
    );
}

#[test]
fn a_watcher_that_was_told_finds_the_value() {
    model("ready: the value is there for who was told so", || {
        let (tx, rx) = bounded(0);
        let sender = thread::spawn(move || tx.send(3).unwrap());
        let mut select = Select::new();
        select.recv(&rx);
        assert_eq!(select.ready(), 0);
        assert_eq!(rx.try_recv(), Ok(3));
        sender.join().unwrap();
    });
}

#[test]
fn a_look_held_by_an_offer_that_falls_through_looks_again() {
    model(
        "default: an offer falls through and another arm is ready before",
        || {
            let (offer_tx, offer_rx) = bounded::<u8>(0);
            let (tx, rx) = bounded(1);
            let before = Case::probe(&offer_rx).epoch;
            let looker = thread::spawn(move || {
                if Case::probe(&offer_rx).epoch == before {
                    return; // The offer has not been made.
                }
                // From here on either the offer stands, or the other arm is ready.
                let mut select = Select::new();
                select.recv(&offer_rx);
                let other = select.recv(&rx);
                let op = select
                    .try_select()
                    .expect("an arm is ready at every instant");
                assert_eq!(op.index(), other);
                assert_eq!(op.recv(&rx), Ok(1));
            });
            if let Ok(permit) = offer_tx.reserve() {
                tx.send(1).unwrap();
                drop(permit);
            }
            looker.join().unwrap();
        },
    );
}

#[test]
fn the_last_receiver_releases_those_who_wait_for_that() {
    model("closed: the last receiver goes", || {
        let (tx, rx) = bounded::<u8>(0);
        let dropper = thread::spawn(move || drop(rx));
        block_on(tx.closed_async());
        assert!(tx.is_closed());
        dropper.join().unwrap();
    });
}

#[test]
fn a_weak_handle_is_upgraded_before_the_last_goes_or_never() {
    model("weak: upgraded against the last sender's drop", || {
        let (tx, rx) = unbounded();
        let weak = tx.downgrade();
        let dropper = thread::spawn(move || drop(tx));
        if let Some(tx) = weak.upgrade() {
            assert_eq!(tx.send(3), Ok(()), "the channel is whole again");
            assert_eq!(rx.try_recv(), Ok(3));
        }
        dropper.join().unwrap();
        assert_eq!(rx.recv(), Err(RecvError));
    });
}

#[test]
fn the_memory_goes_with_the_last_of_its_keepers() {
    model("handles: both ends and a weak handle go at once", || {
        // Loom's own, which it misses if the channel that holds it is not dropped.
        let token = rendez_core::shim::Arc::new(());
        let (tx, rx) = bounded(1);
        let weak = tx.downgrade();
        let sent = rendez_core::shim::Arc::clone(&token);
        tx.send(sent).unwrap();
        let sender = thread::spawn(move || drop(tx));
        let receiver = thread::spawn(move || drop(rx));
        if let Some(tx) = weak.upgrade() {
            drop((weak, tx));
        }
        sender.join().unwrap();
        receiver.join().unwrap();
        assert_eq!(rendez_core::shim::Arc::strong_count(&token), 1);
    });
}

#[test]
fn many_values_pass_as_one_by_one() {
    model("many: three values through one place", || {
        let (tx, rx) = bounded(1);
        let sender = thread::spawn(move || assert_eq!(tx.send_many(0..3), Ok(3)));
        let mut got = Vec::new();
        while rx.recv_many(&mut got, 2).is_ok() {}
        assert_eq!(got, [0, 1, 2]);
        sender.join().unwrap();
    });
}

#[test]
fn an_awaited_future_and_a_case_commit_once() {
    model("select_async: a future completes against a case", || {
        let (ta, ra) = bounded(1);
        let (tb, rb) = bounded(1);
        let a = thread::spawn(move || ta.send(1).unwrap());
        let b = thread::spawn(move || tb.send(2).unwrap());
        let got = block_on(async {
            rendez_select::select_async! {
                recv(ra) -> v => v.unwrap(),
                await(rb.recv_async()) -> v => v.unwrap(),
            }
        });
        a.join().unwrap();
        b.join().unwrap();
        let left = (ra.try_recv().ok(), rb.try_recv().ok());
        let rest = if got == 1 {
            (None, Some(2))
        } else {
            (Some(1), None)
        };
        assert_eq!(left, rest, "what did not win is still there");
    });
}

#[test]
fn a_selector_misses_nobody_between_its_waits() {
    model("selector: two waits against two senders", || {
        let (ta, ra) = bounded(1);
        let (tb, rb) = bounded(1);
        let mut selector = Selector::new();
        selector.add(&ra);
        selector.add(&rb);
        // Both are queued, and nobody waits.
        assert_eq!(selector.try_wait(), None);
        let keep = (ta.clone(), tb.clone());
        let a = thread::spawn(move || ta.send(1).unwrap());
        let b = thread::spawn(move || tb.send(2).unwrap());
        let first = selector.wait().1.unwrap();
        a.join().unwrap();
        b.join().unwrap();
        assert_eq!(first + selector.wait().1.unwrap(), 3);
        drop(keep);
    });
}

#[test]
fn a_selectors_dropped_wait_passes_its_grant_on() {
    model("selector: a wait is dropped against a send", || {
        let (tx, rx) = bounded(1);
        let mut selector = Selector::new();
        selector.add(&rx);
        let mut waiting = Box::pin(selector.wait_async());
        assert!(poll_once(waiting.as_mut()).is_pending());
        let sender = thread::spawn(move || tx.send(1).unwrap());
        drop(waiting);
        assert_eq!(selector.wait(), (0, Ok(1)));
        sender.join().unwrap();
    });
}

#[test]
fn a_selector_and_an_offer_meet() {
    model("selector: a select offers while another sends", || {
        let (tx, rx) = bounded(0);
        let (tx2, rx2) = bounded(1);
        let mut selector = Selector::new();
        selector.add(&rx);
        selector.add(&rx2);
        let keep = (tx.clone(), tx2.clone());
        let sender = thread::spawn(move || {
            tx2.send(2).unwrap();
            select! { send(tx, 1) -> r => r.unwrap() }
        });
        let (first, second) = (selector.wait().1.unwrap(), selector.wait().1.unwrap());
        assert_eq!(first + second, 3);
        sender.join().unwrap();
        drop(keep);
    });
}

#[test]
fn a_oneshot_is_answered_or_given_up() {
    model("oneshot: send against recv", || {
        let (tx, rx) = oneshot();
        let sender = thread::spawn(move || tx.send(1).unwrap());
        assert_eq!(rx.recv(), Ok(1));
        sender.join().unwrap();
    });
    model("oneshot: send against the receiver's drop", || {
        let (tx, rx) = oneshot();
        let value = Arc::new(());
        let theirs = Arc::clone(&value);
        let sender = thread::spawn(move || drop(tx.send(theirs)));
        drop(rx);
        sender.join().unwrap();
        assert_eq!(Arc::strong_count(&value), 1, "dropped or given back");
    });
    model(
        "oneshot: a served future is dropped, another receives",
        || {
            let (tx, rx) = oneshot();
            let mut cancelled = Box::pin(rx.recv_async());
            assert!(poll_once(cancelled.as_mut()).is_pending());
            let sender = thread::spawn(move || tx.send(1).unwrap());
            drop(cancelled);
            assert_eq!(rx.recv(), Ok(1));
            sender.join().unwrap();
        },
    );
}

#[test]
fn a_broadcast_serves_everybody() {
    model("broadcast: a waiting sender, two receivers", || {
        let (tx, a) = broadcast_waiting(1);
        let b = tx.subscribe();
        let sender = thread::spawn(move || {
            tx.send(1).unwrap();
            tx.send(2).unwrap();
        });
        let other = thread::spawn(move || (b.recv(), b.recv()));
        assert_eq!((a.recv(), a.recv()), (Ok(1), Ok(2)));
        assert_eq!(other.join().unwrap(), (Ok(1), Ok(2)));
        sender.join().unwrap();
    });
    model("broadcast: the slowest receiver goes", || {
        let (tx, a) = broadcast_waiting(1);
        tx.send(1).unwrap();
        let b = tx.subscribe();
        let dropper = thread::spawn(move || drop(a));
        tx.send(2).unwrap();
        assert_eq!(b.recv(), Ok(2));
        dropper.join().unwrap();
    });
}

#[test]
fn a_broadcasts_send_arm_takes_a_place_or_leaves_it() {
    model(
        "broadcast: a send arm waits for the slowest receiver",
        || {
            let (tx, rx) = broadcast_waiting(1);
            tx.send(1).unwrap();
            let receiver = thread::spawn(move || (rx.recv(), rx.recv()));
            select! { send(tx, 2) -> sent => sent.unwrap() }
            assert_eq!(receiver.join().unwrap(), (Ok(1), Ok(2)));
        },
    );
    model(
        "broadcast: a send arm is dropped, one who waits behind it goes on",
        || {
            let (tx, rx) = broadcast_waiting(1);
            tx.send(1).unwrap();
            let theirs = tx.clone();
            let mut dropped = Box::pin(async move {
                rendez_select::select_async! { send(theirs, 2) -> sent => sent.unwrap() }
            });
            assert!(poll_once(dropped.as_mut()).is_pending());
            let sender = thread::spawn(move || tx.send(3).unwrap());
            let receiver = thread::spawn(move || (rx.recv(), rx.recv()));
            drop(dropped);
            assert_eq!(receiver.join().unwrap(), (Ok(1), Ok(3)));
            sender.join().unwrap();
        },
    );
    model("broadcast: a chosen send arm against a close", || {
        let (tx, rx) = broadcast_waiting(1);
        let closer = tx.clone();
        let a = thread::spawn(move || closer.close());
        let sent = select! { send(tx, 1) -> sent => sent.is_ok() };
        assert_eq!(rx.recv().is_ok(), sent, "delivered, or given back");
        a.join().unwrap();
    });
}

#[test]
fn a_stream_and_a_sink_pass_on_what_they_were_given() {
    use futures_core::Stream;
    use futures_sink::Sink;
    use std::future::poll_fn;
    model("stream: dropped against a send, another receives", || {
        let (tx, rx) = bounded(1);
        let mut stream = rx.stream();
        let next = &mut poll_fn(|cx| Pin::new(&mut stream).poll_next(cx));
        assert!(poll_once(pin!(next)).is_pending());
        let sender = thread::spawn(move || tx.send(5).unwrap());
        drop(stream);
        assert_eq!(rx.recv(), Ok(5));
        sender.join().unwrap();
    });
    model(
        "sink: two values through a rendezvous, then its end",
        || {
            let (tx, rx) = bounded(0);
            let sender = thread::spawn(move || {
                let mut sink = tx.sink();
                drop(tx);
                let mut sink = Pin::new(&mut sink);
                for i in 0..2 {
                    block_on(poll_fn(|cx| sink.as_mut().poll_ready(cx))).unwrap();
                    sink.as_mut().start_send(i).unwrap();
                }
                block_on(poll_fn(|cx| sink.as_mut().poll_close(cx))).unwrap();
            });
            assert_eq!((rx.recv(), rx.recv()), (Ok(0), Ok(1)));
            assert_eq!(rx.recv(), Err(RecvError));
            sender.join().unwrap();
        },
    );
    model("sink: dropped against a receive", || {
        let (tx, rx) = bounded(0);
        let mut sink = tx.sink();
        drop(tx);
        Pin::new(&mut sink).start_send(1).unwrap();
        let flush = poll_fn(|cx| Pin::new(&mut sink).poll_flush(cx));
        assert!(poll_once(pin!(flush)).is_pending());
        let receiver = thread::spawn(move || rx.recv());
        drop(sink);
        // Taken while it was parked, or never.
        assert!(matches!(receiver.join().unwrap(), Ok(1) | Err(RecvError)));
    });
}

#[test]
fn a_list_awaited_selects_one_and_dropped_none() {
    model("select list: awaited against two senders", || {
        let (ta, ra) = bounded(1);
        let (tb, rb) = bounded(1);
        let a = thread::spawn(move || ta.send(1).unwrap());
        let b = thread::spawn(move || tb.send(2).unwrap());
        let mut select = Select::new();
        let first = select.recv(&ra);
        select.recv(&rb);
        let op = block_on(select.select_async());
        let (got, left) = if op.index() == first {
            (op.recv(&ra), &rb)
        } else {
            (op.recv(&rb), &ra)
        };
        a.join().unwrap();
        b.join().unwrap();
        assert_eq!(got.unwrap() + left.try_recv().unwrap(), 3);
    });
    model(
        "select list: an awaited offer is dropped against a receive",
        || {
            let (tx, rx) = bounded(0);
            let other = tx.clone();
            let mut select = Select::new();
            select.send(&tx);
            let mut waiting = Box::pin(select.select_async());
            assert!(poll_once(waiting.as_mut()).is_pending());
            let receiver = thread::spawn(move || rx.recv());
            let sender = thread::spawn(move || other.send(2).unwrap());
            drop(waiting);
            assert_eq!(receiver.join().unwrap(), Ok(2));
            sender.join().unwrap();
        },
    );
}

#[test]
fn a_receiver_let_go_while_it_looks_finds_who_came_meanwhile() {
    model(
        "permit: dropped while its receiver looks, a sender came",
        || {
            let (tx, rx) = bounded(0);
            let other = tx.clone();
            let receiver = thread::spawn(move || rx.recv());
            let sender = thread::spawn(move || other.send(2).unwrap());
            if let Poll::Ready(Ok(permit)) = poll_once(pin!(tx.reserve_async())) {
                drop(permit);
            }
            assert_eq!(receiver.join().unwrap(), Ok(2));
            sender.join().unwrap();
        },
    );
}

#[test]
fn who_is_let_go_while_a_closed_channel_is_drained_sends_nothing_there() {
    model(
        "select: let go by an offer against a receive from a closed channel",
        || {
            let (offering, held) = bounded::<u8>(0);
            let (tx, rx) = bounded(1);
            tx.send(1).unwrap();
            let mut select = Box::pin(async {
                select_async! {
                    recv(held) -> _ => unreachable!("nothing is sent there"),
                    send(tx, 2) -> sent => sent.is_ok(),
                }
            });
            assert!(poll_once(select.as_mut()).is_pending());
            let permit = offering.reserve().unwrap();
            assert!(rx.close());
            let receiver = thread::spawn(move || {
                assert_eq!(rx.try_recv(), Ok(1));
                assert_eq!(rx.try_recv(), Err(TryRecvError::Disconnected));
            });
            drop(permit);
            assert_eq!(poll_once(select.as_mut()), Poll::Ready(false));
            receiver.join().unwrap();
        },
    );
}

#[test]
fn a_selector_that_leaves_an_offers_queue_is_let_go() {
    model("selector: removes a channel whose permit holds it", || {
        let (tx, rx) = bounded::<u8>(0);
        let (tx2, rx2) = bounded(1);
        let mut selector = Selector::new();
        let held = selector.add(&rx);
        let other = selector.add(&rx2);
        let mut waiting = Box::pin(selector.wait_async());
        assert!(poll_once(waiting.as_mut()).is_pending());
        let offering = thread::spawn(move || {
            if let Poll::Ready(Ok(permit)) = poll_once(pin!(tx.reserve_async())) {
                tx2.send(1).unwrap();
                drop(permit);
            } else {
                tx2.send(1).unwrap();
            }
        });
        drop(waiting);
        selector.remove(held);
        assert_eq!(selector.wait(), (other, Ok(1)));
        offering.join().unwrap();
    });
}

#[test]
fn default_does_not_run_while_a_token_moves() {
    model(
        "default: a token goes from one channel to the other",
        || {
            let (ta, ra) = bounded(1);
            let (tb, rb) = bounded(1);
            tb.send(()).unwrap();
            let theirs = rb.clone();
            let mover = thread::spawn(move || {
                ta.send(()).unwrap();
                let _ = theirs.try_recv();
            });
            let found = select! { recv(ra) -> _ => true, recv(rb) -> _ => true, default => false };
            assert!(found, "one of the two had it at every instant");
            mover.join().unwrap();
        },
    );
}

#[test]
fn many_values_dropped_leave_their_channel_whole() {
    model("many: a send of two is dropped against a receiver", || {
        let (tx, rx) = bounded(1);
        let mut sending = Box::pin(tx.send_many_async([1, 2]));
        assert!(poll_once(sending.as_mut()).is_pending());
        let receiver = thread::spawn(move || (rx.recv().ok(), rx.recv().ok()));
        drop(sending);
        drop(tx);
        let (first, second) = receiver.join().unwrap();
        assert!(first == Some(1) && (second == Some(2) || second.is_none()));
    });
    model(
        "many: a receive is dropped against a send, another receives",
        || {
            let (tx, rx) = bounded(1);
            let mut out = Vec::new();
            let mut receiving = Box::pin(rx.recv_many_async(&mut out, 2));
            assert!(poll_once(receiving.as_mut()).is_pending());
            let sender = thread::spawn(move || tx.send(1).unwrap());
            drop(receiving);
            assert_eq!(rx.recv(), Ok(1));
            assert!(out.is_empty());
            sender.join().unwrap();
        },
    );
    model(
        "closed: a future that waits for it is dropped against the end",
        || {
            let (tx, rx) = bounded::<u8>(0);
            let mut dropped = Box::pin(tx.closed_async());
            assert!(poll_once(dropped.as_mut()).is_pending());
            let other = tx.clone();
            let waits = thread::spawn(move || block_on(other.closed_async()));
            let ends = thread::spawn(move || drop(rx));
            drop(dropped);
            waits.join().unwrap();
            ends.join().unwrap();
        },
    );
}

#[test]
fn a_watcher_sees_the_last() {
    model("watch: two values against a watcher", || {
        let (tx, rx) = watch(0);
        let sender = thread::spawn(move || {
            tx.send(1).unwrap();
            tx.send(2).unwrap();
        });
        let mut last = 0;
        while let Ok(value) = rx.changed() {
            assert!(value > last);
            last = value;
        }
        assert_eq!(last, 2);
        sender.join().unwrap();
    });
}

#[test]
fn two_cases_as_one_commit_once() {
    model("or_done: a value against done", || {
        let (tx, rx) = bounded(1);
        let (quit, quitting) = bounded::<()>(0);
        let a = thread::spawn(move || tx.send(1).unwrap());
        let b = thread::spawn(move || drop(quit));
        let got = or_done(rx.clone(), quitting).recv();
        a.join().unwrap();
        b.join().unwrap();
        let left = rx.try_recv();
        assert!(got == Ok(1) && left.is_err() || got.is_err() && left == Ok(1));
    });
}

#[test]
fn a_served_receive_withholds_one_value_and_what_is_behind_it_goes_on() {
    model("grant: an unpolled future against two values", || {
        let (tx, rx) = bounded(1);
        let mut served = Box::pin(rx.recv_async());
        assert!(poll_once(served.as_mut()).is_pending());
        let sender = thread::spawn(move || {
            tx.send(1).unwrap();
            tx.send(2).unwrap();
        });
        let got = rx.recv();
        sender.join().unwrap();
        let Poll::Ready(rest) = poll_once(served.as_mut()) else {
            panic!("it was served")
        };
        assert_eq!((got, rest), (Ok(1), Ok(2)));
    });
}

#[test]
fn a_close_reaches_granted_and_parked_futures() {
    model("grant: dropped against a close, another waits", || {
        let (tx, rx) = bounded(0);
        let mut served = Box::pin(rx.recv_async());
        assert!(poll_once(served.as_mut()).is_pending());
        tx.try_send(1).unwrap();
        let other = rx.clone();
        let receiver = thread::spawn(move || other.recv());
        let closer = thread::spawn(move || tx.close());
        drop(served);
        let got = receiver.join().unwrap();
        closer.join().unwrap();
        assert_eq!(
            got,
            Ok(1),
            "a value that is here is received before the end"
        );
        assert_eq!(rx.recv(), Err(RecvError));
    });
}

#[test]
fn a_panicking_value_puts_its_peer_back() {
    for cap in [0, 1] {
        let name = format!("offer, cap {cap}: its value panics, its peer is served by another");
        model(&name, move || {
            let (tx, rx) = bounded(cap);
            let other = tx.clone();
            let receiver = thread::spawn(move || rx.recv());
            let sender = thread::spawn(move || other.send(2).unwrap());
            let value = || -> u8 { std::panic::resume_unwind(Box::new(())) };
            let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                select! {
                    send(tx, value()) -> _ => {}
                    default => {}
                }
            }));
            drop(panicked);
            assert_eq!(receiver.join().unwrap(), Ok(2));
            sender.join().unwrap();
        });
    }
}

#[test]
fn a_granted_permit_that_is_dropped_unpolled_passes_on() {
    for cap in [0, 1] {
        let name = format!("reserve, cap {cap}: dropped against a receive, a sender behind it");
        model(&name, move || {
            let (tx, rx) = bounded(cap);
            if cap > 0 {
                tx.send(0).unwrap();
            }
            let mut reserving = Box::pin(tx.reserve_async());
            assert!(poll_once(reserving.as_mut()).is_pending());
            let other = tx.clone();
            let sender = thread::spawn(move || other.send(1).unwrap());
            let receiver = thread::spawn(move || {
                let first = rx.recv();
                if cap > 0 { rx.recv() } else { first }
            });
            drop(reserving);
            assert_eq!(receiver.join().unwrap(), Ok(1));
            sender.join().unwrap();
        });
    }
}

#[test]
fn a_selectors_look_that_leaves_an_offers_queue_is_let_go() {
    model(
        "selector: a look leaves a queue as an offer takes hold of it",
        || {
            let (tx, rx) = bounded::<u8>(0);
            // A look passes over what a task may offer, and does not stay beside it.
            let mut offering = Box::pin(tx.reserve_async());
            assert!(poll_once(offering.as_mut()).is_pending());
            let mut selector = Selector::new();
            selector.add(&rx);
            let other = tx.clone();
            let sender = thread::spawn(
                move || select! { send(other, 7) -> r => r.is_ok(), default => false },
            );
            let got = selector.try_wait();
            let sent = sender.join().unwrap();
            drop(offering);
            let rest = got.is_none().then(|| selector.try_wait()).flatten();
            assert_eq!(got.or(rest).is_some(), sent);
            // Whoever was held is free again.
            assert_eq!(selector.try_wait(), None);
        },
    );
}

#[test]
fn two_cases_as_one_are_no_standing_arm() {
    model("selector: or_done among its arms", || {
        let ((tx, rx), (quit, quitting)) = (unbounded(), unbounded::<()>());
        let others = rx.clone();
        let both = or_done(rx, &quitting);
        let mut selector = Selector::new();
        selector.add_with(&both, |n| n);
        assert_eq!(selector.try_wait(), None);
        let a = thread::spawn(move || tx.send(1).unwrap());
        let b = thread::spawn(move || drop(quit));
        let first = selector.wait().1;
        if first == Ok(1) {
            assert_eq!(selector.wait().1, Err(RecvError));
        }
        a.join().unwrap();
        b.join().unwrap();
        assert_eq!(others.try_recv().is_ok(), first.is_err());
    });
}

#[test]
fn a_selectors_dropped_wait_leaves_an_answer_to_the_next() {
    model("selector: a wait is dropped against an answer", || {
        let ((_tx, rx), (reply, answer)) = (bounded(1), oneshot());
        let mut selector = Selector::new();
        selector.add(&rx);
        selector.add_with(answer, |n| n);
        let mut waiting = Box::pin(selector.wait_async());
        assert!(poll_once(waiting.as_mut()).is_pending());
        let sender = thread::spawn(move || reply.send(1).unwrap());
        drop(waiting);
        assert_eq!(selector.wait(), (1, Ok(1)));
        sender.join().unwrap();
    });
}

/// Counts its drops.
struct Counted(Arc<AtomicUsize>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn a_permit_delivers_through_a_close() {
    model(
        "permit: a close, while a receiver waits for its value",
        || {
            let (tx, rx) = bounded(1);
            let closer = tx.clone();
            let permit = tx.reserve().unwrap();
            let a = thread::spawn(move || closer.close());
            let b = thread::spawn(move || (rx.recv(), rx.recv()));
            permit.send(7).unwrap();
            assert!(a.join().unwrap());
            // It is the end only once no permit is out.
            assert_eq!(b.join().unwrap(), (Ok(7), Err(RecvError)));
        },
    );
}

#[test]
fn a_permits_value_meets_the_last_receivers_end() {
    model("permit: its value against the last receiver's drop", || {
        let drops = Arc::new(AtomicUsize::new(0));
        let (tx, rx) = bounded(1);
        let permit = tx.reserve().unwrap();
        let a = thread::spawn(move || drop(rx));
        let back = permit.send(Counted(Arc::clone(&drops)));
        a.join().unwrap();
        assert_eq!(drops.load(Ordering::Relaxed), usize::from(back.is_ok()));
        drop(back);
        assert_eq!(drops.load(Ordering::Relaxed), 1);
    });
}

#[test]
fn a_grant_that_nobody_is_left_to_take_up_drops_its_value() {
    model(
        "grant: dropped with the last receiver, against a send",
        || {
            let drops = Arc::new(AtomicUsize::new(0));
            let (tx, rx) = bounded(1);
            let mut waiting = Box::pin(rx.recv_async());
            assert!(poll_once(waiting.as_mut()).is_pending());
            let value = Counted(Arc::clone(&drops));
            let a = thread::spawn(move || tx.send(value).is_ok());
            drop(waiting);
            drop(rx);
            a.join().unwrap();
            assert_eq!(drops.load(Ordering::Relaxed), 1);
        },
    );
}

#[test]
fn a_returned_value_is_received_before_what_came_after_it() {
    model("grant: dropped against a second value", || {
        let (tx, rx) = bounded(1);
        let mut waiting = Box::pin(rx.recv_async());
        assert!(poll_once(waiting.as_mut()).is_pending());
        let a = thread::spawn(move || {
            tx.send(1).unwrap();
            tx.send(2).unwrap();
        });
        drop(waiting);
        let (first, second) = (rx.recv(), rx.recv());
        a.join().unwrap();
        assert_eq!((first, second), (Ok(1), Ok(2)));
    });
}

#[test]
fn a_broadcasts_dropped_receive_takes_nothing() {
    model("broadcast: a receive is dropped against a send", || {
        let (tx, rx) = broadcast_waiting(1);
        let mut waiting = Box::pin(rx.recv_async());
        assert!(poll_once(waiting.as_mut()).is_pending());
        let sender = thread::spawn(move || tx.send(1).unwrap());
        drop(waiting);
        assert_eq!(rx.recv(), Ok(1));
        sender.join().unwrap();
    });
}

#[test]
fn a_broadcasts_dropped_send_passes_its_place_on_or_was_sent() {
    model(
        "broadcast: a waiting send is dropped against a receive, another waits",
        || {
            let (tx, rx) = broadcast_waiting(1);
            tx.send(1).unwrap();
            let mut dropped = Box::pin(tx.send_async(2));
            assert!(poll_once(dropped.as_mut()).is_pending());
            let theirs = tx.clone();
            let sender = thread::spawn(move || theirs.send(3).unwrap());
            let receiver = thread::spawn(move || {
                assert_eq!(rx.recv(), Ok(1));
                match rx.recv() {
                    Ok(2) => assert_eq!(rx.recv(), Ok(3)),
                    next => assert_eq!(next, Ok(3)),
                }
            });
            drop(dropped);
            sender.join().unwrap();
            receiver.join().unwrap();
        },
    );
}

#[test]
fn other_waits_that_are_dropped_take_nothing() {
    model("watch: a wait is dropped against a value", || {
        let (tx, rx) = watch(0);
        let mut waiting = Box::pin(rx.changed_async());
        assert!(poll_once(waiting.as_mut()).is_pending());
        let sender = thread::spawn(move || tx.send(1).unwrap());
        drop(waiting);
        assert_eq!(rx.recv(), Ok(1));
        sender.join().unwrap();
    });
    model("closed: a wait is dropped against a close", || {
        let (tx, rx) = bounded::<u8>(1);
        let (mut dropped, mut kept) = (Box::pin(tx.closed_async()), pin!(tx.closed_async()));
        assert!(poll_once(dropped.as_mut()).is_pending());
        assert!(poll_once(kept.as_mut()).is_pending());
        let closer = thread::spawn(move || drop(rx));
        drop(dropped);
        block_on(kept);
        closer.join().unwrap();
    });
    model("or_done: a wait is dropped against a value", || {
        let ((tx, rx), (_quit, quitting)) = (bounded(1), bounded::<()>(1));
        let both = or_done(rx, quitting);
        let mut waiting = Box::pin(both.recv_async());
        assert!(poll_once(waiting.as_mut()).is_pending());
        let sender = thread::spawn(move || tx.send(1).unwrap());
        drop(waiting);
        assert_eq!(both.recv(), Ok(1));
        sender.join().unwrap();
    });
}

/// A channel whose values pass by the lane, or are received by the front if it is unbounded.
fn beside<T>(cap: impl Into<Option<usize>>) -> (Sender<T>, Receiver<T>) {
    let (tx, rx) = cap.into().map_or_else(unbounded, bounded);
    rendez_select::__private::expect_rivals(&tx);
    (tx, rx)
}

/// Checks it with a lane, and with a front.
fn model_beside(name: &str, check: impl Fn(Option<usize>) + Copy + Send + Sync + 'static) {
    for (what, cap) in [("lane", Some(2)), ("front", None)] {
        model(&format!("{what}: {name}"), move || check(cap));
    }
}

#[test]
fn two_senders_beside_the_lock_lose_nothing() {
    model_beside("two senders, a receiver", |cap| {
        let (tx, rx) = beside(cap);
        let other = tx.clone();
        let a = thread::spawn(move || tx.send(1).unwrap());
        let b = thread::spawn(move || other.send(2).unwrap());
        let got = [rx.recv(), rx.recv()].map(Result::unwrap);
        assert_eq!(got[0] + got[1], 3);
        a.join().unwrap();
        b.join().unwrap();
    });
}

#[test]
fn a_receiver_that_queues_stops_the_lane_and_misses_nothing() {
    for cap in [1, 2] {
        let name = format!("lane, cap {cap}: a send against a receiver that queues");
        model(&name, move || {
            let (tx, rx) = beside(cap);
            let sender = thread::spawn(move || {
                tx.send(7).unwrap();
                tx
            });
            assert_eq!(rx.recv(), Ok(7));
            drop(sender.join().unwrap());
            assert_eq!(rx.recv(), Err(RecvError));
        });
    }
}

#[test]
fn a_sender_that_queues_stops_the_lane_and_misses_no_room() {
    for cap in [1, 2] {
        let name = format!("lane, cap {cap}: a receive against a sender that queues");
        model(&name, move || {
            let (tx, rx) = beside(cap);
            (0..cap).for_each(|i| tx.try_send(i).unwrap());
            let sender = thread::spawn(move || tx.send(cap).unwrap());
            let first = rx.try_recv();
            sender.join().unwrap();
            let mut got: Vec<_> = first.into_iter().collect();
            got.extend(rx.iter());
            assert_eq!(got, (0..=cap).collect::<Vec<_>>());
        });
    }
}

#[test]
fn two_receivers_beside_the_lock_share_what_comes() {
    model_beside("a value and the end for two receivers", |cap| {
        let (tx, rx) = beside(cap);
        let other = rx.clone();
        let receiver = thread::spawn(move || other.recv().is_ok());
        let sender = thread::spawn(move || tx.send(1).unwrap());
        let here = rx.recv().is_ok();
        sender.join().unwrap();
        assert!(here != receiver.join().unwrap());
    });
}

#[test]
fn what_a_lane_took_before_the_close_is_received() {
    model_beside("close against a send", |cap| {
        let (tx, rx) = beside(cap);
        let other = tx.clone();
        let sender = thread::spawn(move || other.send(1).is_ok());
        tx.close();
        let got = rx.recv().is_ok();
        assert_eq!(sender.join().unwrap(), got || rx.recv().is_ok());
        assert_eq!(rx.recv(), Err(RecvError));
    });
}

#[test]
fn values_in_a_lane_are_dropped_with_the_last_receiver() {
    model_beside("the last receiver goes, against a send", |cap| {
        let value = Arc::new(());
        let (tx, rx) = beside(cap);
        tx.send(Arc::clone(&value)).unwrap();
        let theirs = Arc::clone(&value);
        let sender = thread::spawn(move || drop(tx.send(theirs)));
        drop(rx);
        sender.join().unwrap();
        assert_eq!(Arc::strong_count(&value), 1);
    });
}

#[test]
fn a_future_that_waited_beside_a_lane_passes_on_what_it_was_promised() {
    model_beside("a waiting receive is dropped against a send", |cap| {
        let (tx, rx) = beside(cap);
        let mut receiving = Box::pin(rx.recv_async());
        assert!(poll_once(receiving.as_mut()).is_pending());
        let sender = thread::spawn(move || {
            tx.send(1).unwrap();
            tx.send(2).unwrap();
        });
        drop(receiving);
        assert_eq!(rx.recv(), Ok(1));
        assert_eq!(rx.recv(), Ok(2));
        sender.join().unwrap();
    });
}

#[test]
fn two_looks_at_lanes_do_not_miss_a_token_that_goes_to_and_fro() {
    model_beside("two looks, a token goes to and fro", |cap| {
        let ((ta, ra), (tb, rb)) = (beside(cap), beside(cap));
        tb.try_send(()).unwrap();
        let arms = [ra.clone(), rb.clone()];
        // Spawned, since the model does not preempt a main thread that only looks.
        let looker = thread::spawn(move || {
            let looks = [(); 2].map(|()| arms.each_ref().map(Case::probe));
            let idle = looks.iter().flatten().all(|probe| !probe.ready);
            let [before, after] = looks.map(|[a, b]| a.epoch + b.epoch);
            assert!(!idle || before != after, "one of the two had it always");
            arms
        });
        for (to, from) in [(&ta, &rb), (&tb, &ra), (&ta, &rb)] {
            to.try_send(()).unwrap();
            from.try_recv().unwrap();
        }
        drop(looker.join().unwrap());
    });
}

#[test]
fn two_looks_at_a_full_lane_do_not_miss_room() {
    model("lane: two looks, room comes and goes", || {
        let (tx, rx) = beside(1);
        tx.try_send(0).unwrap();
        let theirs = tx.clone();
        let looker = thread::spawn(move || {
            let one = Case::probe(&theirs);
            let full = theirs.is_full();
            let two = Case::probe(&theirs);
            let idle = !one.ready && !two.ready && one.epoch == two.epoch;
            assert!(full || !idle, "there was room between");
        });
        rx.try_recv().unwrap();
        tx.try_send(1).unwrap();
        looker.join().unwrap();
    });
}

#[test]
fn try_receives_beside_the_lock_find_what_was_sent_before() {
    model_beside("two senders, a look after one of them", |cap| {
        let (tx, rx) = beside(cap);
        let other = tx.clone();
        let sender = thread::spawn(move || other.try_send(1).unwrap());
        tx.try_send(2).unwrap();
        assert!(rx.try_recv().is_ok(), "one at least had been sent");
        sender.join().unwrap();
    });
}

type Receiving = Pin<Box<dyn Future<Output = Result<u8, RecvError>> + Send>>;

/// A lane or a front, and a receive that has been granted the 1 in it and not come for it.
fn granted(cap: Option<usize>) -> (Sender<u8>, Receiver<u8>, Receiving) {
    let (tx, rx) = beside(cap);
    let theirs = rx.clone();
    let mut receiving: Receiving = Box::pin(async move { theirs.recv_async().await });
    assert!(poll_once(receiving.as_mut()).is_pending());
    tx.try_send(1).unwrap();
    (tx, rx, receiving)
}

#[test]
fn who_comes_for_a_grant_beside_a_lane_finds_a_value() {
    model_beside("a grant is fetched against a receive and a send", |cap| {
        let (tx, rx, mut receiving) = granted(cap);
        let sender = thread::spawn(move || tx.try_send(2).unwrap());
        let theirs = rx.clone();
        let receiver = thread::spawn(move || theirs.try_recv());
        let Poll::Ready(Ok(mine)) = poll_once(receiving.as_mut()) else {
            unreachable!("it has been promised one");
        };
        sender.join().unwrap();
        let theirs = receiver.join().unwrap();
        let rest = rx.try_recv();
        let got = [Ok(mine), theirs, rest].into_iter().flatten();
        assert_eq!(got.map(u32::from).sum::<u32>(), 3);
        assert!(theirs.is_err() || rest.is_err(), "there were two values");
    });
}

#[test]
fn who_has_no_grant_leaves_a_value_for_who_has() {
    model_beside("two receives beside a grant, against a send", |cap| {
        let (tx, rx, mut receiving) = granted(cap);
        let sender = thread::spawn(move || tx.try_send(2).unwrap());
        let got: Vec<_> = [rx.try_recv(), rx.try_recv()]
            .into_iter()
            .flatten()
            .collect();
        assert!(got.is_empty() || got == [1], "{got:?}");
        let mine = poll_once(receiving.as_mut());
        assert_eq!(mine, Poll::Ready(Ok(if got.is_empty() { 1 } else { 2 })));
        sender.join().unwrap();
        assert_eq!(rx.try_recv().is_ok(), got.is_empty());
    });
}

#[test]
fn a_grant_dropped_beside_a_lane_leaves_its_value() {
    model_beside("a grant is dropped against a receive and a send", |cap| {
        let (tx, rx, receiving) = granted(cap);
        let sender = thread::spawn(move || tx.try_send(2).unwrap());
        let theirs = rx.clone();
        let receiver = thread::spawn(move || theirs.recv().unwrap());
        drop(receiving);
        let mine = rx.recv().unwrap();
        assert_eq!(mine + receiver.join().unwrap(), 3);
        sender.join().unwrap();
        assert_eq!(rx.try_recv(), Err(TryRecvError::Disconnected));
    });
}

#[test]
fn a_grant_is_fetched_while_a_receiver_queues() {
    model_beside("a grant is fetched against a receiver that queues", |cap| {
        let (tx, rx, mut receiving) = granted(cap);
        let receiver = thread::spawn(move || rx.recv().unwrap());
        let fetcher = thread::spawn(move || poll_once(receiving.as_mut()));
        tx.send(2).unwrap();
        let Poll::Ready(Ok(fetched)) = fetcher.join().unwrap() else {
            unreachable!("it has been promised one");
        };
        assert_eq!(fetched + receiver.join().unwrap(), 3);
    });
}

#[test]
fn a_select_takes_from_a_lane_what_another_does_not() {
    model_beside("a select against a receive", |cap| {
        let (tx, rx) = beside(cap);
        let (_other, never) = bounded::<u8>(1);
        tx.try_send(1).unwrap();
        let theirs = rx.clone();
        let receiver = thread::spawn(move || theirs.try_recv().is_ok());
        let mine =
            select! { recv(rx) -> got => got.is_ok(), recv(never) -> _ => false, default => false };
        assert!(mine != receiver.join().unwrap(), "one of them got it");
        drop(tx);
    });
}

#[test]
fn two_looks_at_a_lane_with_a_grant_do_not_miss_room() {
    model(
        "lane: two looks beside a grant, room comes and goes",
        || {
            let (tx, rx, mut receiving) = granted(Some(2));
            tx.try_send(2).unwrap();
            tx.try_send(3).unwrap();
            let theirs = tx.clone();
            let looker = thread::spawn(move || {
                let one = Case::probe(&theirs);
                let full = theirs.is_full();
                let two = Case::probe(&theirs);
                let idle = !one.ready && !two.ready && one.epoch == two.epoch;
                assert!(full || !idle, "there was room between");
            });
            assert_eq!(poll_once(receiving.as_mut()), Poll::Ready(Ok(1)));
            assert_eq!(rx.try_recv(), Ok(2));
            tx.try_send(4).unwrap();
            looker.join().unwrap();
            assert_eq!([rx.try_recv(), rx.try_recv()], [Ok(3), Ok(4)]);
        },
    );
}

#[test]
fn a_front_is_filled_with_what_is_sent_behind_it() {
    model("front: two receivers, a send behind a value", || {
        let (tx, rx) = beside(None);
        tx.send(1).unwrap();
        let theirs = rx.clone();
        let sender = thread::spawn(move || tx.send(2).unwrap());
        let receiver = thread::spawn(move || theirs.recv().unwrap());
        assert_eq!(rx.recv().unwrap() + receiver.join().unwrap(), 3);
        sender.join().unwrap();
        assert_eq!(rx.try_recv(), Err(TryRecvError::Disconnected));
    });
}

#[test]
fn values_at_the_front_are_older_than_those_behind() {
    model("front: a receive and a stop, against two sends", || {
        let (tx, rx) = beside(None);
        tx.send(1).unwrap();
        let receiver = thread::spawn(move || {
            let mut got = vec![rx.recv().unwrap()];
            got.extend(rx.drain());
            (got, rx)
        });
        let sender = thread::spawn(move || {
            tx.send(2).unwrap();
            tx.send(3).unwrap();
        });
        let (mut got, rx) = receiver.join().unwrap();
        sender.join().unwrap();
        got.extend(rx.iter());
        assert_eq!(got, [1, 2, 3]);
    });
}

#[test]
fn what_is_at_the_front_and_behind_it_is_dropped_with_the_last_receiver() {
    model(
        "front: the last receiver goes, against a send behind a value",
        || {
            let value = Arc::new(());
            let (tx, rx) = beside(None);
            tx.send(Arc::clone(&value)).unwrap();
            let theirs = Arc::clone(&value);
            let sender = thread::spawn(move || {
                let _ = tx.send(theirs);
                drop(tx);
            });
            drop(rx.try_recv());
            drop(rx);
            sender.join().unwrap();
            assert_eq!(Arc::strong_count(&value), 1);
        },
    );
}

#[test]
fn a_look_at_a_front_tells_of_what_is_behind_it() {
    model("front: two looks, a token goes behind a value", || {
        let (tx, rx) = beside(None);
        tx.send(0).unwrap();
        let theirs = rx.clone();
        let looker = thread::spawn(move || {
            let one = Case::probe(&theirs);
            let two = Case::probe(&theirs);
            let idle = !one.ready && !two.ready && one.epoch == two.epoch;
            assert!(!idle, "there was a value always");
        });
        for i in 1..=2 {
            tx.send(i).unwrap();
            assert_eq!(rx.try_recv(), Ok(i - 1));
        }
        looker.join().unwrap();
    });
}

#[test]
fn a_permit_stops_a_front_and_takes_its_place_behind_it() {
    model("front: a permit against a send and receives", || {
        let (tx, rx) = beside(None);
        tx.send(1).unwrap();
        let theirs = tx.clone();
        let permitted = thread::spawn(move || theirs.reserve().unwrap().send(2).unwrap());
        let receiver = thread::spawn(move || rx.iter().collect::<Vec<_>>());
        tx.send(3).unwrap();
        drop(tx);
        permitted.join().unwrap();
        let got = receiver.join().unwrap();
        assert!(got == [1, 2, 3] || got == [1, 3, 2], "{got:?}");
    });
}

#[test]
fn a_grant_is_fetched_while_all_else_is_drained() {
    model(
        "front: a grant is fetched against a drain and a send",
        || {
            let (tx, rx, mut receiving) = granted(None);
            tx.send(2).unwrap();
            let theirs = rx.clone();
            let drainer = thread::spawn(move || theirs.drain().collect::<Vec<_>>());
            let sender = thread::spawn(move || tx.send(3).unwrap());
            let Poll::Ready(Ok(fetched)) = poll_once(receiving.as_mut()) else {
                unreachable!("it has been promised one");
            };
            let drained = drainer.join().unwrap();
            sender.join().unwrap();
            let mut all: Vec<_> = rx.drain().chain([fetched]).collect();
            assert!(drained.is_sorted());
            all.extend(drained);
            all.sort_unstable();
            assert_eq!(all, [1, 2, 3]);
        },
    );
}

#[test]
fn the_values_at_a_front_and_behind_it_are_counted_at_one_instant() {
    model("front: a count against sends and receives", || {
        let (tx, rx) = beside(None);
        (1..=2).for_each(|i| tx.send(i).unwrap());
        let theirs = tx.clone();
        let counter = thread::spawn(move || {
            let n = theirs.len();
            assert!(n == 2 || n == 3, "{n}");
        });
        for i in 3..=4 {
            tx.send(i).unwrap();
            assert_eq!(rx.try_recv(), Ok(i - 2));
        }
        counter.join().unwrap();
    });
}
