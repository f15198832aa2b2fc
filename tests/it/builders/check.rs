//! What is found in a builder's file, and told.

use albatros::domain::builder_check::NAMES;
use serde_json::Value;

use super::{Folder, HIDDEN, TOKEN, all_of_ours, nowhere, ours, typed};
use crate::fake::nomad::{Builder, Nomad};

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

#[test]
fn the_readme_names_every_finding() {
    let readme = include_str!("../../../README.md");
    let table = readme.split("### Builders").nth(1).unwrap();
    for name in NAMES {
        assert!(table.contains(&format!("`{name}`")), "{name}");
    }
}
