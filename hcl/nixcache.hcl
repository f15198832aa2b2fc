# A builder with docker and a nix store that stays on the node: what one build has built, the next one finds.
#
# It is hcl/builder.hcl (the same tasks, the same variables) with /nix, a volume of the node, read-only in the script, and
# with a nix daemon of the build's own, which alone writes there. On each node a volume named `nix` in these builds'
# namespace, by running this once a node; what is built there counts against no `disk`:
#
#   nomad volume create -namespace ci hcl/volume/nix.hcl
#
# Images need nix programs outside of /nix, where the volume hides what an image has: Debian's package and Alpine's lie
# there, nixos/nix does not do. With a tag: one without is `latest`, which Nomad always pulls.
#
#   printf '%s\n' 'FROM debian:bookworm' 'RUN apt-get update && apt-get install -y --no-install-recommends nix-bin' \
#     | docker build -t albatros-nix:1 -
#
# Then the builder, and the job that collects what no build of the last 7 days has used:
#
#   nomad job run -var server=https://ci.example.org hcl/nixcache.hcl
#   nomad job run hcl/nixcache-gc.hcl
#
# A repository is built here by "builders": {"flavors": {"nix": "builder-nix"}}. Its script finds NIX_REMOTE set, and calls
# nix-build as anywhere. Nothing is fetched while script_network is none: scripts and derivations have the same network.
#
# What is shared: builds of all repositories, forks too, use one store. None can change what is there: the script sees it
# read-only, the daemon trusts no user (trusted-users is empty), a path's name is the hash of what made it, and what is not
# built here must be signed. But each can read all of it, so give private repositories a volume and a builder of their own;
# it can add to it, until the disk is full; and a hole in nix is a hole for everybody: keep the image young, and let forks
# build elsewhere ("builders": {"untrusted": "builder"}) where that is too much.
# Without `sandbox` derivations are kept apart by users only, and see the daemon's container.

variable "server" {
  type        = string
  default     = "http://127.0.0.1:8080"
  description = "Albatros, seen from the nodes. Secrets come from it: https, or a private network."
}

variable "ca" {
  type        = string
  default     = ""
  description = "Who signed its certificate, as PEM (-var ca=\"$(cat ca.pem)\"); empty for the public authorities."
}

variable "albatros" {
  type        = string
  default     = ""
  description = "The albatros program in `tools` and in every image; empty: each build fetches that of `server`."
}

variable "tools" {
  type        = string
  default     = "buildpack-deps:bookworm-scm"
  description = "The image of the tasks that are ours: any with git and CA certificates."
}

variable "image" {
  type        = string
  default     = "albatros-nix:1"
  description = "The script's image, until a flavor names another: it needs nix programs of its own, outside of /nix."
}

variable "nix" {
  type        = string
  default     = "albatros-nix:1"
  description = "The nix daemon's image."
}

variable "volume" {
  type        = string
  default     = "nix"
  description = "The node's volume that is /nix."
}

variable "sandbox" {
  type        = bool
  default     = false
  description = "Derivations in namespaces of their own. The daemon's container is privileged then, for a sandbox needs a /proc that docker has not masked: allow_privileged of the docker plugin must be set."
}

variable "nix_conf" {
  type        = string
  default     = ""
  description = "More lines of the daemon's nix.conf, as substituters and trusted-public-keys of your own. Never trusted-users."
}

variable "nix_cpu" {
  type    = number
  default = 1000
}

variable "nix_memory" {
  type        = number
  default     = 1024
  description = "Derivations are built in the daemon's container: this is theirs."
}

variable "network" {
  type        = string
  default     = "host"
  description = "The network of controller and prepare: from it `server` and the forge must be reached."
}

variable "script_network" {
  type        = string
  default     = "none"
  description = "The network of the script and of derivations: none, bridge, or one of docker's that closes internal addresses."
}

variable "cap_add" {
  type        = list(string)
  default     = []
  description = "What scripts may do beyond ordinary users, as [\"chown\", \"setuid\", \"setgid\"] for apt-get."
}

variable "pids" {
  type        = number
  default     = 2048
  description = "Processes and threads of one script at most."
}

variable "cpu" {
  type    = number
  default = 500
}

variable "memory" {
  type    = number
  default = 512
}

variable "disk" {
  type        = number
  default     = 4000
  description = "MB for workspace and logs; a build that outgrows them is ended."
}

variable "timeout" {
  type        = string
  default     = "1h"
  description = "Nomad's own limit; keep it above `timeout` in the repositories' configuration. Needs Nomad 2.0.3: older ones, delete the max_run_duration line (Albatros enforces `timeout` itself)."
}

variable "namespace" {
  type    = string
  default = "ci"
}

locals {
  # Nomad puts what an artifact holds into /local.
  albatros = var.albatros == "" ? "/local/albatros" : var.albatros
  fetched  = var.albatros == "" ? ["${var.server}/bin/linux-${attr.cpu.arch}.tar.gz"] : []
}

