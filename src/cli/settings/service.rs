//! `NOMAD_*` and `CONSUL_*`, as HashiCorp's own clients mean them
//! (<https://developer.hashicorp.com/nomad/docs/commands#environment-variables>,
//! <https://developer.hashicorp.com/consul/commands#environment-variables>).

use super::source::{SettingsError, Source, parse};
use crate::api::http::{Address, CaSource, ClientKey, EndpointConfig, HttpAuth, Service, Tls, TokenSource};
use crate::domain::secret::Secret;

pub(super) fn nomad(from: Source<'_>) -> Result<EndpointConfig, SettingsError> {
    Ok(EndpointConfig {
        service: Service::Nomad,
        address: address(from, "NOMAD_ADDR", "http://127.0.0.1:4646")?,
        token: token(from, "NOMAD_TOKEN", "NOMAD_TOKEN_FILE"),
        tls: tls(from, "NOMAD", from.switch("NOMAD_SKIP_VERIFY")?.unwrap_or_default())?,
        http_auth: http_auth(from, "NOMAD_HTTP_AUTH"),
        query: from.text("NOMAD_REGION").map(|region| ("region".to_owned(), region)).into_iter().collect(),
    })
}

pub(super) fn consul(from: Source<'_>) -> Result<EndpointConfig, SettingsError> {
    let address = address(from, "CONSUL_HTTP_ADDR", "127.0.0.1:8500")?;
    // Consul's client never goes back to plain HTTP once TLS was asked for, not even for an address with http://.
    let address = if from.switch("CONSUL_HTTP_SSL")?.unwrap_or_default() { address.secured() } else { address };
    Ok(EndpointConfig {
        service: Service::Consul,
        address,
        token: token(from, "CONSUL_HTTP_TOKEN", "CONSUL_HTTP_TOKEN_FILE"),
        tls: tls(from, "CONSUL", !from.switch("CONSUL_HTTP_SSL_VERIFY")?.unwrap_or(true))?,
        http_auth: http_auth(from, "CONSUL_HTTP_AUTH"),
        query: from.text("CONSUL_NAMESPACE").map(|name| ("ns".to_owned(), name)).into_iter().collect(),
    })
}

fn address(from: Source<'_>, name: &str, default: &str) -> Result<Address, SettingsError> {
    parse(name, from.text(name).as_deref().unwrap_or(default))
}

/// The file wins, as in Consul's client: it is the one that is renewed.
fn token(from: Source<'_>, value: &str, file: &str) -> Option<TokenSource> {
    from.path(file).map(TokenSource::File).or_else(|| from.secret(value).map(TokenSource::Value))
}

fn http_auth(from: Source<'_>, name: &str) -> Option<HttpAuth> {
    from.text(name).map(|text| match text.split_once(':') {
        Some((user, password)) => HttpAuth { user: user.to_owned(), password: Some(Secret::new(password)) },
        None => HttpAuth { user: text, password: None },
    })
}

