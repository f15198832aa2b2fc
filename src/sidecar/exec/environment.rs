//! The script's environment: what a build is given, and nothing else.

use std::ffi::OsString;
use std::io;
use std::path::Path;

use super::group::Group;
use super::settings::ExecSettings;
use crate::domain::{params, runner};

/// Name and value of every variable of the script.
pub(super) type Environment = Vec<(OsString, OsString)>;

/// Makes HOME and TMPDIR, fresh, and says what the script's environment is.
///
/// # Errors
/// When the directories cannot be made.
pub(super) fn of(settings: &ExecSettings, group: Option<&Group>) -> io::Result<Environment> {
    let home = settings.task_dir.join("home");
    let tmp = settings.task_dir.join("tmp");
    for dir in [&home, &tmp] {
        std::fs::create_dir_all(dir)?;
    }
    // git refuses a repository that another user made, as it is in images that run as any user; submodules are such too.
    std::fs::write(home.join(".gitconfig"), "[safe]\n\tdirectory = *\n")?;

    let mut all: Environment = settings.image_vars.clone();
    all.extend(settings.runner_vars.iter().cloned());
    let mut put = |name: &str, value: OsString| {
        all.retain(|(known, _)| known != name);
        all.push((name.into(), value));
    };
    put("PATH", settings.script_path.clone());
    put("HOME", home.into());
    put("TMPDIR", tmp.into());
    put("LANG", "C.UTF-8".into());
    put("CI", "true".into());
    put("ALBATROS", "true".into());
    if settings.shared_loopback {
        put(runner::SHARED_LOOPBACK, "true".into());
    }
    put("ALBATROS_BUILD", settings.build.clone().into());
    put("REPO_URL", settings.repo_url.clone().into());
    put("COMMIT", settings.commit.to_string().into());
    put("BRANCH", settings.branch.clone().into());
    put("FLAVOR", settings.flavor.clone().into());
    for (name, value) in [("REF", &settings.git_ref), ("EVENT", &settings.event)] {
        if let Some(value) = value {
            put(name, value.clone().into());
        }
    }
    let secret_path = match group {
        Some(group) => group.params(),
        None => settings.secret_path.as_deref().filter(|path| holds_secrets(path)),
    };
    if let Some(path) = secret_path {
        put("SECRET_PATH", path.into());
    }
    if let Some(group) = group {
        put("ALBATROS_WORKSPACE", settings.workspace().into());
        put("ALBATROS_API", group.address().into());
        put("ALBATROS_TOKEN", group.token().expose().into());
        let mut script_path = settings.script_path.clone();
        if let Some(job) = group.job() {
            put("ALBATROS_JOB", job.name.to_string().into());
            for (name, value) in group.named().iter().filter(|(name, _)| !params::forbidden(name)) {
                put(name, value.into());
            }
            for (name, value) in &job.env {
                put(name, value.into());
            }
            script_path = job.env.get("PATH").map_or(script_path, OsString::from);
        }
        // Before everything else: a node or an image may hold another version, which does not know this controller.
        let mut path = settings.alloc_dir.join(runner::BIN).into_os_string();
        path.push(":");
        path.push(&script_path);
        put("PATH", path);
    }
    Ok(all)
}

/// A builder that demands a payload gets one newline where there are no secrets.
fn holds_secrets(path: &Path) -> bool {
    match std::fs::metadata(path) {
        Ok(file) if file.len() == 1 => std::fs::read(path).is_ok_and(|bytes| bytes != b"\n"),
        Ok(file) => file.len() > 0,
        Err(_) => false,
    }
}
