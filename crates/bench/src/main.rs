//! Measures rendez beside its peers, cell by cell. `cargo xtask bench` drives it: it asks for
//! the list and then runs each contender of each cell in processes of their own, interleaved.
//!
//! ```text
//! rendez-bench list                            CELL <tab> CONTENDER, one pair a line
//! rendez-bench run CELL CONTENDER MS SAMPLES   NS_PER_OP CPU_NS_PER_OP ITERATIONS, one sample a line
//! ```
//!
//! The Go program beside it (`go/`) speaks the same two commands. A row is added in its
//! area's file, an area in [`AREAS`].
#![allow(clippy::disallowed_types, clippy::disallowed_methods)]

mod chan_tasks;
mod chan_threads;
mod context;
mod crowd;
mod errgroup;
mod map;
mod measure;
mod mixed;
mod peers;
mod pool;
mod rows;
mod select;
mod sync;
mod time;

use std::process::ExitCode;

use rows::Rows;

/// Its name, and what adds its rows.
type Area = (&'static str, fn(&mut Rows));

/// Every area: the first part of its cells' names, and its rows.
const AREAS: &[Area] = &[
    ("chan_threads", chan_threads::rows),
    ("chan_tasks", chan_tasks::rows),
    ("mixed", mixed::rows),
    ("select", select::rows),
    ("pool", pool::rows),
    ("sync", sync::rows),
    ("context", context::rows),
    ("errgroup", errgroup::rows),
    ("time", time::rows),
    ("map", map::rows),
];

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let mut rows = Rows::default();
    for (area, add) in AREAS {
        rows.begin(area);
        add(&mut rows);
    }
    match args.as_slice() {
        ["list"] => rows.list(),
        ["run", cell, contender, ms, samples] => {
            let (Some(row), Ok(ms), Ok(samples)) =
                (rows.find(cell, contender), ms.parse(), samples.parse())
            else {
                eprintln!("no row `{cell}` of `{contender}`, or a number is none");
                return ExitCode::from(2);
            };
            measure::run(row, ms, samples);
        }
        _ => {
            eprintln!("usage: rendez-bench list | run CELL CONTENDER MS SAMPLES");
            return ExitCode::from(2);
        }
    }
    ExitCode::SUCCESS
}
