# What tells autoscalers how busy pods are, from its Go module. Where a registry is in reach, its own image serves as well.
FROM golang:1.26.8-bookworm AS build
RUN CGO_ENABLED=0 GOBIN=/out go install -trimpath -ldflags '-s -w' sigs.k8s.io/metrics-server/cmd/metrics-server@v0.9.0

FROM scratch AS metrics-server
COPY --from=build /out/metrics-server /
USER 65532:65532
EXPOSE 10250
ENTRYPOINT ["/metrics-server"]
