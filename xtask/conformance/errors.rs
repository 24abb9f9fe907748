//! Every error says the same as crossbeam-channel's of that name, and so do the handles in
//! `Debug`. Built with its tests, where `crossbeam_channel` is ours and `upstream` is theirs.

use std::error::Error;
use std::fmt::Debug;

/// All texts of an error.
fn texts(error: impl Error + Debug) -> [String; 4] {
    [
        format!("{error}"),
        format!("{error:?}"),
        format!("{error:#?}"),
        format!("{:?}", error.source().map(ToString::to_string)),
    ]
}

/// Of values of the same errors in both.
macro_rules! same {
    ($($error:expr),* $(,)?) => {$(
        assert_eq!(
            { use crossbeam_channel::*; texts($error) },
            { use upstream::*; texts($error) },
            stringify!($error),
        );
    )*};
}

#[test]
fn errors_say_the_same() {
    same!(
        SendError(1),
        TrySendError::Full(1),
        TrySendError::Disconnected(1),
        SendTimeoutError::Timeout(1),
        SendTimeoutError::Disconnected(1),
        RecvError,
        TryRecvError::Empty,
        TryRecvError::Disconnected,
        RecvTimeoutError::Timeout,
        RecvTimeoutError::Disconnected,
        TrySelectError,
        SelectTimeoutError,
        // Made of others.
        TrySendError::from(SendError(1)),
        SendTimeoutError::from(SendError(1)),
        TryRecvError::from(RecvError),
        RecvTimeoutError::from(RecvError),
    );
}

#[test]
fn what_is_no_error_there_looks_the_same() {
    let ours = format!(
        "{:?} {:?}",
        crossbeam_channel::TryReadyError,
        crossbeam_channel::ReadyTimeoutError
    );
    let theirs = format!(
        "{:?} {:?}",
        upstream::TryReadyError,
        upstream::ReadyTimeoutError
    );
    assert_eq!(ours, theirs);
}

#[test]
fn handles_look_the_same() {
    macro_rules! same {
        ($($handle:expr),* $(,)?) => {$(
            assert_eq!(
                { use crossbeam_channel::*; format!("{0:?} {0:#?} {0:>30?}", $handle) },
                { use upstream::*; format!("{0:?} {0:#?} {0:>30?}", $handle) },
                stringify!($handle),
            );
        )*};
    }
    same!(
        unbounded::<u8>().0,
        unbounded::<u8>().1,
        bounded::<u8>(0).0,
        bounded::<u8>(0).1,
        never::<u8>(),
        unbounded::<u8>().1.iter(),
        unbounded::<u8>().1.try_iter(),
        unbounded::<u8>().1.into_iter(),
        Select::new(),
    );
}
