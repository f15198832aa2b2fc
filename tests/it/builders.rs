//! `albatros builder …`, as a person types it, against Nomad: what is printed, what Nomad is left with, how it exits.

use std::path::Path;
use std::process::Stdio;

use albatros::domain::builder_check::NAMES;
use albatros::domain::job_file::{Given, JobFile};
use serde_json::Value;
use tokio::process::Command;

use crate::fake::fault::{Fault, Times};
use crate::fake::fixture;
use crate::fake::nomad::{Builder, Nomad};
use crate::fake::wire::PATIENCE;

const TOKEN: &str = "11111111-2222-3333-4444-555555555555";
const HIDDEN: &str = "hunter2-of-a-variable";

struct Said {
    code: i32,
    out: String,
    err: String,
}

impl Said {
    fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {} {}", self.out, self.err))
    }

    fn ends(&self, code: i32) -> &Self {
        assert_eq!(self.code, code, "{}\n{}", self.out, self.err);
        self
    }

    fn says(&self, words: &str) -> &Self {
        assert!(self.out.contains(words), "{words}: {}", self.out);
        self
    }

    fn complains(&self, words: &str) -> &Self {
        assert!(self.err.contains(words), "{words}: {}", self.err);
        self
    }
}

/// Runs `albatros builder …` with this environment and nothing else. Nothing secret is ever printed.
async fn typed(environment: &[(&str, &str)], verb: &[&str]) -> Said {
    let mut command = Command::new(env!("CARGO_BIN_EXE_albatros"));
    command.arg("builder").args(verb).env_clear().stdin(Stdio::null()).kill_on_drop(true);
    command.envs(environment.iter().copied());
    let output = tokio::time::timeout(PATIENCE, command.output()).await.expect("it ends").unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    let said = Said { code: output.status.code().unwrap(), out: text(output.stdout), err: text(output.stderr) };
    for hidden in [TOKEN, HIDDEN, "\x1b"] {
        assert!(!said.out.contains(hidden) && !said.err.contains(hidden), "{verb:?}: {} {}", said.out, said.err);
    }
    said
}

/// An address where nothing listens: a port that was free a moment ago.
fn nowhere() -> String {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    format!("http://127.0.0.1:{port}")
}

fn ours(name: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("hcl").join(name).display().to_string()
}

/// The shipped builders.
fn all_of_ours() -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("hcl");
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let files = files.filter(|path| path.extension().is_some_and(|it| it == "hcl"));
    let builders = files.filter(|path| std::fs::read_to_string(path).unwrap().contains("\n  parameterized {"));
    builders.map(|path| path.display().to_string()).collect()
}

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn file(&self, name: &str, text: &str) -> String {
        let path = self.0.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    }
}

#[tokio::test]
async fn every_builder_of_ours_is_clean_with_nomad_and_without() {
    let nomad = Nomad::start().await;
    nomad.require_token(TOKEN);
    let online = [("NOMAD_ADDR", nomad.url()), ("NOMAD_TOKEN", TOKEN.to_owned())];
    let online: Vec<_> = online.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let files = all_of_ours();
    assert!(files.len() >= 4, "{files:?}");
    let with = |first: &[&str]| {
        let words: Vec<String> = first.iter().map(ToString::to_string).chain(files.clone()).collect();
        words
    };
    for (words, environment, asked) in [
        (with(&["check", "--strict", "--json", "--offline"]), vec![], false),
        (with(&["check", "--strict", "--json"]), online, true),
    ] {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let said = typed(&environment, &words).await;
        let checked = said.ends(0).json();
        for one in checked.as_array().unwrap() {
            assert_eq!((&one["findings"], &one["asked"]), (&Value::Array(Vec::new()), &asked.into()), "{one:#}");
        }
        assert_eq!(checked.as_array().unwrap().len(), files.len());
    }
}

#[tokio::test]
async fn a_service_is_said_to_be_none_and_is_not_registered() {
    let nomad = Nomad::start().await;
    let url = nomad.url();
    let at = [("NOMAD_ADDR", url.as_str())];
    typed(&at, &["check", &ours("albatros.hcl"), "--strict"]).await.ends(0).says("no builder but a service job");
    typed(&at, &["check", &ours("nixcache-gc.hcl")]).await.ends(0).says("a periodic sysbatch job");
    let folder = Folder::new();
    let nightly =
        "variable \"repo\" {}\njob \"n\" {\n  type = \"batch\"\n  periodic {}\n  meta {\n    REPO = var.repo\n  }\n}\n";
    let nightly = folder.file("nightly.hcl", nightly);
    typed(&at, &["check", "--strict", &nightly]).await.ends(0).says("no builder but a periodic batch job");
    typed(&at, &["check", "--strict", "--offline", &nightly]).await.ends(0).says("no builder");
    typed(&at, &["register", &nightly]).await.ends(2).complains("nomad job run");
    typed(&at, &["register", &ours("albatros.hcl")]).await.ends(2).complains("nomad job run");
    assert_eq!(nomad.writes(), 0);
}

