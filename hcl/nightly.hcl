# A schedule: has a branch built each night, by a Nomad periodic job that does what `albatros trigger` does.
#
#   nomad var put -namespace default nomad/jobs/nightly act_token=@act-token
#   nomad job run -var server=https://ci.example.org -var repo=https://git.example.org/team/hello.git hcl/nightly.hcl
#   nomad job periodic force -namespace default nightly      # now, to try it
#
# For another branch or repository give it another `name`; its variable is then nomad/jobs/<name>. The token is one of
# the repository's `tokens.act`; the build is trusted only if `@trigger` is among `trusted.senders`.

variable "name" {
  type        = string
  default     = "nightly"
  description = "The job's name, one for each schedule."
}

variable "server" {
  type        = string
  default     = "http://127.0.0.1:8080"
  description = "Albatros, seen from the nodes."
}

variable "ca" {
  type        = string
  default     = ""
  description = "Who signed its certificate, as PEM (-var ca=\"$(cat ca.pem)\"); empty for the public authorities."
}

variable "repo" {
  type        = string
  description = "The repository's address, as in its configuration."
}

variable "ref" {
  type        = string
  default     = ""
  description = "A branch, or refs/tags/…; empty: the repository's default branch."
}

variable "flavor" {
  type        = string
  default     = "default"
  description = "What FLAVOR says. One of its own, such as nightly, has a status of its own."
}

variable "cron" {
  type        = string
  default     = "30 3 * * *"
  description = "Minute, hour, day, month, weekday."
}

variable "time_zone" {
  type    = string
  default = "UTC"
}

variable "albatros" {
  type        = string
  default     = ""
  description = "The albatros program on the nodes; empty: it is fetched from `server`."
}

variable "driver" {
  type        = string
  default     = "exec"
  description = "exec or raw_exec."
}

variable "namespace" {
  type        = string
  default     = "default"
  description = "Where the schedule is; not the namespace of the builds, whose scripts it does not concern."
}

locals {
  albatros = var.albatros == "" ? "${NOMAD_TASK_DIR}/albatros" : var.albatros
  fetched  = var.albatros == "" ? ["${var.server}/bin/linux-${attr.cpu.arch}.tar.gz"] : []
}

job "nightly" {
  id          = var.name
  namespace   = var.namespace
  datacenters = ["*"]
  type        = "batch"

  # Nomad older than 1.6.2: cron = var.cron in the place of crons.
  periodic {
    crons            = [var.cron]
    time_zone        = var.time_zone
    prohibit_overlap = true
  }

  group "trigger" {
    # Albatros may just be restarting. However often this is tried, the key below makes one build of it.
    restart {
      attempts = 5
      interval = "30m"
      delay    = "30s"
      mode     = "fail"
    }
    reschedule {
      attempts  = 0
      unlimited = false
    }

    task "trigger" {
      driver = var.driver

      # Read by the job's own identity: whoever may write this variable, or submit this job, acts for the repository.
      template {
        destination = "secrets/act-token"
        data        = "{{ with nomadVar \"nomad/jobs/${var.name}\" }}{{ .act_token }}{{ end }}"
        # It is read once.
        change_mode = "noop"
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

      env {
        ALBATROS_URL    = var.server
        ALBATROS_CACERT = var.ca == "" ? "" : "${NOMAD_TASK_DIR}/ca.pem"
      }
      config {
        command = local.albatros
        args = concat(
          ["trigger", var.repo, "--flavor", var.flavor, "--key", "${NOMAD_JOB_ID}"],
          ["--token-file", "${NOMAD_SECRETS_DIR}/act-token"],
          var.ref == "" ? [] : ["--ref", var.ref],
        )
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
  }
}
