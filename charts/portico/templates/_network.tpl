{{/* Names are looked up wherever the cluster has its DNS. */}}
{{- define "portico.dns" -}}
- ports:
    - {port: 53, protocol: UDP}
    - {port: 53, protocol: TCP}
{{- end -}}
