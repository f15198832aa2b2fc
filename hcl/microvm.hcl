# A builder whose scripts each run in a microVM of their own: as hcl/builder.hcl, with `albatros vm` for an executor.
#
#   albatros builder register hcl/microvm.hcl -var server=https://ci.example.org
#   albatros builder register hcl/microvm.hcl -var server=https://ci.example.org -var driver=exec
#
# raw_exec is no danger to the node here: what it runs is ours, the script is in the machine. It is also the driver with
# /dev/kvm: Nomad's exec driver gives no device to its tasks, so with exec a machine is emulated (TCG), several times
# slower. With exec, images and runs are in the host volume `store_volume`, and qemu, mke2fs and git come from what the
# node shares with its tasks (/usr and /sbin, unless its chroot_env says otherwise). How to set a node up is in the
# README, "Isolation".

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
  default     = "raw_exec"
  description = "raw_exec, or exec where the node allows nothing else; then without KVM."
}

variable "store" {
  type        = string
  default     = "/var/lib/albatros/vm"
  description = "Images and runs on the node; with exec this is where the host volume is mounted."
}

variable "store_volume" {
  type        = string
  default     = "albatros-vm"
  description = "The node's host volume that holds them, for exec. Its user is the tasks' (nobody)."
}

variable "image" {
  type        = string
  default     = "debian:bookworm-slim"
  description = "What the machine's files are made of, until a flavor names another: what `albatros vm image build` was given."
}

variable "pull" {
  type        = string
  default     = "missing"
  description = "missing: an image that the node does not have is fetched first. never: it must be there."
}

variable "program" {
  type        = string
  default     = ""
  description = "As a builder of Actions runners (README): the runner in the image; empty: act_runner or run.sh of its PATH. runner_config of hcl/runner.hcl is not here: a machine is given no file but the workspace."
}

variable "idle" {
  type        = string
  default     = "10m"
  description = "As a builder of Actions runners: one that no job has come to by then ends."
}

variable "network" {
  type        = string
  default     = "none"
  description = "The network of the script: none, or user for what the node reaches, but for TCP to the node's own loopback."
}

variable "dns" {
  type        = string
  default     = ""
  description = "With user: the resolvers of the script, separated by spaces; empty for those of the node that a machine reaches; where it reaches none of them, name some."
}

variable "deny" {
  type        = string
  default     = ""
  description = "With user: what the script must not reach, as \"10.0.0.0/8 192.168.0.0/16\"."
}

variable "accel" {
  type        = string
  default     = "auto"
  description = "auto: KVM where it works, else emulated, which the log says. kvm: only with it. tcg: always emulated."
}

variable "machine_disk" {
  type        = string
  default     = "4G"
  description = "What the script may write within its machine, workspace included."
}

variable "life" {
  type        = string
  default     = "6h"
  description = "The most that a machine lives, whatever else fails; `timeout` ends a build long before."
}

variable "grace" {
  type        = string
  default     = "8s"
  description = "What a script has to end after a TERM before its machine kills it. At most 22s: workspace and verdict are to come back within the 30 s that Nomad waits."
}

variable "cpu" {
  type        = number
  default     = 1000
  description = "MHz. The machine has as many processors as that is of the node's."
}

variable "memory" {
  type        = number
  default     = 1024
  description = "MB. The machine has 128 less: qemu and the host's side are in it as well."
}

variable "disk" {
  type        = number
  default     = 4000
  description = "MB for workspace and logs on the node; a build that outgrows them is ended. Not the machine's own disk. While the workspace comes back, the old one and the new one are there."
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
  # raw_exec sees the node's folders as they are.
  volumes = var.driver == "exec" ? [var.store_volume] : []
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

    dynamic "volume" {
      for_each = local.volumes
      labels   = ["vm"]
      content {
        type   = "host"
        source = volume.value
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
        # What comes out of the machine is bounded by its disk until it is in place.
        ALBATROS_MACHINE = "true"
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
      leader = true
      driver = var.driver
      # `grace` for the script, and what is left for its kill, the workspace, and the report.
      kill_timeout = "30s"

      env {
        # For who runs a runner in the machine.
        ALBATROS_RUNNER_PROGRAM = var.program
        ALBATROS_RUNNER_IDLE    = var.idle

        ALBATROS_VM_STORE   = var.store
        ALBATROS_VM_PULL    = var.pull
        ALBATROS_VM_NETWORK = var.network
        ALBATROS_VM_DNS     = var.dns
        ALBATROS_VM_DENY    = var.deny
        ALBATROS_VM_ACCEL   = var.accel
        ALBATROS_VM_DISK    = var.machine_disk
        ALBATROS_VM_LIFE    = var.life
        ALBATROS_VM_GRACE   = var.grace
      }
      dynamic "volume_mount" {
        for_each = local.volumes
        content {
          volume      = "vm"
          destination = var.store
        }
      }

      # prepare has put albatros there. Values go as environment only: what stands in a command line is expanded.
      config {
        command  = "${NOMAD_ALLOC_DIR}/bin/albatros"
        args     = ["vm"]
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
