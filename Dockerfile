# The image of the worker, and of the gate: `docker run --entrypoint revocation-gate …`. It needs no BuildKit.
FROM rust:1.95-bookworm AS build
WORKDIR /build
# The dependencies first, with empty programs: this layer stays until one of them changes. (The manifests
# name benches, which must exist.)
COPY Cargo.toml Cargo.lock LICENSE ./
COPY crates/evidence/Cargo.toml crates/evidence/
COPY crates/gate/Cargo.toml crates/gate/
COPY crates/http-server/Cargo.toml crates/http-server/
COPY crates/sandbox/Cargo.toml crates/sandbox/
COPY crates/verifier/Cargo.toml crates/verifier/
COPY benches benches
COPY crates/verifier/benches crates/verifier/benches
RUN for crate in . crates/*; do mkdir -p $crate/src && touch $crate/src/lib.rs; done && \
  for program in . crates/evidence crates/gate; do echo 'fn main() {}' >$program/src/main.rs; done && \
  cargo build --locked --profile dist -p revocation-worker -p revocation-gate
# .cargo makes sqlx check the queries against .sqlx instead of a database.
COPY .cargo .cargo
COPY .sqlx .sqlx
COPY migrations migrations
COPY crates crates
COPY src src
# Copied files keep their times: cargo must see that they are newer than the empty ones.
RUN touch src/*.rs crates/*/src/*.rs && \
  cargo build --locked --profile dist -p revocation-worker -p revocation-gate

FROM debian:bookworm-slim
# The authorities that providers' certificates are checked against; a private one goes into `ca_file`.
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=build /build/LICENSE /usr/share/doc/revocation-worker/
COPY --from=build /build/target/dist/revocation-worker /build/target/dist/revocation-gate /usr/local/bin/
# revocation-worker.toml is read from here when it is mounted. Nothing is ever written: the root file system
# may be read-only.
WORKDIR /etc/revocation-worker
# Files of secrets (`…_FILE`) must be readable by this user.
USER 65532:65532
STOPSIGNAL SIGTERM
# Ready: broker, topology and database are reachable. The answer names what is not. It asks the port of
# `http.listen`'s default; a container with the gate needs a check of its own (port 9310).
HEALTHCHECK --interval=5s --timeout=5s --start-period=60s --retries=3 CMD ["bash", "-c", \
  "exec 3<>/dev/tcp/127.0.0.1/9300 && printf 'GET /readyz HTTP/1.0\\r\\n\\r\\n' >&3 && answer=$(cat <&3) && echo \"$answer\" && [[ $answer == 'HTTP/1.'?' 200 '* ]]"]
ENTRYPOINT ["revocation-worker"]
CMD ["run"]
