//! `bench`: ours beside the peers, cell by cell.
//!
//! Each sample is taken in a process of its own, and the contenders of a cell take turns, so
//! that whatever else the machine does meets all of them. A cell's figure is the median of
//! all samples; the minimum stands beside it, since where the kernel puts two threads decides
//! much of what they cost.

mod programs;
mod table;

use std::collections::BTreeMap;

use crate::shell::{Failure, Outcome, failed, root};
use programs::{Program, Sample};
use table::Cell;

/// How long a sample is, in milliseconds, and how many each process takes.
const MS: u32 = 40;
const SAMPLES: u32 = 2;

struct Options<'a> {
    only: Vec<&'a str>,
    filters: Vec<&'a str>,
    contenders: Vec<&'a str>,
    go: bool,
    cpu0: bool,
    list: bool,
    runs: u32,
}

impl<'a> Options<'a> {
    fn parse(args: &[&'a str]) -> Result<Self, Failure> {
        let mut options = Self {
            only: Vec::new(),
            filters: Vec::new(),
            contenders: Vec::new(),
            go: false,
            cpu0: false,
            list: false,
            runs: 5,
        };
        let mut args = args.iter().copied();
        while let Some(arg) = args.next() {
            let mut value = || {
                args.next()
                    .ok_or_else(|| Failure::Usage(format!("`{arg}` needs a value")))
            };
            match arg {
                "--only" => options.only.extend(value()?.split(',')),
                "--with" => options.contenders.extend(value()?.split(',')),
                "--go" => options.go = true,
                "--cpu0" => options.cpu0 = true,
                "--list" => options.list = true,
                "--runs" => {
                    options.runs = value()?
                        .parse()
                        .ok()
                        .filter(|&n| n > 0)
                        .ok_or_else(|| Failure::Usage("`--runs` needs a number".into()))?;
                }
                _ if arg.starts_with('-') => {
                    return Err(Failure::Usage(format!("`bench` takes no `{arg}`")));
                }
                filter => options.filters.push(filter),
            }
        }
        Ok(options)
    }

    fn wants(&self, cell: &str, contender: &str) -> bool {
        let area = cell.split('/').next().unwrap_or_default();
        (self.only.is_empty() || self.only.contains(&area))
            && (self.filters.is_empty() || self.filters.iter().any(|f| cell.contains(f)))
            && (self.contenders.is_empty()
                || contender == table::OURS
                || self.contenders.contains(&contender))
    }
}

pub(crate) fn run(args: &[&str]) -> Outcome {
    let options = Options::parse(args)?;
    let mut programs = vec![programs::rust()?];
    if options.go {
        match programs::go()? {
            Some(go) => programs.push(go),
            None => println!("bench: no Go here, its columns are left out"),
        }
    }
    let mut cells = cells(&programs, &options)?;
    if options.list {
        for (cell, rows) in &cells {
            let contenders: Vec<_> = rows.iter().map(|r| r.contender.as_str()).collect();
            println!("{cell:<44} {}", contenders.join(" "));
        }
        return Ok(());
    }
    if cells.is_empty() {
        return Err(failed("no such cell"));
    }
    let mut done: Vec<Cell> = Vec::new();
    for (name, rows) in &mut cells {
        for _ in 0..options.runs {
            for row in rows.iter_mut().filter(|row| !row.stuck) {
                match row.program.samples(name, &row.contender, options.cpu0)? {
                    Some(samples) => row.samples.extend(samples),
                    None => row.stuck = true,
                }
            }
        }
        let mut cell = Cell::new(name);
        for row in rows {
            cell.add(&row.contender, &row.samples);
        }
        if table::area(done.last().map_or("", |c| &c.name)) != table::area(name) {
            table::head(table::area(name));
        }
        cell.print();
        done.push(cell);
    }
    table::summary(&done);
    let folder = root().join("target").join("bench");
    for path in table::write(&done, &folder, options.cpu0)? {
        println!("bench: wrote {}", path.display());
    }
    Ok(())
}

/// One contender of a cell.
struct Row<'a> {
    contender: String,
    program: &'a Program,
    samples: Vec<Sample>,
    stuck: bool,
}

type Cells<'a> = Vec<(String, Vec<Row<'a>>)>;

/// The cells that are wanted, in the order of the Rust program's list.
fn cells<'a>(programs: &'a [Program], options: &Options<'_>) -> Result<Cells<'a>, Failure> {
    let mut cells: Cells<'a> = Vec::new();
    let mut index = BTreeMap::new();
    for program in programs {
        for (cell, contender) in program.list()? {
            if !options.wants(&cell, &contender) {
                continue;
            }
            let at = *index.entry(cell.clone()).or_insert_with(|| {
                cells.push((cell, Vec::new()));
                cells.len() - 1
            });
            cells[at].1.push(Row {
                contender,
                program,
                samples: Vec::new(),
                stuck: false,
            });
        }
    }
    // Cells that only a peer has, Go's for example, stand with their area.
    let order: Vec<String> = cells
        .iter()
        .map(|(c, _)| table::area(c).to_owned())
        .collect();
    cells.sort_by_key(|(cell, _)| order.iter().position(|a| a == table::area(cell)));
    Ok(cells)
}
