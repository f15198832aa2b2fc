//! A nix store that stays on the node: what one build made the next one has, nobody but the daemon writes it, and what has
//! not been used for a week goes. Needs docker and the image `albatros-nix:1` that the README shows how to make.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::agent::ROOT;
use crate::commands::{of_readme, shell};
use crate::group::{Driver, Group};
use crate::minded::say;
use crate::story::until;

const IMAGE: &str = "albatros-nix:1";
/// Builds the same thing, whatever the branch.
const BUILDS: &str = r#"#!/bin/sh
set -eu
nix-build -E 'derivation { name = "live"; system = builtins.currentSystem; builder = "/bin/sh"; args = ["-c" "echo BUILT; echo one >$out"]; }' 2>&1
readlink result; cat result
"#;
/// Does its worst to what `BUILDS` made, as a script and as a derivation; and asks the daemon to collect.
const WRITES: &str = r#"#!/bin/sh
exec 2>&1
before=$(md5sum /nix/store/*-live)
touch /nix/store/mine && echo the script wrote
rm -rf /nix/store/*-live; [ -e /nix/store/*-live ] || echo the script removed
nix-build --no-out-link -E 'derivation { name = "worst"; system = builtins.currentSystem; builder = "/bin/sh"; args = ["-c" "PATH=/bin:/usr/bin
    for one in /nix/store/*-live; do echo x >>$one; chmod 777 $one; mv $one /nix/store/other; rm -rf $one; done
    mv /local/keep /local/kept; echo x >/local/keep; echo x >/nix/var/nix/gcroots/albatros/x; echo x >>/nix/var/nix/db/db.sqlite
    kill -9 1; [ ! -e /local/kept ] || echo the derivation wrote; echo done >$out"]; }' || echo it failed
timeout 3 nix-store --gc; [ $? = 124 ] && echo it may not collect
[ "$before" = "$(md5sum /nix/store/*-live)" ] && echo all as it was
exit 0
"#;
const WAITS: &str = "#!/bin/sh\ntouch ../data/ready\nsleep 300\n";

struct Nix {
    group: Group,
    /// `/nix`, on this machine.
    root: PathBuf,
    environment: Vec<(String, String)>,
}

impl Nix {
    async fn begin() -> Option<Self> {
        let there = Command::new("docker").args(["image", "inspect", IMAGE]).output();
        if !there.is_ok_and(|output| output.status.success()) {
            say(&format!("SKIPPED nixcache: docker has no image {IMAGE}"));
            return None;
        }
        let scripts = [("first", BUILDS), ("second", BUILDS), ("writes", WRITES), ("waits", WAITS)];
        let group = Group::begin("nixcache", Driver::Docker, &scripts).await?;
        let nomad = &group.story.cluster.nomad;
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let environment = vec![
            pair("NOMAD_ADDR", &nomad.url()),
            pair("NOMAD_TOKEN", nomad.management_token()),
            pair("CONSUL_HTTP_TOKEN", ROOT),
        ];
        let commands = of_readme("### A nix store that stays", "nomad volume create");
        let create = commands.lines().find(|line| line.starts_with("nomad volume create")).unwrap();
        shell(create, &environment).await;
        let volumes = nomad.get("/v1/volumes?type=host&namespace=ci").await;
        let id = volumes[0]["ID"].as_str().unwrap().to_owned();
        let volume = nomad.get(&format!("/v1/volume/host/{id}?namespace=ci")).await;
        let root = PathBuf::from(volume["HostPath"].as_str().unwrap());
        let shipped = include_str!("../../hcl/nixcache.hcl").replace("builder-nix", "nixcache-docker");
        group.register_file(&shipped, &[("image", IMAGE), ("nix", IMAGE)]).await;
        Some(Self { group, root, environment })
    }

    /// Builds a branch that must turn green; gives its id.
    async fn green(&self, branch: &str) -> String {
        let build = self.group.push(branch).await;
        let verdict = self.group.verdict(branch).await;
        assert!(verdict.starts_with("success: "), "{verdict}\n{}", self.group.all_printed(&build).await);
        build
    }

    /// Where a build's roots are.
    fn roots(&self, build: &str) -> PathBuf {
        self.root.join("var/nix/gcroots/albatros").join(build.replace('/', "-"))
    }

    /// Collects now, to the end.
    async fn collect(&self) {
        shell("nomad job periodic force -detach -namespace ci nixcache-gc", &self.environment).await;
        let nomad = &self.group.story.cluster.nomad;
        let over = || async {
            let runs = nomad.get("/v1/jobs?namespace=ci&prefix=nixcache-gc/periodic-").await;
            let all = runs.as_array().cloned().unwrap_or_default();
            (!all.is_empty() && all.iter().all(|run| run["Status"] == "dead")).then_some(all)
        };
        for run in until("the collection", over).await {
            let allocation = nomad.allocation(run["ID"].as_str().unwrap()).await;
            assert_eq!(allocation["ClientStatus"], "complete", "{allocation}");
        }
    }
}

fn holds(folder: &Path, end: &str) -> bool {
    let mut names = std::fs::read_dir(folder).into_iter().flatten().flatten();
    names.any(|one| one.file_name().to_string_lossy().ends_with(end))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_nix_store_outlives_builds_and_only_its_daemon_writes_it() {
    let Some(nix) = Nix::begin().await else { return };
    let group = &nix.group;
    let first = nix.green("first").await;
    group.printed_with(&first, "BUILT").await;
    let second = nix.green("second").await;
    let said = group.printed_with(&second, "one\n").await;
    assert!(!said.contains("BUILT"), "it was there already: {said}");
    for build in [&first, &second] {
        assert!(holds(&nix.roots(build), "-live"), "{build} keeps what it used");
    }
    let writes = nix.green("writes").await;
    let said = group.printed_with(&writes, "all as it was").await;
    assert!(said.contains("it may not collect"), "{said}");
    for wrong in ["the script wrote", "the script removed", "the derivation wrote", "it failed"] {
        assert!(!said.contains(wrong), "{said}");
    }

    let waits = group.push("waits").await;
    group.left(&waits, "ready").await;
    let id = group.story.cluster.nomad.allocation(&waits).await["ID"].as_str().unwrap().to_owned();
    let signal = json!({"Signal": "SIGKILL", "Task": "nix"});
    let path = format!("/v1/client/allocation/{id}/signal?namespace=ci");
    group.story.cluster.nomad.call("POST", &path, Some(&signal)).await;
    let verdict = group.verdict("waits").await;
    assert!(verdict.starts_with("error: ") && verdict.contains("task nix failed"), "{verdict}");

    age(&nix.roots(&first));
    age(&nix.roots(&second));
    let collect = include_str!("../../hcl/nixcache-gc.hcl");
    group.story.cluster.nomad.register(collect, &format!("nix = {IMAGE:?}\n")).await;
    nix.collect().await;
    let store = nix.root.join("store");
    assert!(!nix.roots(&first).exists() && !holds(&store, "-live"), "what is old goes");
    assert!(nix.roots(&writes).exists() && holds(&store, "-worst"), "what is young stays");
    group.story.tell(&format!("{verdict}; collected"));
}

/// Eight days.
fn age(roots: &Path) {
    let touched = Command::new("touch").args(["-d", "8 days ago"]).arg(roots).status().unwrap();
    assert!(touched.success(), "{}", Value::from(roots.display().to_string()));
}
