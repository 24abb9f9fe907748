//! The rules that no compiler checks: who may depend on whom, that every file says what it
//! is, where `unsafe` lives, that links lead somewhere, and that the standard library's
//! locks, atomics and threads are named in one place.
//!
//! All findings are printed, each with its file and line, before the check fails.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::metadata::{Dependency, Package, Workspace};
use crate::shell::{Failure, Outcome, failed, read, root};

/// Which of our crates each may depend on; tests may use more. `None`: any.
const LAYERS: &[(&str, Option<&[&str]>)] = &[
    ("rendez-core", Some(&[])),
    ("rendez-select", Some(&["rendez-core"])),
    ("rendez-sync", Some(&["rendez-core"])),
    ("rendez-waitgroup", Some(&["rendez-core"])),
    ("rendez-context", Some(&["rendez-core"])),
    ("rendez-time", Some(&["rendez-core"])),
    ("rendez-pool", Some(&["rendez-core", "rendez-waitgroup"])),
    (
        "rendez-errgroup",
        Some(&["rendez-core", "rendez-context", "rendez-pool"]),
    ),
    ("rendez-synctest", Some(&["rendez-core", "rendez-pool"])),
    ("rendez", None),
    ("rendez-bench", None),
    ("rendez-examples", Some(&["rendez"])),
    ("xtask", Some(&[])),
];

/// The only files that may name std's locks, atomics and threads, or loom.
const SHIM: &str = "crates/core/src/shim/";

/// The section of ARCHITECTURE.md that lists the files with `unsafe` in them.
const UNSAFE_LIST: &str = "## Where unsafe lives";

pub(crate) fn run() -> Outcome {
    let workspace = Workspace::read()?;
    let files = Files::read(&root())?;
    let mut findings = Vec::new();
    for package in &workspace.packages {
        findings.extend(layers(package));
        findings.extend(manifest(package)?);
    }
    for (path, text) in &files.rust {
        findings.extend(header(path, text));
        findings.extend(shim(path, text));
    }
    findings.extend(unsafe_list(&files)?);
    for (path, text) in &files.markdown {
        findings.extend(links(path, text, &files));
    }
    if findings.is_empty() {
        println!(
            "tidy: {} packages, {} Rust files, {} documents",
            workspace.packages.len(),
            files.rust.len(),
            files.markdown.len()
        );
        return Ok(());
    }
    for finding in &findings {
        eprintln!("{finding}");
    }
    Err(failed(format!("{} findings", findings.len())))
}

/// The repository's text files, by their path from its root.
struct Files {
    root: PathBuf,
    rust: Vec<(String, String)>,
    markdown: Vec<(String, String)>,
}

impl Files {
    fn read(root: &Path) -> Result<Self, Failure> {
        let mut files = Self {
            root: root.to_path_buf(),
            rust: Vec::new(),
            markdown: Vec::new(),
        };
        files.walk(root)?;
        files.rust.sort();
        files.markdown.sort();
        Ok(files)
    }

    fn walk(&mut self, folder: &Path) -> Outcome {
        let entries = std::fs::read_dir(folder)
            .map_err(|e| failed(format!("cannot read {}: {e}", folder.display())))?;
        for entry in entries.flatten() {
            let path = entry.path();
            let name = entry.file_name();
            let hidden = name.to_string_lossy().starts_with('.');
            if path.is_dir() {
                if !hidden && name != "target" {
                    self.walk(&path)?;
                }
                continue;
            }
            let list = match path.extension().and_then(|e| e.to_str()) {
                Some("rs") => &mut self.rust,
                Some("md") => &mut self.markdown,
                _ => continue,
            };
            let relative = path.strip_prefix(&self.root).unwrap_or(&path);
            let relative = relative.to_string_lossy().replace('\\', "/");
            list.push((relative, read(&path)?));
        }
        Ok(())
    }
}

fn is_ours(name: &str) -> bool {
    LAYERS.iter().any(|(ours, _)| *ours == name)
}

fn layers(package: &Package) -> Vec<String> {
    let Some((_, allowed)) = LAYERS.iter().find(|(name, _)| *name == package.name) else {
        return vec![format!(
            "{}: is in no layer; give it a place in xtask's list",
            package.name
        )];
    };
    let mut findings = Vec::new();
    let ours = |d: &&Dependency| is_ours(&d.name);
    for dependency in package.dependencies.iter().filter(ours) {
        let Dependency {
            name,
            requirement,
            dev,
        } = dependency;
        let strict = !dev || !package.published;
        if strict && allowed.is_some_and(|list| !list.contains(&name.as_str())) {
            findings.push(format!(
                "{}: depends on {name}, which its layer may not: it may depend on {:?}",
                package.name,
                allowed.unwrap_or_default()
            ));
        }
        let pinned = format!("={}", package.version);
        if *dev && package.published {
            if requirement != "*" {
                findings.push(format!(
                    "{}: dev-depends on {name} by version; by path alone, or the package \
                     does not build by itself",
                    package.name
                ));
            }
        } else if *requirement != pinned {
            findings.push(format!(
                "{}: depends on {name} {requirement}, siblings are pinned: {pinned}",
                package.name
            ));
        }
    }
    findings
}

