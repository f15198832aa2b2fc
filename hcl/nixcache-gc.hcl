# Collects the nix store of hcl/nixcache.hcl: what no build of the last `days` days has built or used goes.
#
#   nomad job run hcl/nixcache-gc.hcl
#   nomad job periodic force -namespace ci nixcache-gc     # now
#
# On each node with the volume, once a day. New builds wait at a gate meanwhile, for as long as it takes those that run to
# end, `patience` at most: where they do not end by then nothing is collected that day.

variable "namespace" {
  type    = string
  default = "ci"
}

variable "volume" {
  type    = string
  default = "nix"
}

variable "nix" {
  type        = string
  default     = "albatros-nix:1"
  description = "An image with the nix programs outside of /nix, and flock and find."
}

variable "days" {
  type    = number
  default = 7
}

variable "cron" {
  type    = string
  default = "17 4 * * *"
}

variable "patience" {
  type        = number
  default     = 600
  description = "Seconds that builds which use the store are waited for; below the 900 that new ones wait."
}

job "nixcache-gc" {
  namespace   = var.namespace
  datacenters = ["*"]
  type        = "sysbatch"

  periodic {
    crons            = [var.cron]
    prohibit_overlap = true
  }

  group "nix" {
    # What was not collected today is tomorrow.
    restart {
      attempts = 0
      mode     = "fail"
    }

    volume "nix" {
      type   = "host"
      source = var.volume
    }

    task "collect" {
      driver = "docker"
      user   = "root"

      volume_mount {
        volume      = "nix"
        destination = "/nix"
      }
      env {
        DAYS     = var.days
        PATIENCE = var.patience
      }
      template {
        destination = "local/collect"
        perms       = "755"
        data        = <<EOT
#!/bin/sh
set -eu
state=/nix/var/nix
[ -d $state/gcroots/albatros ] || { echo "no build has used this store yet"; exit 0; }
exec 8<>$state/albatros.gate
flock -x -w "$PATIENCE" 8 && flock -x -w "$PATIENCE" $state/gc.lock true ||
  { echo "builds have used the store for $PATIENCE s on end: nothing was collected" >&2; exit 1; }
find $state/gcroots/albatros -mindepth 1 -maxdepth 1 -mmin +$((DAYS * 24 * 60)) -exec rm -r {} + -print
# What scripts and derivations have made roots leads to builds that are over, or to itself, so as to stay for ever.
rm -rf $state/gcroots/auto $state/gcroots/per-user $state/profiles/per-user
nix-store --gc --option build-users-group "" --option keep-derivations true --option keep-outputs true
EOT
      }

      config {
        image        = var.nix
        entrypoint   = ["/local/collect"]
        network_mode = "none"
        cap_drop     = ["all"]
        cap_add      = ["chown", "dac_override", "fowner"]
      }
      resources {
        cpu    = 100
        memory = 256
      }
    }
  }
}
