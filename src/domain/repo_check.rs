//! What is wrong with a repository's entry, as far as it tells by itself: where it stands, and what it says.

use super::config::RepoConfig;
use super::finding::Finding;

/// A secret that is shorter can be guessed.
const SHORT: usize = 16;

/// Where an entry stands.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// The address that its key stands for.
    pub address: &'a str,
    /// The same in its canonical spelling.
    pub canonical: &'a str,
    /// Whether it is the canonical address in standard base64.
    pub is_usual: bool,
    /// How many other entries stand for the same repository.
    pub others: usize,
}

/// For a key that is none.
#[must_use]
pub fn no_address(name: &str) -> Finding {
    let name = crate::domain::json::shown(name);
    Finding::error(
        "key-encoding",
        format!("the key {name} is not the base64 of a repository's address, so no delivery ever finds it"),
        "put the value under the right key with `albatros repo add URL`, and remove this one with `consul kv delete`",
    )
}

/// What is wrong with where an entry stands.
#[must_use]
pub fn place(place: &Place<'_>) -> Vec<Finding> {
    let mut found = Vec::new();
    let mend = format!("albatros repo add {} --update (moves it, and removes the others)", place.canonical);
    if place.others > 0 {
        let sentence = format!("{} more keys stand for this repository, and only one counts", place.others);
        found.push(Finding::error("key-double", sentence, mend.clone()));
    }
    if place.address != place.canonical {
        let sentence = format!(
            "the key is made of {}, and is found only by deliveries that spell it so; its usual form is {}",
            place.address, place.canonical
        );
        found.push(Finding::warning("key-spelling", sentence, mend));
    } else if !place.is_usual {
        let sentence =
            "the key is in URL-safe base64: it works, but `consul kv get` with the usual one does not find it";
        found.push(Finding::note("key-other-base64", sentence, mend));
    }
    found
}

/// What is wrong with what an entry says, and the configuration where it is one.
#[must_use]
pub fn value(value: &[u8], canonical: &str) -> (Vec<Finding>, Option<RepoConfig>) {
    let config = match RepoConfig::parse(value) {
        Ok(config) => config,
        Err(why) => {
            let fix = "the table in the README has every field; until then no delivery is taken";
            return (vec![Finding::error("entry-broken", why.to_string(), fix)], None);
        }
    };
    let mut found = Vec::new();
    if config.hook_secrets.is_empty() {
        let sentence = "there is only hook.token: whoever sees the webhook's address can claim to be any sender";
        found.push(Finding::warning("token-only", sentence, format!("albatros repo add {canonical} --update")));
    }
    let credentials = config.hook_secrets.iter().chain(&config.hook_tokens);
    if credentials.into_iter().any(|secret| secret.expose().len() < SHORT) {
        let sentence = format!("a secret or token of the hook is shorter than {SHORT} characters");
        let fix = "openssl rand -hex 32 > secret && albatros repo add URL --update --secret-file secret";
        found.push(Finding::warning("short-secret", sentence, fix));
    }
    let acts = config.tokens.as_ref().is_some_and(|tokens| !tokens.act.is_empty());
    if !acts && (config.tokens.is_some() || config.hook_tokens.is_empty()) {
        let sentence = "there is no token for people: nobody can approve, cancel or trigger";
        found.push(Finding::note(
            "no-act-token",
            sentence,
            format!("albatros repo add {canonical} --update --new-token"),
        ));
    }
    if config.forge.is_none() {
        let sentence =
            "no forge is named: there are no commit statuses, and nobody asks whether a commit is on its branch";
        let fix = format!("albatros repo add {canonical} --update --token-file FILE");
        found.push(Finding::warning("no-forge", sentence, fix));
    }
    found.extend(senders(&config, canonical));
    (found, Some(config))
}

fn senders(config: &RepoConfig, canonical: &str) -> Vec<Finding> {
    let mut found = Vec::new();
    for sender in config.trusted.iter().filter(|sender| sender.id.is_none() && !sender.login.starts_with('@')) {
        let sentence = format!("{} is trusted by name alone: who takes the name over is trusted too", sender.login);
        let fix = format!("albatros repo add {canonical} --update --trusted {}", sender.login);
        found.push(Finding::warning("sender-without-id", sentence, fix));
    }
    if config.inject.is_some() && config.trusted.is_empty() {
        let sentence = "there are secrets (inject) and nobody is trusted, so no build ever gets them";
        let fix = format!("albatros repo add {canonical} --update --trusted LOGIN");
        found.push(Finding::warning("inject-unused", sentence, fix));
    }
    found
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const URL: &str = "https://git.example/quentin/hello.git";

    fn names(found: &[Finding]) -> Vec<&'static str> {
        found.iter().map(|finding| finding.name).collect()
    }

    fn of(entry: &Value) -> Vec<&'static str> {
        names(&value(entry.to_string().as_bytes(), URL).0)
    }

    fn good() -> Value {
        json!({
            "hook": {"secret": "0123456789abcdef"}, "gitea": {"url": "https://git.example", "token": "t"},
            "trusted": {"senders": [{"login": "quentin", "id": 1}, "@trigger"]}, "inject": "A=b",
            "tokens": {"act": ["a"]},
        })
    }

    /// The good entry with another value in it.
    fn but(pointer: &str, value: Value) -> Value {
        let mut entry = good();
        *entry.pointer_mut(pointer).unwrap() = value;
        entry
    }

    #[test]
    fn a_good_entry_has_nothing_to_be_said_of() {
        assert_eq!(of(&good()), Vec::<&str>::new());
        assert!(place(&Place { address: URL, canonical: URL, is_usual: true, others: 0 }).is_empty());
    }

    #[test]
    fn every_fault_has_its_name() {
        for (entry, name) in [
            (but("/hook", json!({"token": "0123456789abcdef"})), "token-only"),
            (but("/hook/secret", json!("short")), "short-secret"),
            (but("/tokens", json!({"read": ["r"]})), "no-act-token"),
            (but("/gitea", Value::Null), "entry-broken"),
            (but("/trusted/senders", json!(["quentin"])), "sender-without-id"),
            (but("/trusted/senders", json!([])), "inject-unused"),
        ] {
            assert_eq!(of(&entry), [name]);
        }
        let mut alone = good();
        alone.as_object_mut().unwrap().remove("gitea");
        assert_eq!(of(&alone), ["no-forge"]);
        assert_eq!(no_address("hello").name, "key-encoding");
    }

    #[test]
    fn a_place_that_hides_an_entry_is_told() {
        let odd = "https://Git.example/quentin/hello.git";
        for (address, is_usual, others, name) in
            [(odd, false, 0, "key-spelling"), (URL, false, 0, "key-other-base64"), (URL, true, 2, "key-double")]
        {
            assert_eq!(names(&place(&Place { address, canonical: URL, is_usual, others })), [name]);
        }
    }

    #[test]
    fn a_finding_names_the_field_and_never_a_secret() {
        let entry = json!({"hook": {"secret": "hidden-hidden-hidden"}, "injet": "hidden"});
        let (found, config) = value(entry.to_string().as_bytes(), URL);
        assert!(config.is_none() && found[0].sentence.contains("injet") && !found[0].sentence.contains("hidden"));
    }
}
