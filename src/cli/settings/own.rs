//! `ALBATROS_*`, each also a flag.

use std::net::SocketAddr;
use std::path::PathBuf;

use url::Url;

use super::source::{Environment, SettingsError, Source, parse};
use super::store;
use crate::dispatcher::Settings;
use crate::domain::config::PeopleTokens;
use crate::domain::duration::Span;

/// Where `serve` listens unless told otherwise.
pub const SERVE_LISTEN: &str = "0.0.0.0:8080";
/// Where `dev` does.
pub const DEV_LISTEN: &str = "127.0.0.1:8080";

const BODY_LIMIT: usize = 8 * 1024 * 1024;
const QUEUE_LIMIT: Span = Span::seconds(24 * 3_600);
const UNKNOWN_LIMIT: Span = Span::seconds(10 * 60);
const RUNNERS_EVERY: Span = Span::seconds(30);
/// The namespace of the original.
const NAMESPACE: &str = "ci";

/// What was typed as flags; each beats its variable.
#[derive(Debug, Clone, Default)]
pub struct Overrides {
    /// `--listen`, `ALBATROS_LISTEN`: address and port.
    pub listen: Option<String>,
    /// `--url`, `ALBATROS_URL`: the public address, for links.
    pub url: Option<String>,
    /// `--nomad-ui`, `ALBATROS_NOMAD_UI`: where people see Nomad's own pages.
    pub nomad_ui: Option<String>,
    /// `--namespace`, `ALBATROS_NAMESPACE`: Nomad's namespace for builds.
    pub namespace: Option<String>,
    /// `--prefix`, `ALBATROS_PREFIX`: where Consul's keys begin.
    pub prefix: Option<String>,
    /// `--body-limit`, `ALBATROS_BODY_LIMIT`: the largest delivery, bytes.
    pub body_limit: Option<String>,
    /// `--queue-limit`, `ALBATROS_QUEUE_LIMIT`: the longest a build may wait for room.
    pub queue_limit: Option<String>,
    /// `--unknown-limit`, `ALBATROS_UNKNOWN_LIMIT`: the longest a node may be out of reach.
    pub unknown_limit: Option<String>,
    /// `--runners-every`, `ALBATROS_RUNNERS_EVERY`: how often forges are asked which jobs wait for runners.
    pub runners_every: Option<String>,
    /// `--spool`, `ALBATROS_SPOOL`: where logs are kept while they are read.
    pub spool: Option<String>,
    /// `--store`, `ALBATROS_STORE`: where blobs are kept.
    pub store: Option<String>,
    /// `--store-keep`, `ALBATROS_STORE_KEEP`: for how long.
    pub store_keep: Option<String>,
    /// `--store-size`, `ALBATROS_STORE_SIZE`: at most how much.
    pub store_size: Option<String>,
    /// `--forge-cacert`, `ALBATROS_FORGE_CACERT`: an authority to trust for forges, beside the public ones.
    pub forge_ca: Option<String>,
}

pub(super) struct Own {
    pub(super) listen: SocketAddr,
    pub(super) dispatcher: Settings,
    pub(super) forge_ca: Option<PathBuf>,
}