const WRONG: &str = r#"variable "socket" {
  type = bool
}
job "build" {
  namespace = "ci"
  type      = "batch"
  parameterized {
    meta_required = ["REPO_URL", "COMMIT", "BRANCH"]
  }
  group "runner" {
    task "executor" {
      driver = "docker"
      config {
        args       = ["-c", "git clone ${NOMAD_META_REPO_URL}"]
        privileged = var.socket
      }
    }
  }
}
"#;

#[tokio::test]
async fn what_hurts_is_told_with_its_line_and_how_to_mend_it() {
    let folder = Folder::new();
    let file = folder.file("wrong.hcl", WRONG);
    let said = typed(&[], &["check", "--offline", &file, "-var", "socket=true"]).await;
    said.ends(1)
        .says(&format!("{file}:8: error: it does not take FLAVOR"))
        .says("    fix: add \"FLAVOR\" to meta_required")
        .says(&format!("{file}:14: error: the command line of the task \"executor\" holds ${{NOMAD_META_REPO_URL}}"))
        .says(&format!("{file}:15: error: the task \"executor\" is privileged"))
        .says("[restart]")
        .says("3 errors, 5 warnings (without Nomad)");
    let json = typed(&[], &["check", "--offline", "--json", &file]).await.ends(1).json();
    let named: Vec<&str> =
        json[0]["findings"].as_array().unwrap().iter().map(|finding| finding["name"].as_str().unwrap()).collect();
    assert!(named.contains(&"unknown") && !named.contains(&"privileged"), "what is not known is no finding: {named:?}");
    assert_eq!((&json[0]["errors"], &json[0]["asked"]), (&2.into(), &false.into()), "{json:#}");
    let values = folder.file("values.hcl", "socket = false\n");
    let said = typed(&[], &["check", "--offline", &file, "--var-file", &values]).await;
    assert!(!said.out.contains("[privileged]") && !said.out.contains("[unknown]"), "{}", said.out);
    typed(&[("NOMAD_VAR_socket", "true")], &["check", "--offline", &file]).await.says("[privileged]");
}

#[tokio::test]
async fn only_where_it_is_strict_a_warning_is_an_exit_code() {
    let folder = Folder::new();
    let text = std::fs::read_to_string(ours("builder.hcl")).unwrap().replace("max_run_duration = var.timeout", "");
    let file = folder.file("slow.hcl", &text);
    typed(&[], &["check", "--offline", &file]).await.ends(0).says("[time-limit]").says("1 warning");
    typed(&[], &["check", "--offline", "--strict", &file]).await.ends(1);
}

#[tokio::test]
async fn without_nomad_a_file_is_checked_as_far_as_that_goes() {
    let nowhere = nowhere();
    let away = [("NOMAD_ADDR", nowhere.as_str())];
    let said = typed(&away, &["check", "--strict", &ours("builder.hcl")]).await;
    said.ends(0).says("Nomad was not asked").says("policies").says("clean (without Nomad)");
    for verb in [&["check", "builder"][..], &["list"], &["show", "builder"], &["register", &ours("builder.hcl")]] {
        typed(&away, verb).await.ends(3).complains("Nomad does not answer at NOMAD_ADDR");
    }
    typed(&away, &["check", "--offline", "builder"]).await.ends(2).complains("no such file");
}

#[tokio::test]
async fn without_a_right_it_is_said_which_one() {
    let nomad = Nomad::start().await;
    nomad.require_token(TOKEN);
    nomad.register(&Builder::full("builder"));
    let url = nomad.url();
    let stranger = [("NOMAD_ADDR", url.as_str())];
    let said = typed(&stranger, &["check", &ours("builder.hcl")]).await;
    said.ends(0).says("permission denied").says("parse-job").says("(without Nomad)");
    typed(&stranger, &["register", &ours("builder.hcl")]).await.ends(3).complains("submit-job");
    typed(&stranger, &["list"]).await.ends(3).complains("list-jobs");
    typed(&stranger, &["show", "builder"]).await.ends(3).complains("read-job");
    let reader = [("NOMAD_ADDR", url.as_str()), ("NOMAD_TOKEN", TOKEN)];
    nomad.deny("submit-job");
    typed(&reader, &["register", &ours("builder.hcl")]).await.ends(3).complains("submit-job");
    typed(&reader, &["check", &ours("builder.hcl"), "--strict"]).await.ends(0).says("[policies-unknown]");
    assert_eq!(nomad.writes(), 0);
}

