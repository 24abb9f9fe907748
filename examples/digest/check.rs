//! Lists of digests, as `sha256sum` writes them and `sha256sum -c` reads them.

use std::path::{Path, PathBuf};

use crate::hash::{self, Sum};
use crate::names;

/// One line of a list.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Line {
    /// A file and the digest it should have.
    Entry(PathBuf, Sum),
    /// Nothing to check.
    Comment,
    /// Something else.
    Malformed,
}

/// Reads one line, without its end.
pub(crate) fn parse(line: &[u8]) -> Line {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    if line.first() == Some(&b'#') {
        return Line::Comment;
    }
    let entry = match line.strip_prefix(b"\\") {
        Some(rest) => split(rest).and_then(|(name, sum)| Some((names::unescape(name)?, sum))),
        None => split(line).map(|(name, sum)| (names::from_bytes(name.to_vec()).into(), sum)),
    };
    entry.map_or(Line::Malformed, |(name, sum)| Line::Entry(name, sum))
}

/// Name and digest of `HEX  NAME`, `HEX *NAME` or `SHA256 (NAME) = HEX`.
fn split(line: &[u8]) -> Option<(&[u8], Sum)> {
    if let Some(rest) = line.strip_prefix(b"SHA256 (") {
        let at = rest.windows(4).rposition(|w| w == b") = ")?;
        return Some((&rest[..at], hash::from_hex(&rest[at + 4..])?));
    }
    let (sum, rest) = line.split_at_checked(64)?;
    let name = rest
        .strip_prefix(b"  ")
        .or_else(|| rest.strip_prefix(b" *"))?;
    let sum = hash::from_hex(sum)?;
    (!name.is_empty()).then_some((name, sum))
}

/// How a verdict names its file: as coreutils does, which escapes names only where they
/// would break the line.
pub(crate) fn name(path: &Path) -> Vec<u8> {
    let bytes = names::bytes(path.as_os_str());
    if bytes.contains(&b'\n') {
        let mut name = b"\\".to_vec();
        name.extend(names::escape(path).0);
        name
    } else {
        bytes.into_owned()
    }
}

/// What has gone wrong in a check.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) checked: usize,
    pub(crate) malformed: usize,
    pub(crate) unreadable: usize,
    pub(crate) different: usize,
}

impl Tally {
    /// Whether every file is what the list says.
    pub(crate) fn is_good(&self) -> bool {
        self.checked > 0 && self.unreadable == 0 && self.different == 0
    }

    /// What is to be said at the end.
    pub(crate) fn warnings(&self) -> Vec<String> {
        let say = |n: usize, one: &str, many: &str| {
            (n > 0).then(|| format!("WARNING: {n} {}", if n == 1 { one } else { many }))
        };
        [
            say(
                self.malformed,
                "line is improperly formatted",
                "lines are improperly formatted",
            ),
            say(
                self.unreadable,
                "listed file could not be read",
                "listed files could not be read",
            ),
            say(
                self.different,
                "computed checksum did NOT match",
                "computed checksums did NOT match",
            ),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_of_line_is_read() {
        let sum: Sum = std::array::from_fn(|i| i as u8);
        let hex = hash::hex(&sum);
        let entry = |name: &str| Line::Entry(PathBuf::from(name), sum);
        for (line, expected) in [
            (format!("{hex}  a b"), entry("a b")),
            (format!("{hex} *a"), entry("a")),
            (format!("{hex}  a\r"), entry("a")),
            (format!("\\{hex}  a\\nb"), entry("a\nb")),
            (format!("SHA256 (x (1)) = {hex}"), entry("x (1)")),
            ("# words".into(), Line::Comment),
            (format!("{hex} a"), Line::Malformed),
            (format!("{hex}  "), Line::Malformed),
            ("abc  a".into(), Line::Malformed),
            (format!("\\{hex}  a\\x"), Line::Malformed),
            (String::new(), Line::Malformed),
        ] {
            assert_eq!(parse(line.as_bytes()), expected, "{line}");
        }
    }

    #[test]
    fn warnings_count_and_agree_in_number() {
        let tally = Tally {
            checked: 3,
            malformed: 1,
            unreadable: 0,
            different: 2,
        };
        assert_eq!(
            tally.warnings(),
            [
                "WARNING: 1 line is improperly formatted",
                "WARNING: 2 computed checksums did NOT match"
            ]
        );
        assert!(!tally.is_good());
    }
}
