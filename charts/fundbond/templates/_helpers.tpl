{{/* What all objects are called. */}}
{{- define "fundbond.fullname" -}}
{{- .Values.fullnameOverride | default .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- end }}

{{/* Labels of an object of a component: (dict "root" $ "component" "gateway"). The chart's own win over those of the values. */}}
{{- define "fundbond.labels" -}}
{{- $own := include "fundbond.selector" . | fromYaml -}}
{{- $_ := set $own "helm.sh/chart" (printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_") -}}
{{- $_ := set $own "app.kubernetes.io/version" .root.Chart.AppVersion -}}
{{- $_ := set $own "app.kubernetes.io/managed-by" .root.Release.Service -}}
{{- toYaml (merge $own .root.Values.commonLabels) -}}
{{- end }}

{{/*
Labels by which pods are selected; they never change. The policies of FundClusters let pods in that are called `gateway` and are
part of `fundbond`.
*/}}
{{- define "fundbond.selector" -}}
app.kubernetes.io/name: {{ .component }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
app.kubernetes.io/part-of: fundbond
{{- end }}

{{/* The same of a pod, with those of "podLabels". */}}
{{- define "fundbond.podLabels" -}}
{{- $own := include "fundbond.labels" . | fromYaml -}}
{{- toYaml (merge $own (.podLabels | default dict)) -}}
{{- end }}

{{/* One of Fundbond's own images: (dict "root" $ "program" "gateway" "image" .Values.gateway.image). */}}
{{- define "fundbond.image" -}}
{{- $own := .root.Values.image -}}
{{- $tag := .image.tag | default (include "fundbond.tag" .root) -}}
{{- include "fundbond.reference" (dict "registry" (.root.Values.global.imageRegistry | default $own.registry) "repository" (printf "%s/%s" $own.repository .program) "tag" $tag "digest" .image.digest) -}}
{{- end }}

{{- define "fundbond.tag" -}}
{{- .Values.image.tag | default .Chart.AppVersion -}}
{{- end }}

{{/* An image by its parts. */}}
{{- define "fundbond.reference" -}}
{{- with .registry }}{{ . }}/{{ end }}{{ .repository }}:{{ .tag }}{{ with .digest }}@{{ . }}{{ end -}}
{{- end }}

{{/* The account of a component: (dict "root" $ "component" "gateway" "account" .Values.gateway.serviceAccount). */}}
{{- define "fundbond.account" -}}
{{- if .account.create -}}
{{- .account.name | default (printf "%s-%s" (include "fundbond.fullname" .root) .component) -}}
{{- else -}}
{{- .account.name | default "default" -}}
{{- end -}}
{{- end }}

{{/* An account object. Only pods that ask for it get a token. */}}
{{- define "fundbond.accountObject" -}}
apiVersion: v1
kind: ServiceAccount
metadata:
  name: {{ include "fundbond.account" . }}
  namespace: {{ .root.Release.Namespace }}
  labels: {{- include "fundbond.labels" . | nindent 4 }}
  {{- with .account.annotations }}
  annotations: {{- toYaml . | nindent 4 }}
  {{- end }}
automountServiceAccountToken: false
{{- end }}

{{/* What Pod Security calls `restricted`, for a pod. */}}
{{- define "fundbond.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{/* The same for a container, which moreover writes no file but in volumes. */}}
{{- define "fundbond.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end }}

{{/* A minute to begin; half a minute of silence is the end of a process. */}}
{{- define "fundbond.probes" -}}
startupProbe:
  httpGet: {path: /startupz, port: admin}
  periodSeconds: 1
  timeoutSeconds: 2
  failureThreshold: 60
readinessProbe:
  httpGet: {path: /readyz, port: admin}
  periodSeconds: 5
  timeoutSeconds: 2
  failureThreshold: 2
livenessProbe:
  httpGet: {path: /livez, port: admin}
  initialDelaySeconds: 30
  periodSeconds: 10
  timeoutSeconds: 2
  failureThreshold: 3
{{- end }}

{{/* Where pods go: (dict "root" $ "component" "gateway" "values" .Values.gateway). Who gives an affinity says all of it. */}}
{{- define "fundbond.placement" -}}
{{- if .values.affinity }}
affinity: {{- toYaml .values.affinity | nindent 2 }}
{{- else }}
topologySpreadConstraints:
  {{- $context := . }}
  {{- range list "kubernetes.io/hostname" "topology.kubernetes.io/zone" }}
  - maxSkew: 1
    topologyKey: {{ . }}
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels: {{- include "fundbond.selector" $context | nindent 8 }}
  {{- end }}
{{- end }}
{{- with .values.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- end }}

{{/* A Role in each of the namespaces, or a ClusterRole where there are none, with its binding:
(dict "root" $ "component" "gateway" "account" .Values.gateway.serviceAccount "rules" "fundbond.gateway.rules"). */}}
{{- define "fundbond.rights" -}}
{{- $context := . -}}
{{- $name := printf "%s-%s" (include "fundbond.fullname" .root) .component -}}
{{- range .root.Values.watchNamespaces | default (list "") }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: {{ ternary "Role" "ClusterRole" (ne . "") }}
metadata:
  name: {{ $name }}
  {{- with . }}
  namespace: {{ . }}
  {{- end }}
  labels: {{- include "fundbond.labels" $context | nindent 4 }}
rules: {{- include $context.rules $context.root | nindent 2 }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: {{ ternary "RoleBinding" "ClusterRoleBinding" (ne . "") }}
metadata:
  name: {{ $name }}
  {{- with . }}
  namespace: {{ . }}
  {{- end }}
  labels: {{- include "fundbond.labels" $context | nindent 4 }}
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: {{ ternary "Role" "ClusterRole" (ne . "") }}
  name: {{ $name }}
subjects:
  - kind: ServiceAccount
    name: {{ include "fundbond.account" $context }}
    namespace: {{ $context.root.Release.Namespace }}
{{- end }}
{{- end }}

{{/* A budget: (dict "root" $ "component" "gateway" "budget" .Values.gateway.podDisruptionBudget). */}}
{{- define "fundbond.budget" -}}
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  name: {{ include "fundbond.fullname" .root }}-{{ .component }}
  namespace: {{ .root.Release.Namespace }}
  labels: {{- include "fundbond.labels" . | nindent 4 }}
spec:
  maxUnavailable: {{ .budget.maxUnavailable }}
  # A pod that is not well holds up nobody.
  unhealthyPodEvictionPolicy: AlwaysAllow
  selector:
    matchLabels: {{- include "fundbond.selector" . | nindent 6 }}
{{- end }}

{{/* A Service for the admin port, for those who scrape Services. It is never reached from outside. */}}
{{- define "fundbond.adminService" -}}
apiVersion: v1
kind: Service
metadata:
  name: {{ include "fundbond.fullname" .root }}-{{ .component }}-admin
  namespace: {{ .root.Release.Namespace }}
  labels: {{- include "fundbond.labels" . | nindent 4 }}
spec:
  clusterIP: None
  # What is wrong with a pod that is not ready, its metrics tell.
  publishNotReadyAddresses: true
  ports:
    - name: admin
      port: {{ .port }}
      targetPort: admin
  selector: {{- include "fundbond.selector" . | nindent 4 }}
{{- end }}

{{/*
Variables of a container: the chart's own, less those that the values give, which win. Two of one name would be refused.
(dict "own" "fundbond.gateway.env" "root" $ "theirs" .Values.gateway.env)
*/}}
{{- define "fundbond.env" -}}
{{- $names := list -}}
{{- range .theirs }}{{ $names = append $names .name }}{{ end -}}
{{- $all := list -}}
{{- range include .own .root | fromYamlArray }}
{{- if not (has .name $names) }}{{ $all = append $all . }}{{ end -}}
{{- end -}}
{{- concat $all .theirs | toYaml -}}
{{- end }}
