//! The command line.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;

/// Print SHA-256 digests of whole directory trees, as sha256sum does of files.
///
/// Directories are walked in the order of their paths' bytes, symbolic links in them are
/// not followed, and what is neither file nor directory is left out. The output is in that
/// order, whichever file is finished first.
#[derive(Debug, Parser)]
#[command(name = "digest", version)]
pub(crate) struct Args {
    /// Files and directories
    #[arg(default_value = ".")]
    pub(crate) paths: Vec<PathBuf>,

    /// Files that are read at the same time [default: one for each processor]
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(crate) jobs: Option<u16>,

    /// Give up after this long: 500ms, 30s, 2m, 1h
    #[arg(short, long, value_name = "TIME", value_parser = duration)]
    pub(crate) timeout: Option<Duration>,

    /// Read digests from FILE (- for standard input) and check them, as sha256sum -c does
    #[arg(short, long, value_name = "FILE", conflicts_with = "paths")]
    pub(crate) check: Option<OsString>,

    /// With --check: print only what fails
    #[arg(long, requires = "check")]
    pub(crate) quiet: bool,

    /// With --check: print nothing, the exit code tells
    #[arg(long, requires = "check")]
    pub(crate) status: bool,

    /// Show no progress bar, even on a terminal
    #[arg(long)]
    pub(crate) no_progress: bool,
}

impl Args {
    /// How many files are read at the same time.
    pub(crate) fn jobs(&self) -> usize {
        self.jobs.map_or_else(
            || std::thread::available_parallelism().map_or(1, usize::from),
            usize::from,
        )
    }
}

/// Parses `500ms`, `30s`, `1.5m`, `1h`.
fn duration(text: &str) -> Result<Duration, String> {
    let end = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .ok_or("it needs a unit: ms, s, m or h")?;
    let (number, unit) = text.split_at(end);
    let seconds = match unit {
        "ms" => 0.001,
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return Err(format!("`{unit}` is no unit: ms, s, m or h")),
    };
    let number: f64 = number
        .parse()
        .map_err(|_| format!("`{number}` is no number"))?;
    Duration::try_from_secs_f64(number * seconds).map_err(|e| e.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_a_number_and_a_unit() {
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("30s"), Ok(Duration::from_secs(30)));
        assert_eq!(duration("1.5m"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("1h"), Ok(Duration::from_secs(3600)));
        for nonsense in [
            "",
            "30",
            "s",
            "-1s",
            "1d",
            "1.2.3s",
            "99999999999999999999999h",
        ] {
            assert!(duration(nonsense).is_err(), "{nonsense}");
        }
    }

    #[test]
    fn the_command_line_is_consistent() {
        use clap::CommandFactory;
        Args::command().debug_assert();
    }
}
