//! Channels that block threads.

use super::Cap;

/// A channel as threads use it.
pub(crate) trait ThreadChan: 'static {
    /// The contender's name.
    const NAME: &'static str;
    /// The sending end.
    type Tx: Clone + Send + 'static;
    /// The receiving end.
    type Rx: Send + 'static;
    /// A channel; `None` if it has none of that capacity.
    fn new(cap: Cap) -> Option<(Self::Tx, Self::Rx)>;
    /// Another receiver; `None` if there can be only one.
    fn clone_rx(rx: &Self::Rx) -> Option<Self::Rx>;
    /// Sends.
    fn send(tx: &Self::Tx, value: usize);
    /// Receives; `None` once there is nothing more.
    fn recv(rx: &Self::Rx) -> Option<usize>;
}

macro_rules! channel {
    ($name:ident, $label:literal, $module:ident) => {
        #[doc = $label]
        pub(crate) struct $name;

        impl ThreadChan for $name {
            const NAME: &'static str = $label;
            type Tx = $module::Sender<usize>;
            type Rx = $module::Receiver<usize>;
            fn new(cap: Cap) -> Option<(Self::Tx, Self::Rx)> {
                Some(match cap {
                    Some(cap) => $module::bounded(cap),
                    None => $module::unbounded(),
                })
            }
            fn clone_rx(rx: &Self::Rx) -> Option<Self::Rx> {
                Some(rx.clone())
            }
            fn send(tx: &Self::Tx, value: usize) {
                tx.send(value).expect("the receiver lives");
            }
            fn recv(rx: &Self::Rx) -> Option<usize> {
                rx.recv().ok()
            }
        }
    };
}

channel!(Rendez, "rendez", rendez_select);
channel!(Crossbeam, "crossbeam", crossbeam_channel);
channel!(Kanal, "kanal", kanal);
channel!(Flume, "flume", flume);
channel!(Loole, "loole", loole);

/// crossfire's channels for many senders and many receivers; it has no capacity 0.
pub(crate) struct Crossfire;

/// Its two kinds have different types.
pub(crate) enum Either<A, B> {
    Bounded(A),
    Unbounded(B),
}

impl<A: Clone, B: Clone> Clone for Either<A, B> {
    fn clone(&self) -> Self {
        match self {
            Self::Bounded(a) => Self::Bounded(a.clone()),
            Self::Unbounded(b) => Self::Unbounded(b.clone()),
        }
    }
}

impl ThreadChan for Crossfire {
    const NAME: &'static str = "crossfire";
    type Tx = Either<
        crossfire::MTx<crossfire::mpmc::Array<usize>>,
        crossfire::MTx<crossfire::mpmc::List<usize>>,
    >;
    type Rx = Either<
        crossfire::MRx<crossfire::mpmc::Array<usize>>,
        crossfire::MRx<crossfire::mpmc::List<usize>>,
    >;
    fn new(cap: Cap) -> Option<(Self::Tx, Self::Rx)> {
        match cap {
            Some(0) => None,
            Some(cap) => {
                let (tx, rx) = crossfire::mpmc::bounded_blocking(cap);
                Some((Either::Bounded(tx), Either::Bounded(rx)))
            }
            None => {
                let (tx, rx) = crossfire::mpmc::unbounded_blocking();
                Some((Either::Unbounded(tx), Either::Unbounded(rx)))
            }
        }
    }
    fn clone_rx(rx: &Self::Rx) -> Option<Self::Rx> {
        Some(rx.clone())
    }
    fn send(tx: &Self::Tx, value: usize) {
        match tx {
            Either::Bounded(tx) => tx.send(value).expect("the receiver lives"),
            Either::Unbounded(tx) => tx.send(value).expect("the receiver lives"),
        }
    }
    fn recv(rx: &Self::Rx) -> Option<usize> {
        match rx {
            Either::Bounded(rx) => rx.recv().ok(),
            Either::Unbounded(rx) => rx.recv().ok(),
        }
    }
}

/// The standard library's.
pub(crate) struct Std;

impl ThreadChan for Std {
    const NAME: &'static str = "std";
    type Tx = Either<std::sync::mpsc::SyncSender<usize>, std::sync::mpsc::Sender<usize>>;
    type Rx = std::sync::mpsc::Receiver<usize>;
    fn new(cap: Cap) -> Option<(Self::Tx, Self::Rx)> {
        Some(match cap {
            Some(cap) => {
                let (tx, rx) = std::sync::mpsc::sync_channel(cap);
                (Either::Bounded(tx), rx)
            }
            None => {
                let (tx, rx) = std::sync::mpsc::channel();
                (Either::Unbounded(tx), rx)
            }
        })
    }
    fn clone_rx(_: &Self::Rx) -> Option<Self::Rx> {
        None
    }
    fn send(tx: &Self::Tx, value: usize) {
        match tx {
            Either::Bounded(tx) => tx.send(value).expect("the receiver lives"),
            Either::Unbounded(tx) => tx.send(value).expect("the receiver lives"),
        }
    }
    fn recv(rx: &Self::Rx) -> Option<usize> {
        rx.recv().ok()
    }
}

/// Calls `$rows::<C>($args)` for every channel of threads.
macro_rules! for_each_thread_chan {
    ($rows:ident ( $($arg:expr),* )) => {{
        use $crate::peers::threads as t;
        $rows::<t::Rendez>($($arg),*);
        $rows::<t::Crossbeam>($($arg),*);
        $rows::<t::Kanal>($($arg),*);
        $rows::<t::Flume>($($arg),*);
        $rows::<t::Loole>($($arg),*);
        $rows::<t::Crossfire>($($arg),*);
        $rows::<t::Std>($($arg),*);
    }};
}
pub(crate) use for_each_thread_chan;
