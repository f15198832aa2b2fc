//! Who asks a registry: as docker's `config.json` has it
//! (<https://docs.docker.com/reference/cli/docker/login/#credential-stores>).

use std::collections::HashMap;
use std::fs::File;
use std::io::Read as _;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use oci_client::secrets::RegistryAuth;
use serde::Deserialize;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::Command;

use super::super::error::{ImageError, failed};

/// The file, bytes.
const FILE_MOST: u64 = 1 << 20;
/// What a helper answers, bytes.
const ANSWER_MOST: u64 = 64 * 1024;
/// A helper that asks a person is not waited for.
const HELPER_LIMIT: Duration = Duration::from_secs(20);
/// What docker calls its own registry in this file.
const HUB: &str = "index.docker.io";

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct DockerConfig {
    #[serde(default)]
    auths: HashMap<String, Entry>,
    #[serde(default)]
    cred_helpers: HashMap<String, String>,
    #[serde(default)]
    creds_store: Option<String>,
}

#[derive(Default, Deserialize)]
struct Entry {
    auth: Option<String>,
    username: Option<String>,
    password: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    username: String,
    secret: String,
}

/// What is known for a registry; nobody in particular where there is nothing.
pub(super) async fn find(registry: &str, path: Option<&Path>) -> Result<RegistryAuth, ImageError> {
    let Some(config) = path.map(read).transpose()?.flatten() else { return Ok(RegistryAuth::Anonymous) };
    let key = |name: &str| host(name) == hub(registry);
    if let Some(basic) = config.auths.iter().find(|(name, _)| key(name)).and_then(|(_, entry)| entry.basic()) {
        return Ok(basic);
    }
    let own = config.cred_helpers.iter().find(|(name, _)| key(name)).map(|(_, helper)| helper);
    let Some(helper) = own.or(config.creds_store.as_ref()) else { return Ok(RegistryAuth::Anonymous) };
    // A registry that the helper does not know is asked by nobody in particular.
    let server = if hub(registry) == HUB { "https://index.docker.io/v1/" } else { registry };
    let answer = tokio::time::timeout(HELPER_LIMIT, ask(helper, server)).await;
    Ok(answer.ok().flatten().unwrap_or(RegistryAuth::Anonymous))
}

fn read(path: &Path) -> Result<Option<DockerConfig>, ImageError> {
    let file = match File::open(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        file => file.map_err(failed(path, "read"))?,
    };
    let mut bytes = Vec::new();
    file.take(FILE_MOST).read_to_end(&mut bytes).map_err(failed(path, "read"))?;
    // What is wrong in it is not repeated: it holds passwords.
    let wrong = |_error| ImageError::Usage(format!("{} is not docker's config.json", path.display()));
    serde_json::from_slice(&bytes).map(Some).map_err(wrong)
}

impl Entry {
    fn basic(&self) -> Option<RegistryAuth> {
        if let (Some(user), Some(password)) = (&self.username, &self.password) {
            return Some(RegistryAuth::Basic(user.clone(), password.clone()));
        }
        let plain = STANDARD.decode(self.auth.as_deref().filter(|auth| !auth.is_empty())?).ok()?;
        let (user, password) = std::str::from_utf8(&plain).ok()?.split_once(':')?;
        Some(RegistryAuth::Basic(user.to_owned(), password.to_owned()))
    }
}

/// A registry's name without scheme and path.
fn host(name: &str) -> &str {
    let plain = name.split_once("://").map_or(name, |(_, rest)| rest);
    hub(plain.split('/').next().unwrap_or(plain))
}

fn hub(registry: &str) -> &str {
    if registry == "docker.io" { HUB } else { registry }
}

async fn ask(helper: &str, server: &str) -> Option<RegistryAuth> {
    let is_plain = |char: char| char.is_ascii_alphanumeric() || matches!(char, '.' | '_' | '-');
    if helper.is_empty() || !helper.chars().all(is_plain) {
        return None;
    }
    let mut command = Command::new(format!("docker-credential-{helper}"));
    command.arg("get").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
    let mut child = command.spawn().ok()?;
    child.stdin.take()?.write_all(server.as_bytes()).await.ok()?;
    let mut answer = Vec::new();
    child.stdout.take()?.take(ANSWER_MOST).read_to_end(&mut answer).await.ok()?;
    let answer: Answer = serde_json::from_slice(&answer).ok()?;
    // This is a token to ask for tokens with, not a password.
    (answer.username != "<token>").then_some(RegistryAuth::Basic(answer.username, answer.secret))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_password_is_found_by_the_registry_however_it_is_spelled() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config.json");
        let auth = STANDARD.encode("quentin:pa:ss");
        let text = format!(
            r#"{{"auths": {{"https://index.docker.io/v1/": {{"auth": "{auth}"}}, "127.0.0.1:3000": {{"auth": "{auth}"}},
                "empty.example": {{}}}}}}"#
        );
        std::fs::write(&path, text).unwrap();
        let basic = RegistryAuth::Basic("quentin".to_owned(), "pa:ss".to_owned());
        for registry in ["docker.io", "index.docker.io", "127.0.0.1:3000"] {
            assert_eq!(find(registry, Some(&path)).await.unwrap(), basic, "{registry}");
        }
        for registry in ["127.0.0.1:3001", "empty.example", "docker.io.example"] {
            assert_eq!(find(registry, Some(&path)).await.unwrap(), RegistryAuth::Anonymous, "{registry}");
        }
    }

    #[tokio::test]
    async fn what_is_wrong_in_the_file_is_not_repeated() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config.json");
        std::fs::write(&path, r#"{"auths": "s3cr3t"}"#).unwrap();
        let error = find("docker.io", Some(&path)).await.unwrap_err();
        assert!(!format!("{error} {error:?}").contains("s3cr3t"));
    }
}
