//! What `cargo metadata` says of the workspace.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::shell::{Failure, cargo, failed, output};

/// The workspace.
pub(crate) struct Workspace {
    pub(crate) packages: Vec<Package>,
}

/// One of its packages.
#[derive(Debug)]
pub(crate) struct Package {
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) folder: PathBuf,
    pub(crate) published: bool,
    pub(crate) dependencies: Vec<Dependency>,
    pub(crate) tests: Vec<Test>,
}

/// A file of tests of a package.
#[derive(Clone, Debug)]
pub(crate) struct Test {
    pub(crate) name: String,
    pub(crate) features: Vec<String>,
}

/// A dependency of a package.
#[derive(Clone, Debug)]
pub(crate) struct Dependency {
    pub(crate) name: String,
    pub(crate) requirement: String,
    pub(crate) dev: bool,
}

impl Workspace {
    /// Asks cargo.
    pub(crate) fn read() -> Result<Self, Failure> {
        let json = output(&mut cargo(&["metadata", "--format-version=1", "--no-deps"]))?;
        let json: Value = serde_json::from_str(&json)
            .map_err(|e| failed(format!("cargo metadata is not JSON: {e}")))?;
        let packages = list(&json["packages"]).map(package).collect();
        Ok(Self { packages })
    }
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn package(json: &Value) -> Package {
    let manifest = text(&json["manifest_path"]);
    Package {
        name: text(&json["name"]),
        version: text(&json["version"]),
        folder: Path::new(&manifest)
            .parent()
            .map(Path::to_path_buf)
            .unwrap_or_default(),
        // `publish = false` is an empty list of registries.
        published: json["publish"].as_array().is_none_or(|to| !to.is_empty()),
        dependencies: list(&json["dependencies"])
            .map(|d| Dependency {
                name: text(&d["name"]),
                requirement: text(&d["req"]),
                dev: d["kind"] == "dev",
            })
            .collect(),
        tests: list(&json["targets"])
            .filter(|t| list(&t["kind"]).any(|kind| kind == "test"))
            .map(|t| Test {
                name: text(&t["name"]),
                features: list(&t["required-features"]).map(text).collect(),
            })
            .collect(),
    }
}
