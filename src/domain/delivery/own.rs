//! A test delivery of our own: what a forge would send, to tell whether it is the server or the forge that is in the way.

use serde_json::json;

use crate::domain::config::RepoConfig;
use crate::domain::key;

/// Headers and body of a ping for the repository at `clone_url`, with the credential of its configuration.
#[must_use]
pub fn own_test(config: &RepoConfig, clone_url: &str) -> (Vec<(String, String)>, Vec<u8>) {
    let body =
        json!({ "zen": "Albatros asks itself", "repository": { "clone_url": clone_url } }).to_string().into_bytes();
    let credential = match (config.hook_secrets.first(), config.hook_tokens.first()) {
        (Some(secret), _) => {
            ("X-Hub-Signature-256", format!("sha256={}", hex::encode(key::mac(secret, &[body.as_slice()]))))
        }
        (None, Some(token)) => ("Authorization", format!("Bearer {}", token.expose())),
        (None, None) => ("X-Hub-Signature-256", String::new()),
    };
    let headers = [("Content-Type", "application/json".to_owned()), ("X-GitHub-Event", "ping".to_owned()), credential];
    (headers.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(), body)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::delivery::{Incoming, Origin, json_text, parse, peek};
    use crate::domain::event::Event;
    use crate::domain::verify::verify;

    #[test]
    fn it_is_a_test_that_passes_for_one_and_names_no_delivery() {
        for hook in [r#"{"secret":["a","b"]}"#, r#"{"token":"t"}"#] {
            let config = RepoConfig::parse(format!(r#"{{"hook":{hook}}}"#).as_bytes()).unwrap();
            let (headers, body) = own_test(&config, "https://git.example/a/b.git");
            let incoming = Incoming { headers: &headers, query: "", body: &body };
            let json = json_text(&incoming).unwrap();
            assert_eq!(peek(&json).unwrap().canonical(), "https://git.example/a/b.git");
            let verified = verify(&incoming, &json, &config).unwrap();
            assert_eq!(parse(&incoming, &verified).unwrap(), Event::Test);
            assert_eq!(Origin::of(&incoming).unwrap().forge, "", "so that it is not noted as a forge's");
        }
    }
}
