//! `POST /v1/job/<id>/dispatch`.

use axum::http::HeaderValue;
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use super::cluster::Cluster;
use super::shape;
use crate::fake::hex;
use crate::fake::wire::{self, Call, text};

const MAX_PAYLOAD: usize = 16 * 1024;

/// What a dispatch asks for.
#[derive(Debug, Default)]
struct Asked {
    meta: Map<String, Value>,
    payload: Option<(String, usize)>,
    token: String,
    namespace: Option<String>,
}

pub(super) fn answer(cluster: &mut Cluster, call: &Call, id: &str) -> Response {
    let asked = match parse(call, id) {
        Ok(asked) => asked,
        Err(refused) => return refused,
    };
    if call.param("region").is_some_and(|region| region != "global") {
        return text(500, "No path to region");
    }
    let namespace = match call.param("namespace") {
        Some(namespace) => namespace.to_owned(),
        None => asked.namespace.clone().unwrap_or_else(|| "default".to_owned()),
    };
    let Some(parent) = cluster.job(&namespace, id).cloned() else {
        return text(500, "parameterized job not found");
    };
    if let Err(words) = check(&parent, &asked) {
        return text(500, words);
    }
    if let Some(child) = same_token(cluster, &parent, &asked.token) {
        return repeated(&child);
    }
    if cluster.ghosts > 0 {
        // Seen: in a race some answers name a child that then does not exist.
        cluster.ghosts -= 1;
        return created(&json!({"ID": child_id(id), "CreateIndex": cluster.index + 1}), &crate::fake::uuid());
    }
    let child = create(cluster, &parent, &asked);
    let build = child["ID"].as_str().unwrap().to_owned();
    let eval = cluster.evaluate(&build, "job-register", |eval| {
        eval["CreateIndex"] = child["CreateIndex"].clone();
    });
    cluster.writes += 1;
    cluster.dispatches += 1;
    created(&child, eval["ID"].as_str().unwrap())
}

fn parse(call: &Call, id: &str) -> Result<Asked, Response> {
    if call.body.is_empty() {
        return Err(text(400, "Request body is empty"));
    }
    let mut values = serde_json::Deserializer::from_slice(&call.body).into_iter::<Value>();
    let body = match values.next() {
        Some(Ok(Value::Object(body))) => body,
        Some(Ok(Value::Array(_))) => {
            return Err(text(400, "json: cannot unmarshal array into Go value of type structs.JobDispatchRequest"));
        }
        Some(Ok(_)) => {
            return Err(text(400, "json: cannot unmarshal into Go value of type structs.JobDispatchRequest"));
        }
        Some(Err(_)) | None => return Err(text(400, "unexpected EOF")),
    };
    if let Some(other) = body.get("JobID").and_then(Value::as_str)
        && !other.is_empty()
        && other != id
    {
        return Err(text(400, "Job ID does not match"));
    }
    let meta = match body.get("Meta") {
        None | Some(Value::Null) => Map::new(),
        Some(Value::Object(meta)) => meta.clone(),
        Some(_) => return Err(text(400, "json: cannot unmarshal into Go struct field JobDispatchRequest.Meta")),
    };
    if meta.values().any(|value| !value.is_string()) {
        let words = "json: cannot unmarshal number into Go struct field JobDispatchRequest.Meta of type string";
        return Err(text(400, words));
    }
    let payload = match body.get("Payload").and_then(Value::as_str) {
        None | Some("") => None,
        Some(encoded) => match STANDARD.decode(encoded) {
            Ok(bytes) => Some((encoded.to_owned(), bytes.len())),
            Err(_) => return Err(text(400, "illegal base64 data at input byte 0")),
        },
    };
    let given = |name: &str| body.get(name).and_then(Value::as_str).map(ToOwned::to_owned);
    let token = call.param("idempotency_token").map(ToOwned::to_owned).or_else(|| given("IdempotencyToken"));
    Ok(Asked { meta, payload, token: token.unwrap_or_default(), namespace: given("Namespace") })
}

