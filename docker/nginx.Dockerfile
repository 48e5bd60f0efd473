# nginx without a distribution around it: the program and the libraries it loads.
FROM nginx:1.26.2-bookworm AS build
COPY docker/collect /collect
RUN /collect /out/root nginx

FROM scratch AS nginx
COPY --from=build /out/root /
ENV PATH=/bin
USER 65532:65532
EXPOSE 8080
ENTRYPOINT ["nginx", "-e", "stderr", "-c", "/etc/nginx/nginx.conf"]