#[tokio::test]
async fn nomads_own_words_are_shown_with_their_line() {
    let nomad = Nomad::start().await;
    let url = nomad.url();
    let at = [("NOMAD_ADDR", url.as_str())];
    let folder = Folder::new();
    let broken = folder.file("broken.hcl", "job \"x\" {\n  type = \n}\n");
    for verb in [&["check", &broken][..], &["register", &broken], &["register", "--force", &broken]] {
        typed(&at, verb).await.ends(1).says("error: Nomad refuses it: Invalid expression").says("broken.hcl:");
    }
    typed(&[], &["check", "--offline", &broken]).await.ends(1).says("[hcl-syntax]");
    let unset = folder.file("unset.hcl", WRONG);
    typed(&at, &["check", &unset]).await.ends(1).says("Unset variable");
    let text = std::fs::read_to_string(ours("builder.hcl")).unwrap();
    let small = folder.file("small.hcl", &text);
    typed(&at, &["check", &small, "-var", "disk=50"]).await.ends(1).says("log storage (1000 MB)").says("[log-size]");
    typed(&at, &["register", "--force", &small, "-var", "disk=50"]).await.ends(1).says("[nomad-refuses]");
    assert_eq!(nomad.writes(), 0);
}

#[tokio::test]
async fn a_file_that_is_no_job_is_refused() {
    let folder = Folder::new();
    let huge = folder.file("huge.hcl", &format!("# {}\n", "x".repeat(2 << 20)));
    typed(&[], &["check", "--offline", &huge]).await.ends(2).complains("larger than 1 MiB");
    std::fs::write(folder.0.path().join("binary.hcl"), [0xff, 0xfe]).unwrap();
    let binary = folder.0.path().join("binary.hcl").display().to_string();
    typed(&[], &["check", "--offline", &binary]).await.ends(2).complains("no text");
    typed(&[], &["check", "--offline", "nothing.hcl"]).await.ends(2).complains("cannot read nothing.hcl");
    let empty = folder.file("empty.hcl", "");
    typed(&[], &["check", "--offline", &empty]).await.ends(1).says("the file has no job");
    let deep =
        folder.file("deep.hcl", &format!("job \"x\" {{\n a = {}{}\n}}\n", "[".repeat(100_000), "]".repeat(100_000)));
    typed(&[], &["check", "--offline", &deep]).await.ends(1).says("[hcl-syntax]");
    let json = folder.file("job.json", "{\"Job\": {\"ID\": \"x\", \"TaskGroups\": 3}}");
    typed(&[], &["check", "--offline", &json]).await.ends(1).says("no job of Nomad's");
    let file = folder.file("b.hcl", WRONG);
    typed(&[], &["check", "--offline", &file, "-var", "sokcet=1"]).await.ends(2).complains("did you mean socket?");
    typed(&[], &["check", "--offline", &file, "-var", HIDDEN]).await.ends(2).complains("name=value");
}

#[tokio::test]
async fn a_builder_is_registered_once_and_what_changes_is_said() {
    let nomad = Nomad::start().await;
    let url = nomad.url();
    let at = [("NOMAD_ADDR", url.as_str())];
    let file = ours("builder.hcl");
    let server = "server=https://ci.example";
    let dry = typed(&at, &["register", &file, "--var", server, "--dry-run"]).await;
    dry.ends(0).says("builder \"builder\" in the namespace \"ci\": would be new");
    let parsed = nomad.wire().seen().iter().filter(|one| one.path.contains("/jobs/parse")).count();
    assert_eq!(parsed, 1, "what is registered is what was checked");
    assert_eq!(nomad.writes(), 0);
    let new = typed(&at, &["register", &file, "-var", server]).await;
    new.ends(0)
        .says("in the namespace \"ci\": new")
        .says("builds take it unless a repository's configuration names another");
    assert_eq!(nomad.job("builder")["TaskGroups"][0]["Tasks"][0]["Env"]["ALBATROS_SERVER"], "https://ci.example");
    // As after a kill: whatever came of the first one, a second one settles it.
    let again = typed(&at, &["register", &file, "-var", server, "--json"]).await.ends(0).json();
    assert_eq!((&again["state"], nomad.writes()), (&"unchanged".into(), 1), "{again:#}");
    let changed = typed(&at, &["register", &file, "-var", server, "-var", "disk=5000"]).await;
    changed.ends(0).says("~ TaskGroups").says(": changed");
    assert_eq!(
        (nomad.job("builder")["TaskGroups"][0]["EphemeralDisk"]["SizeMB"].as_u64(), nomad.writes()),
        (Some(5000), 2)
    );
    let jobs = typed(&at, &["register", &ours("container.hcl"), "--json"]).await.ends(0).json();
    assert_eq!(jobs["configuration"]["builders"]["jobs"], "container", "{jobs:#}");
    let nix = typed(&at, &["register", &ours("nixcache.hcl")]).await;
    nix.ends(0).says("{\"builders\":{\"default\":\"builder-nix\"}}");
}

