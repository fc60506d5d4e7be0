# The image: two static programs and nothing else. Built by .ci/build-image, which puts the programs
# into the build's context; no base image is pulled and nothing is compiled in here.
FROM scratch
ARG VERSION=dev
ARG REVISION=unknown
LABEL org.opencontainers.image.title="sidewall" \
      org.opencontainers.image.description="Kubernetes NetworkPolicies, enforced in the pod's own sidecar" \
      org.opencontainers.image.source="https://github.com/sidewall-dev/sidewall" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
COPY --chmod=0555 sidewall-sidecar sidewall-controller /
# Nobody in particular. Sidecars run as UID 0 with two capabilities, because Kubernetes gives
# capabilities to no one else; the injector says so in each container.
USER 65532:65532
