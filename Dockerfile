# Albatros in an image: a static program, and git and CA certificates, which builds need.
#
#   docker build -t albatros:0.1 .
FROM rust:1-bookworm AS build
WORKDIR /src
COPY Cargo.toml Cargo.lock ./
COPY src src
COPY tests/bench/main.rs tests/bench/main.rs
COPY tests/it/main.rs tests/it/main.rs
COPY tests/live/main.rs tests/live/main.rs
# The target is named so that build scripts and macros, which must be dynamic, are not made static as well.
RUN target="$(uname -m)-unknown-linux-gnu" \
 && RUSTFLAGS="-C target-feature=+crt-static" cargo build --release --locked --bin albatros --target "$target" \
 && cp "target/$target/release/albatros" /albatros

FROM debian:bookworm-slim
RUN apt-get update \
 && apt-get install -y --no-install-recommends ca-certificates git \
 && rm -rf /var/lib/apt/lists/*
COPY --from=build /albatros /usr/local/bin/albatros
# Nobody: neither the server nor a build needs more.
USER 65534:65534
EXPOSE 8080
ENTRYPOINT ["/usr/local/bin/albatros"]
