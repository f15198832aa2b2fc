//! Artifacts and caches of scripts that mean harm, on each driver: nothing that is not the build's own is kept, nothing of
//! another's is read, and what nobody trusts changes nothing that trusted builds restore.

use std::io::Read as _;

use serde_json::Value;

use crate::fake::http::client;
use crate::group::{Driver, Group};
use crate::story::page;

/// What must be in no artifact: lines of files that lie outside of every workspace, and a signed identity.
const OUTSIDE: [&str; 4] = ["root:x:0", "root:*:", "nobody:x:65534", "eyJhbGciOi"];

/// A script that declares what is to be kept, and then makes something else of it.
struct Hostile {
    name: &'static str,
    script: &'static str,
    verdict: &'static str,
}

const SCRIPTS: &[Hostile] = &[
    Hostile {
        name: "link-to-shadow",
        script: "#!/bin/sh
ln -s /etc/shadow one; ln -s /etc/passwd two; mkdir three; ln -s /etc/passwd three/in
albatros artifact put one one --at-end && albatros artifact put two two --at-end && albatros artifact put three three --at-end
exit 0",
        verdict: "failure: Failed: artifact one could not be kept: one is a link that may lead outward",
    },
    Hostile {
        name: "siblings-secrets",
        script: "#!/bin/sh
ln -s ../../controller/secrets in; ln ../../controller/secrets/nomad_albatros.jwt hard 2>&1
albatros artifact put one in/nomad_albatros.jwt --at-end
albatros artifact put two ../../controller/secrets/nomad_albatros.jwt --at-end
albatros artifact put three /etc/passwd --at-end
exit 0",
        verdict: "failure: Failed: artifact one could not be kept: in/nomad_albatros.jwt ",
    },
    Hostile {
        name: "swapped-at-the-end",
        script: "#!/bin/sh
mkdir dir; echo mine >dir/passwd; echo mine >file
albatros artifact put one dir/passwd --at-end && albatros artifact put two file --at-end
(while :; do mv dir away; ln -s /etc dir; rm dir; mv away dir; ln -sfn /etc/passwd file; rm file; echo mine >file; done) >/dev/null 2>&1 &
exit 0",
        // Whichever of the two it was at that moment.
        verdict: "",
    },
    Hostile {
        name: "a-pipe",
        script: "#!/bin/sh
mkfifo pipe && albatros artifact put pipe pipe --at-end
exit 0",
        verdict: "failure: Failed: artifact pipe could not be kept: pipe is a named pipe",
    },
    Hostile {
        name: "nothing-there",
        script: "#!/bin/sh
albatros artifact put gone gone --at-end
exit 0",
        verdict: "failure: Failed: artifact gone could not be kept: gone is not there",
    },
    // The names of others, in any spelling: every answer is a refusal.
    Hostile {
        name: "others-names",
        script: r#"#!/bin/sh
ask() { curl -s -o /dev/null -w '%{http_code}\n' --path-as-is --unix-socket "${ALBATROS_API#unix:}" -H "Authorization: Bearer $ALBATROS_TOKEN" "$@"; }
for id in ../x ..%2Fx %2e%2e%2fx ..%252fx /etc/passwd %2Fetc%2Fpasswd x/../../y ..%5Cx .x x%00 x%0Ay '*' "$(seq -s x 40)"; do
    for kind in artifacts caches; do
        ask "http://x/v1/$kind/$id"; ask -T .albatros "http://x/v1/$kind/$id"
        ask "http://x/v1/$kind/y?from=latest-green&branch=$id&fallback=$id"
    done
done >answers
grep -v '^4' answers; grep -c '^4' answers"#,
        verdict: "success: ",
    },
];

