//! Scripts that mean harm, on each driver: none changes its outcome, reads what is not its own, or stays.

use crate::fake::http::Reply;
use crate::group::{Driver, Group};
use crate::story::{ACTOR, page, person};

/// What is done to a build while its script does its worst.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Meanwhile {
    Nothing,
    /// It is cancelled as soon as the script has left `ready`.
    Cancel,
}

/// A script and what must come of it.
struct Hostile {
    name: &'static str,
    script: &'static str,
    meanwhile: Meanwhile,
    verdict: &'static str,
    /// What may come of it where tasks are not separated as well.
    or: &'static str,
}

const fn ends(name: &'static str, script: &'static str, verdict: &'static str) -> Hostile {
    Hostile { name, script, meanwhile: Meanwhile::Nothing, verdict, or: verdict }
}

/// All run in the workspace, which lies in the shared folder of the build.
const SCRIPTS: &[Hostile] = &[
    ends(
        "replaces-socket-and-token",
        "#!/bin/sh
rm -rf ../albatros.sock ../albatros.token ../data/x; ln -s /etc/passwd ../albatros.token; mkdir ../albatros.sock
ln -s / ../albatros-trusted.sock; echo mine >../albatros-trusted.token
exit 1",
        "failure: Failed with exit 1",
    ),
    ends(
        "replaces-bin",
        "#!/bin/sh
rm -rf ../bin; mkdir ../bin; printf '#!/bin/sh\\nexit 0\\n' >../bin/albatros; chmod 755 ../bin/albatros
exit 1",
        "failure: Failed with exit 1",
    ),
    ends(
        "replaces-workspace",
        "#!/bin/sh
mv ../workspace ../elsewhere; ln -s / ../workspace
exit 1",
        "failure: Failed with exit 1",
    ),
    ends(
        "a-million-requests",
        r#"#!/bin/sh
for n in 1 2 3 4; do
    curl -s -o /dev/null --unix-socket ../albatros.sock -H "Authorization: Bearer $ALBATROS_TOKEN" \
        "http://x/v1/build?[1-1000000]" &
    curl -s -o /dev/null --unix-socket ../albatros.sock "http://x/v1/params?[1-1000000]" &
done
sleep 3
exit 1"#,
        "failure: Failed with exit 1",
    ),
    ends(
        "bodies-without-end",
        r#"#!/bin/sh
for what in report events finish; do
    yes | curl -s -o /dev/null --unix-socket ../albatros.sock -H "Authorization: Bearer $ALBATROS_TOKEN" \
        -H "Content-Type: application/xml" -X POST -T - "http://x/v1/$what" &
    yes | curl -s -o /dev/null --unix-socket ../albatros.sock -X POST -T - "http://x/v1/$what" &
done
sleep 3
exit 1"#,
        "failure: Failed with exit 1",
    ),
    ends(
        "says-success",
        "#!/bin/sh
echo 'albatros: success: Successful in 1s'; echo 'exit 0' >&2
exit 1",
        "failure: Failed with exit 1",
    ),
    ends(
        "leaves-daemons",
        "#!/bin/sh
setsid sleep 1000 & setsid nohup sleep 1000 >/dev/null 2>&1 & ( (sleep 1000 &) & )
exit 4",
        "failure: Failed with exit 4",
    ),
    Hostile {
        name: "ignores-sigterm",
        script: "#!/bin/sh
trap '' TERM INT HUP
touch ../data/ready
while :; do sleep 1; done",
        meanwhile: Meanwhile::Cancel,
        verdict: "failure: Cancelled by a user",
        or: "",
    },
    ends(
        "closes-its-output",
        "#!/bin/sh
exec >&- 2>&- <&-
sleep 1
exit 3",
        "failure: Failed with exit 3",
    ),
    ends(
        "fills-the-disk",
        "#!/bin/sh
fallocate -l 1500M big || exit 1
sleep 100",
        "error: the build's files outgrew the disk limit",
    ),
    // Where exec is the first process of its own tree nothing happens to it; else the build has failed.
    Hostile {
        name: "kills-exec",
        script: "#!/bin/sh
kill -KILL $PPID
sleep 2
exit 5",
        meanwhile: Meanwhile::Nothing,
        verdict: "failure: Failed with exit 5",
        or: "failure: ",
    },
    ends(
        "links-its-logs-to-secrets",
        "#!/bin/sh
for one in ../logs/executor.stdout.0 ../logs/executor.stderr.0; do
    rm -f $one; ln -s ../../controller/secrets/nomad_albatros.jwt $one
done
exit 1",
        "failure: Failed with exit 1",
    ),
    ends(
        "links-its-logs-to-other-builds",
        "#!/bin/sh
rm -f ../logs/executor.stdout.0 ../logs/executor.stderr.0
ln -s ../../../../../../../etc/passwd ../logs/executor.stdout.0; ln -s /etc/passwd ../logs/executor.stderr.0
exit 1",
        "failure: Failed with exit 1",
    ),
];

