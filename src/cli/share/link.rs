//! A share link as people have it: a whole address, what stands behind its last slash, or its two numbers.

use url::Url;

use crate::cloud::shares::Link;

/// A link, and the password where the address has it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Typed {
    pub(super) link: Link,
    pub(super) pwd: Option<String>,
}

/// Where share links lead to. The address is never called: only what stands in it is used.
const HOSTS: [&str; 2] = ["pan.baidu.com", "yun.baidu.com"];

/// Reads what was typed.
///
/// # Errors
/// A sentence that says what a link looks like.
pub(super) fn read(text: &str) -> Result<Typed, String> {
    // What the app copies has words around the address.
    let mut words = text.split_whitespace();
    match words.clone().find(|word| word.starts_with("https://") || word.starts_with("http://")) {
        Some(address) => of_address(address),
        None => match (words.next(), words.next()) {
            (Some(word), None) => of_word(word),
            _ => Err(wrong(text)),
        },
    }
}

fn wrong(text: &str) -> String {
    format!(
        "{text:?} is no share link: write https://pan.baidu.com/s/1..., what stands behind the last slash, or \
         SHAREID:UK"
    )
}

fn of_address(address: &str) -> Result<Typed, String> {
    let url = Url::parse(address).map_err(|_| wrong(address))?;
    if !url.host_str().is_some_and(|host| HOSTS.contains(&host)) {
        return Err(format!("{address} leads elsewhere: share links begin with https://pan.baidu.com/"));
    }
    let value = |name: &str| {
        let value = url.query_pairs().find(|(key, _)| key == name);
        value.map(|(_, value)| value.into_owned()).filter(|value| !value.is_empty())
    };
    let pwd = value("pwd");
    if let (Some(shareid), Some(uk)) = (value("shareid"), value("uk")) {
        return numbers(&shareid, &uk).map(|link| Typed { link, pwd }).ok_or_else(|| wrong(address));
    }
    let mut parts: Vec<&str> = url.path().split('/').filter(|part| !part.is_empty()).collect();
    let surl = parts.pop().unwrap_or("").replace("%3D", "=").replace("%3d", "=");
    let linksource = match parts.as_slice() {
        ["link", source] => (*source).to_owned(),
        ["s"] => String::new(),
        _ => return Err(wrong(address)),
    };
    match is_short(&surl) {
        true => Ok(Typed { link: Link::Short { surl, linksource }, pwd }),
        false => Err(wrong(address)),
    }
}

fn of_word(word: &str) -> Result<Typed, String> {
    if let Some((shareid, uk)) = word.split_once(':') {
        return numbers(shareid, uk).map(|link| Typed { link, pwd: None }).ok_or_else(|| wrong(word));
    }
    let (surl, pwd) = match word.split_once("?pwd=") {
        Some((surl, pwd)) => (surl, Some(pwd.to_owned()).filter(|pwd| !pwd.is_empty())),
        None => (word, None),
    };
    match is_short(surl) {
        true => Ok(Typed { link: Link::Short { surl: surl.to_owned(), linksource: String::new() }, pwd }),
        false => Err(wrong(word)),
    }
}

fn numbers(shareid: &str, uk: &str) -> Option<Link> {
    let is_number =
        |text: &str| text.parse::<u64>().is_ok() && text.bytes().all(|byte| byte.is_ascii_digit());
    let both = is_number(shareid) && is_number(uk);
    both.then(|| Link::Numbers { shareid: shareid.to_owned(), uk: uk.to_owned() })
}

fn is_short(surl: &str) -> bool {
    let known = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'=');
    !surl.is_empty() && surl.bytes().all(known)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn short(surl: &str, linksource: &str, pwd: Option<&str>) -> Result<Typed, String> {
        let link = Link::Short { surl: surl.to_owned(), linksource: linksource.to_owned() };
        Ok(Typed { link, pwd: pwd.map(str::to_owned) })
    }

    fn both(shareid: &str, uk: &str, pwd: Option<&str>) -> Result<Typed, String> {
        let link = Link::Numbers { shareid: shareid.to_owned(), uk: uk.to_owned() };
        Ok(Typed { link, pwd: pwd.map(str::to_owned) })
    }

    #[test]
    fn a_link_is_read_however_people_have_it() {
        let long = "7hhjzWuUhVi1VwkFF2XlZOpVRXbQVVaQU08G==";
        for (text, typed) in [
            (&*format!("https://pan.baidu.com/link/zhihu/{long}"), short(long, "zhihu", None)),
            (
                &format!("https://pan.baidu.com/link/zhihu/{}", long.replace('=', "%3D")),
                short(long, "zhihu", None),
            ),
            ("https://pan.baidu.com/s/1abc_-D?pwd=x1y2", short("1abc_-D", "", Some("x1y2"))),
            ("http://yun.baidu.com/s/1abc/", short("1abc", "", None)),
            ("https://pan.baidu.com/s/1abc?pwd=", short("1abc", "", None)),
            ("链接: https://pan.baidu.com/s/1abc?pwd=x1y2 提取码: x1y2", short("1abc", "", Some("x1y2"))),
            ("https://pan.baidu.com/share/link?shareid=12&uk=34", both("12", "34", None)),
            (long, short(long, "", None)),
            (" 1abc?pwd=x1y2\n", short("1abc", "", Some("x1y2"))),
            ("2192088175:3809279679", both("2192088175", "3809279679", None)),
        ] {
            assert_eq!(read(text), typed, "{text}");
        }
    }

    #[test]
    fn what_is_no_link_is_refused_in_a_sentence() {
        for text in [
            "",
            "  ",
            "a b",
            "https://evil.example/s/1abc",
            "https://pan.baidu.com.evil.example/s/1abc",
            "https://pan.baidu.com/",
            "https://pan.baidu.com/disk/home",
            "https://pan.baidu.com/s/../1abc&x",
            "12:+34",
            "12:",
            "1abc/../x",
            "1abc\u{1b}[2J",
        ] {
            assert!(read(text).is_err(), "{text}: {:?}", read(text));
        }
    }
}
