job "builder" {
  namespace = "ci"
  type      = "batch"

  parameterized {
    payload       = "forbidden"
    meta_required = ["REPO_URL", "COMMIT", "BRANCH", "FLAVOR"]
    meta_optional = ["REF", "EVENT", "IMAGE"]
  }

  group "runner" {
    restart {
      attempts = 0 # restart
      mode     = "fail"
    }
    reschedule {
      attempts  = 0 # reschedule
      unlimited = false
    }
    disconnect {
      lost_after = "12h"
      replace    = false
    }
    max_run_duration = "1h"
    ephemeral_disk {
      size = 4000
    }

    task "controller" {
      driver = "docker"
      lifecycle { # controller
        hook    = "prestart"
        sidecar = true # controller
      }
      identity {
        name = "albatros"
        aud  = ["albatros"]
        file = true
        ttl  = "1h"
      }
      template {
        data = "{{ with nomadVar \"nomad/jobs\" }}{{ end }}"
      }
      config {
        network_mode = "host"
      }
      logs {
        max_files     = 2
        max_file_size = 5
      }
    }

    task "executor" {
      driver = "docker" # executor
      # in executor
      config {
        image      = "${NOMAD_META_IMAGE}"
        entrypoint = ["/alloc/bin/albatros", "exec"]
        network_mode = "none" # executor
        # in config
      }
      logs {
        max_files     = 20
        max_file_size = 50
      }
    }
  }
  # end
}
