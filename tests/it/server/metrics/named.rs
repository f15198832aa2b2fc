//! What the dashboard and the alerts ask for is there to be asked for.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::super::blobs::Stage;
use super::{told, until};
use crate::fake::fault::{Fault, Times};
use crate::fake::http::client;

/// Each metric that is told, its labels and their values.
type Known = BTreeMap<String, BTreeMap<String, BTreeSet<String>>>;

/// What Prometheus itself adds.
const ADDED: [&str; 3] = ["instance", "job", "le"];

fn known(series: impl IntoIterator<Item = String>) -> Known {
    let mut known = Known::new();
    for one in series {
        let (name, labels) = one.split_once('{').unwrap_or((&one, ""));
        let labels_of = known.entry(name.to_owned()).or_default();
        for (label, value) in pairs(labels) {
            labels_of.entry(label).or_default().insert(value);
        }
    }
    known
}

/// `a="b",c=~"d|e"}` as its labels and all values that stand for one.
fn pairs(selector: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut rest = selector;
    while let Some((name, behind)) = rest.split_once('"') {
        let (values, next) = behind.split_once('"').unwrap();
        let label = name.trim_start_matches([',', ' ']).trim_end_matches(['=', '~', '!']);
        found.extend(values.split('|').map(|value| (label.to_owned(), value.to_owned())));
        rest = next;
        if rest.starts_with('}') {
            break;
        }
    }
    found
}

/// The metrics that an expression names, each with what stands in its braces.
fn named(expression: &str) -> Vec<(String, Vec<(String, String)>)> {
    let mut found = Vec::new();
    let mut rest = expression;
    while let Some(at) = rest.find("albatros_") {
        rest = &rest[at..];
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
        let (name, behind) = rest.split_at(end);
        let selector = behind.strip_prefix('{').map(pairs).unwrap_or_default();
        found.push((name.to_owned(), selector));
        rest = behind;
    }
    found
}

/// The labels in `by (…)`.
fn grouped(expression: &str) -> BTreeSet<String> {
    let groups = expression.split("by (").skip(1).filter_map(|behind| behind.split_once(')'));
    groups.flat_map(|(labels, _)| labels.split(',')).map(|label| label.trim().to_owned()).collect()
}

fn check(place: &str, expression: &str, known: &Known) {
    let named = named(expression);
    assert!(!named.is_empty(), "{place} asks for nothing of ours: {expression}");
    let mut labels: BTreeSet<&str> = ADDED.into_iter().collect();
    for (name, selector) in &named {
        let found = known.get(name);
        assert!(found.is_some(), "{place}: there is no {name}");
        let found = found.unwrap();
        labels.extend(found.keys().map(String::as_str));
        for (label, value) in selector.iter().filter(|(label, _)| label != "job") {
            let values = found.get(label);
            assert!(values.is_some(), "{place}: {name} has no label {label}");
            let prefix = value.trim_end_matches(".*");
            let is_there =
                values.unwrap().iter().any(|one| one == value || (prefix != value && one.starts_with(prefix)));
            assert!(is_there, "{place}: no {name} has {label}={value}");
        }
    }
    for label in grouped(expression) {
        assert!(labels.contains(label.as_str()), "{place}: nothing named has the label {label}: {expression}");
    }
}

fn file(name: &str) -> String {
    std::fs::read_to_string(format!("{}/example/monitoring/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

/// A server with which all has happened that is asked for.
async fn lived_in() -> Known {
    let stage = Stage::new().await;
    let build = stage.build(2).await;
    stage.put(&build, "artifacts/report", b"all is well").await;
    stage.world.forge.faults().arm("POST", "/statuses/", Times::Next(1), Fault::Html(502));
    stage.world.nomad.run(&build.id);
    stage.world.nomad.exit(&build.id, 0);
    stage.world.all_done(1).await;
    until(&stage.serve, "albatros_builds_total{outcome=\"success\"}", 1.0).await;
    // One whose pages are asked for.
    let page = client().get(format!("{}/builds", stage.serve.url)).header("accept", "text/html");
    assert!(page.send().await.unwrap().status().is_success());
    known(told(&stage.serve).await.into_keys())
}

#[tokio::test]
async fn dashboard_and_alerts_ask_for_what_is_told() {
    let known = lived_in().await;
    let dashboard: Value = serde_json::from_str(&file("dashboard.json")).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let mut asked = 0;
    for panel in panels.iter().filter(|panel| panel["type"] != "row") {
        let title = panel["title"].as_str().unwrap();
        assert_eq!(panel["datasource"]["uid"], "${datasource}", "{title}");
        for target in panel["targets"].as_array().unwrap() {
            let expression = target["expr"].as_str().unwrap();
            assert!(expression.contains("job=~\"$job\""), "{title}: {expression}");
            check(title, expression, &known);
            asked += 1;
        }
    }
    assert!(asked > 20, "{asked}");
    let alerts: Value = serde_saphyr::from_str(&file("alerts.yml")).unwrap();
    let rules = alerts["groups"][0]["rules"].as_array().unwrap();
    assert!(rules.len() > 8, "{}", rules.len());
    for rule in rules {
        let name = rule["alert"].as_str().unwrap();
        check(name, rule["expr"].as_str().unwrap(), &known);
        for told in ["summary", "description"] {
            assert!(rule["annotations"][told].as_str().is_some_and(|text| text.len() > 20), "{name}: {told}");
        }
    }
}

#[tokio::test]
async fn the_readme_lists_every_metric() {
    let known = lived_in().await;
    let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).unwrap();
    for name in known.keys() {
        let family = ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name);
        assert!(readme.contains(&format!("`{family}`")), "{family} is not in the README");
    }
}
