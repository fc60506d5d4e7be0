{{- define "sidewall.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 53 | trimSuffix "-" -}}
{{- end }}

{{/* The release's name, without saying "sidewall" twice. 53 characters leave room for what is appended. */}}
{{- define "sidewall.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 53 | trimSuffix "-" -}}
{{- else -}}
{{- $name := include "sidewall.name" . -}}
{{- ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) | trunc 53 | trimSuffix "-" -}}
{{- end -}}
{{- end }}

{{- define "sidewall.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/part-of: sidewall
{{ include "sidewall.selector" . }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "sidewall.selector" -}}
app.kubernetes.io/name: {{ include "sidewall.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "sidewall.image" -}}
{{- $image := .Values.image -}}
{{- if $image.digest -}}
{{- printf "%s@%s" $image.repository $image.digest -}}
{{- else -}}
{{- printf "%s:%s" $image.repository (default .Chart.AppVersion $image.tag) -}}
{{- end -}}
{{- end }}

{{/* Names of cluster-wide objects: two releases in two namespaces must not meet. */}}
{{- define "sidewall.clusterName" -}}
{{- printf "%s-%s" (include "sidewall.fullname" .) .Release.Namespace | trunc 63 | trimSuffix "-" -}}
{{- end }}

{{- define "sidewall.secretName" -}}
{{- if eq .Values.webhook.tls.mode "secret" -}}
{{- required "webhook.tls.secret.name is needed when webhook.tls.mode is secret" .Values.webhook.tls.secret.name -}}
{{- else -}}
{{- printf "%s-webhook-tls" (include "sidewall.fullname" .) -}}
{{- end -}}
{{- end }}

{{- define "sidewall.settings" -}}
image: {{ include "sidewall.image" . | quote }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
adminHost: {{ .Values.sidecar.adminHost | quote }}
capabilities: {{ toJson .Values.sidecar.capabilities }}
startupSeconds: {{ .Values.sidecar.startupSeconds }}
options:
  policy-source: {{ .Values.policySource | quote }}
{{- range $name, $value := .Values.sidecar.options }}
  {{ $name }}: {{ $value | toString | quote }}
{{- end }}
{{- end }}

{{/* Not empty when the controller serves allow lists. */}}
{{- define "sidewall.servesLists" -}}
{{- if eq .Values.policySource "allowlists" }}yes{{ end -}}
{{- end }}

{{/* Named by Kubernetes: version, then group. */}}
{{- define "sidewall.apiService" -}}
v1alpha1.allowlists.sidewall.dev
{{- end }}

{{/* Namespaces that are never injected. */}}
{{- define "sidewall.excluded" -}}
{{- $always := list "kube-system" "kube-public" "kube-node-lease" .Release.Namespace -}}
{{- concat $always .Values.webhook.excludedNamespaces | uniq | toJson -}}
{{- end }}
