# The bundle as one image. docs/container.md tells how to run it, extend it, and what it weighs.
#
#   docker build -t lbctl .
#   docker build -t lbctl --build-arg BASE=debian:bookworm-slim .
#
# Nothing here needs BuildKit: Debian 12's docker.io builds without it.
ARG BASE=debian:trixie-slim

# What lbctl runs: this layer changes with Debian alone.
FROM ${BASE} AS system
# Manuals, translations and Python's own tests stay out; a slim base has some of these rules already.
RUN printf 'path-exclude %s\n' '/usr/share/doc/*' '/usr/share/info/*' '/usr/share/locale/*' \
        '/usr/share/man/*' >/etc/dpkg/dpkg.cfg.d/lbctl \
    && echo 'path-include /usr/share/doc/*/copyright' >>/etc/dpkg/dpkg.cfg.d/lbctl \
    && apt-get update \
    && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
        dnsmasq-base haproxy iproute2 nginx python3 rsyslog ucarp \
    && rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/cache/debconf/*-old /run/adduser \
        /usr/lib/python3*/test /usr/lib/python3*/pydoc_data \
    && find /var/log -type f -delete \
    && mkdir /haproxy && install -d -o haproxy -g haproxy /var/lib/lbctl

# The packages that pyproject.toml asks for, by themselves: its other lines may change at no cost.
FROM system AS needs
COPY pyproject.toml /
RUN mkdir /needs && python3 -c 'import tomllib; \
project = tomllib.load(open("/pyproject.toml", "rb")); \
print(*project["build-system"]["requires"], sep="\n", file=open("/needs/build", "w")); \
print(*project["project"]["dependencies"], sep="\n", file=open("/needs/run", "w"))'

FROM system AS packages
RUN apt-get update \
    && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
        binutils ca-certificates python3-venv
COPY --from=needs /needs /needs
RUN python3 -m venv /build && python3 -m venv --without-pip /opt/lbctl
RUN /build/bin/pip install -q --no-cache-dir -r /needs/build \
    && /build/bin/pip --python /opt/lbctl/bin/python install -q --no-cache-dir --no-compile \
        -r /needs/run
# Without tests and debugging symbols. Byte code is made here, since the root may be read-only, and
# is never compared with its source, so that the time stamps of a copy do not matter.
RUN find /opt/lbctl/lib -type d -name tests -prune -exec rm -r {} + \
    && find /opt/lbctl/lib -name '*.so' -exec strip --strip-debug {} + \
    && python3 -m compileall -q --invalidation-mode unchecked-hash /opt/lbctl/lib

# lbctl itself.
FROM packages AS program
WORKDIR /src
COPY . ./
RUN /build/bin/pip wheel -q --no-deps --no-index --no-build-isolation -w /wheel . \
    && /build/bin/pip --python /opt/lbctl/bin/python install -q --no-deps --no-index \
        --no-compile --prefix /out /wheel/*.whl \
    && python3 -m compileall -q --invalidation-mode unchecked-hash -s /out -p /opt/lbctl /out/lib \
    && install -m 755 deploy/container/healthcheck /out/bin/healthcheck

FROM system
LABEL org.opencontainers.image.title="lbctl" \
      org.opencontainers.image.description="Two Linux hosts, one highly available load balancer" \
      org.opencontainers.image.version="0.2.0" \
      org.opencontainers.image.licenses="Apache-2.0"
RUN ln -s /opt/lbctl/bin/lbctl /usr/local/bin/lbctl
COPY --from=packages /opt/lbctl /opt/lbctl
COPY --from=program /out /opt/lbctl
WORKDIR /haproxy
VOLUME /var/lib/lbctl
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=15s --timeout=5s --start-period=30s --retries=2 \
    CMD ["/opt/lbctl/bin/healthcheck"]
ENTRYPOINT ["lbctl", "run"]
