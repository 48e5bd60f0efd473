{{- /* Made from operator/src/rights.rs by `cargo xtask reference`; not to be edited. */ -}}
{{- define "fundbond.operator.rules" -}}
# What users ask for: watched, and read afresh before anything is written.
- apiGroups: [fundbond.dev]
  resources: [fundclusters]
  verbs: [get, list, watch]
# Users are told what became of it.
- apiGroups: [fundbond.dev]
  resources: [fundclusters/status]
  verbs: [patch]
# Each change of Ready is an event as well.
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create, patch]
# Who pods and proxies are, their settings, and how they are reached.
- apiGroups: [""]
  resources: [serviceaccounts, configmaps, services]
  verbs: [create, delete, list, patch, watch]
# What pods and proxies may do: never more than is written here.
- apiGroups: [rbac.authorization.k8s.io]
  resources: [roles, rolebindings]
  verbs: [create, delete, list, patch, watch]
# Who may reach pods and proxies.
- apiGroups: [networking.k8s.io]
  resources: [networkpolicies]
  verbs: [create, delete, list, patch, watch]
# How many may be away when machines are emptied.
- apiGroups: [policy]
  resources: [poddisruptionbudgets]
  verbs: [create, delete, list, patch, watch]
# Pods and proxies themselves.
- apiGroups: [apps]
  resources: [deployments]
  verbs: [create, delete, list, patch, watch]
# How many pods there are, where a FundCluster leaves that to the load.
- apiGroups: [autoscaling]
  resources: [horizontalpodautoscalers]
  verbs: [create, delete, list, patch, watch]
# What leads to a FundCluster: written for gateways and proxies.
- apiGroups: [fundbond.dev]
  resources: [gatewayroutes]
  verbs: [create, delete, list, patch, watch]
# Ways in by the Gateway API, where a FundCluster asks for one.
- apiGroups: [gateway.networking.k8s.io]
  resources: [httproutes]
  verbs: [create, delete, list, patch, watch]
# What a Prometheus operator scrapes and warns of, where a FundCluster asks for it.
- apiGroups: [monitoring.coreos.com]
  resources: [servicemonitors, prometheusrules]
  verbs: [create, delete, list, patch, watch]
# Handed on: one pod of each FundCluster keeps house, by a Lease.
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  verbs: [create, get, update]
# Handed on: a proxy reads its route, and nobody gives a right they lack.
- apiGroups: [fundbond.dev]
  resources: [gatewayroutes]
  verbs: [get]
# Handed on: a proxy sees which pods there are.
- apiGroups: [discovery.k8s.io]
  resources: [endpointslices]
  verbs: [get, list, watch]
# Where OwnerReferencesPermissionEnforcement is on: children that keep their FundCluster until they are gone.
- apiGroups: [fundbond.dev]
  resources: [fundclusters/finalizers]
  verbs: [update]
{{- end }}

{{- define "fundbond.operator.homeRules" -}}
# One of several operators leads, by this Lease.
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  resourceNames: [{{ include "fundbond.leaseName" . | quote }}]
  verbs: [get, update]
# A name cannot be asked for in the making of an object.
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  verbs: [create]
# Gateways are asked which routes they have applied: where they are.
- apiGroups: [discovery.k8s.io]
  resources: [endpointslices]
  verbs: [list]
{{- end }}
