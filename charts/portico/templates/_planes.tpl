{{- /*
Every data plane of the release, as JSON: the one of `dataPlane`, and each of `dataPlanes`, which says
only what it has different. A plane serves one PorticoClass; its Service and its ServiceAccount have
one name, which is how the operator knows its pods.
*/}}
{{- define "portico.planes" -}}
{{- $first := dict "component" "dataplane" "name" (include "portico.dataplane" .) "settings" .Values.dataPlane -}}
{{- $base := dict "name" (include "portico.fullname" .) "baseDomain" .Values.baseDomain -}}
{{- $_ := set $first "class" (include "portico.planeClass" (dict "class" .Values.class "base" $base) | fromJson) -}}
{{- $planes := list $first -}}
{{- range $key, $own := .Values.dataPlanes -}}
{{- $base := dict "name" $key "baseDomain" (printf "%s.%s" $key $.Values.baseDomain) -}}
{{- $plane := dict "component" (printf "dataplane-%s" $key) "name" (printf "%s-%s" (include "portico.fullname" $) $key) -}}
{{- /* A port of the nodes is one Service's only. */}}
{{- $usual := deepCopy $.Values.dataPlane -}}
{{- $_ := unset $usual.service "nodePort" -}}
{{- $_ := unset $usual.service "httpsNodePort" -}}
{{- $_ := set $plane "settings" (mergeOverwrite $usual (omit $own "class")) -}}
{{- $_ := set $plane "class" (include "portico.planeClass" (dict "class" (default dict $own.class) "base" $base) | fromJson) -}}
{{- $planes = append $planes $plane -}}
{{- end -}}
{{- range $one := $planes -}}
{{- range $other := $planes -}}
{{- if and (ne $one.name $other.name) (eq $one.class.name $other.class.name) -}}
{{- fail (printf "two data planes serve the class %s: give one of them another class.name" $one.class.name) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- toJson $planes -}}
{{- end -}}

{{- /* dict class base: create, name and spec of a plane's class, as JSON. */}}
{{- define "portico.planeClass" -}}
{{- $class := .class -}}
{{- $spec := dict "default" (ternary $class.default false (hasKey $class "default")) -}}
{{- $_ := set $spec "baseDomain" (default .base.baseDomain $class.baseDomain) -}}
{{- $spec = merge $spec (default dict $class.spec) -}}
{{- dict "create" (ternary $class.create true (hasKey $class "create")) "name" (default .base.name $class.name) "spec" $spec | toJson -}}
{{- end -}}