/// What a manifest inherits, and what a published package brings along.
fn manifest(package: &Package) -> Result<Vec<String>, Failure> {
    let path = package.folder.join("Cargo.toml");
    let text = read(&path)?;
    let mut findings = Vec::new();
    for key in [
        "version",
        "edition",
        "rust-version",
        "license",
        "repository",
    ] {
        if !text.contains(&format!("\n{key}.workspace = true")) {
            findings.push(format!(
                "{}: inherit `{key}.workspace = true`",
                path.display()
            ));
        }
    }
    if !text.contains("[lints]\nworkspace = true") {
        findings.push(format!("{}: inherit the workspace's lints", path.display()));
    }
    if package.published {
        for file in ["README.md", "LICENSE-MIT", "LICENSE-APACHE"] {
            let own = std::fs::read(package.folder.join(file)).ok();
            let same = file == "README.md" || own == std::fs::read(root().join(file)).ok();
            if own.is_none() || !same {
                findings.push(format!(
                    "{}: needs a {file}, the licences as at the root",
                    package.folder.display()
                ));
            }
        }
    }
    Ok(findings)
}

fn header(path: &str, text: &str) -> Option<String> {
    let first = text
        .lines()
        .find(|l| !l.is_empty() && !l.starts_with("#!["));
    if first.is_some_and(|l| l.starts_with("//!")) {
        return None;
    }
    Some(format!(
        "{path}:1: begins with no `//!` that says what it holds"
    ))
}

/// The lines of code, comments left out.
fn code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines().enumerate().filter_map(|(i, line)| {
        let line = line.split("//").next().unwrap_or_default();
        (!line.trim().is_empty()).then_some((i + 1, line))
    })
}

fn shim(path: &str, text: &str) -> Vec<String> {
    const ONLY_THERE: &[&str] = &[
        "std::sync",
        "std::thread::",
        "core::sync",
        "loom::",
        "parking_lot",
    ];
    // The benchmarks measure what the others build on.
    let exempt = path.starts_with(SHIM) || path.starts_with("crates/bench/");
    if exempt || !path.starts_with("crates/") || !path.contains("/src/") {
        return Vec::new();
    }
    code(text)
        .filter_map(|(n, line)| {
            let name = ONLY_THERE.iter().find(|name| line.contains(*name))?;
            Some(format!(
                "{path}:{n}: names `{name}`; take it from rendez_core::shim"
            ))
        })
        .collect()
}

fn has_unsafe(text: &str) -> bool {
    code(text).any(|(_, line)| {
        line.contains("allow(unsafe_code)")
            || ["unsafe {", "unsafe impl", "unsafe fn", "unsafe trait"]
                .iter()
                .any(|form| line.contains(form))
    })
}

fn unsafe_list(files: &Files) -> Result<Vec<String>, Failure> {
    let architecture = read(&files.root.join("ARCHITECTURE.md"))?;
    let listed = listed(&architecture);
    let mut findings = Vec::new();
    let actual: BTreeSet<String> = files
        .rust
        .iter()
        .filter(|(path, text)| path != "xtask/src/tidy.rs" && has_unsafe(text))
        .map(|(path, _)| path.clone())
        .collect();
    for path in actual.difference(&listed) {
        findings.push(format!(
            "{path}:1: has unsafe code and is not listed in ARCHITECTURE.md, \"{UNSAFE_LIST}\""
        ));
    }
    for path in listed.difference(&actual) {
        findings.push(format!(
            "ARCHITECTURE.md: \"{UNSAFE_LIST}\" lists {path}, which has no unsafe code"
        ));
    }
    Ok(findings)
}

/// The backticked paths of the section on unsafe code.
fn listed(architecture: &str) -> BTreeSet<String> {
    let section = architecture
        .split_once(UNSAFE_LIST)
        .map_or("", |(_, after)| after);
    let section = section.split("\n## ").next().unwrap_or_default();
    section
        .split('`')
        .skip(1)
        .step_by(2)
        .filter(|quoted| quoted.ends_with(".rs"))
        .map(str::to_owned)
        .collect()
}

