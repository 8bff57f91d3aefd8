{{- define "tcproute.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "tcproute.fullname" -}}
{{- $name := include "tcproute.name" . }}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" }}
{{- else if contains $name .Release.Name }}
{{- .Release.Name | trunc 63 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name $name | trunc 63 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- define "tcproute.selectorLabels" -}}
app.kubernetes.io/name: {{ include "tcproute.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "tcproute.labels" -}}
{{ include "tcproute.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
{{- end }}

{{- define "tcproute.serviceAccountName" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "tcproute.fullname" .) .Values.serviceAccount.name }}
{{- else }}
{{- default "default" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{- define "tcproute.image" -}}
{{- with .Values.image }}
{{- if .digest }}{{ .repository }}@{{ .digest }}{{ else }}{{ .repository }}:{{ default $.Chart.AppVersion .tag }}{{ end }}
{{- end }}
{{- end }}

{{- define "tcproute.configMapName" -}}
{{- default (include "tcproute.fullname" .) .Values.existingConfigMap }}
{{- end }}

{{- /* The configuration file. Where on and off are words, Helm has read them as true and false. */}}
{{- define "tcproute.config" -}}
{{- $config := dict }}
{{- range $flag, $value := .Values.config }}
{{- if and (has $flag (list "events" "sidecar")) (kindIs "bool" $value) }}
{{- $value = ternary "on" "off" $value }}
{{- end }}
{{- $_ := set $config $flag $value }}
{{- end }}
{{- toYaml $config }}
{{- end }}

{{- /* Whether an API server is among the sources, as `tcproute run` decides it. Says "true" or nothing. */}}
{{- define "tcproute.readsCluster" -}}
{{- $config := .Values.config }}
{{- if hasKey $config "source" }}
{{- if has "kubernetes" (kindIs "slice" $config.source | ternary $config.source (list $config.source)) }}true{{ end }}
{{- else if not (or (hasKey $config "resources") (hasKey $config "url")) }}true{{ end }}
{{- end }}

{{- /* Whether events are written. Says "true" or nothing. */}}
{{- define "tcproute.writesEvents" -}}
{{- if ne "off" (get (include "tcproute.config" . | fromYaml) "events" | toString) }}true{{ end }}
{{- end }}

{{- /* Whether other network namespaces are entered: past sidecars, and to close connections. Says "true" or nothing. */}}
{{- define "tcproute.visits" -}}
{{- $config := include "tcproute.config" . | fromYaml }}
{{- if or .Values.detach .Values.existingConfigMap (hasKey $config "drain") (ne "off" (get $config "sidecar" | toString)) }}true{{ end }}
{{- end }}

{{- /* Root, since Kubernetes gives no capabilities to other users; and of root's power only what is needed. */}}
{{- define "tcproute.securityContext" -}}
runAsUser: 0
runAsGroup: 0
readOnlyRootFilesystem: true
# Kubernetes takes this beside SYS_ADMIN by that name only.
allowPrivilegeEscalation: false
capabilities:
  drop:
    - ALL
  add:
    - BPF
    - NET_ADMIN
    - PERFMON
    {{- if include "tcproute.visits" . }}
    - SYS_ADMIN
    - SYS_PTRACE
    {{- end }}
    {{- range .Values.extraCapabilities }}
    - {{ . }}
    {{- end }}
{{- with .Values.seccompProfile }}
seccompProfile:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- /* The default profile of runtimes forbids to write below /sys/fs/bpf, and to look at other processes. */}}
{{- if semverCompare ">=1.30-0" .Capabilities.KubeVersion.Version }}
appArmorProfile:
  type: Unconfined
{{- end }}
{{- with .Values.seLinuxOptions }}
seLinuxOptions:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- /* Sources may keep a start waiting, and that is no reason to end it: so long, and a minute, in tries of 2 s. */}}
{{- define "tcproute.startupTries" -}}
{{- $timeout := get .Values.config "start-timeout" | default 30 | toString | trimSuffix "s" | float64 }}
{{- divf (addf $timeout 60) 2 | ceil | int }}
{{- end }}

{{- /* By what the daemon is told to serve metrics to others. Each file is where the volume `metrics` has it. */}}
{{- define "tcproute.metricsArguments" -}}
{{- with .Values.metrics }}
{{- $address := contains ":" .address | ternary (printf "[%s]" .address) .address }}
- --metrics-listen={{ $address }}:{{ .port }}
{{- if .tls.secretName }}
- --metrics-tls-cert=/etc/tcproute-metrics/tls.crt
- --metrics-tls-key=/etc/tcproute-metrics/tls.key
{{- end }}
{{- if .clientCA.secretName }}
- --metrics-client-ca=/etc/tcproute-metrics/client-ca.crt
{{- end }}
{{- if .token.secretName }}
- --metrics-token-file=/etc/tcproute-metrics/token
{{- end }}
{{- if .insecure }}
- --metrics-insecure
{{- end }}
{{- end }}
{{- end }}

{{- /* Where these files are from. Says nothing if there are none. */}}
{{- define "tcproute.metricsSecrets" -}}
{{- with .Values.metrics }}
{{- if .tls.secretName }}
- secret:
    name: {{ .tls.secretName }}
    items:
      - key: tls.crt
        path: tls.crt
      - key: tls.key
        path: tls.key
{{- end }}
{{- if .clientCA.secretName }}
- secret:
    name: {{ .clientCA.secretName }}
    items:
      - key: {{ .clientCA.key }}
        path: client-ca.crt
{{- end }}
{{- if .token.secretName }}
- secret:
    name: {{ .token.secretName }}
    items:
      - key: {{ .token.key }}
        path: token
{{- end }}
{{- end }}
{{- end }}

{{- /* A bpffs that is mounted on the host later comes after it. */}}
{{- define "tcproute.kernelMounts" -}}
- name: cgroup
  mountPath: /sys/fs/cgroup
  readOnly: true
- name: bpffs
  mountPath: /sys/fs/bpf
  mountPropagation: HostToContainer
{{- end }}
