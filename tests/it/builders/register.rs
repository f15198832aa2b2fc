//! How a builder comes to Nomad, once.

use super::{ours, typed};
use crate::fake::fault::{Fault, Times};
use crate::fake::nomad::Nomad;

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
