//! Jobs that ask for an image: by a program that takes docker's command line, or as processes where there is none.

use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use albatros::domain::job::JobSpec;
use albatros::domain::outcome::Outcome;
use albatros::engine::Order;
use serde_json::json;

use super::{Machine, failed_with, is_gone, pid};

/// Runs the entrypoint beside itself with the variables of the file, and writes down what it was asked.
const DOCKER: &str = r#"#!/bin/sh
echo "$*" >> "$HOME/calls"
case $1 in
  version) echo linux;;
  info) echo '["name=seccomp"]';;
  ps) cat "$HOME/strays" 2>/dev/null;;
  image) [ -e "$HOME/pulled" ] && echo '["PATH=/of/image:/usr/bin:/bin"]';;
  pull) touch "$HOME/pulled";;
  rm) kill -KILL "$(cat "$HOME/running" 2>/dev/null)" 2>/dev/null;;
  run)
    vars= entry= dir=/
    shift
    while [ $# -gt 0 ]; do
      case $1 in
        --env-file) vars=$2; shift;;
        --entrypoint) entry=$2; shift;;
        --workdir) dir=$2; shift;;
        --) shift 2; break;;
      esac
      shift
    done
    cd "$dir"
    while IFS= read -r line; do set -- "$@" ; eval "export ${line%%=*}=\"\${line#*=}\""; done < "$vars"
    setsid "$entry" "$@" & echo $! > "$HOME2/running"
    wait $!;;
esac
"#;

struct Desk {
    machine: Machine,
}

impl Desk {
    /// With a docker of our own on PATH, or with none.
    fn new(docker: bool) -> Self {
        let mut machine = Machine::unopened("data", 2);
        let (bin, home) = (machine.room.path().join("bin"), machine.room.path().join("home"));
        for dir in [&bin, &home] {
            std::fs::create_dir(dir).unwrap();
        }
        std::os::unix::fs::symlink(which("git"), bin.join("git")).unwrap();
        if docker {
            let text = DOCKER.replace("$HOME2", home.to_str().unwrap());
            std::fs::write(bin.join("docker"), text).unwrap();
            std::fs::set_permissions(bin.join("docker"), std::fs::Permissions::from_mode(0o755)).unwrap();
        }
        machine.path = Some(bin.into());
        machine.home = Some(home);
        machine.open();
        Self { machine }
    }

    fn home(&self) -> PathBuf {
        self.machine.home.clone().unwrap()
    }

    fn calls(&self, verb: &str) -> Vec<String> {
        let calls = std::fs::read_to_string(self.home().join("calls")).unwrap_or_default();
        calls.lines().filter(|line| line.starts_with(verb)).map(str::to_owned).collect()
    }

    fn job(&self, script: &str, more: serde_json::Value) -> Order {
        let mut spec = json!({"name": "unit", "image": "debian:bookworm-slim"});
        spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let mut order = self.machine.order(&self.machine.script(script));
        let job: JobSpec = serde_json::from_value(spec).unwrap();
        order.grant.as_mut().unwrap().job = Some(Box::new(job));
        order
    }
}

fn which(program: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap();
    std::env::split_paths(&path).map(|dir| dir.join(program)).find(|file| file.is_file()).unwrap()
}

#[tokio::test]
async fn without_docker_and_podman_it_is_a_process_and_the_log_says_so() {
    let desk = Desk::new(false);
    let said = desk.machine.build_order(&desk.job("#!/bin/sh\necho here; exit 3\n", json!({}))).await;
    assert_eq!((said.stdout.as_str(), said.outcome), ("here\n", failed_with(3)), "{}", said.stderr);
    assert!(
        said.stderr.contains("no docker or podman here: image debian:bookworm-slim is not used"),
        "{}",
        said.stderr
    );
}

#[tokio::test]
async fn the_script_of_a_job_runs_in_a_container_of_its_own_and_its_variables_are_in_no_argument() {
    let desk = Desk::new(true);
    let script = "#!/bin/sh\nset -e\necho \"$PATH\" | sed 's/^[^:]*://'; ls -a | grep albatros; [ -n \"$ALBATROS_TOKEN\" ]; exit 7\n";
    let said = desk.machine.build_order(&desk.job(script, json!({}))).await;
    assert_eq!(said.stdout, "/of/image:/usr/bin:/bin\n.albatros\n", "{}", said.stderr);
    assert_eq!(said.outcome, failed_with(7));
    assert!(said.stderr.contains("pulling the image debian:bookworm-slim"), "{}", said.stderr);
    let run = desk.calls("run").pop().unwrap();
    for part in ["--rm", "--init", "--name albatros-dispatch-", "--label albatros.engine=", "-- debian:bookworm-slim"] {
        assert!(run.contains(part), "{part} in {run}");
    }
    assert!(!run.contains("ALBATROS_TOKEN") && !run.contains("docker.sock"), "{run}");
}

