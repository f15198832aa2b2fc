//! Which builders there are.

use super::typed;
use crate::fake::nomad::{Builder, Nomad};

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
