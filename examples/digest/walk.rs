//! The files of a directory tree, in the order of their paths' bytes: the order of
//! `find PATH -type f | LC_ALL=C sort`.
//!
//! Of the directories on the way to the current file, and of no others, the names are in
//! memory.

use std::fs;
use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use crate::names;

/// What is found: a file, or a directory that cannot be read.
pub(crate) type Found = Result<PathBuf, (PathBuf, io::Error)>;

/// Calls `visit` for each file at or below `root`, until it breaks.
///
/// `root` itself may be a symbolic link or no regular file; below it links are not followed,
/// and what is neither file nor directory is left out.
pub(crate) fn walk(
    root: &Path,
    mut visit: impl FnMut(Found) -> ControlFlow<()>,
) -> ControlFlow<()> {
    if !root.is_dir() {
        // Whatever is wrong with it, opening it says so.
        return visit(Ok(root.to_path_buf()));
    }
    let mut stack = vec![list(root, &mut visit)?];
    while let Some(entries) = stack.last_mut() {
        match entries.next() {
            None => {
                stack.pop();
            }
            Some(Entry {
                path, is_dir: true, ..
            }) => stack.push(list(&path, &mut visit)?),
            Some(Entry { path, .. }) => visit(Ok(path))?,
        }
    }
    ControlFlow::Continue(())
}

struct Entry {
    key: Vec<u8>,
    path: PathBuf,
    is_dir: bool,
}

/// The files and directories in `folder`, sorted. Whatever cannot be read is visited.
fn list(
    folder: &Path,
    visit: &mut impl FnMut(Found) -> ControlFlow<()>,
) -> ControlFlow<(), std::vec::IntoIter<Entry>> {
    let mut entries = Vec::new();
    let read = fs::read_dir(folder).and_then(|read| {
        for entry in read {
            let entry = entry?;
            let kind = entry.file_type()?;
            if kind.is_dir() || kind.is_file() {
                let mut key = names::bytes(&entry.file_name()).into_owned();
                if kind.is_dir() {
                    // As its files' paths go on.
                    key.push(b'/');
                }
                entries.push(Entry {
                    key,
                    path: entry.path(),
                    is_dir: kind.is_dir(),
                });
            }
        }
        Ok(())
    });
    if let Err(error) = read {
        visit(Err((folder.to_path_buf(), error)))?;
    }
    entries.sort_unstable_by(|a, b| a.key.cmp(&b.key));
    ControlFlow::Continue(entries.into_iter())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn walked(root: &Path) -> Vec<String> {
        let mut found = Vec::new();
        let _ = walk(root, |entry| {
            let path = entry.unwrap();
            let relative = path.strip_prefix(root).unwrap();
            found.push(relative.to_string_lossy().replace('\\', "/"));
            ControlFlow::Continue(())
        });
        found
    }

    #[test]
    fn files_come_in_the_order_of_their_paths() {
        let root = tempfile::tempdir().unwrap();
        for path in ["a/x", "a/b/y", "a.txt", "a-b", "b", "B"] {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        let found = walked(root.path());
        let mut sorted = found.clone();
        sorted.sort();
        assert_eq!(found, sorted);
        assert_eq!(found.len(), 6);
    }

    #[test]
    fn a_break_ends_the_walk() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("a"), "").unwrap();
        fs::write(root.path().join("b"), "").unwrap();
        let mut n = 0;
        let end = walk(root.path(), |_| {
            n += 1;
            ControlFlow::Break(())
        });
        assert_eq!((n, end), (1, ControlFlow::Break(())));
    }

    #[cfg(unix)]
    #[test]
    fn links_below_the_root_are_not_followed() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("file"), "").unwrap();
        std::os::unix::fs::symlink(root.path(), root.path().join("loop")).unwrap();
        std::os::unix::fs::symlink("file", root.path().join("link")).unwrap();
        assert_eq!(walked(root.path()), ["file"]);
        let link = root.path().join("link");
        let mut given = Vec::new();
        let _ = walk(&link, |found| {
            given.push(found.unwrap());
            ControlFlow::Continue(())
        });
        assert_eq!(given, [link]);
    }
}
