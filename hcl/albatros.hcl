# Albatros itself, as a Nomad service on its default workload identity.
#
#   nomad job run hcl/albatros.hcl
#
# Two replicas are fine: any answers hooks and logs, one of them (the follower) posts statuses.

variable "namespace" {
  type        = string
  default     = "default"
  description = "Where Albatros itself runs; never the namespace of the builds."
}

variable "builds" {
  type        = string
  default     = "ci"
  description = "The namespace of the builds."
}

variable "driver" {
  type        = string
  default     = "exec"
  description = "exec or raw_exec with the program on the node, or docker."
}

variable "image" {
  type    = string
  default = "albatros:0.1"
}

variable "albatros" {
  type    = string
  default = "/usr/local/bin/albatros"
}

variable "url" {
  type        = string
  default     = "http://127.0.0.1:8080"
  description = "The address that people and the forge reach Albatros under; it stands in statuses."
}

variable "port" {
  type    = number
  default = 8080
}

variable "nomad_addr" {
  type        = string
  default     = "http://127.0.0.1:4646"
  description = "A Nomad agent, seen from the task. unix://$${NOMAD_SECRETS_DIR}/api.sock is the node's own, without certificates."
}

variable "consul_addr" {
  type        = string
  default     = "http://127.0.0.1:8500"
  description = "A Consul agent, seen from the task."
}

variable "consul_variable" {
  type        = string
  default     = "nomad/jobs/albatros"
  description = "The Nomad variable, if there is one, whose items consul_token, consul_cacert, consul_client_cert and consul_client_key Albatros shows to Consul; and to the store its items aws_access_key_id and aws_secret_access_key."
}

variable "store" {
  type        = string
  default     = ""
  description = "Where artifacts, caches and logs are kept: s3://bucket[/prefix], or file:///albatros with store_volume. Empty: nowhere, and a log is there as long as Nomad keeps it."
}

variable "store_volume" {
  type        = string
  default     = ""
  description = "For file:///albatros, the volume of a node that is mounted there (hcl/volume/store.hcl). The driver raw_exec mounts none: it takes any folder of the node's that nobody may write."
}

variable "store_keep" {
  type        = string
  default     = "30d"
  description = "How long what is in the store is kept."
}

variable "store_size" {
  type        = string
  default     = ""
  description = "The most that is kept there, such as 500GiB: beyond it the oldest goes."
}

variable "s3" {
  type        = map(string)
  default     = {}
  description = "For a bucket, AWS_REGION, and AWS_ENDPOINT_URL if it is not Amazon's. Its keys are the items aws_access_key_id and aws_secret_access_key of consul_variable."
}

variable "store_sign" {
  type        = bool
  default     = true
  description = "Builds and people are sent to the bucket by signed links. False where they cannot reach it: all bytes pass through Albatros then."
}

variable "replicas" {
  type    = number
  default = 1
}

job "albatros" {
  namespace   = var.namespace
  datacenters = ["*"]
  type        = "service"

  group "albatros" {
    count = var.replicas

    network {
      port "http" {
        static = var.port
      }
    }

    # What Prometheus finds the replicas by.
    service {
      name     = "albatros"
      port     = "http"
      provider = "nomad"
    }

    dynamic "volume" {
      for_each = var.store_volume == "" ? [] : [var.store_volume]
      labels   = ["store"]
      content {
        type   = "host"
        source = volume.value
      }
    }

    task "serve" {
      driver       = var.driver
      user         = var.driver == "docker" ? "" : "nobody"
      kill_timeout = "10s"

      dynamic "config" {
        for_each = var.driver == "docker" ? [1] : []
        content {
          image        = var.image
          entrypoint   = [var.albatros, "serve"]
          network_mode = "host"
        }
      }
      dynamic "config" {
        for_each = var.driver == "docker" ? [] : [1]
        content {
          command = var.albatros
          args    = ["serve"]
        }
      }

      dynamic "volume_mount" {
        for_each = var.store_volume == "" ? [] : ["store"]
        content {
          volume      = volume_mount.value
          destination = "/albatros"
        }
      }

      # The policy that hcl/policy/nomad.hcl describes is bound to this job: no token to hand out.
      identity {
        env  = true
        file = true
      }

      env {
        ALBATROS_LISTEN    = "0.0.0.0:${NOMAD_PORT_http}"
        ALBATROS_URL       = var.url
        ALBATROS_NAMESPACE = var.builds
        NOMAD_ADDR         = var.nomad_addr
        NOMAD_TOKEN_FILE   = "${NOMAD_SECRETS_DIR}/nomad_token"
        CONSUL_HTTP_ADDR   = var.consul_addr
        # Logs while they are read. The agent's own TMPDIR, which tasks inherit, need not be writable or exist here.
        ALBATROS_SPOOL = "${NOMAD_TASK_DIR}"

        ALBATROS_STORE      = var.store
        ALBATROS_STORE_KEEP = var.store_keep
        ALBATROS_STORE_SIZE = var.store_size
        ALBATROS_STORE_SIGN = var.store_sign
        AWS_REGION          = lookup(var.s3, "AWS_REGION", "")
        AWS_ENDPOINT_URL    = lookup(var.s3, "AWS_ENDPOINT_URL", "")
      }

      # Nothing is set that the variable does not hold: a Consul without ACLs or certificates needs none of it, nor does a
      # store of files.
      template {
        destination = "${NOMAD_SECRETS_DIR}/keys.env"
        env         = true
        data        = <<EOT
{{ if nomadVarExists "${var.consul_variable}" }}{{ with nomadVar "${var.consul_variable}" -}}
{{ with .consul_token.Value }}CONSUL_HTTP_TOKEN={{ . }}{{ end }}
{{ with .consul_cacert.Value }}CONSUL_CACERT={{ env "NOMAD_SECRETS_DIR" }}/consul_cacert{{ end }}
{{ with .consul_client_cert.Value }}CONSUL_CLIENT_CERT={{ env "NOMAD_SECRETS_DIR" }}/consul_client_cert{{ end }}
{{ with .consul_client_key.Value }}CONSUL_CLIENT_KEY={{ env "NOMAD_SECRETS_DIR" }}/consul_client_key{{ end }}
{{ with .aws_access_key_id.Value }}AWS_ACCESS_KEY_ID={{ . }}{{ end }}
{{ with .aws_secret_access_key.Value }}AWS_SECRET_ACCESS_KEY={{ . }}{{ end }}
{{- end }}{{ end }}
EOT
      }
      dynamic "template" {
        for_each = ["consul_cacert", "consul_client_cert", "consul_client_key"]
        content {
          destination = "${NOMAD_SECRETS_DIR}/${template.value}"
          data        = <<EOT
{{ if nomadVarExists "${var.consul_variable}" }}{{ with nomadVar "${var.consul_variable}" }}{{ with .${template.value}.Value }}{{ . }}{{ end }}{{ end }}{{ end }}
EOT
        }
      }

      resources {
        cpu    = 200
        memory = 256
      }
    }
  }
}
