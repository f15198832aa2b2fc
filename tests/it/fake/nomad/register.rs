//! Job files and their registration: parse, validate, plan, register, and whose policies there are.
//!
//! Job files are read by our own reader, which `job_files.rs` holds against what Nomad itself was seen to make of them.

use albatros::domain::job_file::{Given, JobFile, JobFileError};
use axum::response::Response;
use serde_json::{Value, json};

use super::cluster::Cluster;
use super::shape;
use crate::fake::wire::{self, Call, text};

/// `POST /v1/jobs/parse`.
pub(super) fn parse(call: &Call) -> Response {
    let Ok(asked) = serde_json::from_slice::<Value>(&call.body) else {
        return text(400, "unexpected EOF");
    };
    let hcl = asked["JobHCL"].as_str().unwrap_or_default();
    if hcl.is_empty() {
        return text(400, "Job spec is empty");
    }
    let file = match JobFile::parse(hcl.to_owned()) {
        Ok(file) => file,
        Err(JobFileError::Syntax { line, .. }) => {
            let words =
                format!("Failed to parse job: input.hcl:{line},1-2: Invalid expression; Expected the start of it.");
            return text(400, words);
        }
        Err(JobFileError::TooLarge) => return text(413, "http: request body too large"),
    };
    let mut given = Given::default();
    if given.file(asked["Variables"].as_str().unwrap_or_default()).is_err() {
        return text(400, "Failed to parse job: Invalid variables");
    }
    let sketch = file.sketch(&given);
    if let Some(doubt) = sketch.doubts.first() {
        let words = format!("Failed to parse job: input.hcl:{},3-9: Unset variable; {}", doubt.line, doubt.why);
        return text(400, words);
    }
    match sketch.job {
        Some(job) => wire::json(200, &job),
        None => text(400, "Failed to parse job: input.hcl:1,1-1: Missing required block \"job\""),
    }
}

fn job_of(call: &Call) -> Option<Value> {
    let asked: Value = serde_json::from_slice(&call.body).ok()?;
    asked.get("Job").filter(|job| job.is_object()).cloned()
}

/// Seen: what does not fit is told as lists within lists.
fn wrong(job: &Value) -> Option<String> {
    let group = &job["TaskGroups"][0];
    let disk = group["EphemeralDisk"]["SizeMB"].as_i64().unwrap_or(300);
    let tasks = group["Tasks"].as_array()?;
    let logs = |task: &Value| {
        task["LogConfig"]["MaxFiles"].as_i64().unwrap_or(10) * task["LogConfig"]["MaxFileSizeMB"].as_i64().unwrap_or(10)
    };
    let too_long = tasks.iter().find(|task| logs(task) >= disk)?;
    let (group, task) = (group["Name"].as_str()?, too_long["Name"].as_str()?);
    Some(format!(
        "1 error occurred:\n\t* Task group {group} validation failed: 1 error occurred:\n\t* Task {task} validation failed: 1 error occurred:\n\t* 1 error occurred:\n\t* log storage ({} MB) must be less than requested disk capacity ({disk} MB)\n\n\n",
        logs(too_long)
    ))
}

/// `POST /v1/validate/job`.
pub(super) fn validate(call: &Call) -> Response {
    let Some(job) = job_of(call) else {
        return text(400, "Job must be specified");
    };
    let error = wrong(&job).unwrap_or_default();
    wire::json(200, &json!({"DriverConfigValidated": true, "Error": error, "ValidationErrors": null, "Warnings": ""}))
}

fn key(call: &Call, job: &Value) -> (String, String) {
    let namespace = job["Namespace"].as_str().or_else(|| call.param("namespace")).unwrap_or("default");
    (namespace.to_owned(), job["ID"].as_str().unwrap_or_default().to_owned())
}

