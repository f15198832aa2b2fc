//! GitHub's words for what happens to a pull request.

use super::DeliveryError;
use super::pull::{self, Action};
use crate::domain::event::Event;

pub(super) fn pull_request(json: &[u8]) -> Result<Event, DeliveryError> {
    let delivery = pull::read(json)?;
    let action = match delivery.action.as_str() {
        "opened" | "reopened" | "synchronize" => Action::Build,
        "closed" => Action::Close,
        _ => Action::Nothing,
    };
    pull::event(delivery, action)
}