#[tokio::test]
async fn what_has_errors_is_registered_by_force_alone() {
    let nomad = Nomad::start().await;
    let url = nomad.url();
    let at = [("NOMAD_ADDR", url.as_str())];
    let file = ours("exec.hcl");
    typed(&at, &["register", &file, "-var", "driver=raw_exec"]).await.ends(1).says("[raw-exec]").says("not registered");
    let refused = typed(&at, &["register", &file, "-var", "driver=raw_exec", "--json"]).await.ends(1).json();
    assert_eq!((&refused["state"], &refused["builder"]), (&"refused".into(), &"builder".into()), "{refused:#}");
    assert_eq!(nomad.writes(), 0);
    typed(&at, &["register", &file, "-var", "driver=raw_exec", "--force"])
        .await
        .ends(0)
        .says("[raw-exec]")
        .says(": new");
    typed(&at, &["register", &file, "-var", "driver=raw_exec", "--trusted-only"]).await.ends(0).says("unchanged");
    typed(&at, &["register", &file, "-var", "driver=raw_exec", "--trusted-only", "--strict"]).await.ends(1);
}

#[tokio::test]
async fn a_builder_goes_where_builds_are_dispatched_or_nowhere() {
    let nomad = Nomad::start().await;
    let url = nomad.url();
    let at = [("NOMAD_ADDR", url.as_str()), ("ALBATROS_NAMESPACE", "builds")];
    let file = ours("builder.hcl");
    typed(&at, &["check", "--strict", &file]).await.ends(0).says("[namespace]");
    typed(&at, &["register", &file]).await.ends(2).complains("-var namespace=builds");
    typed(&at, &["register", &file, "-var", "namespace=builds"]).await.ends(0).says("the namespace \"builds\": new");
    assert_eq!(nomad.job("builder")["Namespace"], "builds");
    typed(&at, &["list"]).await.ends(0).says("builder  ready  clean");
    typed(&at[..1], &["list"]).await.ends(0).says("no builders in the namespace \"ci\"");
    typed(&at[..1], &["list", "--namespace", "builds"]).await.says("builder");
    let none = ["register", &file, "--namespace", "nowhere", "-var", "namespace=nowhere"];
    typed(&at, &none).await.ends(1).says("nonexistent namespace");
}

#[tokio::test]
async fn the_builds_namespace_is_made_where_that_is_asked_for_and_may_be() {
    let nomad = Nomad::start().await;
    let url = nomad.url();
    let at = [("NOMAD_ADDR", url.as_str())];
    let file = ours("builder.hcl");
    let made =
        ["register", &file, "--namespace", "nowhere", "-var", "namespace=nowhere", "--create-namespace", "--strict"];
    nomad.deny("namespaces");
    typed(&at, &made).await.ends(3).complains("nomad namespace apply nowhere");
    assert_eq!(nomad.writes(), 0);
    nomad.allow("namespaces");
    typed(&at, &made).await.ends(0).says("the namespace \"nowhere\": new");
    assert_eq!(nomad.writes(), 2);
    typed(&at, &made).await.ends(0).says("unchanged");
    assert_eq!(nomad.writes(), 2, "a namespace that is there is left alone");
    typed(&at, &["register", &file, "--create-namespace", "--dry-run"]).await.ends(2).complains("--dry-run");
}

#[tokio::test]
async fn a_change_beneath_ones_feet_is_not_overwritten_and_a_lost_answer_is_settled_by_the_next() {
    let nomad = Nomad::start().await;
    let url = nomad.url();
    let at = [("NOMAD_ADDR", url.as_str())];
    let file = ours("builder.hcl");
    let words = "Enforcing job modify index 0: job exists with conflicting job modify index: 12";
    let mut raced = nomad.faults().arm("POST", "/v1/jobs?", Times::Next(1), Fault::Text(500, words));
    typed(&at, &["register", &file]).await.ends(2).complains("somebody else has changed \"builder\" meanwhile");
    raced.hit(1).await;
    let mut lost = nomad.faults().arm("POST", "/v1/jobs?", Times::Next(1), Fault::CutAfter);
    typed(&at, &["register", &file]).await.ends(3).complains("Nomad does not answer");
    lost.hit(1).await;
    typed(&at, &["register", &file]).await.ends(0).says("unchanged");
    assert_eq!(nomad.writes(), 1);
}