job "builder-nix" {
  namespace   = var.namespace
  datacenters = ["*"]
  type        = "batch"

  # Secrets come by the controller's session, never as a payload: whoever may read jobs reads payloads.
  parameterized {
    payload       = "forbidden"
    meta_required = ["REPO_URL", "COMMIT", "BRANCH", "FLAVOR"]
    meta_optional = ["REF", "EVENT", "SENDER", "PULL_REQUEST", "TRUSTED", "ALBATROS_CLAIM", "IMAGE"]
  }

  # Until a flavor names another.
  meta {
    IMAGE = var.image
  }

  group "runner" {
    # One run a change: a failed build is a verdict, not an accident.
    restart {
      attempts = 0
      mode     = "fail"
    }
    reschedule {
      attempts  = 0
      unlimited = false
    }

    # A node that is away for a while keeps its build; without lost_after its script would be run twice.
    disconnect {
      lost_after = "12h"
      replace    = false
    }

    max_run_duration = var.timeout

    # Room to be found on a node; Nomad does not hold a build to it, the sidecar does.
    ephemeral_disk {
      size = var.disk
    }

    volume "nix" {
      type   = "host"
      source = var.volume
    }

    task "controller" {
      driver = "docker"
      user   = "65534:65534"
      # Time to take the rest of the log to the archive; Nomad allows no more unless its clients say so.
      kill_timeout = "30s"
      lifecycle {
        hook    = "prestart"
        sidecar = true
      }

      # Who this build is, signed by Nomad; shown once to `server`, which gives what the build may have.
      identity {
        name = "albatros"
        aud  = ["albatros"]
        file = true
        ttl  = "1h"
      }

      env {
        ALBATROS_SERVER        = var.server
        ALBATROS_SERVER_CACERT = var.ca == "" ? "" : "/local/ca.pem"
      }
      dynamic "template" {
        for_each = var.ca == "" ? [] : [var.ca]
        content {
          destination = "local/ca.pem"
          data        = template.value
        }
      }
      dynamic "artifact" {
        for_each = local.fetched
        content {
          source = artifact.value
        }
      }

      config {
        image        = var.tools
        entrypoint   = [local.albatros, "controller"]
        network_mode = var.network
        cap_drop     = ["all"]
        pids_limit   = 100
      }
      resources {
        cpu    = 50
        memory = 64
      }
      logs {
        max_files     = 2
        max_file_size = 5
      }
    }

    task "sidecar" {
      driver       = "docker"
      user         = "root"
      kill_timeout = "30s"
      lifecycle {
        hook    = "prestart"
        sidecar = true
      }

      env {
        ALBATROS_DISK_LIMIT = "${var.disk}M"
      }
      dynamic "artifact" {
        for_each = local.fetched
        content {
          source = artifact.value
        }
      }

      config {
        image        = var.tools
        entrypoint   = [local.albatros, "sidecar"]
        network_mode = "none"
        cap_drop     = ["all"]
        # Scripts of any user make directories that only they may look into; it measures them.
        cap_add    = ["dac_override"]
        pids_limit = 100
      }
      resources {
        # It packs what is kept at the end; a directory's names are put in order in memory.
        cpu    = 50
        memory = 128
      }
      logs {
        max_files     = 2
        max_file_size = 5
      }
    }

    task "prepare" {
      driver       = "docker"
      user         = "65534:65534"
      kill_timeout = "5s"
      lifecycle {
        hook = "prestart"
      }

      dynamic "artifact" {
        for_each = local.fetched
        content {
          source = artifact.value
        }
      }

      config {
        image        = var.tools
        entrypoint   = [local.albatros, "sidecar", "prepare"]
        network_mode = var.network
        cap_drop     = ["all"]
        pids_limit   = 200
      }
      # It has gone when the script begins: what the script has is free until then.
      resources {
        cpu    = var.cpu
        memory = var.memory
      }
      logs {
        max_files     = 2
        max_file_size = 5
      }
    }

    task "nix" {
      driver = "docker"
      user   = "root"
      # To note what the build has used.
      kill_timeout = "30s"
      lifecycle {
        hook    = "prestart"
        sidecar = true
      }

      volume_mount {
        volume      = "nix"
        destination = "/nix"
      }
      env {
        NIX_CONF_DIR           = "/local"
        NIX_DAEMON_SOCKET_PATH = "/alloc/nix/socket"
      }
      template {
        destination = "local/nix.conf"
        data        = <<EOT
# Whoever reaches the socket may build. Nobody is trusted: not even root, which scripts may be in their container.
allowed-users = *
trusted-users =
build-users-group = nixbld
sandbox = true
sandbox-fallback = ${var.sandbox ? "false" : "true"}
keep-derivations = true
keep-outputs = true
post-build-hook = /local/keep
max-jobs = auto
${var.nix_conf}
EOT
      }
      # Everything that is built is kept for this build at once, so that a collection cannot take what it has yet to use.
      template {
        destination = "local/keep"
        perms       = "755"
        data        = <<EOT
#!/bin/sh
for path in $OUT_PATHS $DRV_PATH; do
  ln -sfn "$path" "/nix/var/nix/gcroots/albatros/$(echo "$NOMAD_JOB_ID" | tr / -)/"
done
EOT
      }
      template {
        destination = "local/daemon"
        perms       = "755"
        data        = <<EOT
#!/bin/sh
set -eu
state=/nix/var/nix
roots=$state/gcroots/albatros/$(echo "$NOMAD_JOB_ID" | tr / -)
mkdir -p "$roots" /alloc/nix
chmod 755 /nix
# Nomad makes it everybody's, and derivations without a sandbox see it: what is run from here must stay as it is.
chown root:root /local
chmod 755 /local

# Who builds derivations: users that own nothing of the store.
if ! grep -q '^nixbld:' /etc/group; then
  members=nixbld1 n=1
  while [ $n -le 32 ]; do
    echo "nixbld$n:x:$((30000 + n)):30000::/var/empty:/sbin/nologin" >>/etc/passwd
    [ $n = 1 ] || members=$members,nixbld$n
    n=$((n + 1))
  done
  echo "nixbld:x:30000:$members" >>/etc/group
fi

# Daemons of several builds do not see each other's processes, by which nix tells what is in use. So nobody, no script
# either, collects while a daemon runs: each holds nix's own lock. hcl/nixcache-gc.hcl closes the gate, and waits for it.
exec 8<>$state/albatros.gate 9<>$state/gc.lock
flock -s -w 900 8 && flock -s -w 900 9 || { echo "the nix store is being collected for too long" >&2; exit 1; }
exec 8>&-

ending=
trap 'ending=1' TERM INT
nix-daemon &
daemon=$!
wait $daemon || true
if [ -z "$ending" ]; then
  echo "the nix daemon is gone" >&2
  exit 1
fi
# What was there already, and has only been used, stands in the links that nix-build left. Their text is all that is read.
timeout 20 find /alloc/workspace -maxdepth 4 -type l -exec readlink {} + 2>/dev/null | head -n 1000 |
  grep -E '^/nix/store/[0-9a-z]{32}-[-+._?=0-9A-Za-z]+$' | sort -u | while read -r path; do
    [ ! -e "$path" ] || ln -sfn "$path" "$roots/"
  done
kill $daemon 2>/dev/null || true
EOT
      }

      config {
        image        = var.nix
        entrypoint   = ["/local/daemon"]
        network_mode = var.script_network
        cap_drop     = ["all"]
        cap_add      = ["chown", "dac_override", "fowner", "kill", "setgid", "setuid"]
        privileged   = var.sandbox
        pids_limit   = var.pids
      }
      resources {
        cpu    = var.nix_cpu
        memory = var.nix_memory
      }
      logs {
        max_files     = 2
        max_file_size = 5
      }
    }

    # No script begins before the daemon answers.
    task "nix-ready" {
      driver       = "docker"
      user         = "65534:65534"
      kill_timeout = "5s"
      lifecycle {
        hook = "prestart"
      }

      volume_mount {
        volume      = "nix"
        destination = "/nix"
        read_only   = true
      }
      env {
        HOME       = "/tmp"
        NIX_REMOTE = "unix:///alloc/nix/socket"
      }
      template {
        destination = "local/ready"
        perms       = "755"
        data        = <<EOT
#!/bin/sh
n=0
until nix --extra-experimental-features nix-command store ping >/local/said 2>&1; do
  n=$((n + 1))
  [ $n -lt 1000 ] || { echo "the nix daemon does not answer" | cat - /local/said >&2; exit 1; }
  sleep 1
done
EOT
      }

      config {
        image        = var.nix
        entrypoint   = ["/local/ready"]
        network_mode = "none"
        cap_drop     = ["all"]
        pids_limit   = 100
      }
      resources {
        cpu    = 50
        memory = 64
      }
      logs {
        max_files     = 2
        max_file_size = 5
      }
    }

    task "executor" {
      leader       = true
      driver       = "docker"
      kill_timeout = "10s"

      # An image's own variables (PATH, RUSTUP_HOME …) belong to the script; those of the agent never do.
      env {
        ALBATROS_IMAGE_ENV = "true"
        NIX_REMOTE         = "unix:///alloc/nix/socket"
        NIX_CONFIG         = var.script_network == "none" ? "substitute = false" : ""
      }

      volume_mount {
        volume      = "nix"
        destination = "/nix"
        read_only   = true
      }

      # prepare has put albatros there. Values go as environment only: what stands in a command line is expanded.
      config {
        image        = "${NOMAD_META_IMAGE}"
        entrypoint   = ["/alloc/bin/albatros", "exec"]
        network_mode = var.script_network
        cap_drop     = ["all"]
        cap_add      = var.cap_add
        pids_limit   = var.pids
      }
      resources {
        cpu    = var.cpu
        memory = var.memory
      }

      # A log longer than this loses its oldest part while it is written faster than it is read.
      logs {
        max_files     = 20
        max_file_size = 50
      }
    }
  }
}
