//! What a job is given: its parent's change and trust, and of the parameters those that it names.

use serde_json::{Value, json};

use super::{Parent, ask, grant, job};
use crate::fake::delivery::{Delivery, commit};
use crate::fake::world::{READER, person};
use crate::server::session::refused;

/// A parent with two parameters.
async fn with_params(delivery: &Delivery) -> Parent {
    Parent::of(delivery, |config| {
        config["inject"] = "DEPLOY_KEY=injected-s3cr3t-of-quentin\nREGISTRY=words".into();
        config["pull_requests"] = "build".into();
    })
    .await
}

#[tokio::test]
async fn a_job_gets_its_spec_and_the_parameters_that_it_names() {
    let parent = with_params(&Delivery::push("main", &commit(1), &commit(2))).await;
    let spec = json!({"name": "test", "image": "rust:1", "params": ["REGISTRY"], "env": {"A": "b"}});
    let build = parent.start(&spec).await;
    let meta = parent.world().nomad.job(&build)["Meta"].clone();
    assert_eq!(
        (&meta["IMAGE"], &meta["TRUSTED"], &meta["COMMIT"]),
        (&json!("rust:1"), &json!("true"), &json!(commit(2)))
    );
    assert_ne!(meta["ALBATROS_CLAIM"], parent.claim);
    assert!(parent.world().nomad.job(&build)["Payload"].is_null());
    let (granted, _) = grant(&parent, &build).await;
    assert_eq!(granted.status, 200, "{}", granted.text);
    let grant = granted.value();
    assert_eq!(grant["job"], spec);
    assert_eq!(grant["inject"], "REGISTRY=\"words\"\n");
    assert_eq!((&grant["build"]["trusted"], &grant["service_secret"]), (&json!(true), &Value::Null));
}

#[tokio::test]
async fn a_job_that_names_no_parameter_gets_none() {
    let parent = with_params(&Delivery::push("main", &commit(1), &commit(2))).await;
    let build = parent.start(&job("test")).await;
    assert_eq!(grant(&parent, &build).await.0.value()["inject"], Value::Null);
}

#[tokio::test]
async fn a_parameter_that_there_is_not_is_named_before_anything_is_started() {
    let parent = with_params(&Delivery::push("main", &commit(1), &commit(2))).await;
    let reply = parent.put(&json!({"name": "test", "params": ["REGISTRY", "OTHER"]})).await;
    refused(&reply, 422);
    assert!(reply.text.contains("`OTHER`") && !reply.text.contains("words"), "{}", reply.text);
    assert_eq!(parent.jobs().await["jobs"], json!([]));
    // Taken out of the configuration between start and exchange.
    let build = parent.start(&json!({"name": "later", "params": ["REGISTRY"]})).await;
    let mut config = parent.world().config();
    config["inject"] = "DEPLOY_KEY=injected-s3cr3t-of-quentin".into();
    parent.world().put_config(&config);
    let (late, _) = grant(&parent, &build).await;
    refused(&late, 422);
    assert!(late.text.contains("`REGISTRY`"), "{}", late.text);
}

#[tokio::test]
async fn the_job_of_an_untrusted_build_is_untrusted_and_gets_no_parameter() {
    let parent = with_params(&Delivery::push("main", &commit(1), &commit(2)).sender("mallory")).await;
    let build = parent.start(&json!({"name": "test", "params": ["REGISTRY"]})).await;
    assert_eq!(parent.world().nomad.job(&build)["Meta"]["TRUSTED"], "false");
    let (granted, _) = grant(&parent, &build).await;
    assert_eq!((granted.status, &granted.value()["inject"]), (200, &Value::Null));
    assert_eq!(granted.value()["build"]["trusted"], false);
}

#[tokio::test]
async fn the_job_of_a_private_build_is_private() {
    let parent = with_params(&Delivery::push("main", &commit(1), &commit(2)).private()).await;
    let build = parent.start(&job("test")).await;
    parent.wait("it is named", |job| job["build"].is_string()).await;
    let path = format!("/builds/{build}");
    let page = person(&parent.story.serve, "GET", &path, None).await;
    assert_eq!(page.status, 404, "{}", page.text);
    assert_eq!(person(&parent.story.serve, "GET", &path, Some(READER)).await.status, 200);
}

#[tokio::test]
async fn a_service_tells_its_address_and_only_its_parent_learns_its_secret() {
    let parent = Parent::new().await;
    let build = parent.start(&json!({"name": "db", "service": true, "port": 5432, "image": "postgres:16"})).await;
    let (granted, own) = grant(&parent, &build).await;
    let secret = parent.story.showing(granted.value()["service_secret"].as_str().unwrap());
    assert_eq!(secret.len(), 64);
    assert_eq!(granted.value()["checkout"]["source"], false);
    parent.world().nomad.run(&build);
    let runs = parent.wait("it runs", |job| job["state"] == "running").await;
    assert_eq!((&runs["ready"], &runs["address"]), (&json!(false), &Value::Null));

    let claim = parent.world().nomad.job(&build)["Meta"]["ALBATROS_CLAIM"].as_str().unwrap().to_owned();
    let path = format!("/session/{claim}/address");
    let tell = async |bearer: &str, path: &str, address: &str| {
        ask(&parent.story.serve, bearer, "PUT", path, Some(&json!({"address": address}))).await
    };
    refused(&tell(&own, &path, "http://evil").await, 400);
    refused(&tell(&parent.secret, &path, "127.0.0.1:1").await, 403);
    let parents = format!("/session/{}/address", parent.claim);
    refused(&tell(&parent.secret, &parents, "127.0.0.1:1").await, 403);
    assert_eq!(tell(&own, &path, "127.0.0.1:20001").await.status, 204);
    assert_eq!(tell(&own, &path, "127.0.0.1:20001").await.status, 204, "again");
    let ready = parent.wait("it is ready", |job| job["ready"] == true).await;
    assert_eq!((ready["address"].as_str(), ready["secret"].as_str()), (Some("127.0.0.1:20001"), Some(secret.as_str())));
    let path = format!("/builds/{}", parent.story.build);
    let page = person(&parent.story.serve, "GET", &path, None).await.text;
    assert!(page.contains("job db") && !page.contains(&secret) && !page.contains("20001"), "{page}");
}
