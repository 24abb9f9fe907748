//! File names as bytes, and coreutils' way of putting any of them on one line.
//!
//! A name with a backslash, a line feed or a carriage return is written with `\\`, `\n` and
//! `\r` for them, and its line begins with a backslash. Everything else is written as it is,
//! valid UTF-8 or not.

use std::borrow::Cow;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

/// The bytes of a name.
#[cfg(unix)]
pub(crate) fn bytes(name: &OsStr) -> Cow<'_, [u8]> {
    use std::os::unix::ffi::OsStrExt;
    Cow::Borrowed(name.as_bytes())
}

/// The name that has these bytes.
#[cfg(unix)]
pub(crate) fn from_bytes(bytes: Vec<u8>) -> OsString {
    use std::os::unix::ffi::OsStringExt;
    OsString::from_vec(bytes)
}

/// The bytes of a name: UTF-8, where the system's names are not bytes.
#[cfg(not(unix))]
pub(crate) fn bytes(name: &OsStr) -> Cow<'_, [u8]> {
    Cow::Owned(name.to_string_lossy().into_owned().into_bytes())
}

/// The name that has these bytes.
#[cfg(not(unix))]
pub(crate) fn from_bytes(bytes: Vec<u8>) -> OsString {
    String::from_utf8_lossy(&bytes).into_owned().into()
}

/// A name on one line, and whether that took escapes.
pub(crate) fn escape(name: &Path) -> (Vec<u8>, bool) {
    let bytes = bytes(name.as_os_str());
    let mut line = Vec::with_capacity(bytes.len());
    for &byte in bytes.iter() {
        match byte {
            b'\\' => line.extend(b"\\\\"),
            b'\n' => line.extend(b"\\n"),
            b'\r' => line.extend(b"\\r"),
            _ => line.push(byte),
        }
    }
    let escaped = line.len() != bytes.len();
    (line, escaped)
}

/// The name that was escaped so; `None` if nothing is escaped so.
pub(crate) fn unescape(line: &[u8]) -> Option<PathBuf> {
    let mut name = Vec::with_capacity(line.len());
    let mut bytes = line.iter();
    while let Some(&byte) = bytes.next() {
        name.push(match byte {
            b'\\' => match bytes.next()? {
                b'\\' => b'\\',
                b'n' => b'\n',
                b'r' => b'\r',
                _ => return None,
            },
            _ => byte,
        });
    }
    Some(from_bytes(name).into())
}

/// A name as it is shown in a message.
pub(crate) fn shown(name: &Path) -> String {
    String::from_utf8_lossy(&escape(name).0).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_undone() {
        for (name, line) in [
            ("plain name", "plain name"),
            ("a\nb", "a\\nb"),
            ("a\\b\r", "a\\\\b\\r"),
        ] {
            let (escaped, any) = escape(Path::new(name));
            assert_eq!(escaped, line.as_bytes());
            assert_eq!(any, name != line);
            assert_eq!(unescape(&escaped).unwrap(), Path::new(name));
        }
        assert_eq!(unescape(b"a\\x"), None);
        assert_eq!(unescape(b"a\\"), None);
    }

    #[cfg(unix)]
    #[test]
    fn a_name_that_is_not_utf_8_stays_as_it_is() {
        let name = PathBuf::from(from_bytes(b"\xff\xfe".to_vec()));
        assert_eq!(escape(&name), (b"\xff\xfe".to_vec(), false));
    }
}
