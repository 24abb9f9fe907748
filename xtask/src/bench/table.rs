//! The table: a line per cell, and the same as JSON.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::programs::Sample;
use crate::shell::{Failure, failed};

/// Our contender's name; one that begins with it and a `-` is a variant of ours, no peer.
pub(crate) const OURS: &str = "rendez";

/// One cell: what each contender took.
pub(crate) struct Cell {
    pub(crate) name: String,
    figures: Vec<Figure>,
}

/// What one contender took, in nanoseconds per operation.
struct Figure {
    contender: String,
    median: f64,
    min: f64,
    cpu: f64,
    samples: Vec<Sample>,
}

/// A cell's area.
pub(crate) fn area(cell: &str) -> &str {
    cell.split('/').next().unwrap_or_default()
}

impl Cell {
    pub(crate) fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            figures: Vec::new(),
        }
    }

    /// Adds a contender, unless it has no sample.
    pub(crate) fn add(&mut self, contender: &str, samples: &[Sample]) {
        let sorted = |of: fn(&Sample) -> f64| {
            let mut all: Vec<f64> = samples.iter().map(of).collect();
            all.sort_by(f64::total_cmp);
            all
        };
        let (ns, cpu) = (sorted(|s| s.ns), sorted(|s| s.cpu_ns));
        if let (Some(median), Some(&min), Some(cpu)) = (median(&ns), ns.first(), median(&cpu)) {
            self.figures.push(Figure {
                contender: contender.to_owned(),
                median,
                min,
                cpu,
                samples: samples.to_vec(),
            });
        }
    }

    fn ours(&self) -> Option<&Figure> {
        self.figures.iter().find(|f| f.contender == OURS)
    }

    /// The fastest of the others.
    fn best_peer(&self) -> Option<&Figure> {
        self.figures
            .iter()
            .filter(|f| !f.contender.starts_with(OURS))
            .min_by(|a, b| a.median.total_cmp(&b.median))
    }

    /// The best peer's time over ours.
    fn ratio(&self) -> Option<f64> {
        Some(self.best_peer()?.median / self.ours()?.median)
    }

    /// Prints its line.
    pub(crate) fn print(&self) {
        let short = self.name.split_once('/').map_or(&*self.name, |(_, s)| s);
        let ours = self.ours().map_or_else(
            || format!("{:>28}", "-"),
            |f| format!("{:>10} {:>8} {:>8}", ns(f.median), ns(f.min), ns(f.cpu)),
        );
        let ratio = self
            .ratio()
            .map_or_else(|| "-".into(), |ratio| format!("{ratio:.2}"));
        let mut others: Vec<&Figure> = self
            .figures
            .iter()
            .filter(|f| f.contender != OURS)
            .collect();
        others.sort_by(|a, b| a.median.total_cmp(&b.median));
        let others: Vec<String> = others
            .iter()
            .map(|f| {
                format!(
                    "{} {} ({}, cpu {})",
                    f.contender,
                    ns(f.median),
                    ns(f.min),
                    ns(f.cpu)
                )
            })
            .collect();
        println!("{short:<26} {ours} {ratio:>6}  {}", others.join(", "));
    }

    fn json(&self) -> Value {
        let figures: Vec<Value> = self
            .figures
            .iter()
            .map(|f| {
                json!({
                    "contender": f.contender,
                    "median_ns": f.median,
                    "min_ns": f.min,
                    "cpu_ns": f.cpu,
                    "samples_ns": f.samples.iter().map(|s| s.ns).collect::<Vec<_>>(),
                })
            })
            .collect();
        json!({
            "cell": self.name,
            "ratio": self.ratio(),
            "best_peer": self.best_peer().map(|f| &f.contender),
            "contenders": figures,
        })
    }
}

fn median(sorted: &[f64]) -> Option<f64> {
    let n = sorted.len();
    let (low, high) = (sorted.get(n.checked_sub(1)? / 2)?, sorted.get(n / 2)?);
    Some(f64::midpoint(*low, *high))
}

/// A time in few digits.
fn ns(ns: f64) -> String {
    if ns < 99.95 {
        format!("{ns:.1}")
    } else {
        format!("{ns:.0}")
    }
}

/// Prints the columns' names.
pub(crate) fn head(area: &str) {
    println!(
        "\n{area:<26} {:>10} {:>8} {:>8} {:>6}  others: median (minimum, cpu), ns per operation",
        "ours", "min", "cpu", "ratio"
    );
}

/// Prints how many cells are won.
pub(crate) fn summary(cells: &[Cell]) {
    let ratios: Vec<(f64, &str)> = cells
        .iter()
        .filter_map(|c| Some((c.ratio()?, &*c.name)))
        .collect();
    let lost: Vec<&(f64, &str)> = ratios.iter().filter(|(ratio, _)| *ratio < 1.0).collect();
    println!(
        "\nbench: {} cells, ahead in {}",
        ratios.len(),
        ratios.len() - lost.len()
    );
    for (ratio, name) in lost {
        println!("    {ratio:>6.2}  {name}");
    }
}

/// Writes a file for each area, and says where.
pub(crate) fn write(cells: &[Cell], folder: &Path, cpu0: bool) -> Result<Vec<PathBuf>, Failure> {
    let cannot = |e: std::io::Error| failed(format!("cannot write {}: {e}", folder.display()));
    std::fs::create_dir_all(folder).map_err(cannot)?;
    let mut written = Vec::new();
    for of_area in cells.chunk_by(|a, b| area(&a.name) == area(&b.name)) {
        let suffix = if cpu0 { "-cpu0" } else { "" };
        let path = folder.join(format!("{}{suffix}.json", area(&of_area[0].name)));
        let json: Vec<Value> = of_area.iter().map(Cell::json).collect();
        std::fs::write(&path, format!("{:#}\n", Value::from(json))).map_err(cannot)?;
        written.push(path);
    }
    Ok(written)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(ns: &[f64]) -> Vec<Sample> {
        ns.iter().map(|&ns| Sample { ns, cpu_ns: ns }).collect()
    }

    #[test]
    fn the_ratio_is_that_of_medians_to_the_best_peer_and_above_one_when_we_win() {
        let mut cell = Cell::new("area/cell");
        cell.add(OURS, &samples(&[10.0, 30.0, 20.0]));
        cell.add("rendez-variant", &samples(&[1.0]));
        cell.add("slow", &samples(&[100.0]));
        cell.add("fast", &samples(&[30.0, 50.0]));
        cell.add("absent", &[]);
        assert_eq!(cell.ratio(), Some(2.0));
        assert_eq!(cell.best_peer().map(|f| &*f.contender), Some("fast"));
    }

    #[test]
    fn a_cell_without_peers_has_no_ratio() {
        let mut cell = Cell::new("area/cell");
        cell.add(OURS, &samples(&[10.0]));
        assert_eq!(cell.ratio(), None);
    }
}