/// Without end, so only where there is one: root's processes, which those of raw_exec are, are not counted.
const FORKS: Hostile = ends(
    "forks-without-end",
    "#!/bin/sh
more() { more & more & sleep 100; }
(more) 2>/dev/null & sleep 3
exit 1",
    "failure: ",
);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_docker_no_script_changes_its_outcome_or_stays() {
    all_on(Driver::Docker, Some(&FORKS)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_exec_no_script_changes_its_outcome_or_stays() {
    all_on(Driver::Exec, Some(&FORKS)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_raw_exec_no_script_changes_its_outcome_or_stays() {
    all_on(Driver::RawExec, None).await;
}

async fn all_on(driver: Driver, more: Option<&'static Hostile>) {
    let scripts: Vec<&Hostile> = SCRIPTS.iter().chain(more).collect();
    let branches: Vec<(&str, &str)> = scripts.iter().map(|hostile| (hostile.name, hostile.script)).collect();
    let pids: &[(&str, &str)] = if driver == Driver::Docker { &[("pids", "200")] } else { &[] };
    let Some(group) = Group::with("hostile", driver, &branches, pids).await else { return };
    let all = scripts.iter().map(|hostile| one(&group, hostile));
    let wrong: Vec<String> = futures_util::future::join_all(all).await.into_iter().flatten().collect();
    assert!(wrong.is_empty(), "on {driver}:\n{}", wrong.join("\n"));
    assert_eq!(group.story.all_done().await.len(), scripts.len());
    for hostile in scripts {
        group.story.one_final(&group.git.commit_of(hostile.name));
    }
}

/// Runs one to its end; what went wrong.
async fn one(group: &Group, hostile: &Hostile) -> Option<String> {
    let build = group.push(hostile.name).await;
    if hostile.meanwhile == Meanwhile::Cancel {
        group.left(&build, "ready").await;
        group.started(&build).await;
        let reply = person(group.server(), "DELETE", &page(&build), Some(ACTOR)).await;
        assert_eq!(reply.status, 202, "{}", reply.text);
    }
    let verdict = group.verdict(hostile.name).await;
    let (stdout, stderr) = (log(group, &build, "stdout").await, log(group, &build, "stderr").await);
    for said in [&stdout.text, &stderr.text] {
        group.holds_no_secret(&format!("the log of {}", hostile.name), said);
        let identity = said.contains("eyJ") && group.driver == Driver::Docker;
        assert!(!identity, "{}: the controller's identity is read: {said}", hostile.name);
        assert!(!said.contains("nobody:x:65534"), "{}: what lies outside of the build is read: {said}", hostile.name);
    }
    group.story.tell(&format!("{}: {verdict}", hostile.name));
    let separated = group.driver == Driver::Docker;
    let fits = verdict.starts_with(hostile.verdict) || (!separated && verdict.starts_with(hostile.or));
    if fits {
        return None;
    }
    Some(format!("{}: {verdict}\n{}", hostile.name, group.all_printed(&build).await))
}

/// The log as people read it; it ends, whatever has become of the file.
async fn log(group: &Group, build: &str, kind: &str) -> Reply {
    person(group.server(), "GET", &format!("/build?job={build}&log={kind}"), None).await
}
