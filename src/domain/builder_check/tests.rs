use std::collections::BTreeSet;

use serde_json::json;

use super::*;
use crate::domain::finding::Severity;
use crate::domain::job_file::{Given, JobFile};

/// A builder with nothing to find.
const CLEAN: &str = include_str!("tests/clean.hcl");

fn read(text: &str) -> (Job, Sketch) {
    let sketch = JobFile::parse(text.to_owned()).unwrap().sketch(&Given::default());
    (Job::read(sketch.job.as_ref().unwrap()).unwrap(), sketch)
}

fn checked_with(text: &str, cluster: &Cluster, trusted_only: bool) -> Vec<Finding> {
    let (job, sketch) = read(text);
    let about = About { sketch: &sketch, cluster, namespace: "ci", trusted_only };
    let findings = check(&job, &about);
    for finding in &findings {
        assert!(NAMES.contains(&finding.name), "{}", finding.name);
        assert!(!finding.sentence.is_empty() && !finding.sentence.ends_with('.'), "{finding:?}");
        assert!(finding.severity == Severity::Note || !finding.fix.is_empty(), "{finding:?}");
    }
    findings
}

fn checked(text: &str) -> Vec<Finding> {
    checked_with(text, &Cluster::default(), false)
}

/// The same builder with something else in a place of it.
fn with(from: &str, to: &str) -> String {
    assert_eq!(CLEAN.matches(from).count(), 1, "{from}");
    CLEAN.replacen(from, to, 1)
}

/// The line of the first difference, from 1.
fn line_of(text: &str, what: &str) -> Option<u32> {
    let at = text.lines().position(|line| line.contains(what));
    at.map(|at| u32::try_from(at + 1).unwrap())
}

#[test]
fn a_builder_as_it_should_be_has_nothing_to_find() {
    assert_eq!(checked(CLEAN), []);
}

/// What is put where, what is found, how bad it is, and a word of the line it is found on.
const CASES: &[(&str, &str, &str, Severity, &str)] = &[
    ("type      = \"batch\"", "type = \"sysbatch\"", "job-type", Severity::Error, "sysbatch"),
    ("namespace = \"ci\"", "namespace = \"else\"", "namespace", Severity::Note, "else"),
    ("\"REPO_URL\", ", "", "meta-missing", Severity::Error, "meta_required"),
    ("\"FLAVOR\"]", "\"FLAVOR\", \"DEPLOY\"]", "meta-required", Severity::Error, "meta_required"),
    ("\"FLAVOR\"]", "\"FLAVOR\", \"IMAGE\"]", "meta-required", Severity::Error, "meta_required"),
    ("meta_optional = [", "meta_optional = [\"SENDRE\", ", "meta-unknown", Severity::Warning, "meta_optional"),
    ("group \"runner\" {", "group \"runer\" {", "group-missing", Severity::Error, "runer"),
    ("group \"runner\" {", "group \"runner\" {\n    count = 2", "group-count", Severity::Error, "count"),
    ("  # end", "  group \"db\" {}", "group-extra", Severity::Warning, "db"),
    ("task \"executor\"", "task \"excutor\"", "task-missing", Severity::Error, "excutor"),
    ("attempts = 0 # restart", "attempts = 2 # restart", "restart", Severity::Warning, "# restart"),
    ("attempts  = 0 # reschedule", "attempts = 1", "reschedule", Severity::Warning, "attempts = 1"),
    ("unlimited = false", "unlimited = true", "reschedule", Severity::Warning, "# reschedule"),
    ("lost_after = \"12h\"", "", "disconnect", Severity::Warning, "disconnect"),
    ("replace    = false", "replace = true", "disconnect", Severity::Warning, "lost_after"),
    ("max_run_duration = \"1h\"", "", "time-limit", Severity::Warning, "group \"runner\""),
    ("\"exec\"]", "\"exec\", \"${NOMAD_META_BRANCH}\"]", "meta-in-command", Severity::Error, "BRANCH}"),
    (
        "image      = \"${NOMAD_META_IMAGE}\"",
        "image = \"x:${NOMAD_META_REF}\"",
        "meta-in-command",
        Severity::Error,
        "_REF",
    ),
    (
        "# in executor",
        "template {\n data = \"{{ env \\\"NOMAD_META_BRANCH\\\" }}\"\n }",
        "meta-in-template",
        Severity::Error,
        "template {",
    ),
    (
        "identity {\n        name = \"albatros\"",
        "identity {\n        name = \"other\"",
        "controller-identity",
        Severity::Error,
        "task \"controller\"",
    ),
    ("aud  = [\"albatros\"]", "aud = [\"vault.io\"]", "controller-identity", Severity::Error, "identity {"),
    ("ttl  = \"1h\"", "", "controller-identity", Severity::Error, "identity {"),
    ("sidecar = true # controller", "", "controller-lifecycle", Severity::Error, "lifecycle { # controller"),
    (
        "# in config",
        "volumes = [\"/var/run/docker.sock:/var/run/docker.sock\"]",
        "docker-socket",
        Severity::Error,
        "docker.sock",
    ),
    ("# in config", "mount {\n type = \"bind\"\n source = \"/run/\"\n }", "docker-socket", Severity::Error, "mount {"),
    ("# in config", "volumes = [\"/:/host\"]", "docker-socket", Severity::Error, "/host"),
    ("# in config", "privileged = true", "privileged", Severity::Error, "privileged"),
    ("network_mode = \"none\" # executor", "network_mode = \"host\"", "host-network", Severity::Warning, "\"host\""),
    ("# in config", "pid_mode = \"host\"", "host-pid", Severity::Error, "pid_mode"),
    ("# in config", "ipc_mode = \"host\"", "host-ipc", Severity::Error, "ipc_mode"),
    ("# in config", "userns_mode = \"host\"", "host-userns", Severity::Error, "userns_mode"),
    ("driver = \"docker\" # executor", "driver = \"exec\"", "host-network", Severity::Warning, "\"exec\""),
    ("driver = \"docker\" # executor", "driver = \"raw_exec\"", "raw-exec", Severity::Error, "raw_exec"),
    ("# in config", "cap_add = [\"CAP_SYS_ADMIN\", \"chown\"]", "capabilities", Severity::Error, "SYS_ADMIN"),
    ("# in executor", "identity {\n env = true\n }", "identity", Severity::Error, "identity {\n"),
    ("# in executor", "vault {}", "vault", Severity::Error, "vault {}"),
    ("group \"runner\" {", "group \"runner\" {\n vault {}", "vault", Severity::Error, "vault {}"),
    ("# in executor", "consul {}", "consul", Severity::Error, "consul {}"),
    ("# in executor", "secret \"db\" {\n provider = \"nomad\"\n }", "secret", Severity::Error, "secret \"db\""),
    (
        "# in executor",
        "template {\n data = \"{{ with nomadVar \\\"a\\\" }}{{ .b }}{{ end }}\"\n }",
        "template",
        Severity::Error,
        "template {",
    ),
    ("# in executor", "template {\n source = \"local/x\"\n }", "template", Severity::Error, "template {"),
    ("size = 4000", "size = 700", "log-size", Severity::Error, "logs {"),
    ("size = 4000", "size = 1005", "log-size", Severity::Warning, "size = 1005"),
    ("max_files     = 20", "disabled = true", "log-disabled", Severity::Error, "disabled"),
];

