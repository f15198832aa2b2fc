# A builder for runners of a forge's Actions: each serves one job of a workflow, and is gone.
#
#   albatros builder register hcl/runner.hcl -var server=https://ci.example.org
#   albatros builder register hcl/runner.hcl -var server=https://ci.example.org -var driver=raw_exec   # act_runner on the node
#
# A workflow's job is run in the executor task, as its user (host mode), or with `job_image` in a container beside it, by the
# container engine that `docker_host` names. It reaches what that task reaches: the forge must be among it. With docker
# nothing is shared between two jobs; with exec and raw_exec it is the node that is shared. The same in a microVM is
# hcl/microvm.hcl with network=user and an image that has act_runner.

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
  description = "The albatros program in the image, or on the nodes; empty: each runner fetches that of `server`."
}

variable "driver" {
  type        = string
  default     = "docker"
  description = "docker; or exec or raw_exec, with act_runner on the node, where the driver's tasks find it."
}

variable "image" {
  type        = string
  default     = "gitea/act_runner:0.2.13"
  description = "With docker: an image that has act_runner, or ghcr.io/actions/actions-runner for GitHub, and what host mode needs."
}

variable "network" {
  type        = string
  default     = "host"
  description = "With docker: the network of controller and prepare: from it `server` must be reached."
}

variable "runner_network" {
  type        = string
  default     = "bridge"
  description = "With docker: the network of the runner and its jobs. The forge must be reached from it."
}

variable "cap_add" {
  type        = list(string)
  default     = []
  description = "With docker: what jobs in host mode may do beyond ordinary users, as [\"chown\", \"setuid\", \"setgid\"] for apt-get."
}

variable "pids" {
  type        = number
  default     = 2048
  description = "With docker: processes and threads of one job at most."
}

variable "program" {
  type        = string
  default     = ""
  description = "The runner's program, where it is not act_runner (or run.sh) on the PATH."
}

variable "job_image" {
  type        = string
  default     = ""
  description = "Run jobs in containers of this image (docker mode); empty: where the runner is (host mode)."
}

variable "docker_host" {
  type        = string
  default     = ""
  description = "For docker mode: the container engine, as unix:///var/run/docker.sock. Whoever reaches it is the node's root."
}

variable "mounts" {
  type        = list(string)
  default     = []
  description = "With docker: what of the node the runner sees, as [\"/var/run/docker.sock:/var/run/docker.sock\"] for docker mode."
}

variable "runner_config" {
  type        = string
  default     = ""
  description = "act_runner's own configuration, as YAML; empty for one without a cache server."
}

variable "idle" {
  type        = string
  default     = "10m"
  description = "A runner that nobody has a job for by then ends."
}

variable "cpu" {
  type    = number
  default = 1000
}

variable "memory" {
  type    = number
  default = 1024
}

variable "disk" {
  type        = number
  default     = 4000
  description = "MB for logs and what is kept; a runner that outgrows them is ended. What a job writes is the driver's matter."
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
  docker = var.driver == "docker"
  # Nomad puts what an artifact holds into the task's own folder.
  fetched  = var.albatros == "" ? ["${var.server}/bin/linux-${attr.cpu.arch}.tar.gz"] : []
  albatros = var.albatros != "" ? var.albatros : local.docker ? "/local/albatros" : "${NOMAD_TASK_DIR}/albatros"
  # raw_exec knows no capabilities, and only docker has images.
  cap_drop = var.driver == "raw_exec" ? null : ["all"]
  image    = local.docker ? var.image : null
  network  = local.docker ? var.network : null
  alone    = local.docker ? "none" : null
  pids     = local.docker ? 200 : null
}

job "runner" {
  namespace   = var.namespace
  datacenters = ["*"]
  type        = "batch"

  parameterized {
    payload       = "forbidden"
    meta_required = ["REPO_URL", "COMMIT", "BRANCH", "FLAVOR"]
    meta_optional = ["REF", "EVENT", "SENDER", "PULL_REQUEST", "TRUSTED", "ALBATROS_CLAIM"]
  }

  group "runner" {
    # A runner is good for one job: another one is another registration.
    restart {
      attempts = 0
      mode     = "fail"
    }
    reschedule {
      attempts  = 0
      unlimited = false
    }

    # A node that is away for a while keeps its runner, and the job with it.
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
      driver = var.driver
      user   = local.docker ? "65534:65534" : ""
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
        image        = local.image
        entrypoint   = local.docker ? [local.albatros, "controller"] : null
        network_mode = local.network
        pids_limit   = local.pids
        command      = local.docker ? null : local.albatros
        args         = local.docker ? null : ["controller"]
        cap_drop     = local.cap_drop
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
      user         = local.docker ? "root" : ""
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
        image        = local.image
        entrypoint   = local.docker ? [local.albatros, "sidecar"] : null
        network_mode = local.alone
        pids_limit   = local.pids
        command      = local.docker ? null : local.albatros
        args         = local.docker ? null : ["sidecar"]
        cap_drop     = local.cap_drop
        cap_add      = local.docker ? ["dac_override"] : null
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
      user         = local.docker ? "65534:65534" : ""
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
        image        = local.image
        entrypoint   = local.docker ? [local.albatros, "sidecar", "prepare"] : null
        network_mode = local.network
        pids_limit   = local.pids
        command      = local.docker ? null : local.albatros
        args         = local.docker ? null : ["sidecar", "prepare"]
        cap_drop     = local.cap_drop
      }
      resources {
        cpu    = 100
        memory = 128
      }
      logs {
        max_files     = 2
        max_file_size = 5
      }
    }

    task "executor" {
      leader = true
      driver = var.driver
      # A runner that is told to end has 20 s for it; then it is killed, and its files are removed.
      kill_timeout = "30s"

      # It stays in the network: the runner asks the forge for its job, and the job fetches what it needs.
      env {
        ALBATROS_IMAGE_ENV      = local.docker ? "true" : ""
        ALBATROS_RUNNER_PROGRAM = var.program
        ALBATROS_RUNNER_IMAGE   = var.job_image
        ALBATROS_RUNNER_DOCKER  = var.docker_host
        ALBATROS_RUNNER_IDLE    = var.idle
        ALBATROS_RUNNER_CONFIG  = var.runner_config == "" ? "" : "${NOMAD_TASK_DIR}/act_runner.yaml"
      }
      dynamic "template" {
        for_each = var.runner_config == "" ? [] : [var.runner_config]
        content {
          destination = "local/act_runner.yaml"
          data        = template.value
        }
      }

      # prepare has put albatros there. Values go as environment only: what stands in a command line is expanded.
      config {
        image        = local.image
        entrypoint   = local.docker ? ["/alloc/bin/albatros", "exec"] : null
        network_mode = local.docker ? var.runner_network : null
        volumes      = local.docker ? var.mounts : null
        pids_limit   = local.docker ? var.pids : null
        command      = local.docker ? null : "${NOMAD_ALLOC_DIR}/bin/albatros"
        args         = local.docker ? null : ["exec"]
        cap_drop     = local.cap_drop
        cap_add      = local.docker ? var.cap_add : null
      }
      resources {
        cpu    = var.cpu
        memory = var.memory
      }

      logs {
        max_files     = 4
        max_file_size = 20
      }
    }
  }
}
