//! What single values have to be like, each said in words.

use std::ffi::OsStr;
use std::path::{Component, Path, PathBuf};

use url::{Host, Url};

use super::Provider;
use super::read::{Place, did_you_mean};
use crate::content::Media;

/// The most bytes the path of a Unix socket can have (`sun_path` is 108 with its closing zero).
pub const SOCKET_PATH_MAX: usize = 107;

/// An absolute path, without `..`, as short as it can be written.
pub(super) fn absolute(text: &str) -> Result<PathBuf, String> {
    let path = Path::new(text);
    if !path.is_absolute() {
        return Err(format!("{text:?} is not an absolute path"));
    }
    if path.components().any(|part| part == Component::ParentDir) {
        return Err(format!("{text:?} has .. in it"));
    }
    if text.contains('\0') {
        return Err("a path cannot contain a zero byte".to_owned());
    }
    // Without the trailing and double slashes and the dots that name the same place.
    Ok(path.components().collect())
}

/// The path of a socket.
pub(super) fn socket(text: &str) -> Result<PathBuf, String> {
    let path = absolute(text)?;
    let length = path.as_os_str().len();
    if length > SOCKET_PATH_MAX {
        return Err(format!("the path of a socket can have {SOCKET_PATH_MAX} bytes, this one has {length}"));
    }
    Ok(path)
}

/// A name that is one part of a remote path.
pub(super) fn name(text: &str) -> Result<(), String> {
    if text.contains('/') {
        Err("it cannot contain /".to_owned())
    } else if text == "." || text == ".." {
        Err(format!("it cannot be {text}"))
    } else if text.chars().any(char::is_control) {
        Err("it cannot contain control characters".to_owned())
    } else if text.trim() != text {
        Err("it cannot begin or end with a space".to_owned())
    } else {
        Ok(())
    }
}

/// A name that is also a file's: `<state_dir>/accounts/<name>.json`.
pub(super) fn account_name(name: &str) -> Result<(), String> {
    let fits = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.');
    if name.is_empty() || name.len() > 64 || name.starts_with('.') || !name.chars().all(fits) {
        return Err(
            "an account's name is made of at most 64 letters, digits, - _ and . (not first); write [account.home]"
                .to_owned(),
        );
    }
    Ok(())
}

/// The label a folder has by itself.
pub(super) fn label_of(path: &Path) -> Option<String> {
    let label = path.file_name().and_then(OsStr::to_str)?;
    name(label).is_ok().then(|| label.to_owned())
}

/// Which cloud.
pub(super) fn provider(text: &str) -> Result<Provider, String> {
    let known = Provider::ALL.iter().find(|known| known.as_str() == text);
    known.copied().ok_or_else(|| {
        not_one_of(text, &Provider::ALL.iter().map(|known| known.as_str()).collect::<Vec<_>>())
    })
}

/// A kind of file.
pub(super) fn media(text: &str) -> Result<Media, String> {
    match text {
        "photo" => Ok(Media::Photo),
        "video" => Ok(Media::Video),
        "other" => Ok(Media::Other),
        other => Err(not_one_of(other, &["photo", "video", "other"])),
    }
}

/// A glob.
pub(super) fn glob(text: &str) -> Result<String, String> {
    fast_glob::validate(text)
        .map(|()| text.to_owned())
        .map_err(|error| format!("{text:?} is not a pattern: {error}"))
}

/// `"x" is not one of …`
pub(super) fn not_one_of(word: &str, known: &[&str]) -> String {
    let near = did_you_mean(word, known);
    if near.is_empty() {
        let all: Vec<String> = known.iter().map(|known| format!("{known:?}")).collect();
        format!("{word:?} is not known here, only {}", all.join(", "))
    } else {
        format!("{word:?} is not known here{near}")
    }
}

/// The base address that replaces a provider's hosts.
pub(super) fn endpoint(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| format!("{text:?} is not an address: {error}"))?;
    let loopback = match url.host() {
        Some(Host::Domain(name)) => name.eq_ignore_ascii_case("localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    match url.scheme() {
        "https" => {}
        "http" if loopback => {}
        "http" => {
            return Err("plain http would send tokens in the clear; it is for 127.0.0.1 only".to_owned());
        }
        other => return Err(format!("{other} is not spoken here, only https")),
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("it cannot contain a user name or password".to_owned());
    }
    if !matches!(url.path(), "" | "/") || url.query().is_some() || url.fragment().is_some() {
        return Err("only scheme, host and port belong here, nothing behind them".to_owned());
    }
    Ok(url)
}

