# A builder with docker: the parameterized job that Albatros dispatches for every change.
#
#   nomad job run -var server=https://ci.example.org hcl/builder.hcl
#
# controller and sidecar stand beside the script, prepare runs before it; all three are ours. executor runs the script,
# which is nobody's friend: it has no network, no capabilities, no credential, and talks to the controller by a socket.
# The script's job gets no policy, and needs none: bind none to it.

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
  default     = "debian:bookworm-slim"
  description = "The script's image, until a flavor names another. It needs to hold nothing of ours."
}

variable "network" {
  type        = string
  default     = "host"
  description = "The network of controller and prepare: from it `server` and the forge must be reached."
}

variable "script_network" {
  type        = string
  default     = "none"
  description = "The network of the script: none, bridge, or one of docker's that closes internal addresses."
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

job "builder" {
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

    task "executor" {
      leader       = true
      driver       = "docker"
      kill_timeout = "10s"

      # An image's own variables (PATH, RUSTUP_HOME …) belong to the script; those of the agent never do.
      env {
        ALBATROS_IMAGE_ENV = "true"
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
