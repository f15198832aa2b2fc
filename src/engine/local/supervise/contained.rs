//! The container of a build's script, which is no child of anybody here: removed by its name.

use std::ffi::OsString;
use std::process::{Command, Stdio};
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::LOOK;
use crate::domain::container::{Container, VARIABLE};

/// How long the removal may take.
const WITHIN: Duration = Duration::from_secs(20);

/// Ends the container that the executor was told to use, if it is still there.
pub(super) async fn remove(vars: &[(OsString, OsString)]) {
    let told = vars.iter().find(|(name, _)| name == VARIABLE).and_then(|(_, value)| value.to_str());
    let Some(container) = told.and_then(|text| serde_json::from_str::<Container>(text).ok()) else { return };
    let mut command = Command::new(&container.program);
    command.args(["rm", "--force", "--volumes", &container.name]).env_clear().envs(&container.vars);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let deadline = Instant::now() + WITHIN;
    // Not through the runtime's own handle: whatever ends below this process is reaped by number.
    let Ok(mut child) = command.spawn() else { return };
    while matches!(child.try_wait(), Ok(None)) {
        if Instant::now() > deadline {
            let _ = child.kill();
            let _ = child.wait();
            return;
        }
        sleep(LOOK).await;
    }
}
