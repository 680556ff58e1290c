{{/* What the operator is told: the chart's names of things, so that nothing is guessed. */}}
{{- define "portico.operatorArguments" -}}
- --lease={{ include "portico.operator" . }}
{{- range include "portico.planes" . | fromJsonArray }}
- --data-plane={{ .class.name }}={{ .name }}
{{- end }}
- --stream-service={{ include "portico.stream" . }}
- --ca-secret={{ include "portico.authority" . }}
- --ca-bundle={{ include "portico.bundle" . }}
- --stream-port={{ .Values.operator.ports.stream }}
- --admin-port={{ .Values.operator.ports.admin }}
- --usage-port={{ .Values.operator.ports.usage }}
{{- $ports := .Values.operator.ports }}
{{- if ne 3 (len (uniq (list (int $ports.stream) (int $ports.admin) (int $ports.usage)))) }}
{{- fail "operator.ports: stream, admin and usage need a port each" }}
{{- end }}
- --base-domain={{ .Values.baseDomain }}
- --scheme={{ .Values.public.scheme }}
{{- $usual := ternary 443 80 (eq .Values.public.scheme "https") }}
{{- /* TLS ends before the Service, so its port says nothing about https. */}}
{{- $served := ternary 443 .Values.dataPlane.service.port (eq .Values.public.scheme "https") }}
{{- $port := default $served .Values.public.port | int }}
{{- if ne $port $usual }}
- --public-port={{ $port }}
{{- end }}
{{- if .Values.operator.apiKeyGeneration }}
- --generate-api-keys
{{- end }}
{{- range uniq .Values.watchNamespaces }}
- --watch-namespace={{ . }}
{{- end }}
{{- end -}}
