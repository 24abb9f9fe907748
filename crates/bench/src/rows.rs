//! The table's rows: one per cell and contender.

use std::time::Duration;

/// Does so many operations and says how long they took; what must be set up first, and
/// taken down after, it leaves out of that time where that can be done.
pub(crate) type Run = Box<dyn Fn(u64) -> Duration>;

/// A cell's name, a contender's, and what is timed.
type Row = (String, &'static str, Run);

/// All rows, in the order in which they were added.
#[derive(Default)]
pub(crate) struct Rows {
    area: &'static str,
    rows: Vec<Row>,
}

impl Rows {
    /// The rows that follow belong to `area`.
    pub(crate) fn begin(&mut self, area: &'static str) {
        self.area = area;
    }

    /// Adds `contender` to the cell `name` of the area at hand.
    pub(crate) fn add(
        &mut self,
        name: &str,
        contender: &'static str,
        run: impl Fn(u64) -> Duration + 'static,
    ) {
        let cell = format!("{}/{name}", self.area);
        self.rows.push((cell, contender, Box::new(run)));
    }

    /// Adds a cell whose operations are calls of `op` on one thread.
    pub(crate) fn add_op<R>(
        &mut self,
        name: &str,
        contender: &'static str,
        op: impl Fn() -> R + 'static,
    ) {
        self.add(name, contender, move |n| {
            let start = std::time::Instant::now();
            for _ in 0..n {
                std::hint::black_box(op());
            }
            start.elapsed()
        });
    }

    /// Prints them.
    pub(crate) fn list(&self) {
        for (cell, contender, _) in &self.rows {
            println!("{cell}\t{contender}");
        }
    }

    /// The one of that name.
    pub(crate) fn find(&self, cell: &str, contender: &str) -> Option<&Run> {
        self.rows
            .iter()
            .find(|(c, who, _)| c == cell && *who == contender)
            .map(|(_, _, run)| run)
    }
}
