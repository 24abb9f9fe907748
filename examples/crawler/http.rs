//! As much of URLs, HTTP and HTML as a crawler needs: `http://` addresses, one request for
//! each connection, and the `href`s of a page.

use std::fmt;
use std::io::{Error, ErrorKind};

use async_net::TcpStream;
use futures_lite::{AsyncReadExt, AsyncWriteExt};

/// How much of a page is read.
const MAX_PAGE: u64 = 1 << 20;

/// An `http://` address without its fragment.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Url {
    host: String,
    path: String,
}

impl Url {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let rest = text.strip_prefix("http://")?;
        let (host, path) = match rest.find('/') {
            Some(i) => rest.split_at(i),
            None => (rest, "/"),
        };
        let path = path.split('#').next()?;
        (!host.is_empty()).then(|| Self {
            host: host.to_ascii_lowercase(),
            path: path.to_owned(),
        })
    }

    /// What `link` on this page leads to, if that is on the same host.
    pub(crate) fn join(&self, link: &str) -> Option<Self> {
        let link = link.split('#').next().unwrap_or_default();
        if link.contains("://") {
            return Self::parse(link).filter(|url| url.host == self.host);
        }
        let has_scheme = link.split('/').next().is_some_and(|s| s.contains(':'));
        if link.is_empty() || link.starts_with("//") || has_scheme {
            return None;
        }
        let path = match link.strip_prefix('/') {
            Some(_) => link.to_owned(),
            None => {
                let path = self.path.split('?').next().unwrap_or_default();
                let folder = path.rfind('/').map_or("/", |i| &path[..=i]);
                format!("{folder}{link}")
            }
        };
        Some(Self {
            host: self.host.clone(),
            path: without_dots(&path),
        })
    }
}

/// `/a/./b/../c` as `/a/c`.
fn without_dots(path: &str) -> String {
    let (path, query) = match path.find('?') {
        Some(i) => path.split_at(i),
        None => (path, ""),
    };
    let mut parts: Vec<&str> = Vec::new();
    let mut rest = path.split('/').skip(1).peekable();
    while let Some(part) = rest.next() {
        let last = rest.peek().is_none();
        match part {
            "." | ".." => {
                if part == ".." {
                    parts.pop();
                }
                if last {
                    parts.push("");
                }
            }
            _ => parts.push(part),
        }
    }
    format!("/{}{query}", parts.join("/"))
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}{}", self.host, self.path)
    }
}

/// What a server answered.
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) body: String,
}

/// Fetches a page. Dropped before it completes, it closes the connection.
pub(crate) async fn get(url: &Url) -> std::io::Result<Response> {
    let invalid = || Error::new(ErrorKind::InvalidData, "not an answer in HTTP");
    let (host, path) = (&url.host, &url.path);
    let address = if host.contains(':') {
        host.clone()
    } else {
        format!("{host}:80")
    };
    let mut stream = TcpStream::connect(address).await?;
    let request = format!("GET {path} HTTP/1.0\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.take(MAX_PAGE).read_to_end(&mut answer).await?;
    let answer = String::from_utf8_lossy(&answer);
    let (head, body) = answer.split_once("\r\n\r\n").ok_or_else(invalid)?;
    let status = head.strip_prefix("HTTP/1.").and_then(|s| s.get(2..5));
    let status = status.and_then(|s| s.parse().ok()).ok_or_else(invalid)?;
    Ok(Response {
        status,
        body: body.to_owned(),
    })
}

/// The values of the `href`s in a page.
pub(crate) fn links(page: &str) -> impl Iterator<Item = &str> {
    page.split("href=").skip(1).filter_map(|rest| {
        let quote = rest.chars().next().filter(|&c| c == '"' || c == '\'')?;
        rest[1..].split(quote).next()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text).expect("a good address")
    }

    #[test]
    fn links_lead_where_a_browser_would_go() {
        let page = url("http://Host:1/a/b?x=1");
        let leads = |link| page.join(link).map(|url| url.to_string());
        let to = |path: &str| Some(format!("http://host:1{path}"));
        assert_eq!(leads("c"), to("/a/c"));
        assert_eq!(leads("/c?d#e"), to("/c?d"));
        assert_eq!(leads("./../c/."), to("/c/"));
        assert_eq!(leads("../../.."), to("/"));
        assert_eq!(leads("http://host:1/z"), to("/z"));
        assert_eq!(leads("http://other/z"), None);
        assert_eq!(leads("mailto:me"), None);
        assert_eq!(leads("#top"), None);
        assert_eq!(url("http://h").to_string(), "http://h/");
        assert_eq!(Url::parse("https://h/"), None);
    }

    #[test]
    fn hrefs_are_found_in_either_quotes() {
        let page = r#"<a href="a">x</a> <A href='b c'> <link href=d>"#;
        assert_eq!(links(page).collect::<Vec<_>>(), ["a", "b c"]);
    }
}