pub(super) fn read(flags: &Overrides, environment: Environment<'_>, listen: &str) -> Result<Own, SettingsError> {
    let from = Source::new(environment);
    let told = |flag: &Option<String>, name: &str| flag.clone().filter(|it| !it.is_empty()).or_else(|| from.text(name));
    let span = |flag: &Option<String>, name: &str, default: Span| match told(flag, name) {
        Some(text) => parse::<Span>(name, &text).map(Span::get),
        None => Ok(default.get()),
    };
    let spool = told(&flags.spool, "ALBATROS_SPOOL").or_else(|| from.text("TMPDIR"));
    Ok(Own {
        listen: address(told(&flags.listen, "ALBATROS_LISTEN").as_deref().unwrap_or(listen))?,
        forge_ca: told(&flags.forge_ca, "ALBATROS_FORGE_CACERT").map(PathBuf::from),
        dispatcher: Settings {
            url: told(&flags.url, "ALBATROS_URL").map(|text| public("ALBATROS_URL", &text)).transpose()?,
            nomad_ui: nomad_ui(told(&flags.nomad_ui, "ALBATROS_NOMAD_UI"))?,
            namespace: namespace(told(&flags.namespace, "ALBATROS_NAMESPACE"), from)?,
            region: from.text("NOMAD_REGION").unwrap_or_else(|| "global".to_owned()),
            prefix: prefix(told(&flags.prefix, "ALBATROS_PREFIX"))?,
            body_limit: body_limit(told(&flags.body_limit, "ALBATROS_BODY_LIMIT"))?,
            queue_limit: span(&flags.queue_limit, "ALBATROS_QUEUE_LIMIT", QUEUE_LIMIT)?,
            unknown_limit: span(&flags.unknown_limit, "ALBATROS_UNKNOWN_LIMIT", UNKNOWN_LIMIT)?,
            runners_every: span(&flags.runners_every, "ALBATROS_RUNNERS_EVERY", RUNNERS_EVERY)?,
            loopback: None,
            spool: PathBuf::from(spool.unwrap_or_else(|| "/tmp".to_owned())),
            blobs: store::limits(flags, from)?,
            people: PeopleTokens::default(),
        },
    })
}

fn address(text: &str) -> Result<SocketAddr, SettingsError> {
    // `:8080` is how Go programs, and so HashiCorp's users, write "every address".
    let full = if text.starts_with(':') { format!("0.0.0.0{text}") } else { text.to_owned() };
    full.parse().map_err(|_| SettingsError::new("ALBATROS_LISTEN", "expected address:port, such as 0.0.0.0:8080"))
}

/// With or without the `/ui` that Nomad's own address of them ends in.
fn nomad_ui(told: Option<String>) -> Result<Option<Url>, SettingsError> {
    let Some(text) = told else { return Ok(None) };
    let text = text.trim_end_matches('/');
    public("ALBATROS_NOMAD_UI", text.strip_suffix("/ui").unwrap_or(text)).map(Some)
}

fn public(name: &'static str, text: &str) -> Result<Url, SettingsError> {
    let wrong = |why: &str| SettingsError::new(name, why);
    let url = Url::parse(text.trim_end_matches('/')).map_err(|_| wrong("expected http(s)://host[:port][/path]"))?;
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Err(wrong("expected http(s)://host[:port][/path]"));
    }
    if !url.username().is_empty() || url.password().is_some() || url.query().is_some() || url.fragment().is_some() {
        return Err(wrong("takes no user, password, query or fragment: it stands in public links"));
    }
    Ok(url)
}

pub(super) fn namespace(told: Option<String>, from: Source<'_>) -> Result<String, SettingsError> {
    // Inside an allocation NOMAD_NAMESPACE is where serve itself runs, and says nothing of where builds should.
    let inside = from.text("NOMAD_ALLOC_ID").is_some();
    let (name, namespace) = match (told, from.text("NOMAD_NAMESPACE").filter(|_| !inside)) {
        (Some(told), _) => ("ALBATROS_NAMESPACE", told),
        (None, Some(of_nomad)) => ("NOMAD_NAMESPACE", of_nomad),
        (None, None) => ("ALBATROS_NAMESPACE", NAMESPACE.to_owned()),
    };
    let fits = namespace.len() <= 128 && namespace.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    if !fits {
        return Err(SettingsError::new(name, "expected the name of a Nomad namespace: A-Z a-z 0-9 and -, at most 128"));
    }
    Ok(namespace)
}

fn prefix(told: Option<String>) -> Result<String, SettingsError> {
    let prefix = told.unwrap_or_else(|| "albatros".to_owned());
    let odd = prefix.chars().any(char::is_control) || prefix.split('/').any(|part| matches!(part, "" | "." | ".."));
    if odd {
        return Err(SettingsError::new(
            "ALBATROS_PREFIX",
            "expected the beginning of a key, such as albatros or ci/albatros",
        ));
    }
    Ok(prefix)
}

