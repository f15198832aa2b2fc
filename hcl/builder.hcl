# A builder: the parameterized job that Albatros dispatches for every change.
#
#   nomad job run -namespace=ci hcl/builder.hcl                                     # exec driver, no container engine
#   nomad job run -namespace=ci -var driver=docker -var image=albatros:0.1 hcl/builder.hcl
#
# What Albatros needs of a builder: it is parameterized, takes the four required meta keys, and its group `runner`
# has a task `executor`. All else is yours to change.

variable "driver" {
  type        = string
  default     = "exec"
  description = "exec (no container engine needed), docker, or raw_exec (separates nothing; for trials)"
}

variable "image" {
  type        = string
  default     = "albatros:0.1"
  description = "With docker: an image that holds albatros, git and what your scripts need. A flavor's own image beats it."
}

variable "albatros" {
  type        = string
  default     = "/usr/local/bin/albatros"
  description = "The albatros program: on the node with exec and raw_exec, in the image with docker."
}

variable "network_mode" {
  type        = string
  default     = ""
  description = "With docker: the network of the script, which fetches COMMIT over it. Empty for docker's own default."
}

variable "timeout" {
  type        = string
  default     = "1h"
  description = "Nomad's own limit; keep it above `timeout` in the repositories' configuration. Needs Nomad 2.0.3: older ones, delete the max_run_duration line (Albatros enforces `timeout` itself)."
}

variable "cpu" {
  type    = number
  default = 500
}

variable "memory" {
  type    = number
  default = 512
}

variable "namespace" {
  type    = string
  default = "ci"
}

job "builder" {
  namespace   = var.namespace
  datacenters = ["*"]
  type        = "batch"

  parameterized {
    payload       = "optional"
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

    ephemeral_disk {
      size = 2500
    }

    task "executor" {
      leader       = true
      driver       = var.driver
      kill_timeout = "10s"

      # Secrets of a trusted build arrive as the dispatch's payload, in a folder that Nomad's own API does not show.
      dispatch_payload {
        file = "../secrets/payload"
      }
      env {
        SECRET_PATH = "${NOMAD_SECRETS_DIR}/payload"
        # An image's own variables (PATH, RUSTUP_HOME …) belong to the script; those of the agent never do.
        ALBATROS_IMAGE_ENV = var.driver == "docker" ? "true" : ""
      }

      dynamic "config" {
        for_each = var.driver == "docker" ? [1] : []
        content {
          image        = "${NOMAD_META_IMAGE}"
          entrypoint   = [var.albatros, "exec"]
          network_mode = var.network_mode
        }
      }
      dynamic "config" {
        for_each = var.driver == "docker" ? [] : [1]
        content {
          command = var.albatros
          args    = ["exec"]
        }
      }

      resources {
        cpu    = var.cpu
        memory = var.memory
      }

      # A log longer than this loses its oldest part while it is written faster than it is read.
      logs {
        max_files     = 20
        max_file_size = 100
      }
    }
  }
}
