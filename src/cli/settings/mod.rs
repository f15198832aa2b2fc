//! What was typed and what the environment says → what it means. The only reader of the environment.
//!
//! A flag beats its variable, and a variable that is set but empty counts as not set.

mod controller;
mod own;
mod service;
mod source;
mod store;

use std::net::SocketAddr;
use std::path::PathBuf;

use url::Url;

use crate::api::http::EndpointConfig;
use crate::api::store::StoreSettings;
use crate::dispatcher::Settings;

pub use controller::{ControllerSettings, SessionSettings, controller, in_build, shared_loopback};
pub use own::{DEV_LISTEN, Overrides, SERVE_LISTEN};
pub use source::{Environment, SettingsError, process};

/// All that `serve` is told.
#[derive(Debug, Clone)]
pub struct ServeSettings {
    /// Where to listen.
    pub listen: SocketAddr,
    /// What the dispatcher works with.
    pub dispatcher: Settings,
    /// Where Nomad is.
    pub nomad: EndpointConfig,
    /// Where Consul is.
    pub consul: EndpointConfig,
    /// `ALBATROS_STORE`: where blobs are kept.
    pub store: Option<StoreSettings>,
    /// `ALBATROS_FORGE_CACERT`: an authority to trust beside the public ones, for forges.
    pub forge_ca: Option<PathBuf>,
}

/// Reads everything that `serve` needs.
///
/// # Errors
/// Names the variable and what it should hold, never a secret.
pub fn serve(flags: &Overrides, environment: Environment<'_>) -> Result<ServeSettings, SettingsError> {
    let own = own::read(flags, environment, SERVE_LISTEN)?;
    Ok(ServeSettings {
        listen: own.listen,
        dispatcher: own.dispatcher,
        nomad: nomad(environment)?,
        consul: consul(environment)?,
        store: store::read(flags.store.as_deref(), environment)?,
        forge_ca: own.forge_ca,
    })
}

/// What `dev` is told: the same without services, and listening on this machine only.
///
/// # Errors
/// As [`serve`].
pub fn dev(flags: &Overrides, environment: Environment<'_>) -> Result<(SocketAddr, Settings), SettingsError> {
    own::read(flags, environment, DEV_LISTEN).map(|own| (own.listen, own.dispatcher))
}

/// What the verbs for operators are told: the services that `serve` uses, and nothing of how it serves.
#[derive(Debug, Clone)]
pub struct OperatorSettings {
    /// `ALBATROS_URL`: where `serve` is reached.
    pub url: Option<Url>,
    /// `ALBATROS_PREFIX`.
    pub prefix: String,
    /// `ALBATROS_NAMESPACE`.
    pub namespace: String,
    /// `ALBATROS_FORGE_CACERT`.
    pub forge_ca: Option<PathBuf>,
    /// Where Consul is.
    pub consul: EndpointConfig,
    /// Where Nomad is; none where nobody has said so.
    pub nomad: Option<EndpointConfig>,
}

/// Reads what an operator's verb needs.
///
/// # Errors
/// As [`serve`].
pub fn operator(flags: &Overrides, environment: Environment<'_>) -> Result<OperatorSettings, SettingsError> {
    let own = own::read(flags, environment, SERVE_LISTEN)?;
    let told = source::Source::new(environment).text("NOMAD_ADDR").is_some();
    Ok(OperatorSettings {
        url: own.dispatcher.url,
        prefix: own.dispatcher.prefix,
        namespace: own.dispatcher.namespace,
        forge_ca: own.forge_ca,
        consul: consul(environment)?,
        nomad: if told { Some(nomad(environment)?) } else { None },
    })
}

/// `ALBATROS_STORE` and what belongs to it.
///
/// # Errors
/// As [`serve`].
pub fn store(flags: &Overrides, environment: Environment<'_>) -> Result<Option<StoreSettings>, SettingsError> {
    store::read(flags.store.as_deref(), environment)
}

/// `NOMAD_*`, as Nomad's own clients mean them.
///
/// # Errors
/// As [`serve`].
pub fn nomad(environment: Environment<'_>) -> Result<EndpointConfig, SettingsError> {
    service::nomad(source::Source::new(environment))
}

/// Nomad and the namespace of builds, as `serve` has it; `told` beats the environment.
///
/// # Errors
/// As [`serve`].
pub fn builders(told: Option<&str>, environment: Environment<'_>) -> Result<(EndpointConfig, String), SettingsError> {
    let from = source::Source::new(environment);
    let told = told.map(str::to_owned).or_else(|| from.text("ALBATROS_NAMESPACE"));
    Ok((nomad(environment)?, own::namespace(told, from)?))
}

/// `CONSUL_*`, as Consul's own clients mean them.
///
/// # Errors
/// As [`serve`].
pub fn consul(environment: Environment<'_>) -> Result<EndpointConfig, SettingsError> {
    service::consul(source::Source::new(environment))
}