#[tokio::test]
async fn a_container_that_minds_no_signal_goes_with_its_job() {
    let desk = Desk::new(true);
    let order = desk.job("#!/bin/sh\ntrap '' TERM\necho script $$\nwhile :; do sleep 1; done\n", json!({}));
    let build = desk.machine.engine().dispatch(&order).await.unwrap();
    let script = pid(&desk.machine.printed(&build, "script ").await, "script ");
    desk.machine.engine().stop(&build).await.unwrap();
    assert!(matches!(desk.machine.outcome(&build).await, Outcome::Cancelled { .. }));
    assert!(is_gone(script));
    let name = format!("albatros-{}", build.child());
    assert_eq!(desk.calls("rm"), [format!("rm --force --volumes {name}")]);
}

#[tokio::test]
async fn containers_of_a_dead_engine_are_removed_and_no_others() {
    let desk = Desk::new(true);
    let mut dead = std::process::Command::new("true").spawn().unwrap();
    let number = dead.id();
    dead.wait().unwrap();
    let own = std::fs::read_to_string("/proc/self/stat").unwrap();
    let started = own.rsplit(')').next().unwrap().split_whitespace().nth(19).unwrap().to_owned();
    let strays = format!("c0ffee {number}-1\nbeef00 {}-{started}\nabc123 \n", std::process::id());
    std::fs::write(desk.home().join("strays"), strays).unwrap();
    desk.machine.build_order(&desk.job("#!/bin/sh\n:\n", json!({}))).await;
    assert_eq!(desk.calls("rm").first().map(String::as_str), Some("rm --force --volumes c0ffee"));
    assert!(!desk.calls("rm").iter().any(|call| call.contains("beef00") || call.contains("abc123")));
}

#[tokio::test]
async fn a_container_whose_supervisor_was_killed_is_removed() {
    let desk = Desk::new(true);
    let order = desk.job("#!/bin/sh\necho script $$\nexec sleep 1000\n", json!({}));
    let build = desk.machine.engine().dispatch(&order).await.unwrap();
    let script = pid(&desk.machine.printed(&build, "script ").await, "script ");
    let supervisor = super::restarts::supervisor(&desk.machine, &build);
    rustix::process::kill_process(supervisor, rustix::process::Signal::KILL).unwrap();
    assert!(matches!(desk.machine.outcome(&build).await, Outcome::Lost { .. }));
    assert_eq!(desk.calls("rm"), [format!("rm --force --volumes albatros-{}", build.child())]);
    assert!(is_gone(script));
}

#[tokio::test]
async fn a_build_and_its_jobs_do_not_wait_for_each_others_places() {
    let machine = Machine::with_places(1);
    let parent = machine.dispatch("#!/bin/sh\necho up; exec sleep 1000\n").await;
    machine.printed(&parent, "up").await;
    let as_job = |more: serde_json::Value| {
        let mut spec = json!({"name": "unit"});
        spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let mut order = machine.order(&machine.script("#!/bin/sh\necho up; exec sleep 1000\n"));
        order.grant.as_mut().unwrap().job = Some(Box::new(serde_json::from_value(spec).unwrap()));
        order
    };
    let job = machine.engine().dispatch(&as_job(json!({}))).await.unwrap();
    machine.printed(&job, "up").await;
    let service = json!({"service": true, "port": 1, "checkout": true});
    let service = machine.engine().dispatch(&as_job(service)).await.unwrap();
    machine.printed(&service, "up").await;
    for build in [service, job, parent] {
        machine.engine().stop(&build).await.unwrap();
        machine.outcome(&build).await;
    }
}

#[tokio::test]
async fn a_service_is_as_its_image_has_it_and_can_write_nothing_of_ours() {
    let desk = Desk::new(true);
    let command = ["sh", "-c", "echo ${HOME-none} ${TMPDIR-none} $CI"];
    let order = desk.job("#!/bin/sh\n:\n", json!({"service": true, "port": free_port(), "command": command}));
    let said = desk.machine.build_order(&order).await;
    assert!(said.stdout.ends_with(" none true\n"), "{} {}", said.stdout, said.stderr);
    let run = desk.calls("run").pop().unwrap();
    assert!(run.contains(",readonly") && !run.contains("--workdir") && !run.contains("--user"), "{run}");
}

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