#[test]
fn each_finding_is_found_where_it_stands_and_nowhere_else() {
    for (from, to, name, severity, line) in CASES {
        let text = with(from, to);
        let findings = checked(&text);
        let mut named = findings.iter().filter(|finding| finding.name == *name);
        let Some(found) = named.next() else {
            panic!("{name} by {to}: {findings:?}");
        };
        assert_eq!((found.severity, named.next()), (*severity, None), "{name}: {findings:?}");
        let expected = line_of(&text, line.trim());
        let written = text.lines().nth(found.line.unwrap() as usize - 1);
        let stands = written.is_some_and(|written| written.contains(line.trim()));
        assert!(stands, "{name} by {to}: line {:?}, not {expected:?}: {written:?}", found.line);
    }
    let found: BTreeSet<_> = CASES.iter().map(|case| case.2).collect();
    assert!(found.len() > 30);
}

#[test]
fn what_is_no_builder_is_said_to_be_none() {
    let periodic = "job \"p\" {\n  type = \"sysbatch\"\n  periodic {}\n}\n";
    let findings = checked(periodic);
    assert_eq!((findings.len(), findings[0].name, findings[0].severity), (1, "no-builder", Severity::Note));
    assert!(findings[0].sentence.contains("periodic sysbatch"), "{findings:?}");
    let findings = checked("job \"s\" {\n  group \"web\" {}\n}\n");
    assert_eq!((findings[0].name, findings.len()), ("no-builder", 1));
    let forgotten = checked("job \"b\" {\n  type = \"batch\"\n}\n");
    assert_eq!((forgotten[0].name, forgotten[0].severity), ("not-parameterized", Severity::Error));
    let runner = checked("job \"b\" {\n  group \"runner\" {}\n}\n");
    assert!(runner.iter().any(|finding| finding.name == "not-parameterized"), "{runner:?}");
    assert!(runner.iter().any(|finding| finding.name == "task-missing"), "{runner:?}");
}

#[test]
fn four_lines_are_a_builder_that_has_warnings_and_no_errors() {
    let plain = r#"job "four" {
  type = "batch"
  parameterized { meta_required = ["REPO_URL", "COMMIT", "BRANCH", "FLAVOR"] }
  group "runner" { task "executor" { driver = "docker" } }
}
"#;
    let plain = plain.replace("{ meta", "{\n meta").replace("] }", "]\n}").replace("{ task", "{\n task");
    let plain = plain.replace("{ driver", "{\n driver").replace("\"docker\" } }", "\"docker\"\n}\n}");
    let findings = checked(&plain);
    let names: BTreeSet<_> = findings.iter().map(|finding| (finding.name, finding.severity)).collect();
    let expected = ["disconnect", "reschedule", "restart", "secrets-in-payload", "time-limit"];
    assert_eq!(names, expected.into_iter().map(|name| (name, Severity::Warning)).collect());
}

