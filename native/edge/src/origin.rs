//! Which pages may connect. Browsers name the page in `Origin`; what is no browser sends none, and passes.

use dist::Term;
use dist::term::{as_atom, as_binary};

/// Which pages may connect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origins {
    /// All.
    Any,
    /// Those of the host that is asked.
    Same,
    /// These, each like `https://game.example`, besides those of the host that is asked.
    These(Vec<String>),
}

impl Origins {
    /// `any`, `same` or a list of binaries.
    pub fn from_term(term: &Term) -> Option<Origins> {
        if let Term::List(list) = term {
            let text =
                |term: &Term| as_binary(term).and_then(|bytes| std::str::from_utf8(bytes).ok()).map(normal);
            return list.elements.iter().map(text).collect::<Option<_>>().map(Origins::These);
        }
        match as_atom(term)? {
            "any" => Some(Origins::Any),
            "same" => Some(Origins::Same),
            _ => None,
        }
    }

    /// Whether a page of this origin may connect to this host.
    pub fn allow(&self, origin: Option<&[u8]>, host: Option<&[u8]>) -> bool {
        let Some(origin) = origin else { return true };
        let Ok(origin) = std::str::from_utf8(origin) else { return *self == Origins::Any };
        match self {
            Origins::Any => true,
            Origins::These(origins) => origins.contains(&normal(origin)) || same(origin, host),
            Origins::Same => same(origin, host),
        }
    }
}

fn same(origin: &str, host: Option<&[u8]>) -> bool {
    let host = host.and_then(|host| std::str::from_utf8(host).ok());
    let origin = normal(origin);
    host.is_some_and(|host| match origin.split_once("://") {
        Some((scheme, of_page)) => of_page == without_port(scheme, &host.to_ascii_lowercase()),
        None => false,
    })
}

/// In lower case, without a slash at the end and without the port that the scheme has anyway.
fn normal(origin: &str) -> String {
    let origin = origin.trim_end_matches('/').to_ascii_lowercase();
    match origin.split_once("://") {
        Some((scheme, host)) => format!("{scheme}://{}", without_port(scheme, host)),
        None => origin,
    }
}

fn without_port<'a>(scheme: &str, host: &'a str) -> &'a str {
    let port = if scheme == "https" { ":443" } else { ":80" };
    host.strip_suffix(port).unwrap_or(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_that_is_asked_is_the_same_whatever_its_spelling() {
        let same =
            |origin: &str, host: &str| Origins::Same.allow(Some(origin.as_bytes()), Some(host.as_bytes()));
        assert!(same("http://localhost:4000", "localhost:4000"));
        assert!(same("https://Game.example", "game.example:443"));
        assert!(same("http://game.example:80", "game.example"));
        assert!(!same("http://localhost:4000", "localhost:4001"));
        assert!(!same("http://evil.example", "game.example"));
        assert!(!same("null", "null"));
        assert!(!same("http://game.example.evil.example", "game.example"));
        assert!(!Origins::Same.allow(Some(b"http://a"), None));
        assert!(Origins::Same.allow(None, Some(b"game.example")));
    }

    #[test]
    fn a_list_shuts_the_page_of_the_host_itself_not_out() {
        let these = Origins::These(vec![normal("https://a.example")]);
        assert!(these.allow(Some(b"http://localhost:4000"), Some(b"localhost:4000")));
        assert!(!these.allow(Some(b"http://localhost:4000"), Some(b"localhost:4001")));
    }

    #[test]
    fn a_list_is_exact() {
        let these = Origins::These(vec![normal("https://a.example/")]);
        assert!(these.allow(Some(b"https://a.example"), None));
        assert!(these.allow(Some(b"https://A.example:443"), None));
        assert!(!these.allow(Some(b"http://a.example"), None));
        assert!(!these.allow(Some(b"https://b.a.example"), None));
        assert!(!these.allow(Some(b"https://b.example"), Some(b"game.example")));
        assert!(Origins::Any.allow(Some(b"\xff"), None));
    }
}