/// The relative links of a document that lead nowhere.
fn links(path: &str, text: &str, files: &Files) -> Vec<String> {
    let mut findings = Vec::new();
    let mut in_code = false;
    for (i, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            in_code = !in_code;
        }
        if in_code {
            continue;
        }
        for link in line.split("](").skip(1) {
            let Some((target, _)) = link.split_once(')') else {
                continue;
            };
            if target.contains("://") || target.starts_with("mailto:") {
                continue;
            }
            let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
            let folder = Path::new(path).parent().unwrap_or(Path::new(""));
            let file = if file.is_empty() {
                files.root.join(path)
            } else {
                files.root.join(folder).join(file)
            };
            if !file.exists() {
                findings.push(format!(
                    "{path}:{}: the link to {target} leads nowhere",
                    i + 1
                ));
            } else if !anchor.is_empty() && !anchors(&file).contains(anchor) {
                findings.push(format!("{path}:{}: {target} has no such heading", i + 1));
            }
        }
    }
    findings
}

/// The anchors that a document's headings make.
fn anchors(file: &Path) -> BTreeSet<String> {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    text.lines()
        .filter(|l| l.starts_with('#'))
        .map(|l| {
            l.trim_start_matches('#')
                .trim()
                .to_lowercase()
                .chars()
                .filter_map(|c| match c {
                    ' ' => Some('-'),
                    c if c.is_alphanumeric() || c == '-' || c == '_' => Some(c),
                    _ => None,
                })
                .collect()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn a_package(name: &str, dependencies: &[(&str, &str, bool)]) -> Package {
        Package {
            name: name.into(),
            version: "0.1.0".into(),
            folder: PathBuf::new(),
            published: true,
            dependencies: dependencies
                .iter()
                .map(|&(name, requirement, dev)| Dependency {
                    name: name.into(),
                    requirement: requirement.into(),
                    dev,
                })
                .collect(),
            tests: Vec::new(),
        }
    }

    #[test]
    fn a_dependency_outside_the_layer_is_found() {
        let wrong = a_package("rendez-select", &[("rendez-pool", "=0.1.0", false)]);
        assert_eq!(layers(&wrong).len(), 1);
        let right = a_package("rendez-select", &[("rendez-core", "=0.1.0", false)]);
        assert_eq!(layers(&right), Vec::<String>::new());
        assert_eq!(layers(&a_package("rendez-new", &[])).len(), 1);
    }

    #[test]
    fn a_sibling_that_is_not_pinned_is_found() {
        let loose = a_package("rendez-pool", &[("rendez-core", "^0.1", false)]);
        assert_eq!(layers(&loose).len(), 1);
        let dev_by_version = a_package("rendez-core", &[("rendez-select", "=0.1.0", true)]);
        assert_eq!(layers(&dev_by_version).len(), 1);
        let dev_by_path = a_package("rendez-core", &[("rendez-select", "*", true)]);
        assert_eq!(layers(&dev_by_path), Vec::<String>::new());
    }

    #[test]
    fn a_file_without_a_header_is_found() {
        assert!(header("a.rs", "use x;\n").is_some());
        assert!(header("a.rs", "").is_some());
        assert!(header("a.rs", "#![allow(x)]\n//! Holds x.\n").is_none());
    }

    #[test]
    fn std_sync_outside_the_shim_is_found_but_not_in_comments() {
        let text = "//! Uses std::sync::Arc.\nuse std::sync::Arc; // std::sync\n";
        assert_eq!(shim("crates/pool/src/lib.rs", text).len(), 1);
        assert!(shim("crates/core/src/shim/std.rs", text).is_empty());
        assert!(shim("crates/pool/tests/a.rs", text).is_empty());
    }

    #[test]
    fn unsafe_code_is_told_from_the_word() {
        assert!(has_unsafe("fn f() { unsafe { g() } }"));
        assert!(has_unsafe("#![allow(unsafe_code)]"));
        assert!(!has_unsafe("// unsafe { } is not used here"));
    }

    #[test]
    fn the_list_is_read_from_its_section_alone() {
        let text = "# A\n`a.rs`\n## Where unsafe lives\n- `b/c.rs`: x `y`\n## Next\n`d.rs`\n";
        assert_eq!(listed(text), BTreeSet::from(["b/c.rs".to_owned()]));
    }

    #[test]
    fn a_link_that_leads_nowhere_is_found() {
        let files = Files {
            root: root(),
            rust: Vec::new(),
            markdown: Vec::new(),
        };
        let text = "[a](Cargo.toml) [b](nowhere.md)\n```\n[c](not-a-link)\n```\n";
        assert_eq!(links("README.md", text, &files).len(), 1);
        assert_eq!(
            links("x/README.md", "[a](../Cargo.toml#no)", &files).len(),
            1
        );
    }
}