fn body_limit(told: Option<String>) -> Result<usize, SettingsError> {
    let Some(text) = told else { return Ok(BODY_LIMIT) };
    match text.parse::<usize>() {
        Ok(bytes) if bytes > 0 => Ok(bytes),
        Ok(_) | Err(_) => Err(SettingsError::new("ALBATROS_BODY_LIMIT", "expected a number of bytes")),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn read_from(flags: &Overrides, table: &[(&str, &str)]) -> Result<Own, SettingsError> {
        let look = |name: &str| table.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
        read(flags, &look, SERVE_LISTEN)
    }

    #[test]
    fn the_defaults_are_those_of_the_readme() {
        let own = read_from(&Overrides::default(), &[]).unwrap();
        assert_eq!(own.listen.to_string(), "0.0.0.0:8080");
        let it = own.dispatcher;
        assert_eq!((it.namespace.as_str(), it.region.as_str(), it.prefix.as_str()), ("ci", "global", "albatros"));
        assert_eq!((it.body_limit, it.queue_limit), (8_388_608, Duration::from_secs(86_400)));
        assert_eq!((it.unknown_limit, it.url), (Duration::from_secs(600), None));
    }

    #[test]
    fn a_flag_beats_its_variable_and_an_empty_variable_is_none() {
        let flags = Overrides { prefix: Some("mine".to_owned()), ..Overrides::default() };
        let table = [("ALBATROS_PREFIX", "other"), ("ALBATROS_URL", ""), ("ALBATROS_QUEUE_LIMIT", "2h")];
        let it = read_from(&flags, &table).unwrap().dispatcher;
        assert_eq!((it.prefix.as_str(), it.url, it.queue_limit), ("mine", None, Duration::from_secs(7_200)));
    }

    #[test]
    fn builds_run_in_their_own_namespace() {
        for (table, means) in [
            (vec![], "ci"),
            (vec![("NOMAD_NAMESPACE", "team")], "team"),
            (vec![("NOMAD_NAMESPACE", "ops"), ("NOMAD_ALLOC_ID", "a")], "ci"),
            (vec![("NOMAD_NAMESPACE", "ops"), ("NOMAD_ALLOC_ID", "a"), ("ALBATROS_NAMESPACE", "b")], "b"),
            (vec![("NOMAD_NAMESPACE", ""), ("ALBATROS_NAMESPACE", "")], "ci"),
        ] {
            assert_eq!(read_from(&Overrides::default(), &table).unwrap().dispatcher.namespace, means, "{table:?}");
        }
    }

    #[test]
    fn a_public_address_has_no_trailing_slash() {
        let it = read_from(&Overrides::default(), &[("ALBATROS_URL", "https://ci.example/under/")]).unwrap().dispatcher;
        assert_eq!(it.url.unwrap().as_str(), "https://ci.example/under");
    }

    #[test]
    fn nomads_pages_are_named_with_or_without_their_own_path() {
        for text in ["https://nomad.example", "https://nomad.example/ui/"] {
            let it = read_from(&Overrides::default(), &[("ALBATROS_NOMAD_UI", text)]).unwrap().dispatcher;
            assert_eq!(it.nomad_ui.unwrap().as_str(), "https://nomad.example/", "{text}");
        }
    }

    #[test]
    fn a_wrong_value_names_its_variable() {
        for (name, value) in [
            ("ALBATROS_LISTEN", "8080"),
            ("ALBATROS_URL", "ci.example"),
            ("ALBATROS_URL", "https://u:p@ci.example"),
            ("ALBATROS_NOMAD_UI", "javascript:alert(1)"),
            ("ALBATROS_NAMESPACE", "a b"),
            ("NOMAD_NAMESPACE", "*"),
            ("ALBATROS_PREFIX", "/albatros"),
            ("ALBATROS_PREFIX", "a//b"),
            ("ALBATROS_PREFIX", "a/../b"),
            ("ALBATROS_BODY_LIMIT", "8M"),
            ("ALBATROS_BODY_LIMIT", "0"),
            ("ALBATROS_QUEUE_LIMIT", "1 day"),
            ("ALBATROS_UNKNOWN_LIMIT", "600"),
            ("ALBATROS_RUNNERS_EVERY", "0.5s"),
        ] {
            let error = read_from(&Overrides::default(), &[(name, value)]).err().unwrap();
            assert_eq!(error.name, name);
        }
    }
}
