//! Running other programs, and how a command of ours fails.

use std::path::{Path, PathBuf};
use std::process::Command;

/// How a command ends.
pub(crate) type Outcome = Result<(), Failure>;

/// Why a command ends badly.
#[derive(Debug)]
pub(crate) enum Failure {
    /// It was called wrongly.
    Usage(String),
    /// What it checks does not hold, or it could not be checked.
    Failed(String),
}

impl Failure {
    /// The same, naming the step of `ci` it happened in.
    pub(crate) fn in_step(self, step: &str) -> Self {
        match self {
            Self::Usage(message) | Self::Failed(message) => {
                Self::Failed(format!("{step}: {message}"))
            }
        }
    }
}

/// A failure with this message.
pub(crate) fn failed(message: impl Into<String>) -> Failure {
    Failure::Failed(message.into())
}

/// The workspace's root.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("xtask lies in the workspace's root")
        .to_path_buf()
}

/// The cargo that runs us, in the workspace's root.
pub(crate) fn cargo(args: &[&str]) -> Command {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(args).current_dir(root());
    command
}

/// Runs `command`, its output shown.
pub(crate) fn run(command: &mut Command) -> Outcome {
    let status = command
        .status()
        .map_err(|e| failed(format!("cannot run {command:?}: {e}")))?;
    if status.success() {
        Ok(())
    } else {
        Err(failed(format!("{command:?} ended with {status}")))
    }
}

/// Runs `command` and gives what it wrote to stdout; its stderr is shown.
pub(crate) fn output(command: &mut Command) -> Result<String, Failure> {
    let output = command
        .stderr(std::process::Stdio::inherit())
        .output()
        .map_err(|e| failed(format!("cannot run {command:?}: {e}")))?;
    if !output.status.success() {
        return Err(failed(format!("{command:?} ended with {}", output.status)));
    }
    String::from_utf8(output.stdout)
        .map_err(|_| failed(format!("{command:?} wrote something that is not UTF-8")))
}

/// The programs of cargo's `--message-format=json`: each target's name, its source and itself.
pub(crate) fn built(messages: &str) -> Vec<(String, PathBuf, PathBuf)> {
    let program = |line: &str| {
        let message: serde_json::Value = serde_json::from_str(line).ok()?;
        let text = |value: &serde_json::Value| Some(value.as_str()?.to_owned());
        let (name, source) = (&message["target"]["name"], &message["target"]["src_path"]);
        let program = text(&message["executable"])?;
        Some((text(name)?, text(source)?.into(), program.into()))
    };
    messages.lines().filter_map(program).collect()
}

/// What a file holds.
pub(crate) fn read(path: &Path) -> Result<String, Failure> {
    std::fs::read_to_string(path)
        .map_err(|e| failed(format!("cannot read {}: {e}", path.display())))
}