/// `POST /v1/job/<id>/plan`.
pub(super) fn plan(cluster: &Cluster, call: &Call, id: &str) -> Response {
    let Some(job) = job_of(call) else {
        return text(400, "Job must be specified");
    };
    if job["ID"] != id {
        return text(400, "Job ID does not match");
    }
    if let Some(wrong) = wrong(&job) {
        return text(500, wrong);
    }
    let there = cluster.jobs.get(&key(call, &job));
    let fields: Vec<Value> = match there {
        None => vec![json!({"Name": "Name", "Type": "Added", "Old": "", "New": id})],
        Some(there) => {
            let changed = job.as_object().into_iter().flatten().filter(|(name, value)| there[*name] != **value);
            let shown = |value: &Value| value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned);
            changed
                .map(|(name, value)| json!({"Name": name, "Type": "Edited", "Old": shown(&there[name]), "New": shown(value)}))
                .collect()
        }
    };
    let kind = if fields.is_empty() { "None" } else { "Edited" };
    let index = there.map_or(0, |there| there["JobModifyIndex"].as_u64().unwrap_or_default());
    let diff = json!({"ID": id, "Type": kind, "Fields": fields, "Objects": null, "TaskGroups": null});
    wire::json(200, &json!({"Diff": diff, "JobModifyIndex": index, "Warnings": "", "FailedTGAllocs": null}))
}

fn has_namespace(cluster: &Cluster, name: &str) -> bool {
    name != "nowhere" || cluster.namespaces.contains(name)
}

/// `GET /v1/namespace/<name>`.
pub(super) fn namespace(cluster: &Cluster, name: &str) -> Response {
    if has_namespace(cluster, name) {
        return wire::json(200, &json!({"Name": name, "Description": ""}));
    }
    text(404, "Namespace not found")
}

/// `PUT /v1/namespace/<name>`.
pub(super) fn make_namespace(cluster: &mut Cluster, name: &str) -> Response {
    cluster.namespaces.insert(name.to_owned());
    cluster.writes += 1;
    text(200, "")
}

/// `POST /v1/jobs`.
pub(super) fn register(cluster: &mut Cluster, call: &Call) -> Response {
    let Some(mut job) = job_of(call) else {
        return text(400, "Job must be specified");
    };
    if let Some(wrong) = wrong(&job) {
        return text(500, wrong);
    }
    let asked: Value = serde_json::from_slice(&call.body).unwrap_or_default();
    let key = key(call, &job);
    if !has_namespace(cluster, &key.0) {
        return text(
            500,
            format!("1 error occurred:\n\t* job \"{}\" is in nonexistent namespace \"nowhere\"\n\n", key.1),
        );
    }
    let there = cluster.jobs.get(&key).map_or(0, |there| there["JobModifyIndex"].as_u64().unwrap_or_default());
    let wanted = asked["JobModifyIndex"].as_u64().unwrap_or_default();
    if asked["EnforceIndex"] == true && wanted != there {
        return text(
            500,
            format!("Enforcing job modify index {wanted}: job exists with conflicting job modify index: {there}"),
        );
    }
    let index = cluster.next();
    for (name, value) in [
        ("Namespace", key.0.clone().into()),
        ("Status", "running".into()),
        ("Stop", false.into()),
        ("Dispatched", false.into()),
        ("ParentID", "".into()),
        ("SubmitTime", shape::now().into()),
        ("CreateIndex", index.into()),
        ("ModifyIndex", index.into()),
        ("JobModifyIndex", index.into()),
    ] {
        job[name] = value;
    }
    cluster.jobs.insert(key, job);
    cluster.writes += 1;
    wire::json(
        200,
        &json!({"EvalCreateIndex": 0, "EvalID": "", "Index": index, "JobModifyIndex": index, "Warnings": ""}),
    )
}

/// `GET /v1/acl/…`: a cluster that wants a token has ACLs.
pub(super) fn acl(cluster: &Cluster, path: &[&str]) -> Response {
    match path {
        // Seen: without ACLs the first is answered, the others are not.
        ["v1", "acl", "token", "self"] if cluster.token.is_none() => {
            let none = json!({"AccessorID": "acls-disabled", "Name": "ACLs disabled token", "Type": "client", "Policies": null});
            wire::json(200, &none)
        }
        _ if cluster.token.is_none() => text(400, "ACL support disabled"),
        ["v1", "acl", "token", "self"] => {
            let kind = if cluster.deny.is_empty() { "management" } else { "client" };
            wire::json(200, &json!({"AccessorID": "a", "Name": "t", "Type": kind, "Policies": null}))
        }
        ["v1", "acl", "policies"] => wire::json(200, &cluster.policies.clone().into()),
        _ => text(404, "ACL policy not found"),
    }
}
