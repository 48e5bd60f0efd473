# Redis without a distribution around it: its programs, the libraries they load, and an empty folder for the data.
# 7.2 is the last line under the BSD licence; the store needs 6.2 or newer.
FROM redis:7.2.5-bookworm AS build
COPY docker/collect /collect
RUN /collect /out/root redis-server redis-cli && mkdir -p /out/volume/data

FROM scratch AS redis
COPY --from=build /out/root /
# A new volume takes over whom the folder below it belongs to.
COPY --from=build --chown=65532:65532 /out/volume /
ENV PATH=/bin
USER 65532:65532
EXPOSE 6379
WORKDIR /data
ENTRYPOINT ["redis-server"]
