//! `albatros artifacts BUILD ARTIFACT`: bytes to standard output or to a file, which is there when it is whole and right.

use std::io::{IsTerminal as _, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use reqwest::Response;
use sha2::{Digest as _, Sha256};

use super::{ClientError, Server, path, show};
use crate::api::albatros::{Albatros, AlbatrosError};
use crate::cli::exit::Exit;
use crate::cli::settings::Environment;

/// List what a build has left, or get one artifact of it
#[derive(Debug, Args)]
pub(crate) struct ArtifactsArgs {
    #[command(flatten)]
    server: Server,
    /// The build's id
    build: String,
    /// Which one; without it they are listed
    artifact: Option<String>,
    /// A single file out of an archive
    path: Option<String>,
    /// Where to put it, instead of standard output
    #[arg(short, long, value_name = "FILE", requires = "artifact")]
    output: Option<PathBuf>,
}

impl ArtifactsArgs {
    pub(super) async fn run(self, env: Environment<'_>) -> Result<Exit, ClientError> {
        let albatros = self.server.connect(env)?;
        let build = path(&self.build)?.build()?;
        let mut address = build.segments();
        match &self.artifact {
            None => show::artifacts(&albatros.artifacts(&address).await?, self.server.json)?,
            Some(artifact) => {
                address.extend(["artifacts", artifact]);
                address.extend(self.path.iter().flat_map(|within| within.split('/')));
                get(&albatros, &address, self.output.as_deref()).await?;
            }
        }
        Ok(Exit::Success)
    }
}

async fn get(albatros: &Albatros, path: &[&str], output: Option<&Path>) -> Result<(), ClientError> {
    if output.is_none() && std::io::stdout().is_terminal() {
        return Err(ClientError::Usage("this is a file, and may be any bytes: name one with -o FILE".to_owned()));
    }
    let (sum, response) = albatros.artifact(path).await?;
    match output {
        None => {
            let mut out = std::io::stdout().lock();
            copy(response, sum, &mut out).await?;
            out.flush()?;
        }
        Some(output) => {
            let folder = output.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
            // Beside its place, so that it can be moved there in one step, and gone if anything goes wrong.
            let mut file = tempfile::NamedTempFile::new_in(folder)?;
            copy(response, sum, &mut file).await?;
            file.persist(output).map_err(|error| error.error)?;
        }
    }
    Ok(())
}

async fn copy(mut response: Response, sum: Option<String>, to: &mut impl Write) -> Result<(), ClientError> {
    let mut seen = Sha256::new();
    let cut =
        |error: reqwest::Error| AlbatrosError::Strange(format!("the artifact broke off: {}", error.without_url()));
    while let Some(piece) = response.chunk().await.map_err(cut)? {
        seen.update(&piece);
        to.write_all(&piece)?;
    }
    if sum.is_some_and(|sum| sum != hex::encode(seen.finalize())) {
        let what = "the artifact has another SHA-256 than it was kept with".to_owned();
        return Err(AlbatrosError::Strange(what).into());
    }
    Ok(())
}
