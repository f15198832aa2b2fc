# A builder for nodes without a container engine: as hcl/builder.hcl, with the exec driver.
#
#   nomad job run -var server=https://ci.example.org hcl/exec.hcl
#   nomad job run -var server=https://ci.example.org -var driver=raw_exec hcl/exec.hcl     # separates nothing; for trials
#
# All tasks of a build are one user here, and file modes separate nothing between them: a script can write whatever it
# likes into its own build's logs. It cannot look into other builds. Secrets, and repositories that are not public,
# are better off with docker.

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
  description = "The albatros program on the nodes; empty: each build fetches that of `server`."
}

variable "driver" {
  type        = string
  default     = "exec"
  description = "exec or raw_exec. The node needs git, where the driver's tasks find it."
}

variable "script_network" {
  type        = string
  default     = "none"
  description = "The network of the script: none, or host for that of the node."
}

variable "services" {
  type        = bool
  default     = false
  description = "Where this is `builders.jobs`: whether jobs may be services. Each build's controller then has a port."
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
  # Nomad puts what an artifact holds into the task's own folder.
  albatros = var.albatros == "" ? "${NOMAD_TASK_DIR}/albatros" : var.albatros
  fetched  = var.albatros == "" ? ["${var.server}/bin/linux-${attr.cpu.arch}.tar.gz"] : []
  # raw_exec knows no capabilities.
  cap_drop = var.driver == "exec" ? ["all"] : null
}

job "builder" {
  namespace   = var.namespace
  datacenters = ["*"]
  type        = "batch"

  # Secrets come by the controller's session, never as a payload: whoever may read jobs reads payloads.
  parameterized {
    payload       = "forbidden"
    meta_required = ["REPO_URL", "COMMIT", "BRANCH", "FLAVOR"]
    meta_optional = ["REF", "EVENT", "SENDER", "PULL_REQUEST", "TRUSTED", "ALBATROS_CLAIM"]
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

    dynamic "network" {
      for_each = var.services ? ["service"] : []
      content {
        port "service" {}
      }
    }

    # Room to be found on a node; Nomad does not hold a build to it, the sidecar does.
    ephemeral_disk {
      size = var.disk
    }

    task "controller" {
      driver = var.driver
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
        ALBATROS_SERVER_CACERT = var.ca == "" ? "" : "${NOMAD_TASK_DIR}/ca.pem"

        ALBATROS_CONTROLLER_LISTEN = var.services ? "${NOMAD_ADDR_service}" : ""
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
        command  = local.albatros
        args     = ["controller"]
        cap_drop = local.cap_drop
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
      driver       = var.driver
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
        command  = local.albatros
        args     = ["sidecar"]
        cap_drop = local.cap_drop
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
      driver       = var.driver
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
        command  = local.albatros
        args     = ["sidecar", "prepare"]
        cap_drop = local.cap_drop
      }
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
      driver       = var.driver
      kill_timeout = "10s"

      # It leaves the node's network before the script begins, or does not begin.
      env {
        ALBATROS_NETWORK = var.script_network
      }

      # prepare has put albatros there. Values go as environment only: what stands in a command line is expanded.
      config {
        command  = "${NOMAD_ALLOC_DIR}/bin/albatros"
        args     = ["exec"]
        cap_drop = local.cap_drop
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