#[test]
fn where_only_trusted_builds_come_credentials_are_no_more_than_noted() {
    let text = with("# in executor", "vault {}").replace("driver = \"docker\" # executor", "driver = \"raw_exec\"");
    let findings = checked_with(&text, &Cluster::default(), true);
    let of = |name: &str| findings.iter().find(|finding| finding.name == name).map(|finding| finding.severity);
    assert_eq!((of("vault"), of("raw-exec")), (Some(Severity::Note), Some(Severity::Warning)), "{findings:?}");
}

#[test]
fn a_script_in_a_machine_is_apart_whatever_the_driver() {
    let named = |to: &str| -> Vec<&'static str> {
        let text = with("driver = \"docker\" # executor", "driver = \"raw_exec\"").replacen("\"exec\"]", to, 1);
        checked(&text).iter().map(|finding| finding.name).collect()
    };
    assert_eq!(named("\"vm\"]"), [""; 0]);
    assert_eq!(named("\"vm\", \"--network\", \"user\"]"), [""; 0]);
    for other in ["\"exec\"]", "\"exec\", \"vm\"]", "\"vm\", \"keep\", \"--\", \"sh\"]", "\"vm\", \"--\", \"sh\"]"] {
        assert!(named(other).contains(&"raw-exec"), "{other}: {:?}", named(other));
    }
}

#[test]
fn what_the_cluster_knows_is_part_of_it() {
    let policy = |task: &str| Policy { name: "deploy".to_owned(), group: String::new(), task: task.to_owned() };
    let named = |cluster: &Cluster| -> Vec<&'static str> {
        checked_with(CLEAN, cluster, false).iter().map(|finding| finding.name).collect()
    };
    let acl = |policies| Cluster { acl: Some(true), policies };
    assert_eq!(named(&acl(Some(Vec::new()))), [""; 0]);
    assert_eq!(named(&acl(Some(vec![policy("controller")]))), ["policy"]);
    assert_eq!(named(&acl(Some(vec![policy("")]))), ["policy", "policy"], "the executor has it too");
    assert_eq!(named(&acl(Some(vec![policy("sidecar")]))), [""; 0]);
    assert_eq!(named(&acl(None)), ["policies-unknown"]);
    assert_eq!(named(&Cluster { acl: Some(false), policies: None }), ["no-acl"]);
}

#[test]
fn what_rests_on_an_unknown_value_is_noted_not_guessed() {
    let text = format!("variable \"x\" {{}}\n{}", with("attempts = 0 # restart", "attempts = var.x"));
    let text = text.replace("# in config", "privileged = var.x");
    let findings = checked(&text);
    assert!(findings.iter().all(|finding| finding.name == "unknown"), "{findings:?}");
    assert_eq!(findings.len(), 2);
    assert!(findings[0].sentence.contains("-var x=") && findings[0].line.is_some(), "{findings:?}");
}

#[test]
fn a_job_as_nomad_shows_it_is_judged_as_its_file_is() {
    let job = json!({
        "ID": "b", "Type": "batch", "Namespace": "ci", "Stop": true, "Periodic": null, "Meta": null,
        "ParameterizedJob": {"MetaRequired": ["REPO_URL", "COMMIT", "BRANCH", "FLAVOR"], "MetaOptional": null, "Payload": "forbidden"},
        "TaskGroups": [{
            "Name": "runner", "Count": 1, "RestartPolicy": {"Attempts": 3}, "ReschedulePolicy": {"Attempts": 0, "Unlimited": false},
            "Disconnect": null, "MaxRunDuration": null, "Networks": null, "EphemeralDisk": {"SizeMB": 300},
            "Tasks": [{
                "Name": "executor", "Driver": "docker", "Config": {"network_mode": "none"}, "Env": null,
                "RestartPolicy": {"Attempts": 0}, "Identity": {"Name": "default", "Env": false, "File": true},
                "LogConfig": {"MaxFiles": 10, "MaxFileSizeMB": 10}, "Vault": null,
            }],
        }],
    });
    let (sketch, cluster) = (Sketch::default(), Cluster::default());
    let about = About { sketch: &sketch, cluster: &cluster, namespace: "ci", trusted_only: false };
    let findings = check(&Job::read(&job).unwrap(), &about);
    let names: BTreeSet<_> = findings.iter().map(|finding| finding.name).collect();
    assert_eq!(names, BTreeSet::from(["disconnect", "identity", "stopped", "time-limit"]));
    assert!(findings.iter().all(|finding| finding.line.is_none()));
}

#[test]
fn every_builder_of_ours_is_clean() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("hcl");
    let mut builders = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|it| it != "hcl") {
            continue;
        }
        let findings = checked(&std::fs::read_to_string(&path).unwrap());
        // What is none may have variables that have no value of their own.
        let none = findings.iter().any(|finding| finding.name == "no-builder");
        assert!(none || findings.is_empty(), "{path:?}: {findings:#?}");
        builders += usize::from(!none);
    }
    assert!(builders >= 4, "{builders}");
}