fn tls(from: Source<'_>, service: &str, skip_verify: bool) -> Result<Tls, SettingsError> {
    let name = |what: &str| format!("{service}_{what}");
    let (certificate, key) = (name("CLIENT_CERT"), name("CLIENT_KEY"));
    let identity = match (from.path(&certificate), from.path(&key)) {
        (Some(certificate), Some(key)) => Some(ClientKey { certificate, key }),
        (None, None) => None,
        (Some(_), None) => return Err(SettingsError::new(certificate, format!("needs its key in {key} too"))),
        (None, Some(_)) => return Err(SettingsError::new(key, format!("needs its certificate in {certificate} too"))),
    };
    let folder = from.path(&name("CAPATH")).map(CaSource::Folder);
    Ok(Tls {
        ca: from.path(&name("CACERT")).map(CaSource::File).or(folder),
        identity,
        server_name: from.text(&name("TLS_SERVER_NAME")),
        skip_verify,
    })
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use super::*;

    fn read<T>(
        table: &[(&str, &str)],
        reader: impl Fn(Source<'_>) -> Result<T, SettingsError>,
    ) -> Result<T, SettingsError> {
        let look = |name: &str| table.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
        reader(Source::new(&look))
    }

    #[test]
    fn without_variables_the_services_are_on_this_machine() {
        let nomad = read(&[], nomad).unwrap();
        assert_eq!(nomad.address.to_string(), "http://127.0.0.1:4646");
        assert!(nomad.token.is_none() && nomad.query.is_empty() && nomad.tls == Tls::default());
        assert_eq!(read(&[], consul).unwrap().address.to_string(), "http://127.0.0.1:8500");
    }

    #[test]
    fn an_empty_variable_is_an_unset_one() {
        let table = [
            ("NOMAD_ADDR", ""),
            ("NOMAD_TOKEN", ""),
            ("NOMAD_CACERT", ""),
            ("NOMAD_CLIENT_CERT", ""),
            ("NOMAD_SKIP_VERIFY", ""),
            ("NOMAD_REGION", ""),
            ("NOMAD_HTTP_AUTH", ""),
        ];
        let nomad = read(&table, nomad).unwrap();
        assert_eq!(nomad.address.to_string(), "http://127.0.0.1:4646");
        assert!(nomad.token.is_none() && nomad.query.is_empty() && nomad.http_auth.is_none());
        assert_eq!(nomad.tls, Tls::default());
    }

    #[test]
    fn consul_over_tls_in_each_way_of_saying_so() {
        for (table, means) in [
            (vec![("CONSUL_HTTP_ADDR", "c.example:8501"), ("CONSUL_HTTP_SSL", "true")], "https://c.example:8501"),
            (vec![("CONSUL_HTTP_ADDR", "http://c.example:8501"), ("CONSUL_HTTP_SSL", "1")], "https://c.example:8501"),
            (vec![("CONSUL_HTTP_ADDR", "https://c.example")], "https://c.example"),
            (vec![("CONSUL_HTTP_ADDR", "https://c.example:1"), ("CONSUL_HTTP_SSL", "false")], "https://c.example:1"),
            (vec![("CONSUL_HTTP_ADDR", "unix:///run/c.sock"), ("CONSUL_HTTP_SSL", "true")], "unix:///run/c.sock"),
        ] {
            assert_eq!(read(&table, consul).unwrap().address.to_string(), means);
        }
    }

    #[test]
    fn every_tls_variable_has_its_place() {
        let table = [
            ("CONSUL_CACERT", "/ca.pem"),
            ("CONSUL_CAPATH", "/ca"),
            ("CONSUL_CLIENT_CERT", "/c.pem"),
            ("CONSUL_CLIENT_KEY", "/k.pem"),
            ("CONSUL_TLS_SERVER_NAME", "server.dc1.consul"),
            ("CONSUL_HTTP_SSL_VERIFY", "false"),
        ];
        assert_eq!(
            read(&table, consul).unwrap().tls,
            Tls {
                ca: Some(CaSource::File(PathBuf::from("/ca.pem"))),
                identity: Some(ClientKey { certificate: "/c.pem".into(), key: "/k.pem".into() }),
                server_name: Some("server.dc1.consul".to_owned()),
                skip_verify: true,
            }
        );
        let folder = read(&[("NOMAD_CAPATH", "/ca")], nomad).unwrap();
        assert_eq!(folder.tls.ca, Some(CaSource::Folder(PathBuf::from("/ca"))));
        assert!(read(&[("NOMAD_SKIP_VERIFY", "1")], nomad).unwrap().tls.skip_verify);
    }

    #[test]
    fn half_a_key_pair_is_refused() {
        for (name, other) in [
            ("NOMAD_CLIENT_CERT", "NOMAD_CLIENT_KEY"),
            ("NOMAD_CLIENT_KEY", "NOMAD_CLIENT_CERT"),
            ("CONSUL_CLIENT_CERT", "CONSUL_CLIENT_KEY"),
        ] {
            let reader = if name.starts_with("NOMAD") { nomad } else { consul };
            let error = read(&[(name, "/x.pem")], reader).unwrap_err();
            assert_eq!(error.name, name);
            assert!(error.why.contains(other), "{error}");
        }
    }

    #[test]
    fn a_token_file_wins_over_a_token() {
        let table = [("CONSUL_HTTP_TOKEN", "value"), ("CONSUL_HTTP_TOKEN_FILE", "/t")];
        assert!(
            matches!(read(&table, consul).unwrap().token, Some(TokenSource::File(path)) if path == Path::new("/t"))
        );
        let table = [("NOMAD_TOKEN", "value")];
        assert!(matches!(read(&table, nomad).unwrap().token, Some(TokenSource::Value(it)) if it.expose() == "value"));
    }

    #[test]
    fn region_namespace_and_basic_authentication_are_sent() {
        let table = [("NOMAD_REGION", "eu"), ("NOMAD_HTTP_AUTH", "me:pa:ss")];
        let nomad = read(&table, nomad).unwrap();
        assert_eq!(nomad.query, [("region".to_owned(), "eu".to_owned())]);
        let auth = nomad.http_auth.unwrap();
        assert_eq!((auth.user.as_str(), auth.password.unwrap().expose()), ("me", "pa:ss"));

        let table = [("CONSUL_NAMESPACE", "team"), ("CONSUL_HTTP_AUTH", "me")];
        let consul = read(&table, consul).unwrap();
        assert_eq!(consul.query, [("ns".to_owned(), "team".to_owned())]);
        assert!(consul.http_auth.unwrap().password.is_none());
    }

    #[test]
    fn a_wrong_word_names_its_variable() {
        for (name, value) in [("NOMAD_ADDR", "ftp://x"), ("NOMAD_SKIP_VERIFY", "maybe")] {
            assert_eq!(read(&[(name, value)], nomad).unwrap_err().name, name);
        }
    }
}
