//! Identities that a real Nomad has signed: only the right one, of the right build, gets a session.

use serde_json::{Value, json};

use crate::fake::delivery::commit;
use crate::fake::http::{Reply, client};
use crate::fake::serve::Serve;
use crate::story::{INJECT, Story, until};

const NONE: &str = "0000000000000000000000000000000000000000";

/// Every task leaves its tokens in ROOM, for the test to show them.
const BUILDER: &str = r#"
job "BUILDER" {
  namespace   = "SPACE"
  datacenters = ["*"]
  type        = "batch"
  parameterized {
    payload       = "forbidden"
    meta_required = ["REPO_URL", "COMMIT", "BRANCH", "FLAVOR"]
    meta_optional = ["REF", "EVENT", "SENDER", "TRUSTED", "ALBATROS_CLAIM"]
  }
  group "runner" {
    restart {
      attempts = 0
      mode     = "fail"
    }
    reschedule {
      attempts  = 0
      unlimited = false
    }
    ephemeral_disk {
      size = 300
    }
    task "controller" {
      driver       = "raw_exec"
      kill_timeout = "1s"
      lifecycle {
        hook    = "prestart"
        sidecar = true
      }
      identity {
        file = true
      }
      identity {
        name = "albatros"
        aud  = ["albatros"]
        file = true
        ttl  = "1h"
      }
      identity {
        name = "endless"
        aud  = ["albatros"]
        file = true
      }
      identity {
        name = "foreign"
        aud  = ["vault.example"]
        file = true
        ttl  = "1h"
      }
      config {
        command = "/bin/sh"
        args    = ["-c", "SHOW; sleep 300"]
      }
      resources {
        cpu    = 10
        memory = 10
      }
    }
    task "executor" {
      driver       = "raw_exec"
      kill_timeout = "1s"
      identity {
        name = "albatros"
        aud  = ["albatros"]
        file = true
        ttl  = "1h"
      }
      config {
        command = "/bin/sh"
        args    = ["-c", "SHOW; while [ ! -e ROOM/end ]; do sleep 0.1; done"]
      }
      resources {
        cpu    = 10
        memory = 10
      }
    }
  }
}
"#;

const SHOW: &str = "for one in $NOMAD_SECRETS_DIR/nomad_*; do \
    cp $one ROOM/$(echo $NOMAD_JOB_ID | tr / _).$NOMAD_TASK_NAME.$(basename $one); done";

/// A builder and the tokens of its builds.
struct Desk {
    story: Story,
    room: tempfile::TempDir,
}

impl Desk {
    async fn begin() -> Option<Self> {
        let desk = Self { story: Story::begin("session").await?, room: tempfile::tempdir().unwrap() };
        desk.register("ci").await;
        Some(desk)
    }

    async fn register(&self, namespace: &str) {
        let room = self.room.path().to_str().unwrap();
        let hcl = BUILDER.replace("SHOW", SHOW).replace("ROOM", room);
        let hcl = hcl.replace("BUILDER", &self.story.name).replace("SPACE", namespace);
        self.story.cluster.nomad.register(&hcl, "").await;
    }

    /// The token of a build's task, once the task has left it.
    async fn token(&self, build: &str, task: &str, name: &str) -> String {
        let path = self.room.path().join(format!("{}.{task}.{name}", build.replace('/', "_")));
        let read = || std::fs::read_to_string(&path).ok().filter(|token| token.matches('.').count() == 2);
        until(&format!("{}", path.display()), || async { read() }).await
    }

    /// A build of a builder of the same name in another namespace.
    async fn foreign_build(&self, meta: &Value) -> String {
        let nomad = &self.story.cluster.nomad;
        nomad.call("PUT", "/v1/namespace/elsewhere", Some(&json!({"Name": "elsewhere"}))).await;
        self.register("elsewhere").await;
        let path = format!("/v1/job/{}/dispatch?namespace=elsewhere", self.story.name);
        let dispatched = nomad.call("POST", &path, Some(&json!({"Meta": meta}))).await;
        dispatched["DispatchedJobID"].as_str().unwrap().to_owned()
    }
}

async fn exchange(serve: &Serve, token: &str, claim: &Value, secret: &str) -> Reply {
    let request = client().post(format!("{}/session", serve.url)).bearer_auth(token);
    let body = json!({"claim": claim, "secret": secret}).to_string();
    Reply::read(request.body(body).send().await.unwrap()).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_the_controller_of_the_very_build_gets_its_session() {
    let Some(desk) = Desk::begin().await else { return };
    let (story, sha) = (&desk.story, commit(0xe1));
    let serve = story.serve().await;
    let build = story.push(&serve, "main", NONE, &sha).await;
    let meta = story.cluster.nomad.job(&build).await["Meta"].clone();
    let claim = meta["ALBATROS_CLAIM"].clone();
    let secret = "5".repeat(64);

    for (task, name, status) in [
        ("executor", "nomad_albatros.jwt", 403),
        ("controller", "nomad_endless.jwt", 401),
        ("controller", "nomad_foreign.jwt", 401),
        ("controller", "nomad_token", 401),
    ] {
        let reply = exchange(&serve, &desk.token(&build, task, name).await, &claim, &secret).await;
        assert_eq!(reply.status, status, "{task} {name}: {}", reply.text);
        story.tell(&format!("{task} {name}: {} {}", reply.status, reply.text));
    }

    let hand = story.cluster.nomad.dispatch(&story.name, "by-hand", &meta, "").await;
    let reply = exchange(&serve, &desk.token(&hand, "controller", "nomad_albatros.jwt").await, &claim, &secret).await;
    assert_eq!(reply.status, 403, "by hand: {}", reply.text);
    let elsewhere = desk.foreign_build(&meta).await;
    let token = desk.token(&elsewhere, "controller", "nomad_albatros.jwt").await;
    let reply = exchange(&serve, &token, &claim, &secret).await;
    assert_eq!(reply.status, 403, "the same name in another namespace: {}", reply.text);

    let token = desk.token(&build, "controller", "nomad_albatros.jwt").await;
    let granted = exchange(&serve, &token, &claim, &secret).await;
    assert_eq!((granted.status, &granted.value()["inject"]), (200, &json!(INJECT)), "{}", granted.text);
    assert_eq!(exchange(&serve, &token, &claim, &secret).await.status, 200, "the answer may have been lost");
    assert_eq!(exchange(&serve, &token, &claim, &"6".repeat(64)).await.status, 409);

    std::fs::write(desk.room.path().join("end"), "").unwrap();
    story.final_of(&sha).await;
    story.all_done().await;
    assert_eq!(exchange(&serve, &token, &claim, &secret).await.status, 410);
    assert!(!story.printed().contains(token.rsplit('.').next().unwrap()), "a token was printed");
}
