//! Registries: who asks them, where they send, and what they may answer.

use std::error::Error as _;

use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};

use super::super::*;
use crate::sidecar::vm::image::fake::{Registry, digest, endless, layer};
use crate::sidecar::vm::image::store::Store;

/// What comes of a registry's image; none of it is in the store.
async fn fetch(registry: &Registry, making: &Making) -> Result<Parts, ImageError> {
    let store = tempfile::tempdir().unwrap();
    let draft = Arc::new(Store::open(store.path()).unwrap().draft().unwrap());
    let source: Source = registry.name.parse().unwrap();
    match source.fetch(&draft, making, &|_content| Ok(None)).await? {
        Fetched::Parts(parts) => Ok(parts),
        Fetched::There(_) => panic!("nothing is there"),
    }
}

/// The reason, as the log has it.
async fn reason(registry: &Registry) -> String {
    let error = fetch(registry, &Making::default()).await.unwrap_err();
    assert!(error.to_string().contains(&registry.host), "{error}");
    error.source().unwrap().to_string()
}

fn asks(headers: &HeaderMap) -> Option<&str> {
    headers.get(header::AUTHORIZATION)?.to_str().ok()
}

fn unauthorized(challenge: String) -> Response {
    (StatusCode::UNAUTHORIZED, [(header::WWW_AUTHENTICATE, challenge)]).into_response()
}

#[tokio::test]
async fn an_image_comes_layer_by_layer() {
    let registry = Registry::start().await;
    let parts = fetch(&registry, &Making::default()).await.unwrap();
    let sizes: Vec<_> = parts.layers.iter().map(|one| one.blob.size()).collect();
    assert_eq!(sizes, [layer().len() as u64]);
}

#[tokio::test]
async fn a_manifest_that_does_not_end_is_given_up() {
    let registry = Registry::with(|path, _| path.contains("/manifests/").then(|| endless().into_response())).await;
    assert!(reason(&registry).await.contains("larger than 4194304 bytes"));
}

#[tokio::test]
async fn a_refusal_that_does_not_end_is_one_all_the_same() {
    for part in ["/manifests/", "/blobs/"] {
        let refuse = move |path: &str, _: &HeaderMap| {
            path.contains(part).then(|| (StatusCode::FORBIDDEN, endless()).into_response())
        };
        let registry = Registry::with(refuse).await;
        assert!(reason(&registry).await.contains("status 403"), "{part}");
    }
}

#[tokio::test]
async fn a_registry_that_wants_a_token_is_shown_the_one_it_gave() {
    let registry = Registry::with(|path, headers| match path {
        "/token" => Some(r#"{"token":"of-a-pull"}"#.into_response()),
        _ if asks(headers) == Some("Bearer of-a-pull") => None,
        _ => {
            let host = headers.get(header::HOST)?.to_str().ok()?;
            Some(unauthorized(format!("Bearer realm=\"http://{host}/token\",service=\"here\"")))
        }
    });
    let registry = registry.await;
    assert_eq!(fetch(&registry, &Making::default()).await.unwrap().layers.len(), 1);
    assert_eq!(registry.asked()[..2], ["/v2/", "/token"]);
}

#[tokio::test]
async fn a_registry_that_wants_a_password_is_shown_that_of_dockers_configuration() {
    // "me:word"
    let basic = "bWU6d29yZA==";
    let registry = Registry::with(move |_path, headers| {
        (asks(headers) != Some(&format!("Basic {basic}"))).then(|| unauthorized("Basic realm=\"here\"".to_owned()))
    });
    let registry = registry.await;
    assert!(reason(&registry).await.contains("status 401"), "nobody in particular");
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("config.json");
    let config = serde_json::json!({"auths": {(registry.host.clone()): {"auth": basic}}});
    std::fs::write(&file, config.to_string()).unwrap();
    let making = Making { docker_config: Some(file), ..Making::default() };
    assert_eq!(fetch(&registry, &making).await.unwrap().layers.len(), 1);
}

#[tokio::test]
async fn where_a_registry_sends_its_token_does_not_go_along() {
    // The same machine by another name is another host.
    let elsewhere = Registry::with(|_path, headers| {
        asks(headers).is_some().then(|| (StatusCode::IM_A_TEAPOT, "a token that is not mine").into_response())
    });
    let elsewhere = elsewhere.await;
    let port = elsewhere.host.split_once(':').unwrap().1.to_owned();
    let registry = Registry::with(move |path, headers| match path {
        "/token" => Some(r#"{"access_token":"mine"}"#.into_response()),
        _ if asks(headers) != Some("Bearer mine") => {
            let host = headers.get(header::HOST)?.to_str().ok()?;
            Some(unauthorized(format!("Bearer realm=\"http://{host}/token\"")))
        }
        _ if path.contains("/blobs/") => {
            let to = format!("http://localhost:{port}{path}");
            Some((StatusCode::TEMPORARY_REDIRECT, [(header::LOCATION, to)]).into_response())
        }
        _ => None,
    });
    let registry = registry.await;
    assert_eq!(fetch(&registry, &Making::default()).await.unwrap().layers.len(), 1);
    let blob = format!("/v2/o/r/blobs/{}", digest(&layer()));
    assert!(elsewhere.asked().contains(&blob), "{:?}", elsewhere.asked());
}
