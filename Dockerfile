# syntax=docker/dockerfile:1
#
# Both programs, and the configuration files, in a small image:
#
#   docker build -t oubliette .
#   docker run --rm -e OUBLIETTE_DATABASE__URL=… -e OUBLIETTE_HTTP__LISTEN=0.0.0.0:8000 \
#     -p 127.0.0.1:8000:8000 oubliette
#   docker run --rm -e OUBLIETTE_DATABASE__URL=… --entrypoint oubliette-admin oubliette migrate

# The playground's assets, so that its page loads nothing from elsewhere.
FROM node:20.20.2-bookworm-slim AS web
WORKDIR /web
COPY web/package.json web/package-lock.json web/.npmrc ./
RUN npm ci
COPY web/ ./
RUN npm run build

FROM rust:1.95.0-bookworm AS build
WORKDIR /build
COPY . .
COPY --from=web /web/dist/ web/dist/
# The caches keep downloaded and compiled dependencies from one build to the next. They are not part of the image,
# so the programs are copied out of them.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/build/target \
    cargo build --profile dist --locked --bin oubliette --bin oubliette-admin \
    && install --strip -D --target-directory=/out target/dist/oubliette target/dist/oubliette-admin

FROM debian:bookworm-slim
# The certificates are what TLS to AWS is checked against. Not pinned: the newest of bookworm is right.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates \
    && rm -rf /var/lib/apt/lists/*
COPY --from=build /out/ /usr/local/bin/
COPY config/ /etc/oubliette/

# A number, so that Kubernetes can see that it is not root. Nothing is written: the root file system may be
# read-only.
USER 10001:10001

# The profile `aws` needs a database URL, and nothing else that has no default. Another profile by OUBLIETTE_PROFILE;
# files of your own in place of /etc/oubliette.
ENV OUBLIETTE_CONFIG_DIR=/etc/oubliette OUBLIETTE_PROFILE=aws

# The server listens on 127.0.0.1:8000 until OUBLIETTE_HTTP__LISTEN says otherwise. Callers need a token:
# `oubliette-admin tokens create` makes one.
#
# No HEALTHCHECK, as the port is yours to choose: GET /healthz (the process is up), GET /readyz (database and
# key backend answer). docker-compose.yml has an example.
EXPOSE 8000
ENTRYPOINT ["oubliette"]
