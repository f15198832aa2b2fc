//! Which refusals of a dispatch are for good. Nomad answers nearly all of them with 500, so only the text tells.

use reqwest::StatusCode;

/// A sentence for the person who pushed, where trying again cannot help; none where it may.
pub(super) fn sentence(status: StatusCode, words: &str, job: &str, namespace: &str) -> Option<String> {
    // A token that is valid is denied for a moment after its agent has started; and 429 is about connections.
    if matches!(status, StatusCode::FORBIDDEN | StatusCode::TOO_MANY_REQUESTS) {
        return None;
    }
    let builder = format!("the builder \"{job}\"");
    if words.contains("parameterized job not found") {
        return Some(format!("there is no builder \"{job}\" in Nomad's namespace \"{namespace}\""));
    }
    if words.contains("is not a parameterized job") {
        return Some(format!("the job \"{job}\" is not a builder: it has no \"parameterized\" block"));
    }
    if words.starts_with("Specified job") && words.ends_with("is stopped") {
        return Some(format!("{builder} is stopped"));
    }
    if let Some(keys) = list_behind(words, "did not provide required meta keys: ") {
        return Some(format!("{builder} requires meta that Albatros does not give: {keys}"));
    }
    if let Some(keys) = list_behind(words, "included unpermitted metadata keys: ") {
        return Some(format!("{builder} does not permit meta that every build is given: {keys}"));
    }
    if let Some((_, sizes)) = words.split_once("Payload exceeds maximum size; ") {
        return Some(match sizes.split_once(" > ") {
            Some((size, limit)) => format!("the secrets are too large for {builder}: {size} bytes, at most {limit}"),
            None => format!("the secrets are too large for {builder}"),
        });
    }
    if words.contains("Payload provided but forbidden") {
        return Some(format!("{builder} forbids a payload, so it cannot be given secrets"));
    }
    if words.contains("Payload is not provided but required") {
        return Some(format!("{builder} requires a payload"));
    }
    if words.contains("dispatch job priority must be between") {
        return Some(format!("{builder} has a priority that Nomad does not allow"));
    }
    None
}

/// `… keys: [A B]` → `A, B`.
fn list_behind(words: &str, phrase: &str) -> Option<String> {
    let (_, list) = words.split_once(phrase)?;
    let keys: Vec<&str> = list.trim_matches(['[', ']']).split_whitespace().collect();
    Some(keys.join(", "))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use serde_json::Value;

    use super::*;

    /// Recorded refusals that are for good, with the end of what is said of them. All others may pass.
    const FOR_GOOD: [(&str, &str); 18] = [
        ("unknown-job", "there is no builder \"b\" in Nomad's namespace \"ci\""),
        ("unknown-namespace", "there is no builder \"b\" in Nomad's namespace \"ci\""),
        ("wrong-namespace", "there is no builder \"b\" in Nomad's namespace \"ci\""),
        ("namespace-wildcard", "there is no builder \"b\" in Nomad's namespace \"ci\""),
        ("not-parameterized", "is not a builder: it has no \"parameterized\" block"),
        ("dispatch-a-child", "is not a builder: it has no \"parameterized\" block"),
        ("stopped-parent", "the builder \"b\" is stopped"),
        ("missing-meta", "requires meta that Albatros does not give: COMMIT, BRANCH"),
        ("no-meta", "requires meta that Albatros does not give: REPO_URL, COMMIT, BRANCH, FLAVOR"),
        ("payload-endpoint", "requires meta that Albatros does not give: REPO_URL, COMMIT, BRANCH, FLAVOR"),
        ("meta-null", "requires meta that Albatros does not give: FLAVOR, REPO_URL, COMMIT, BRANCH"),
        ("unpermitted-meta", "does not permit meta that every build is given: EVIL, OTHER"),
        ("unpermitted-meta-lowercase", "does not permit meta that every build is given: branch"),
        ("payload-16385", "too large for the builder \"b\": 16385 bytes, at most 16384"),
        ("payload-forbidden", "forbids a payload, so it cannot be given secrets"),
        ("payload-required-missing", "requires a payload"),
        ("priority-101", "has a priority that Nomad does not allow"),
        ("priority-negative", "has a priority that Nomad does not allow"),
    ];

    #[test]
    fn each_recorded_refusal_is_for_good_or_passing_by_its_text() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixture/nomad/dispatch");
        let mut for_good = 0;
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            let exchange: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
            let Some(status) = exchange["status"].as_u64().filter(|status| *status != 200) else {
                continue;
            };
            let status = StatusCode::from_u16(u16::try_from(status).unwrap()).unwrap();
            let said = sentence(status, exchange["body"].as_str().unwrap(), "b", "ci");
            let expected = FOR_GOOD.iter().find(|(known, _)| *known == name).map(|(_, end)| *end);
            assert_eq!(said.is_some(), expected.is_some(), "{name}: {said:?}");
            if let (Some(said), Some(end)) = (said, expected) {
                assert!(said.ends_with(end), "{name}: {said}");
                for_good += 1;
            }
        }
        assert_eq!(for_good, FOR_GOOD.len());
    }

    #[test]
    fn what_is_not_nomads_own_word_may_pass() {
        for (status, words) in [
            (500, "rpc error: failed to get conn: dial tcp 127.0.0.1:4647: connect: connection refused"),
            (500, "No cluster leader"),
            (500, "No path to region"),
            (502, "a page of HTML, not the service's own answer"),
            (429, "Your IP is issuing too many concurrent connections, please rate limit your calls"),
            (403, "Permission denied"),
            (400, "Request body is empty"),
            (500, ""),
        ] {
            assert_eq!(sentence(StatusCode::from_u16(status).unwrap(), words, "b", "ci"), None, "{words}");
        }
    }
}
