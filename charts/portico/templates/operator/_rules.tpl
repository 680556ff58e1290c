{{/* What the operator does with objects of the namespaces that it serves. */}}
{{- define "portico.servedRules" -}}
- apiGroups: [portico.dev]
  resources:
    - apideployments
    - apikeys
    - apimappings
    - authorizers
    - domainnames
    - httpapis
    - iamusers
    - restapis
    - routes
    - stages
    - usageplans
    - websocketapis
  verbs: [get, list, watch]
- apiGroups: [portico.dev]
  resources:
    - apideployments/status
    - apikeys/status
    - apimappings/status
    - authorizers/status
    - domainnames/status
    - httpapis/status
    - iamusers/status
    - restapis/status
    - routes/status
    - stages/status
    - usageplans/status
    - websocketapis/status
  verbs: [patch]
- apiGroups: [""]
  resources: [services]
  verbs: [list, watch]
- apiGroups: [""]
  resources: [secrets]
  verbs: [get, list, watch{{ if .Values.operator.apiKeyGeneration }}, create{{ end }}]
- apiGroups: [""]
  resources: [configmaps]
  verbs: [get, list, watch]
- apiGroups: [discovery.k8s.io]
  resources: [endpointslices]
  verbs: [list, watch]
- apiGroups: [gateway.networking.k8s.io]
  resources: [referencegrants]
  verbs: [list, watch]
- apiGroups: [apps]
  resources: [controllerrevisions]
  verbs: [get, list, watch, create, delete]
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create]
{{- end -}}
