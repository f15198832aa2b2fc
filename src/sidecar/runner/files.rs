//! What lies in the runner's folder: its registration, and how its program is to behave.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use serde_json::{Value, json};

/// The configuration, where the builder has none of its own.
pub(super) const CONFIG: &str = "config.json";
/// `act_runner`'s own name of its registration.
const REGISTRATION: &str = ".runner";

/// Writes files that only this user reads.
pub(super) fn write(folder: &Path, files: &BTreeMap<String, String>) -> io::Result<()> {
    for (name, text) in files {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(folder.join(name))?;
        file.write_all(text.as_bytes())?;
    }
    Ok(())
}

/// The registration with labels that say where a job is run: in a container of `image`, or where the runner is. A label that
/// says so itself stays as it is. None where it is not a registration.
pub(super) fn labelled(mut files: BTreeMap<String, String>, image: Option<&str>) -> Option<BTreeMap<String, String>> {
    let text = files.get_mut(REGISTRATION)?;
    let mut registration: Value = serde_json::from_str(text).ok()?;
    for label in registration.get_mut("labels")?.as_array_mut()? {
        let name = label.as_str()?;
        if !name.contains(':') {
            *label = match image {
                Some(image) => format!("{name}:docker://{image}"),
                None => format!("{name}:host"),
            }
            .into();
        }
    }
    *text = registration.to_string();
    Some(files)
}

/// `act_runner`'s configuration; its YAML takes JSON. One job; no cache server, which would be a port of all interfaces
/// for as long as one job; no socket of the container engine in the containers of a job.
pub(super) fn config(folder: &Path) -> String {
    json!({
        "log": { "level": "info" },
        "runner": { "file": REGISTRATION, "capacity": 1 },
        "cache": { "enabled": false },
        "container": { "docker_host": "-", "force_pull": false },
        "host": { "workdir_parent": folder.join("work") },
    })
    .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(labels: &str) -> BTreeMap<String, String> {
        BTreeMap::from([(REGISTRATION.to_owned(), format!(r#"{{"id":7,"token":"t","labels":{labels}}}"#))])
    }

    #[test]
    fn a_label_says_where_its_jobs_are_run() {
        let labels = |image| {
            let files = labelled(files(r#"["a","b:host","c:docker://x:1"]"#), image).unwrap();
            let value: Value = serde_json::from_str(&files[REGISTRATION]).unwrap();
            assert_eq!((&value["id"], &value["token"]), (&json!(7), &json!("t")));
            value["labels"].clone()
        };
        assert_eq!(labels(None), json!(["a:host", "b:host", "c:docker://x:1"]));
        assert_eq!(labels(Some("debian:12")), json!(["a:docker://debian:12", "b:host", "c:docker://x:1"]));
    }

    #[test]
    fn what_is_no_registration_is_refused() {
        assert_eq!(labelled(BTreeMap::new(), None), None);
        assert_eq!(labelled(files("7"), None), None);
        assert_eq!(labelled(files("[7]"), None), None);
    }

    #[test]
    fn files_are_for_this_user_alone_and_never_written_over() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), &files("[]")).unwrap();
        let mode = std::fs::metadata(folder.path().join(REGISTRATION)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert!(write(folder.path(), &files("[]")).is_err());
    }
}
