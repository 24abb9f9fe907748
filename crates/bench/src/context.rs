//! Contexts: deriving, cancelling, asking.

use tokio_util::sync::CancellationToken;

use crate::rows::Rows;

pub(crate) fn rows(rows: &mut Rows) {
    let root = CancellationToken::new();
    rows.add_op("derive_cancel", "tokio-util", move || {
        root.child_token().cancel();
    });
}
