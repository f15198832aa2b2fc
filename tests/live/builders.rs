//! `albatros builder …` and a real Nomad: what it parses, plans and registers is what the verbs say.

use std::process::{Output, Stdio};

use serde_json::{Value, json};
use tokio::process::Command;

use crate::cluster::{self, Cluster};

async fn typed(cluster: &Cluster, token: &str, verb: &[&str]) -> (i32, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_albatros"));
    command.arg("builder").args(verb).env_clear().stdin(Stdio::null()).current_dir(env!("CARGO_MANIFEST_DIR"));
    command.env("NOMAD_ADDR", cluster.nomad.url()).env("NOMAD_TOKEN", token);
    let Output { status, stdout, stderr } = command.output().await.unwrap();
    (status.code().unwrap(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn our_builders_are_clean_and_registered_as_they_are_said_to_be() {
    let Some(cluster) = cluster::shared("builders").await else { return };
    let root = cluster.nomad.management_token();
    let files: Vec<String> = std::fs::read_dir(format!("{}/hcl", env!("CARGO_MANIFEST_DIR")))
        .unwrap()
        .map(|entry| entry.unwrap().path().display().to_string())
        .filter(|path| path.ends_with(".hcl"))
        .filter(|path| std::fs::read_to_string(path).unwrap().contains("\n  parameterized {"))
        .collect();
    let verb: Vec<&str> = ["check", "--strict", "--json"].into_iter().chain(files.iter().map(String::as_str)).collect();
    let (code, out, err) = typed(cluster, root, &verb).await;
    let checked: Value = serde_json::from_str(&out).unwrap_or_else(|error| panic!("{error}: {out} {err}"));
    assert_eq!(code, 0, "{checked:#}");
    for one in checked.as_array().unwrap() {
        assert!(one["asked"] == true && one["findings"] == json!([]), "{one:#}");
    }
    assert!(files.len() >= 4, "{files:?}");

    let text = std::fs::read_to_string(format!("{}/hcl/exec.hcl", env!("CARGO_MANIFEST_DIR"))).unwrap();
    let room = cluster.nomad.server().room();
    let file = room.join("typed.hcl").display().to_string();
    std::fs::write(&file, text.replace("job \"builder\"", "job \"typed\"")).unwrap();
    for (more, state) in [("disk=4000", "new"), ("disk=4000", "unchanged"), ("disk=5000", "changed")] {
        let (code, out, err) = typed(cluster, root, &["register", &file, "-var", more]).await;
        let expected = format!("builder \"typed\" in the namespace \"ci\": {state}\n");
        assert!(code == 0 && out.contains(&expected), "{out} {err}");
        assert_eq!(out.contains("EphemeralDisk: ~ SizeMB 4000 → 5000"), state == "changed", "{out}");
    }
    let (code, out, _) = typed(cluster, root, &["check", "--strict", "typed"]).await;
    assert_eq!((code, out.as_str()), (0, "typed: clean\n"));
    let (code, _, err) = typed(cluster, root, &["show", "tpyed"]).await;
    assert!(code == 2 && err.contains("did you mean \"typed\"?"), "{err}");

    let bound = json!({"Namespace": "ci", "JobID": "typed", "Group": "runner", "Task": "controller"});
    let policy = json!({"Name": "typed", "Rules": "node { policy = \"read\" }", "JobACL": bound});
    cluster.nomad.call("PUT", "/v1/acl/policy/typed", Some(&policy)).await;
    let (code, out, _) = typed(cluster, root, &["check", "typed"]).await;
    assert!(code == 1 && out.contains("[policy]"), "{out}");

    std::fs::write(&file, "job \"typed\" {\n  foo = 1\n}\n").unwrap();
    let (code, out, _) = typed(cluster, root, &["check", &file]).await;
    assert!(code == 1 && out.contains("typed.hcl:2: error: Nomad refuses it: Unsupported argument"), "{out}");
    let reader = cluster.nomad.token("typed-reader", "namespace \"ci\" { policy = \"read\" }").await;
    let (code, _, err) = typed(cluster, &reader, &["register", "hcl/exec.hcl"]).await;
    assert!(code == 3 && err.contains("submit-job"), "{err}");
}