/// What may be logged, as in `RUST_LOG`.
pub(super) fn log(text: &str) -> Result<&str, String> {
    const LEVELS: [&str; 6] = ["error", "warn", "info", "debug", "trace", "off"];
    let bare = |part: &str| {
        let part = part.trim();
        part.contains('=') || LEVELS.contains(&part)
    };
    if let Some(wrong) = text.split(',').find(|part| !bare(part)) {
        return Err(not_one_of(wrong.trim(), &LEVELS));
    }
    text.parse::<tracing_subscriber::filter::Targets>()
        .map(|_| text)
        .map_err(|error| format!("{text:?} is not a log filter: {error}"))
}

/// The one line of a file with a secret.
pub(super) fn secret_file(path: &Path, place: &Place) -> Result<String, String> {
    let beside = || place.file.parent().unwrap_or(Path::new("")).to_owned();
    let full = match &place.credentials {
        _ if path.is_absolute() => path.to_owned(),
        // LoadCredential=secrets:/etc/xpand/secrets makes secrets_home of secrets/home.
        Some(credentials) => credentials.join(path.to_string_lossy().replace('/', "_")),
        None => beside().join(path),
    };
    let shown = full.display();
    // A secret is a line: what is larger is another file named by mistake.
    const MOST: u64 = 4096;
    let length = std::fs::metadata(&full).map(|meta| meta.len());
    if length.is_ok_and(|length| length > MOST) {
        return Err(format!("{shown} is too large to be a secret"));
    }
    let secret = match std::fs::read_to_string(&full) {
        Ok(secret) => secret,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err(format!("{shown} does not exist"));
        }
        Err(error) if error.kind() == std::io::ErrorKind::InvalidData => {
            return Err(format!("{shown} is not text"));
        }
        Err(error) => return Err(format!("{shown} cannot be read ({error})")),
    };
    // What an editor puts around it: no secret begins or ends with a blank.
    let secret = secret.trim_start_matches('\u{feff}').trim();
    if secret.is_empty() {
        return Err(format!("{shown} is empty"));
    }
    if secret.contains('\n') {
        return Err(format!("{shown} has more than one line"));
    }
    Ok(secret.to_owned())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn plain_http_is_for_loopback_only() {
        for good in
            ["http://127.0.0.1:8765", "http://localhost:1/", "http://[::1]:8765", "https://gateway.example"]
        {
            assert!(endpoint(good).is_ok(), "{good}");
        }
        for (bad, words) in [
            ("http://nas.local", "plain http would send tokens in the clear; it is for 127.0.0.1 only"),
            ("ftp://127.0.0.1", "ftp is not spoken here, only https"),
            ("https://u:p@h", "it cannot contain a user name or password"),
            ("https://h/x", "only scheme, host and port belong here, nothing behind them"),
            ("https://h?x", "only scheme, host and port belong here, nothing behind them"),
            ("gateway", "\"gateway\" is not an address: relative URL without a base"),
        ] {
            assert_eq!(endpoint(bad).unwrap_err(), words);
        }
    }

    #[test]
    fn one_name_of_a_secret_fits_the_service_and_the_shell() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        for name in ["secrets", "credentials"] {
            std::fs::create_dir(path(name)).unwrap();
        }
        std::fs::write(path("secrets/home"), "of the folder\n").unwrap();
        std::fs::write(path("credentials/secrets_home"), "of systemd\n").unwrap();
        let read = |credentials: Option<std::path::PathBuf>| {
            let place = Place { file: path("config.toml"), credentials, host: String::new() };
            secret_file(Path::new("secrets/home"), &place).unwrap()
        };
        assert_eq!(read(None), "of the folder");
        assert_eq!(read(Some(path("credentials"))), "of systemd");
    }

    #[test]
    fn a_path_is_written_in_its_shortest_form() {
        assert_eq!(absolute("/a//b/./").unwrap(), Path::new("/a/b"));
        assert_eq!(absolute("a").unwrap_err(), "\"a\" is not an absolute path");
        assert_eq!(absolute("/a/../b").unwrap_err(), "\"/a/../b\" has .. in it");
    }

    #[test]
    fn a_log_level_with_a_slip_is_not_taken_for_a_module() {
        assert_eq!(log("info,xpand=debug"), Ok("info,xpand=debug"));
        assert_eq!(log("inof").unwrap_err(), "\"inof\" is not known here (did you mean \"info\"?)");
    }
}