/// Of a build that is trusted, of one that is not, and again of one that is.
const CACHES: [(&str, &str); 3] = [
    ("keeper", "#!/bin/sh\nset -eu\nmkdir d; echo trusted >d/f; albatros cache save shared d\n"),
    (
        "stranger",
        "#!/bin/sh
set -u
albatros cache restore shared d; cat d/f
echo poisoned >d/f; albatros cache save shared d; albatros cache save other d; albatros cache save shared-2 d
exit 0\n",
    ),
    (
        "again",
        "#!/bin/sh
set -eu
albatros cache restore shared d; cat d/f; rm -r d
albatros cache restore other d; ls d/f 2>/dev/null && cat d/f
albatros cache restore nothing d --fallback shared; cat d/f\n",
    ),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_docker_nothing_but_the_workspace_is_kept() {
    all_on(Driver::Docker).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_exec_nothing_but_the_workspace_is_kept() {
    all_on(Driver::Exec).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_raw_exec_nothing_but_the_workspace_is_kept() {
    all_on(Driver::RawExec).await;
}

async fn all_on(driver: Driver) {
    let branches: Vec<(&str, &str)> = SCRIPTS.iter().map(|hostile| (hostile.name, hostile.script)).collect();
    let Some(group) = Group::begin("hoards", driver, &branches).await else { return };
    let all = SCRIPTS.iter().map(|hostile| one(&group, hostile));
    let wrong: Vec<String> = futures_util::future::join_all(all).await.into_iter().flatten().collect();
    assert!(wrong.is_empty(), "on {driver}:\n{}", wrong.join("\n"));
}

/// Runs one to its end; what went wrong.
async fn one(group: &Group, hostile: &Hostile) -> Option<String> {
    let build = group.push(hostile.name).await;
    let verdict = group.verdict(hostile.name).await;
    let kept = kept(group, &build).await;
    let names: Vec<&str> = kept.iter().map(|(id, _)| id.as_str()).collect();
    group.story.tell(&format!("{}: {verdict}; kept: {names:?}", hostile.name));
    for (id, bytes) in &kept {
        let text = String::from_utf8_lossy(bytes);
        if let Some(words) = OUTSIDE.iter().find(|words| text.contains(**words)) {
            return Some(format!("{}: {words:?} is in the artifact {id}", hostile.name));
        }
    }
    let printed = group.printed(&build, "executor").await;
    let answered = hostile.name != "others-names" || printed.lines().next() == Some("78");
    if verdict.starts_with(hostile.verdict) && answered {
        return None;
    }
    Some(format!("{}: {verdict}\n{}", hostile.name, group.all_printed(&build).await))
}

/// What a build has left, unpacked as far as zstd goes: names and bytes stand in a tar as they are.
async fn kept(group: &Group, build: &str) -> Vec<(String, Vec<u8>)> {
    let at = format!("{}{}/artifacts", group.server().url, page(build));
    let list = client().get(&at).header("accept", "application/json").send().await.unwrap();
    assert_eq!(list.status().as_u16(), 200, "the artifacts of {build}");
    let list: Value = serde_json::from_slice(&list.bytes().await.unwrap()).unwrap();
    let mut all = Vec::new();
    for artifact in list.as_array().unwrap_or_else(|| panic!("no list: {list}")) {
        let id = artifact["id"].as_str().unwrap().to_owned();
        let answer = client().get(format!("{at}/{id}")).send().await.unwrap();
        assert_eq!(answer.status().as_u16(), 200, "the artifact {id} of {build}");
        let packed = answer.bytes().await.unwrap();
        let mut bytes = Vec::new();
        let plain = zstd::Decoder::new(&packed[..]).and_then(|mut decoder| decoder.read_to_end(&mut bytes));
        all.push((id, if plain.is_ok() { bytes } else { packed.to_vec() }));
    }
    all
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_not_trusted_changes_nothing_that_trusted_builds_restore() {
    let Some(group) = Group::begin("poison", Driver::RawExec, &CACHES).await else { return };
    group.push("keeper").await;
    assert!(group.verdict("keeper").await.starts_with("success: "));
    let stranger = group.push_by("stranger", "mallory").await;
    let verdict = group.verdict("stranger").await;
    assert!(verdict.starts_with("success: "), "{verdict}\n{}", group.all_printed(&stranger).await);
    let said = group.printed(&stranger, "executor").await;
    assert!(said.lines().any(|line| line == "trusted"), "it may read what trusted builds keep: {said}");
    let again = group.push("again").await;
    let verdict = group.verdict("again").await;
    let said = group.printed(&again, "executor").await;
    assert!(!said.lines().any(|line| line == "poisoned"), "{said}");
    assert_eq!(said.lines().filter(|line| *line == "trusted").count(), 2, "{verdict}: {said}");
    group.story.tell(&verdict);
}