#[tokio::test]
async fn builders_are_listed_and_shown_and_a_slip_is_told() {
    let nomad = Nomad::start().await;
    let url = nomad.url();
    let at = [("NOMAD_ADDR", url.as_str())];
    typed(&at, &["list"]).await.ends(0).says("no builders");
    nomad.register(&Builder::full("builder"));
    nomad.register(&Builder::plain("teams/old"));
    nomad.register(&Builder::plain("web").not_parameterized());
    let listed = typed(&at, &["list", "--json"]).await.ends(0).json();
    let names: Vec<&str> = listed.as_array().unwrap().iter().map(|one| one["builder"].as_str().unwrap()).collect();
    assert_eq!(names, ["builder", "teams/old"], "web is none");
    typed(&at, &["list"]).await.says("teams/old  ready").says("warning");
    let shown = typed(&at, &["show", "builder"]).await;
    shown.ends(0).says("REPO_URL COMMIT BRANCH FLAVOR").says("by its controller").says("controller prepare executor");
    let shown = typed(&at, &["show", "teams/old", "--json"]).await.ends(0).json();
    assert_eq!(shown["secrets"], "as the dispatch's payload", "{shown:#}");
    typed(&at, &["show", "bulider"]).await.ends(2).complains("did you mean \"builder\"?");
    typed(&at, &["check", "teams/odl"]).await.ends(2).complains("did you mean \"teams/old\"?");
    typed(&at, &["check", "web"]).await.ends(1).says("[not-parameterized]");
}

#[tokio::test]
async fn a_policy_on_the_controller_is_found_by_who_may_look() {
    let nomad = Nomad::start().await;
    nomad.require_token(TOKEN);
    nomad.bind_policy("deploy", "builder", "controller");
    nomad.bind_policy("other", "somebody-elses", "controller");
    let url = nomad.url();
    let at = [("NOMAD_ADDR", url.as_str()), ("NOMAD_TOKEN", TOKEN)];
    let said = typed(&at, &["check", &ours("builder.hcl")]).await;
    said.ends(1).says("the policy \"deploy\" is bound to the task \"controller\"").says("1 error\n");
    let open = Nomad::start().await;
    let url = open.url();
    let said = typed(&[("NOMAD_ADDR", url.as_str())], &["check", "--strict", &ours("builder.hcl")]).await;
    said.ends(0).says("[no-acl]");
}

/// What is read of `ours` stands so in `theirs`, which may hold more.
fn within(ours: &Value, theirs: &Value, at: &str) {
    match (ours, theirs) {
        (Value::Object(ours), Value::Object(theirs)) => {
            for (name, value) in ours {
                let other = theirs.get(name).unwrap_or_else(|| panic!("{at}/{name}: Nomad has none"));
                within(value, other, &format!("{at}/{name}"));
            }
        }
        (Value::Array(ours), Value::Array(theirs)) => {
            assert_eq!(ours.len(), theirs.len(), "{at}");
            for (n, (one, other)) in ours.iter().zip(theirs).enumerate() {
                within(one, other, &format!("{at}/{n}"));
            }
        }
        _ => assert_eq!(ours, theirs, "{at}"),
    }
}

#[test]
fn job_files_are_read_as_nomad_was_seen_to_read_them() {
    for name in ["builder", "exec", "nixcache", "plain"] {
        let recorded = fixture::read(&format!("nomad/parse/{name}"));
        let sent = &recorded["request"]["body"];
        let file = JobFile::parse(sent["JobHCL"].as_str().unwrap().to_owned()).unwrap();
        let mut given = Given::default();
        given.file(sent["Variables"].as_str().unwrap()).unwrap();
        let sketch = file.sketch(&given);
        assert_eq!(sketch.doubts, [], "{name}");
        within(&sketch.job.unwrap(), &recorded["body"], name);
    }
}

#[test]
fn the_readme_names_every_finding() {
    let readme = include_str!("../../README.md");
    let table = readme.split("### Builders").nth(1).unwrap();
    for name in NAMES {
        assert!(table.contains(&format!("`{name}`")), "{name}");
    }
}
