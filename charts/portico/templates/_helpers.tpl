{{/* Names and labels. Every template takes the root context, or a dict with `root`. */}}

{{- define "portico.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{/* At most 40 characters, so that the longest suffix still makes a DNS label. */}}
{{- define "portico.fullname" -}}
{{- $name := include "portico.name" . -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else if contains $name .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "portico.operator" -}}{{ include "portico.fullname" . }}-operator{{- end -}}
{{- define "portico.stream" -}}{{ include "portico.operator" . }}-stream{{- end -}}
{{- define "portico.dataplane" -}}{{ include "portico.fullname" . }}-dataplane{{- end -}}
{{- define "portico.authority" -}}{{ include "portico.fullname" . }}-ca{{- end -}}
{{- define "portico.bundle" -}}{{ include "portico.authority" . }}-bundle{{- end -}}

{{/* dict root component: what selectors use; must never change for a release. */}}
{{- define "portico.selector" -}}
app.kubernetes.io/name: {{ include "portico.name" .root }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{/* dict root component: labels of an object. */}}
{{- define "portico.labels" -}}
{{- $own := include "portico.selector" . | fromYaml -}}
{{- $_ := set $own "app.kubernetes.io/version" .root.Chart.AppVersion -}}
{{- $_ := set $own "app.kubernetes.io/managed-by" .root.Release.Service -}}
{{- $_ := set $own "helm.sh/chart" (printf "%s-%s" .root.Chart.Name (.root.Chart.Version | replace "+" "_")) -}}
{{- merge $own .root.Values.commonLabels | toYaml -}}
{{- end -}}

{{/* dict root component: labels of a pod. Without the versions, an upgrade that changes no pod restarts none. */}}
{{- define "portico.podLabels" -}}
{{- $own := include "portico.selector" . | fromYaml -}}
{{- merge $own .more .root.Values.commonLabels | toYaml -}}
{{- end -}}

{{/* dict root image */}}
{{- define "portico.image" -}}
{{- $repository := .image.repository -}}
{{- with .root.Values.image.registry -}}{{- $repository = printf "%s/%s" (trimSuffix "/" .) $repository -}}{{- end -}}
{{- if .image.digest -}}
{{- printf "%s@%s" $repository .image.digest -}}
{{- else -}}
{{- printf "%s:%s" $repository (default .root.Chart.AppVersion .image.tag) -}}
{{- end -}}
{{- end -}}

{{/* The restricted Pod Security Standard: users choose ids, nothing else. */}}
{{- define "portico.podSecurity" -}}
runAsNonRoot: true
seccompProfile:
  type: RuntimeDefault
fsGroupChangePolicy: OnRootMismatch
{{- range $key, $id := . }}
{{- if not (kindIs "invalid" $id) }}
{{ $key }}: {{ int64 $id }}
{{- end }}
{{- end }}
{{- end -}}

{{- define "portico.containerSecurity" -}}
allowPrivilegeEscalation: false
capabilities:
  drop: [ALL]
readOnlyRootFilesystem: true
runAsNonRoot: true
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{- define "portico.pullSecrets" -}}
{{- with .Values.image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . | quote }}
  {{- end }}
{{- end }}
{{- end -}}

{{/* dict root component settings spread: where pods go. */}}
{{- define "portico.placement" -}}
{{- with .settings.priorityClassName }}
priorityClassName: {{ . | quote }}
{{- end }}
{{- with .settings.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .settings.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .settings.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- if .settings.topologySpreadConstraints }}
topologySpreadConstraints:
  {{- toYaml .settings.topologySpreadConstraints | nindent 2 }}
{{- else if .spread }}
topologySpreadConstraints:
  {{- range list "kubernetes.io/hostname" "topology.kubernetes.io/zone" }}
  - maxSkew: 1
    topologyKey: {{ . }}
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels:
        {{- include "portico.selector" $ | nindent 8 }}
    # Of one revision only: otherwise the pods that a rollout replaces push the new ones together.
    matchLabelKeys: [pod-template-hash]
  {{- end }}
{{- end }}
{{- end -}}
