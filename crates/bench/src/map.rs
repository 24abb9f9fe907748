//! Concurrent maps.

use crate::rows::Rows;

const KEYS: u64 = 1024;

pub(crate) fn rows(rows: &mut Rows) {
    let map: dashmap::DashMap<u64, u64> = (0..KEYS).map(|k| (k, k)).collect();
    rows.add_op("load/alone", "dashmap", move || map.get(&7).map(|v| *v));
    let map: papaya::HashMap<u64, u64> = (0..KEYS).map(|k| (k, k)).collect();
    rows.add_op("load/alone", "papaya", move || map.pin().get(&7).copied());
}