fn check(parent: &Value, asked: &Asked) -> Result<(), String> {
    let id = parent["ID"].as_str().unwrap_or_default();
    let shape = &parent["ParameterizedJob"];
    if shape.is_null() || parent["Dispatched"] == true {
        return Err(format!("Specified job {id:?} is not a parameterized job"));
    }
    if parent["Stop"] == true {
        return Err(format!("Specified job {id:?} is stopped"));
    }
    match (shape["Payload"].as_str(), &asked.payload) {
        (Some("required"), None) => return Err("Payload is not provided but required by parameterized job".to_owned()),
        (Some("forbidden"), Some(_)) => return Err("Payload provided but forbidden by parameterized job".to_owned()),
        (_, Some((_, size))) if *size > MAX_PAYLOAD => {
            return Err(format!("Payload exceeds maximum size; {size} > {MAX_PAYLOAD}"));
        }
        _ => {}
    }
    let list = |name: &str| -> Vec<&str> {
        shape[name].as_array().map(|keys| keys.iter().filter_map(Value::as_str).collect()).unwrap_or_default()
    };
    let (required, optional) = (list("MetaRequired"), list("MetaOptional"));
    let allowed = |key: &&String| required.contains(&key.as_str()) || optional.contains(&key.as_str());
    let extra: Vec<&str> = asked.meta.keys().filter(|key| !allowed(key)).map(String::as_str).collect();
    if !extra.is_empty() {
        return Err(format!("Dispatch request included unpermitted metadata keys: [{}]", extra.join(" ")));
    }
    let missing: Vec<&str> = required.into_iter().filter(|key| !asked.meta.contains_key(*key)).collect();
    if !missing.is_empty() {
        return Err(format!("Dispatch did not provide required meta keys: [{}]", missing.join(" ")));
    }
    Ok(())
}

fn same_token(cluster: &Cluster, parent: &Value, token: &str) -> Option<Value> {
    let fits = |job: &&Value| {
        job["ParentID"] == parent["ID"]
            && job["Namespace"] == parent["Namespace"]
            && job["DispatchIdempotencyToken"] == token
    };
    if token.is_empty() { None } else { cluster.jobs.values().find(fits).cloned() }
}

fn child_id(parent: &str) -> String {
    format!("{parent}/dispatch-{}-{}", jiff::Timestamp::now().as_second(), hex(4))
}

fn create(cluster: &mut Cluster, parent: &Value, asked: &Asked) -> Value {
    let index = cluster.next();
    let id = child_id(parent["ID"].as_str().unwrap_or_default());
    let mut child = parent.clone();
    let mut meta = parent["Meta"].as_object().cloned().unwrap_or_default();
    meta.extend(asked.meta.clone());
    for (name, value) in [
        ("ID", id.clone().into()),
        ("Name", id.clone().into()),
        ("ParentID", parent["ID"].clone()),
        ("Dispatched", true.into()),
        ("DispatchIdempotencyToken", asked.token.clone().into()),
        ("Meta", Value::Object(meta)),
        ("Payload", asked.payload.as_ref().map_or(Value::Null, |(encoded, _)| encoded.clone().into())),
        ("Status", "pending".into()),
        ("SubmitTime", shape::now().into()),
        ("CreateIndex", index.into()),
        ("ModifyIndex", index.into()),
        ("JobModifyIndex", index.into()),
    ] {
        child[name] = value;
    }
    let namespace = parent["Namespace"].as_str().unwrap_or_default().to_owned();
    cluster.jobs.insert((namespace, id), child.clone());
    cluster.emit("Job", "JobRegistered", &child, json!({"Job": child}));
    child
}

fn created(child: &Value, eval: &str) -> Response {
    let index = &child["CreateIndex"];
    let body = json!({
        "DispatchedJobID": child["ID"], "EvalCreateIndex": index, "EvalID": eval, "Index": index, "JobCreateIndex": index,
    });
    with_index(&body, index)
}

fn repeated(child: &Value) -> Response {
    let body = json!({
        "DispatchedJobID": child["ID"], "EvalCreateIndex": 0, "EvalID": "", "Index": child["ModifyIndex"],
        "JobCreateIndex": child["CreateIndex"],
    });
    with_index(&body, &child["ModifyIndex"])
}

fn with_index(body: &Value, index: &Value) -> Response {
    let mut answer = wire::json(200, body);
    answer.headers_mut().insert("x-nomad-index", HeaderValue::from(index.as_u64().unwrap_or_default()));
    answer
}
